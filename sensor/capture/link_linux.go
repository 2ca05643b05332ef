package capture

import (
	"encoding/binary"
	"errors"
	"fmt"
	"os"

	"golang.org/x/sys/unix"

	"wirelake/internal/packet"
)

// link is what an interface is at the moment.
type link struct {
	name     string
	index    int
	up       bool
	loopback bool
	linkType uint32
	// cooked interfaces have no link-layer header that is the same in every packet:
	// the kernel cuts it off, and what it knows of it becomes a Linux cooked header.
	cooked bool
}

func (l *link) ethernet() bool { return l.linkType == packet.LinkEthernet }

// errNoInterface says that there is no interface of the name now.
var errNoInterface = errors.New("there is no such interface")

// findLink looks an interface up.
func findLink(name string) (link, error) {
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return link{}, os.NewSyscallError("socket", err)
	}
	defer unix.Close(fd) //nolint:errcheck // it was only asked
	l := link{name: name}
	index, err := ask(fd, name, unix.SIOCGIFINDEX)
	if err != nil {
		return link{}, err
	}
	l.index = int(index.Uint32())
	flags, err := ask(fd, name, unix.SIOCGIFFLAGS)
	if err != nil {
		return link{}, err
	}
	l.up = flags.Uint16()&unix.IFF_UP != 0
	hw, err := ask(fd, name, unix.SIOCGIFHWADDR)
	if err != nil {
		return link{}, err
	}
	arphrd := hw.Uint16() // sa_family of ifr_hwaddr
	l.loopback = arphrd == unix.ARPHRD_LOOPBACK
	l.linkType, l.cooked = linkTypeOf(arphrd)
	return l, nil
}

func ask(fd int, name string, what uint) (*unix.Ifreq, error) {
	r, err := unix.NewIfreq(name)
	if err != nil {
		return nil, fmt.Errorf("interface %q: %w", name, err)
	}
	if err := unix.IoctlIfreq(fd, what, r); errors.Is(err, unix.ENODEV) {
		return nil, errNoInterface
	} else if err != nil {
		return nil, fmt.Errorf("interface %s: %w", name, os.NewSyscallError("ioctl", err))
	}
	return r, nil
}

// linkTypeOf returns the link type of packets of an interface of the hardware type
// given (linux/if_arp.h), and whether they are cooked.
func linkTypeOf(arphrd uint16) (linkType uint32, cooked bool) {
	switch arphrd {
	case unix.ARPHRD_ETHER, unix.ARPHRD_LOOPBACK:
		return packet.LinkEthernet, false
	case unix.ARPHRD_NONE, unix.ARPHRD_RAWIP: // tun, WireGuard, mobile modems
		return packet.LinkRaw, false
	case unix.ARPHRD_IEEE80211:
		return packet.Link80211, false
	case unix.ARPHRD_IEEE80211_RADIOTAP:
		return packet.Link80211Radio, false
	case unix.ARPHRD_CISCO:
		return packet.LinkCHDLC, false
	}
	return packet.LinkSLL, true // PPP, tunnels, InfiniBand, …
}

// sllLen is the length of a Linux cooked header (draft-ietf-opsawg-pcaplinktype, LINKTYPE_LINUX_SLL).
const sllLen = 16

// putSLL writes the cooked header of a packet to the free space that the kernel leaves
// in front of its data.
func putSLL(b, h []byte) {
	a := h[packetAddress:]
	be := binary.BigEndian
	be.PutUint16(b, uint16(a[addressPkttype]))
	be.PutUint16(b[2:], binary.NativeEndian.Uint16(a[addressHatype:]))
	be.PutUint16(b[4:], uint16(a[addressHalen]))
	var addr [8]byte
	copy(addr[:], a[addressAddr:][:min(int(a[addressHalen]), 8)])
	protocol := [2]byte(a[addressProtocol:]) // in network byte order already
	copy(b[6:14], addr[:])
	copy(b[14:16], protocol[:])
}
