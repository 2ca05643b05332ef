package capture

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// sender is a pcap-over-IP server: each connection gets what is sent next.
func sender(t *testing.T) (l net.Listener, accept func() net.Conn) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	return l, func() net.Conn {
		t.Helper()
		conn, err := l.Accept()
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = conn.Close() })
		return conn
	}
}

func send(t *testing.T, conn io.Writer, b []byte) {
	t.Helper()
	if _, err := conn.Write(b); err != nil {
		t.Fatal(err)
	}
}

func newClient(t *testing.T, url string, files TLSFiles) *PcapOverIPClient {
	t.Helper()
	c, err := NewPcapOverIPClient(url, files, nil)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func TestClientComesBack(t *testing.T) {
	l, accept := sender(t)
	addr := l.Addr().String()
	c := newClient(t, "tcp://"+addr, TLSFiles{})
	rec := newRecorder(t)
	stop, ended := start(t, c, rec)
	lane := "tcp-" + strings.ReplaceAll(addr, ":", "-") + "-0"
	records := testRecords(0, 5000)

	conn := accept()
	b := pcapOf(t, linkEthernet, records[:2000])
	send(t, conn, append(b, b[24:60]...)) // ends inside a record
	rec.wantPackets(lane, records[:2000])
	if s := c.State(); !s.Up || s.Error != "" {
		t.Errorf("state while connected is %+v", s)
	}
	_ = conn.Close()

	conn = accept() // it comes back
	send(t, conn, []byte("HTTP/1.1 400 Bad Request\r\n\r\n"))
	_ = conn.Close()

	conn = accept()
	send(t, conn, pcapngOf(t, []uint32{linkEthernet}, records[2000:]))
	rec.wantPackets(lane, records)
	if s := c.State(); !s.Up || s.Packets != 5000 || s.Malformed != 1 {
		t.Errorf("state at the end is %+v", s)
	}
	if n := rec.lane(lane).opened; n != 2 {
		t.Errorf("the lane was opened %d times", n)
	}
	stop()
	if err := <-ended; err != nil {
		t.Error(err)
	}
	if rec.lane(lane).open {
		t.Error("the lane was not closed")
	}
}

func TestClientRefusesCompressedStreams(t *testing.T) {
	l, accept := sender(t)
	c := newClient(t, "tcp://"+l.Addr().String(), TLSFiles{})
	start(t, c, newRecorder(t))
	conn := accept()
	send(t, conn, []byte{0x28, 0xb5, 0x2f, 0xfd, 0xa0, 0, 0, 0, 0x80})
	waitFor(t, "the refusal", func() bool { return strings.Contains(c.State().Error, "compressed") })
}

func TestClientURLs(t *testing.T) {
	for _, u := range []string{"", "10.0.0.1:57012", "http://h:1", "tcp://h", "tcp://:5", "tcp://h:5/x", "tcp://u@h:5"} {
		if _, err := NewPcapOverIPClient(u, TLSFiles{}, nil); err == nil {
			t.Errorf("%q was taken", u)
		}
	}
	if c := newClient(t, "tcp://[2001:db8::1]:57012", TLSFiles{}); c.lane != "tcp-2001-db8--1--57012" {
		t.Errorf("lane %q", c.lane)
	}
}

func newServer(t *testing.T, clients int, peers Peers, files TLSFiles) (s *PcapOverIPServer, addr string, rec *recorder, stop context.CancelFunc, ended <-chan error) {
	t.Helper()
	s, err := NewPcapOverIPServer("127.0.0.1:0", clients, peers, files, nil)
	if err != nil {
		t.Fatal(err)
	}
	rec = newRecorder(t)
	stop, ended = start(t, s, rec)
	waitFor(t, "the listener", func() bool { return s.Addr() != nil })
	return s, s.Addr().String(), rec, stop, ended
}

// waitTaken waits until so many clients have a place.
func waitTaken(t *testing.T, s *PcapOverIPServer, want int) {
	t.Helper()
	waitFor(t, fmt.Sprintf("%d clients", want), func() bool {
		s.mu.Lock()
		defer s.mu.Unlock()
		taken := 0
		for _, p := range s.places {
			if p.taken {
				taken++
			}
		}
		return taken == want
	})
}

func dial(t *testing.T, addr string) net.Conn {
	t.Helper()
	conn, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	return conn
}

func TestServerTakesSeveralClients(t *testing.T) {
	s, addr, rec, stop, ended := newServer(t, 2, nil, TLSFiles{})
	records := testRecords(0, 4000)
	one, two := dial(t, addr), dial(t, addr)
	send(t, one, pcapOf(t, linkEthernet, records[:1000]))
	rec.wantPackets("listen-0-0-0", records[:1000])
	send(t, two, pcapOf(t, linkEthernet, records[2000:3000]))
	rec.wantPackets("listen-0-1-0", records[2000:3000])

	three := dial(t, addr)
	if n, err := three.Read(make([]byte, 1)); err == nil || n > 0 {
		t.Error("a third client was taken")
	}
	if e := s.State().Error; !strings.Contains(e, "2 clients are connected already") {
		t.Errorf("error is %q", e)
	}
	// The first goes and comes back: its place and lane are free again.
	_ = one.Close()
	waitFor(t, "the first client to leave", func() bool { return !rec.lane("listen-0-0-0").open })
	waitTaken(t, s, 1)
	one = dial(t, addr)
	send(t, one, pcapOf(t, linkEthernet, records[1000:2000]))
	rec.wantPackets("listen-0-0-0", records[:2000])
	if s := s.State(); !s.Up || s.Packets != 3000 {
		t.Errorf("state is %+v", s)
	}
	stop()
	if err := <-ended; err != nil {
		t.Error(err)
	}
	if rec.lane("listen-0-0-0").open || rec.lane("listen-0-1-0").open {
		t.Error("a lane was not closed")
	}
}

func TestServerSurvivesBadClients(t *testing.T) {
	s, addr, rec, _, _ := newServer(t, 1, nil, TLSFiles{})
	for i, b := range [][]byte{[]byte("GET / HTTP/1.1\r\n\r\n"), {0x1f, 0x8b, 8, 0}, bytes.Repeat([]byte{0}, 1<<20)} {
		conn := dial(t, addr)
		_, _ = conn.Write(b) // it may be closed while it writes
		_ = conn.(*net.TCPConn).CloseWrite()
		waitFor(t, "the refusal", func() bool { return s.State().Malformed == uint64(i+1) })
		waitTaken(t, s, 0) // else the next is refused for want of a place
	}
	records := testRecords(0, 10)
	send(t, dial(t, addr), pcapOf(t, linkEthernet, records))
	rec.wantPackets("listen-0-0-0", records)
}

func TestServerTakesPeersOnly(t *testing.T) {
	peers, err := ParsePeers([]string{"10.0.0.0/8", "192.0.2.1"})
	if err != nil {
		t.Fatal(err)
	}
	s, addr, _, _, _ := newServer(t, 1, peers, TLSFiles{})
	if _, err := dial(t, addr).Read(make([]byte, 1)); err == nil {
		t.Error("a client that is no peer was taken")
	}
	if e := s.State().Error; !strings.Contains(e, "127.0.0.1 is not one of the peers") {
		t.Errorf("error is %q", e)
	}
	if _, err := ParsePeers([]string{"10.0.0.0/33"}); err == nil {
		t.Error("a network of 33 bits was taken")
	}
}

func TestSinkErrorEndsServer(t *testing.T) {
	_, addr, rec, _, ended := newServer(t, 4, nil, TLSFiles{})
	rec.mu.Lock()
	rec.fail = errors.New("spool is gone")
	rec.mu.Unlock()
	dial(t, addr) // a quiet client beside it
	send(t, dial(t, addr), pcapOf(t, linkEthernet, testRecords(0, 1)))
	select {
	case err := <-ended:
		if !errors.Is(err, rec.fail) {
			t.Errorf("got %v", err)
		}
	case <-time.After(patience):
		t.Fatal("it goes on")
	}
}

func TestTLSWantsCertificatesOfBothSides(t *testing.T) {
	dir := t.TempDir()
	files := TLSFiles{CA: filepath.Join(dir, "ca.pem"), Cert: filepath.Join(dir, "cert.pem"), Key: filepath.Join(dir, "key.pem")}
	writeCertificates(t, files)
	s, addr, rec, _, _ := newServer(t, 2, nil, files)
	records := testRecords(0, 2000)

	// Our client against a TLS server, and our server against a TLS client, with real certificates.
	pair, err := tls.LoadX509KeyPair(files.Cert, files.Key)
	if err != nil {
		t.Fatal(err)
	}
	pool, err := files.pool()
	if err != nil {
		t.Fatal(err)
	}
	conn, err := tls.Dial("tcp", addr, &tls.Config{RootCAs: pool, Certificates: []tls.Certificate{pair}, MinVersion: tls.VersionTLS12})
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	send(t, conn, pcapOf(t, linkEthernet, records))
	rec.wantPackets("listen-0-0-0", records)

	anonymous, err := tls.Dial("tcp", addr, &tls.Config{RootCAs: pool, MinVersion: tls.VersionTLS12})
	if err == nil { // TLS 1.3 tells with the first read
		_, err = anonymous.Read(make([]byte, 1))
	}
	if err == nil {
		t.Error("a client without certificate was taken")
	}
	waitFor(t, "the refusal", func() bool { return strings.Contains(s.State().Error, "certificate") })
	waitTaken(t, s, 1)
	_, _ = dial(t, addr).Write(pcapOf(t, linkEthernet, records)) // it may be closed while it writes
	waitFor(t, "the refusal of plain TCP", func() bool { return strings.Contains(s.State().Error, "TLS handshake") })

	l, accept := sender(t)
	config, err := files.server()
	if err != nil {
		t.Fatal(err)
	}
	rec = newRecorder(t)
	start(t, newClient(t, "tls://"+l.Addr().String(), files), rec)
	send(t, tls.Server(accept(), config), pcapOf(t, linkEthernet, records))
	rec.wantPackets("tcp-"+strings.ReplaceAll(l.Addr().String(), ":", "-")+"-0", records)

	stranger := newClient(t, "tls://"+l.Addr().String(), TLSFiles{}) // trusts the system's roots only
	start(t, stranger, newRecorder(t))
	_ = tls.Server(accept(), config).Handshake() //nolint:noctx // fails, which the other side tells
	waitFor(t, "the refusal", func() bool { return strings.Contains(stranger.State().Error, "certificate") })
}

// writeCertificates makes a certificate for 127.0.0.1 that is its own CA.
func writeCertificates(t *testing.T, files TLSFiles) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "wirelake test"},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, IsCA: true, BasicConstraintsValid: true,
		KeyUsage:    x509.KeyUsageDigitalSignature | x509.KeyUsageCertSign,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth},
	}
	cert, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	for path, block := range map[string]*pem.Block{
		files.CA: {Type: "CERTIFICATE", Bytes: cert}, files.Cert: {Type: "CERTIFICATE", Bytes: cert}, files.Key: {Type: "PRIVATE KEY", Bytes: der},
	} {
		if err := os.WriteFile(path, pem.EncodeToMemory(block), 0o600); err != nil {
			t.Fatal(err)
		}
	}
}
