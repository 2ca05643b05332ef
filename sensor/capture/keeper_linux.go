package capture

import (
	"errors"
	"fmt"
	"log/slog"
	"net/url"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"

	"golang.org/x/sys/unix"

	"wirelake/internal/config"
	"wirelake/internal/systemd"
)

// Keeper has the service manager keep the packet sockets, with their rings, over the
// end of the process: the kernel goes on to fill them, and the next process goes on to
// read them. A nil one keeps nothing.
type Keeper struct {
	manager *systemd.Manager
	log     *slog.Logger

	mu    sync.Mutex
	rings map[string][]keptRing // that the manager handed over, by interface
}

// keptRing is a ring of a process before.
type keptRing struct {
	name string
	fd   int
	geometry
}

// geometry is what must be known of a ring to map it, and to say whether it is still
// the one that is wanted. It is in its name with the service manager.
type geometry struct {
	iface           string
	worker, workers int
	blocks          int
	blockBytes      int
	linkType        uint32
	promiscuous     bool
}

// ringVersion is the first part of names.
const ringVersion = "ring1"

// name names the ring, for it alone.
func (g geometry) name(id uint64) string {
	promiscuous := 0
	if g.promiscuous {
		promiscuous = 1
	}
	return fmt.Sprintf("%s,%s,%d,%d,%d,%d,%d,%d,%016x", ringVersion, strings.ReplaceAll(url.QueryEscape(g.iface), "+", "%20"),
		g.worker, g.workers, g.blocks, g.blockBytes, g.linkType, promiscuous, id)
}

// parseRingName reads a name that name made.
func parseRingName(name string) (g geometry, err error) {
	bad := fmt.Errorf("%q is not the name of a packet ring", name)
	f := strings.Split(name, ",")
	if len(f) != 9 || f[0] != ringVersion {
		return g, bad
	}
	if g.iface, err = url.QueryUnescape(f[1]); err != nil {
		return g, bad
	}
	var n [6]int
	for i := range n {
		if n[i], err = strconv.Atoi(f[2+i]); err != nil || n[i] < 0 {
			return g, bad
		}
	}
	g.worker, g.workers, g.blocks, g.blockBytes, g.linkType, g.promiscuous = n[0], n[1], n[2], n[3], uint32(n[4]), n[5] == 1 //nolint:gosec // as it was written
	if checkInterfaceName(g.iface) != nil || g.workers > maxWorkers || g.worker >= g.workers || g.blocks < 1 || g.blockBytes < 1 ||
		g.blockBytes > int(maxBlockBytes) || g.blocks > int(maxRingBytes)/g.blockBytes {
		return g, bad
	}
	return g, nil
}

// NewKeeper returns what keeps sockets with the manager, and gets those back among
// files that it kept for the process before; nil when there is no manager. Files that
// are no rings of this program are closed.
func NewKeeper(m *systemd.Manager, files []systemd.File, log *slog.Logger) *Keeper {
	if m == nil {
		return nil
	}
	k := &Keeper{manager: m, log: log, rings: map[string][]keptRing{}}
	for _, f := range files {
		g, err := parseRingName(f.Name)
		if err != nil {
			log.Warn("the service manager kept a file that is none of the sensor's; it is closed", "name", f.Name, "error", errors.Join(err, m.Forget(f.Name), unix.Close(f.FD)))
			continue
		}
		k.rings[g.iface] = append(k.rings[g.iface], keptRing{name: f.Name, fd: f.FD, geometry: g})
	}
	return k
}

