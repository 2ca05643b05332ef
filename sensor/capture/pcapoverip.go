package capture

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/url"
	"os"
	"time"
)

// pcap-over-IP is a pcap or pcapng stream on a TCP connection and nothing else:
// whoever listens sends (PolarProxy, "tcpdump -w - | nc -l 57012") or takes.

const (
	dialTimeout = 10 * time.Second
	// steadyAfter is how long a connection lives before the next attempt need not wait longer.
	steadyAfter = 30 * time.Second
)

// keepAlive finds a peer that is gone without a word within half a minute: else a
// link that merely has no traffic could not be told from a broken one.
func keepAlive() net.KeepAliveConfig {
	return net.KeepAliveConfig{Enable: true, Idle: 15 * time.Second, Interval: 5 * time.Second, Count: 3}
}

// PcapOverIPClient connects to a server that sends a capture stream, and again
// whenever the connection ends. The streams of all connections continue the same lanes.
type PcapOverIPClient struct {
	url  string
	addr string
	lane string
	tls  *tls.Config // nil for plain TCP
	log  *slog.Logger
	counters
	SecretKeeper
}

// NewPcapOverIPClient returns the source that takes packets from rawURL:
// tcp://host:port or tls://host:port. With tls the server's certificate must be
// one that files.CA has signed, or the system's roots where it is empty; files.Cert
// is shown to the server. log may be nil.
func NewPcapOverIPClient(rawURL string, files TLSFiles, log *slog.Logger) (*PcapOverIPClient, error) {
	u, err := url.Parse(rawURL)
	switch {
	case err != nil:
		return nil, fmt.Errorf("pcap-over-IP server: %w: write tcp://host:port or tls://host:port", err)
	case u.Scheme != "tcp" && u.Scheme != "tls", u.Hostname() == "", u.Port() == "", u.Path != "", u.RawQuery != "", u.User != nil:
		return nil, fmt.Errorf("pcap-over-IP server %q: write tcp://host:port or tls://host:port", rawURL)
	}
	c := &PcapOverIPClient{url: rawURL, addr: u.Host, lane: "tcp-" + peerLane(u.Host), log: orDiscard(log)}
	if u.Scheme == "tls" {
		if c.tls, err = files.client(u.Hostname()); err != nil {
			return nil, fmt.Errorf("pcap-over-IP server %s: %w", rawURL, err)
		}
	}
	return c, nil
}

// State tells how the source fares.
func (c *PcapOverIPClient) State() State { return c.state(c.url, "pcap-over-ip") }

// Run takes packets until ctx ends. Only an error of a sink ends it earlier.
func (c *PcapOverIPClient) Run(ctx context.Context, open Opener) error {
	var again backoff
	for {
		started := time.Now()
		before := c.packets.Load()
		err := c.connection(ctx, open)
		if isSinkError(err) {
			c.setDown(err)
			return err
		}
		if ctx.Err() != nil {
			c.setDown(nil)
			return nil
		}
		if err == nil {
			err = fmt.Errorf("%s: the server ended the stream", c.url)
		}
		c.setDown(err)
		c.log.WarnContext(ctx, "pcap-over-IP connection ended", "source", c.url, "packets", c.packets.Load()-before, "error", err)
		if time.Since(started) >= steadyAfter {
			again.reset()
		}
		if !again.wait(ctx) {
			return nil
		}
	}
}

// connection takes the packets of one connection.
func (c *PcapOverIPClient) connection(ctx context.Context, open Opener) error {
	dial, cancel := context.WithTimeout(ctx, dialTimeout)
	defer cancel()
	d := net.Dialer{KeepAliveConfig: keepAlive()}
	conn, err := d.DialContext(dial, "tcp", c.addr)
	if err != nil {
		return fmt.Errorf("connect to %s: %w", c.url, err)
	}
	defer context.AfterFunc(ctx, func() { _ = conn.Close() })()
	defer conn.Close() //nolint:errcheck // nothing was written
	var r io.Reader = conn
	if c.tls != nil {
		secured := tls.Client(conn, c.tls)
		if err := secured.HandshakeContext(dial); err != nil {
			return fmt.Errorf("connect to %s: %w", c.url, err)
		}
		r = secured
	}
	s := &stream{name: c.url, lane: c.lane, open: open, counters: &c.counters, log: c.log, keep: c.keep, started: func() {
		c.setUp()
		c.log.InfoContext(ctx, "pcap-over-IP connected", "source", c.url)
	}}
	return s.read(ctx, r)
}

// TLSFiles names the PEM files of one side of TLS connections. All may be empty.
type TLSFiles struct {
	Cert, Key string // what is shown to the peer
	CA        string // whose certificates peers must have
}

// client returns the configuration of a client of host.
func (f TLSFiles) client(host string) (*tls.Config, error) {
	c := &tls.Config{ServerName: host, MinVersion: tls.VersionTLS12}
	var err error
	if c.RootCAs, err = f.pool(); err != nil {
		return nil, err
	}
	if f.Cert != "" || f.Key != "" {
		pair, err := tls.LoadX509KeyPair(f.Cert, f.Key)
		if err != nil {
			return nil, fmt.Errorf("TLS certificate: %w", err)
		}
		c.Certificates = []tls.Certificate{pair}
	}
	return c, nil
}

// server returns the configuration of a server, nil when there is no certificate.
// The certificate is read again for each connection, for it is renewed while the server runs.
func (f TLSFiles) server() (*tls.Config, error) {
	if f.Cert == "" && f.Key == "" {
		if f.CA != "" {
			return nil, errors.New("TLS: certificates of clients are wanted, but there is none of the server")
		}
		return nil, nil //nolint:nilnil // plain TCP
	}
	load := func(*tls.ClientHelloInfo) (*tls.Certificate, error) {
		pair, err := tls.LoadX509KeyPair(f.Cert, f.Key)
		if err != nil {
			return nil, fmt.Errorf("TLS certificate: %w", err)
		}
		return &pair, nil
	}
	if _, err := load(nil); err != nil {
		return nil, err
	}
	c := &tls.Config{MinVersion: tls.VersionTLS12, GetCertificate: load}
	if f.CA != "" {
		var err error
		if c.ClientCAs, err = f.pool(); err != nil {
			return nil, err
		}
		c.ClientAuth = tls.RequireAndVerifyClientCert
	}
	return c, nil
}

// pool returns the certificates in CA, nil when there is none.
func (f TLSFiles) pool() (*x509.CertPool, error) {
	if f.CA == "" {
		return nil, nil //nolint:nilnil // the system's
	}
	pem, err := os.ReadFile(f.CA)
	if err != nil {
		return nil, fmt.Errorf("TLS CA: %w", err)
	}
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(pem) {
		return nil, fmt.Errorf("TLS CA %s: holds no PEM certificate", f.CA)
	}
	return pool, nil
}
