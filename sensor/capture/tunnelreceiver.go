package capture

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"strconv"
	"sync"
	"time"
)

// TunnelConfig says how mirrored traffic is received. Lanes and ReceiveBytes must be positive.
type TunnelConfig struct {
	Listen       string // ":4789" for VXLAN, ":6081" for GENEVE
	ReceiveBytes int    // of the kernel's receive buffer
	Lanes        int    // network identifiers with a lane of their own
	Peers        Peers  // who may send
}

// TunnelReceiver is the far end of VXLAN or GENEVE tunnels, as traffic mirroring
// of AWS and GCP and of switches sends them. The frames inside are the packets,
// at the time at which the kernel received them. Each network identifier (VNI)
// has a lane of its own, "vxlan-123", up to a number of lanes; packets of all
// further ones are in the lane "vxlan-more".
type TunnelReceiver struct {
	kind   string // "vxlan" or "geneve"
	decode func([]byte) (tunnelPacket, error)
	cfg    TunnelConfig
	log    *slog.Logger
	counters

	lanes map[tunnelKey]*tunnelLane
	last  *tunnelLane
	vnis  map[uint32]bool // with lanes of their own
	told  time.Time       // when the lanes were flushed last
	out   Record          // the packet at hand, here so that none is allocated
	sll   []byte          // and its bytes, where a header is put before them

	mu   sync.Mutex // over addr
	addr net.Addr
}

type tunnelKey struct {
	vni, linkType uint32
	more          bool
}

type tunnelLane struct {
	key   tunnelKey
	sink  Sink
	dirty bool // packets came since the last flush
}

// NewVXLAN returns the source that receives VXLAN (RFC 7348). log may be nil.
func NewVXLAN(cfg TunnelConfig, log *slog.Logger) *TunnelReceiver {
	return &TunnelReceiver{kind: "vxlan", decode: decodeVXLAN, cfg: cfg, log: orDiscard(log)}
}

// NewGENEVE returns the source that receives GENEVE (RFC 8926): Ethernet and IP as they
// are, packets of other ethertypes behind a Linux cooked header. log may be nil.
func NewGENEVE(cfg TunnelConfig, log *slog.Logger) *TunnelReceiver {
	return &TunnelReceiver{kind: "geneve", decode: decodeGENEVE, cfg: cfg, log: orDiscard(log)}
}

// State tells how the source fares.
func (t *TunnelReceiver) State() State { return t.state(t.kind+"://"+t.cfg.Listen, t.kind) }

// Addr returns the address that Run receives at, nil before.
func (t *TunnelReceiver) Addr() net.Addr {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.addr
}

const (
	// dropsEvery is how often the kernel's counter is read when nothing comes in.
	dropsEvery = time.Second
	// tunnelDrain bounds how long packets are taken out of the kernel's buffer at the end.
	tunnelDrain = 2 * time.Second
)

// Run takes packets until ctx ends, and then what the kernel has received by
// then. An error says that it cannot receive, or is that of a sink.
func (t *TunnelReceiver) Run(ctx context.Context, open Opener) (err error) {
	t.lanes, t.vnis, t.last = map[tunnelKey]*tunnelLane{}, map[uint32]bool{}, nil
	d, err := listenDatagrams(ctx, t.cfg.Listen, t.cfg.ReceiveBytes)
	if err != nil {
		err = fmt.Errorf("receive %s: %w", t.kind, err)
		t.setDown(err)
		return err
	}
	t.mu.Lock()
	t.addr = d.conn.LocalAddr()
	t.mu.Unlock()
	t.setUp()
	if got := d.receiveBytes; got < t.cfg.ReceiveBytes {
		t.log.WarnContext(ctx, "kernel gave a smaller receive buffer: raise net.core.rmem_max or run with CAP_NET_ADMIN", "source", t.kind, "bytes", got, "wanted", t.cfg.ReceiveBytes)
	}
	defer func() {
		err = errors.Join(err, t.close(), d.conn.Close())
		t.setDown(err)
	}()
	defer context.AfterFunc(ctx, func() { _ = d.conn.SetReadDeadline(time.Unix(1, 0)) })()
	for {
		n, err := t.wait(ctx, d)
		if err != nil {
			return err
		}
		if ctx.Err() != nil {
			return errors.Join(t.deliver(d, n, open), t.drain(d, open))
		}
		if err := t.deliver(d, n, open); err != nil {
			return err
		}
	}
}