// Leftover returns sources of the interfaces that c does not name, and of which rings
// were kept: they deliver what is in them, and end.
func (k *Keeper) Leftover(c AFPacketConfig, log *slog.Logger) ([]Source, error) {
	if k == nil {
		return nil, nil
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	var all []Source
	for name := range k.rings {
		if slices.Contains(c.Interfaces, name) {
			continue
		}
		s, err := NewAFPacket(name, c, k, log)
		if err != nil {
			return nil, err
		}
		s.leftover = true
		all = append(all, s)
	}
	return all, nil
}

// take returns the rings of an interface that were kept, once.
func (k *Keeper) take(iface string) []keptRing {
	if k == nil {
		return nil
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	all := k.rings[iface]
	delete(k.rings, iface)
	slices.SortFunc(all, func(a, b keptRing) int { return a.worker - b.worker })
	return all
}

// keep has a new ring kept.
func (k *Keeper) keep(r *ring, c AFPacketConfig) error {
	if k == nil {
		return nil
	}
	name := geometryOf(c, r.link, r.worker).name(r.state.id)
	if err := k.manager.Keep(name, r.fd); err != nil {
		return fmt.Errorf("packet ring: %w", err)
	}
	r.kept = name
	return nil
}

func geometryOf(c AFPacketConfig, l link, worker int) geometry {
	return geometry{iface: l.name, worker: worker, workers: c.Workers, blocks: c.Blocks, blockBytes: int(c.BlockBytes), linkType: l.linkType, promiscuous: c.Promiscuous}
}

// forget ends the keeping of a ring.
func (k *Keeper) forget(r *ring) error {
	if r.kept == "" {
		return nil
	}
	err := k.manager.Forget(r.kept)
	if err == nil {
		r.kept = ""
	}
	return err
}

// adoptPort goes on with rings of a process before. One that is not what it should be
// is closed, and told in the log. The port is outdated when what is left is not what c
// wants of the interface as it is now; nil when nothing is left.
func adoptPort(c AFPacketConfig, kept []keptRing, filter string, k *Keeper, log *slog.Logger) (_ *port, err error) {
	l, gone := findLink(kept[0].iface)
	p := &port{wake: -1, log: log, workers: kept[0].workers, outdated: gone != nil}
	defer func() {
		if err != nil { // they stay with the manager for a better attempt
			err = errors.Join(err, p.close())
		}
	}()
	if p.wake, err = unix.Eventfd(0, unix.EFD_CLOEXEC|unix.EFD_NONBLOCK); err != nil {
		return nil, os.NewSyscallError("eventfd", err)
	}
	for i, kr := range kept {
		r, index, err := adoptRing(kr, c)
		if err != nil {
			log.Error("a packet ring of the process before is lost", "ring", kr.name, "error", errors.Join(err, k.manager.Forget(kr.name), unix.Close(kr.fd))) //nolint:sloglint // no request is behind it
			p.outdated = true
			continue
		}
		p.rings = append(p.rings, r)
		if err := r.listen(p.wake); err != nil {
			return nil, err
		}
		p.workers = max(p.workers, kr.workers)
		p.outdated = p.outdated || index != l.index || r.link.cooked != l.cooked || kr.geometry != geometryOf(c, l, i)
	}
	if len(p.rings) == 0 {
		return nil, p.close()
	}
	p.outdated = p.outdated || len(p.rings) != c.Workers
	p.link = p.rings[0].link
	if p.outdated {
		p.link.index = l.index // to look how many packets pass it by
		p.link.loopback = l.loopback
		log.Info("the packet rings of the process before are emptied and made anew: interface or settings are others") //nolint:sloglint // no request is behind it
		return p, nil
	}
	p.link = l
	for _, r := range p.rings {
		r.link = l
	}
	if p.hardware = c.HardwareTimestamps && hardwareTimes(l.name, log); p.hardware {
		for _, r := range p.rings {
			if err := unix.SetsockoptInt(r.fd, unix.SOL_PACKET, unix.PACKET_TIMESTAMP, unix.SOF_TIMESTAMPING_RAW_HARDWARE); err != nil {
				return nil, fmt.Errorf("PACKET_TIMESTAMP: %w", err)
			}
		}
	}
	compiled, err := compileFilter(filter, &l, int(c.Snaplen))
	if err != nil {
		return nil, err
	}
	return p, p.setFilter(socketFilter(compiled, uint32(c.Snaplen), l.loopback)) //nolint:gosec // bounded by Validate
}

// adoptRing maps a kept ring, and returns it with the index of its interface.
func adoptRing(k keptRing, c AFPacketConfig) (_ *ring, index int, err error) {
	domain, err := unix.GetsockoptInt(k.fd, unix.SOL_SOCKET, unix.SO_DOMAIN)
	if err != nil {
		return nil, 0, os.NewSyscallError("getsockopt", err)
	}
	kind, err := unix.GetsockoptInt(k.fd, unix.SOL_SOCKET, unix.SO_TYPE)
	if err != nil {
		return nil, 0, os.NewSyscallError("getsockopt", err)
	}
	name, err := unix.Getsockname(k.fd)
	if err != nil {
		return nil, 0, os.NewSyscallError("getsockname", err)
	}
	address, ok := name.(*unix.SockaddrLinklayer)
	if domain != unix.AF_PACKET || !ok {
		return nil, 0, errRing
	}
	l := link{name: k.iface, index: address.Ifindex, linkType: k.linkType, cooked: kind == unix.SOCK_DGRAM}
	r := newRing(k.fd, k.blockBytes, k.blocks, l, int(min(c.Snaplen, config.Size(k.blockBytes))))
	r.worker, r.kept, r.adopted = k.worker, k.name, true
	if err := r.share(); err != nil { // the kernel maps all of a ring or nothing
		return nil, 0, err
	}
	if err := r.state.check(); err != nil {
		return nil, 0, errors.Join(err, os.NewSyscallError("munmap", unix.Munmap(r.mem)))
	}
	return r, address.Ifindex, nil
}
