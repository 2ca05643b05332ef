package capture

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/netip"
	"strconv"
	"sync"
	"time"
)

// helloTimeout is how long a client may take until its stream has begun. After
// that it may be quiet for as long as it likes.
const helloTimeout = 30 * time.Second

// PcapOverIPServer takes the capture streams of clients that connect to it,
// several at once. A client has one of a fixed number of places, and lanes by its
// place: one that comes back gets the place it had, if that is free.
type PcapOverIPServer struct {
	listen string
	places []place
	peers  Peers
	tls    *tls.Config
	log    *slog.Logger
	counters
	SecretKeeper

	mu   sync.Mutex // over places and addr
	addr net.Addr
}

// place of a client.
type place struct {
	taken bool
	peer  netip.Addr // who had it last
	since time.Time  // it was given or left
}

// NewPcapOverIPServer returns the source that listens on an address such as
// 127.0.0.1:57012 for at most so many clients at once. With files.Cert it speaks
// TLS, and with files.CA clients must have a certificate. log may be nil.
func NewPcapOverIPServer(listen string, clients int, peers Peers, files TLSFiles, log *slog.Logger) (*PcapOverIPServer, error) {
	config, err := files.server()
	if err != nil {
		return nil, fmt.Errorf("pcap-over-IP at %s: %w", listen, err)
	}
	return &PcapOverIPServer{listen: listen, places: make([]place, clients), peers: peers, tls: config, log: orDiscard(log)}, nil
}

// State tells how the source fares.
func (s *PcapOverIPServer) State() State { return s.state("listen://"+s.listen, "pcap-over-ip") }

// Addr returns the address that Run listens on, nil before.
func (s *PcapOverIPServer) Addr() net.Addr {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.addr
}

// Run takes packets until ctx ends. An error says that it cannot listen, or is that of a sink.
func (s *PcapOverIPServer) Run(ctx context.Context, open Opener) error {
	lc := net.ListenConfig{KeepAliveConfig: keepAlive()}
	l, err := lc.Listen(ctx, "tcp", s.listen)
	if err != nil {
		err = fmt.Errorf("listen for pcap-over-IP: %w", err)
		s.setDown(err)
		return err
	}
	s.mu.Lock()
	s.addr = l.Addr()
	s.mu.Unlock()
	s.setUp()
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	defer context.AfterFunc(ctx, func() { _ = l.Close() })()
	var clients sync.WaitGroup
	var again backoff
	for ctx.Err() == nil {
		conn, err := l.Accept()
		if err != nil {
			if ctx.Err() != nil {
				break
			}
			s.note(fmt.Errorf("accept: %w", err)) // out of file descriptors, mostly
			s.log.WarnContext(ctx, "connection not accepted", "source", s.listen, "error", err)
			again.wait(ctx)
			continue
		}
		again.reset()
		n, err := s.admit(conn)
		if err != nil {
			s.note(err)
			s.log.WarnContext(ctx, "pcap-over-IP client refused", "source", s.listen, "error", err)
			_ = conn.Close() // who sees the end of the connection finds the reason
			continue
		}
		clients.Go(func() {
			defer s.leave(n)
			if err := s.serve(ctx, conn, n, open); isSinkError(err) {
				cancel(err)
			}
		})
	}
	clients.Wait()
	err = context.Cause(ctx)
	if !isSinkError(err) {
		err = nil
	}
	s.setDown(err)
	return err
}

// admit gives a client a place: the one it had, else one never used, else the one that is free for longest.
func (s *PcapOverIPServer) admit(conn net.Conn) (int, error) {
	peer, err := netip.ParseAddrPort(conn.RemoteAddr().String())
	if err != nil {
		return 0, err
	}
	addr := peer.Addr().Unmap()
	if !s.peers.Allow(addr) {
		return 0, fmt.Errorf("client %s is not one of the peers allowed", addr)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	best := -1
	for i := range s.places {
		p, other := &s.places[i], best >= 0
		switch {
		case p.taken, other && s.places[best].peer == addr:
		case !other, p.peer == addr, p.since.Before(s.places[best].since):
			best = i
		}
	}
	if best < 0 {
		return 0, fmt.Errorf("client %s: %d clients are connected already", peer, len(s.places))
	}
	s.places[best] = place{taken: true, peer: addr, since: time.Now()}
	return best, nil
}

func (s *PcapOverIPServer) leave(n int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.places[n].taken, s.places[n].since = false, time.Now()
}

// serve takes the stream of one client.
func (s *PcapOverIPServer) serve(ctx context.Context, conn net.Conn, place int, open Opener) error {
	defer context.AfterFunc(ctx, func() { _ = conn.Close() })()
	defer conn.Close() //nolint:errcheck // nothing was written
	peer := conn.RemoteAddr().String()
	host, _, err := net.SplitHostPort(peer)
	if err != nil {
		return err
	}
	if err := conn.SetReadDeadline(time.Now().Add(helloTimeout)); err != nil {
		return err
	}
	err = func() error {
		var r io.Reader = conn
		if s.tls != nil {
			secured := tls.Server(conn, s.tls)
			if err := secured.HandshakeContext(ctx); err != nil {
				return fmt.Errorf("client %s: %w", peer, err)
			}
			r = secured
		}
		in := &stream{
			name: "tcp://" + host, lane: "listen-" + peerLane(portOf(s.listen)) + "-" + strconv.Itoa(place),
			open: open, counters: &s.counters, log: s.log, keep: s.keep,
			started: func() {
				_ = conn.SetReadDeadline(time.Time{}) // fails when it is closed, which Read tells
				s.log.InfoContext(ctx, "pcap-over-IP client connected", "source", s.listen, "client", peer)
			},
		}
		return in.read(ctx, r)
	}()
	if err != nil && ctx.Err() == nil {
		s.note(err)
		s.malformed.Add(1)
		s.log.WarnContext(ctx, "pcap-over-IP client left", "source", s.listen, "client", peer, "error", err)
	} else {
		s.log.InfoContext(ctx, "pcap-over-IP client left", "source", s.listen, "client", peer)
	}
	return err
}

// portOf returns the port of an address that was checked.
func portOf(listen string) string {
	_, port, err := net.SplitHostPort(listen)
	if err != nil {
		return "0"
	}
	return port
}

// Peers are the networks that packets are taken from.
type Peers []netip.Prefix

// ParsePeers reads networks and addresses: 10.0.0.0/8, 192.0.2.1.
func ParsePeers(list []string) (Peers, error) {
	var peers Peers
	var errs []error
	for _, text := range list {
		p, err := netip.ParsePrefix(text)
		if err != nil {
			a, aerr := netip.ParseAddr(text)
			if aerr != nil {
				errs = append(errs, fmt.Errorf("%q is neither a network such as 10.0.0.0/8 nor an address", text))
				continue
			}
			p = netip.PrefixFrom(a, a.BitLen())
		}
		peers = append(peers, p.Masked())
	}
	return peers, errors.Join(errs...)
}

// Allow reports whether packets are taken from an address: from any when there are no peers.
func (p Peers) Allow(a netip.Addr) bool {
	if len(p) == 0 {
		return true
	}
	for _, n := range p {
		if n.Contains(a) {
			return true
		}
	}
	return false
}
