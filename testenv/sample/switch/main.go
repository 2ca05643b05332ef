//go:build linux

// Command switch is a small Ethernet switch between network interfaces, with what the sample's network needs and not
// every kernel has: VLANs, a mirror port, and a wide area link with delay and loss.
//
//	switch -mirror tap0 -wan gwwan,net desk1=1 dns=1 gw1=1 cam1=40 gw40=40
//
// Each argument is an access port: interface=VLAN. Frames go to all other ports of their VLAN, and to the mirror with
// the VLAN's 802.1Q tag unless it is 1. The two ports of -wan are a link of their own that the mirror does not see;
// what comes from the second one is delayed by the address it comes from, and now and then lost.
package main

import (
	"encoding/binary"
	"flag"
	"fmt"
	"hash/fnv"
	"log"
	"math/rand/v2"
	"net"
	"os"
	"os/signal"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

const (
	maxFrame    = 2048 // bytes; the interfaces have an MTU of 1500
	ethernetLen = 14
	nativeVLAN  = 1
	loss        = 0.004 // of frames from the wide area network

	minDelay = 4 * time.Millisecond
	maxDelay = 130 * time.Millisecond
)

// port is a packet socket on one interface.
type port struct {
	name string
	vlan uint16
	fd   int
}

func openPort(name string, vlan uint16) (*port, error) {
	ifi, err := net.InterfaceByName(name)
	if err != nil {
		return nil, fmt.Errorf("interface %s: %w", name, err)
	}
	proto := binary.NativeEndian.Uint16(binary.BigEndian.AppendUint16(nil, unix.ETH_P_ALL))
	fd, err := unix.Socket(unix.AF_PACKET, unix.SOCK_RAW|unix.SOCK_CLOEXEC, int(proto))
	if err != nil {
		return nil, fmt.Errorf("packet socket: %w", err)
	}
	// Without this the socket gives back what is sent through it.
	if err := unix.SetsockoptInt(fd, unix.SOL_PACKET, unix.PACKET_IGNORE_OUTGOING, 1); err != nil {
		return nil, fmt.Errorf("interface %s: ignore outgoing: %w", name, err)
	}
	if err := unix.Bind(fd, &unix.SockaddrLinklayer{Protocol: proto, Ifindex: ifi.Index}); err != nil {
		return nil, fmt.Errorf("interface %s: bind: %w", name, err)
	}
	return &port{name: name, vlan: vlan, fd: fd}, nil
}

// receive calls handle with each frame; the frame is valid during the call.
func (p *port) receive(handle func(frame []byte)) {
	buf := make([]byte, maxFrame)
	for {
		n, _, err := unix.Recvfrom(p.fd, buf, 0)
		if err != nil {
			log.Printf("receive on %s: %v", p.name, err)
			return
		}
		if n >= ethernetLen {
			handle(buf[:n])
		}
	}
}

func (p *port) send(frame []byte) {
	if _, err := unix.Write(p.fd, frame); err != nil {
		log.Printf("send %d bytes on %s: %v", len(frame), p.name, err)
	}
}

// tag puts an 802.1Q tag behind the addresses.
func tag(frame []byte, vlan uint16) []byte {
	out := append(make([]byte, 0, len(frame)+4), frame[:12]...)
	out = binary.BigEndian.AppendUint16(out, 0x8100)
	out = binary.BigEndian.AppendUint16(out, vlan)
	return append(out, frame[12:]...)
}

// delayOf is how far away the sender of a frame is: always the same for one address.
func delayOf(frame []byte) time.Duration {
	var src []byte
	switch ip := frame[ethernetLen:]; binary.BigEndian.Uint16(frame[12:]) {
	case unix.ETH_P_IP:
		if len(ip) >= 20 {
			src = ip[12:16]
		}
	case unix.ETH_P_IPV6:
		if len(ip) >= 40 {
			src = ip[8:24]
		}
	}
	if src == nil {
		return 0
	}
	h := fnv.New32a()
	_, _ = h.Write(src) // never returns an error
	// Squared: most servers are near, some far.
	x := float64(h.Sum32()%1000) / 1000
	return minDelay + time.Duration(x*x*float64(maxDelay-minDelay))
}

type delayed struct {
	at    time.Time
	frame []byte
}

// wan carries frames from far to near late and with loss, frames from near to far at once.
func wan(near, far *port) {
	go near.receive(far.send)
	queues := map[time.Duration]chan delayed{} // one for each delay keeps the order of its frames
	far.receive(func(frame []byte) {
		d := delayOf(frame)
		if rand.Float64() < loss {
			return
		}
		q, ok := queues[d]
		if !ok {
			q = make(chan delayed, 4096)
			queues[d] = q
			go func() {
				for f := range q {
					time.Sleep(time.Until(f.at))
					near.send(f.frame)
				}
			}()
		}
		q <- delayed{time.Now().Add(d), append([]byte(nil), frame...)}
	})
}

func run() error {
	mirrorName := flag.String("mirror", "", "interface that gets a copy of all frames")
	wanNames := flag.String("wan", "", "two interfaces, NEAR,FAR, of the wide area link")
	flag.Parse()
	mirror, err := openPort(*mirrorName, nativeVLAN)
	if err != nil {
		return err
	}
	var ports []*port
	for _, arg := range flag.Args() {
		name, id, _ := strings.Cut(arg, "=")
		vlan, err := strconv.ParseUint(id, 10, 12)
		if err != nil {
			return fmt.Errorf("port %q: not interface=VLAN: %w", arg, err)
		}
		p, err := openPort(name, uint16(vlan))
		if err != nil {
			return err
		}
		ports = append(ports, p)
	}
	nearName, farName, _ := strings.Cut(*wanNames, ",")
	near, err := openPort(nearName, 0)
	if err != nil {
		return err
	}
	far, err := openPort(farName, 0)
	if err != nil {
		return err
	}
	go wan(near, far)
	for _, in := range ports {
		go in.receive(func(frame []byte) {
			if in.vlan == nativeVLAN {
				mirror.send(frame)
			} else {
				mirror.send(tag(frame, in.vlan))
			}
			for _, out := range ports {
				if out != in && out.vlan == in.vlan {
					out.send(frame)
				}
			}
		})
	}
	end := make(chan os.Signal, 1)
	signal.Notify(end, os.Interrupt, unix.SIGTERM)
	<-end
	return nil
}

func main() {
	log.SetFlags(0)
	log.SetPrefix("switch: ")
	if err := run(); err != nil {
		log.Fatal(err)
	}
}