// wait returns the number of datagrams at hand, after at least one came. While
// there are none it flushes the lanes and reads the counter of drops. It returns 0 when ctx has ended.
func (t *TunnelReceiver) wait(ctx context.Context, d *datagrams) (int, error) {
	n, err := d.poll()
	if n > 0 && time.Since(t.told) >= busyAfter {
		return n, t.idle(d)
	}
	for idle := idleAfter; n == 0 && err == nil; idle = dropsEvery {
		if err := d.conn.SetReadDeadline(time.Now().Add(idle)); err != nil {
			return 0, err
		}
		if ctx.Err() != nil { // checked after the deadline, which the end of ctx brings forward
			return 0, nil
		}
		if n, err = d.receive(); errors.Is(err, os.ErrDeadlineExceeded) {
			err = nil
			if ctx.Err() == nil {
				err = t.idle(d)
			}
		}
	}
	if err != nil && !isSinkError(err) {
		err = fmt.Errorf("receive %s at %s: %w", t.kind, t.cfg.Listen, err)
	}
	return n, err
}

// idle tells the lanes that nothing more is at hand for them.
func (t *TunnelReceiver) idle(d *datagrams) error {
	t.told = time.Now()
	t.drops(d.readDrops(), t.last)
	for _, l := range t.lanes {
		if !l.dirty {
			continue
		}
		if err := l.sink.Flush(); err != nil {
			return sinkError{err}
		}
		l.dirty = false
	}
	return nil
}

// drops counts packets that found no room in the receive buffer. Whose they were
// is not known; they are told to the lane whose packet came next, or had come last.
func (t *TunnelReceiver) drops(n uint32, l *tunnelLane) {
	if n == 0 {
		return
	}
	if l != nil {
		l.sink.Drops(uint64(n))
		l.dirty = true
	}
	t.counters.drops.Add(uint64(n)) // last: what the state counts, the lane knows
}

// drain delivers what the kernel still has.
func (t *TunnelReceiver) drain(d *datagrams, open Opener) error {
	for end := time.Now().Add(tunnelDrain); time.Now().Before(end); {
		n, err := d.poll()
		if n == 0 || err != nil {
			return err
		}
		if err := t.deliver(d, n, open); err != nil {
			return err
		}
	}
	return nil
}

// deliver hands the packets of a batch to their lanes.
func (t *TunnelReceiver) deliver(d *datagrams, n int, open Opener) error {
	for i := range n {
		m := d.message(i)
		var p tunnelPacket
		var err error
		if t.cfg.Peers.Allow(m.from) {
			p, err = t.decode(m.data)
		} else {
			err = fmt.Errorf("datagram of %s, which is not one of the peers allowed", m.from)
		}
		if err != nil {
			t.drops(m.drops, t.last) // it tells of them once
			t.bad(err)
			continue
		}
		l, err := t.lane(p, open)
		if err != nil {
			return err
		}
		if p.linkType == linkSLL {
			t.sll = p.cook(t.sll)
		}
		t.drops(m.drops, l)
		t.out = Record{TimeNanos: m.nanos, WireLen: len(p.frame), Data: p.frame}
		if err := l.sink.Packet(&t.out); err != nil {
			return sinkError{err}
		}
		l.dirty = true
		t.packet(len(p.frame))
	}
	return nil
}

// bad counts a datagram that holds no packet.
func (t *TunnelReceiver) bad(err error) {
	t.malformed.Add(1)
	t.note(err)
}

// lane returns the lane of a packet.
func (t *TunnelReceiver) lane(p tunnelPacket, open Opener) (*tunnelLane, error) {
	k := tunnelKey{vni: p.vni, linkType: p.linkType}
	if t.last != nil && t.last.key == k {
		return t.last, nil
	}
	if !t.vnis[p.vni] {
		if len(t.vnis) < t.cfg.Lanes {
			t.vnis[p.vni] = true
		} else {
			k = tunnelKey{more: true, linkType: p.linkType}
		}
	}
	l := t.lanes[k]
	if l == nil {
		id := "more"
		if !k.more {
			id = strconv.FormatUint(uint64(k.vni), 10)
		}
		name := t.kind + "-" + id
		switch k.linkType {
		case linkRawIP:
			name += "-ip"
		case linkSLL:
			name += "-other"
		}
		sink, err := open(name, Interface{Name: fmt.Sprintf("%s vni %s at %s", t.kind, id, t.cfg.Listen), LinkType: k.linkType})
		if err != nil {
			return nil, sinkError{err}
		}
		l = &tunnelLane{key: k, sink: sink}
		t.lanes[k] = l
	}
	t.last = l
	return l, nil
}

// close closes all lanes.
func (t *TunnelReceiver) close() error {
	var errs []error
	for _, l := range t.lanes {
		if err := l.sink.Close(); err != nil {
			errs = append(errs, sinkError{err})
		}
	}
	return errors.Join(errs...)
}
