// Package keylog reads the key logs that TLS programs write when SSLKEYLOGFILE
// is set, so that the sessions they took part in can be decrypted.
//
// A line is a label, the client's random and a secret, the latter two in hex
// (draft-ietf-tls-keylogfile, formerly NSS Key Log Format). The package knows
// nothing of TLS beyond that.
package keylog

import (
	"bytes"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"sync"
	"time"
)

// RandomLen is the length of a client random in bytes.
const RandomLen = 32

// Limits.
const (
	// MaxConnections is the most connections of one log that are kept, about 60 MiB:
	// the latest, since logs are written in the order of time.
	MaxConnections = 1 << 17
	maxLine        = 512 // the longest known: label, 32 bytes and 64 bytes in hex
	maxSecret      = 64  // of SHA-512, above all in use
	readSize       = 64 << 10
)

// Secrets are what a log says of one connection; those it does not name are nil.
// The bytes must not be changed.
type Secrets struct {
	Master                           []byte // CLIENT_RANDOM: TLS 1.2 and before
	ClientHandshake, ServerHandshake []byte // TLS 1.3, as all below
	ClientTraffic, ServerTraffic     []byte // CLIENT_TRAFFIC_SECRET_0, SERVER_TRAFFIC_SECRET_0
	ClientEarly                      []byte // CLIENT_EARLY_TRAFFIC_SECRET
}

// labels returns those that have a slot.
func labels() []string {
	return []string{
		"CLIENT_RANDOM", "CLIENT_HANDSHAKE_TRAFFIC_SECRET", "SERVER_HANDSHAKE_TRAFFIC_SECRET",
		"CLIENT_TRAFFIC_SECRET_0", "SERVER_TRAFFIC_SECRET_0", "CLIENT_EARLY_TRAFFIC_SECRET",
	}
}

// slot returns where the secret of a label goes, nil for labels that are not of use.
func (s *Secrets) slot(label string) *[]byte {
	switch label {
	case "CLIENT_RANDOM":
		return &s.Master
	case "CLIENT_HANDSHAKE_TRAFFIC_SECRET":
		return &s.ClientHandshake
	case "SERVER_HANDSHAKE_TRAFFIC_SECRET":
		return &s.ServerHandshake
	case "CLIENT_TRAFFIC_SECRET_0":
		return &s.ClientTraffic
	case "SERVER_TRAFFIC_SECRET_0":
		return &s.ServerTraffic
	case "CLIENT_EARLY_TRAFFIC_SECRET":
		return &s.ClientEarly
	}
	return nil
}

// Line is one line of a log.
type Line struct {
	Label  string
	Random [RandomLen]byte
	Secret []byte
}

// ParseLine reads a line without its end. ok is false for comments, empty lines
// and what is no line of a key log; bad tells the latter from the former.
func ParseLine(b []byte) (l Line, ok, bad bool) {
	b = bytes.TrimSpace(b)
	if len(b) == 0 || b[0] == '#' {
		return l, false, false
	}
	label, rest, _ := bytes.Cut(b, []byte(" "))
	random, secret, _ := bytes.Cut(rest, []byte(" "))
	if len(random) != 2*RandomLen || len(secret) > 2*maxSecret {
		return l, false, true
	}
	if _, err := hex.Decode(l.Random[:], random); err != nil {
		return l, false, true
	}
	var err error
	if l.Secret, err = hex.DecodeString(string(secret)); err != nil || len(l.Secret) == 0 {
		return l, false, true
	}
	l.Label = string(label)
	return l, true, false
}

// Log is the secrets of key log files and of stored key logs. It follows its
// files as they grow. It may be used by several goroutines.
type Log struct {
	mu    sync.Mutex
	files []*file
	byID  map[[RandomLen]byte]*Secrets
	ring  [][RandomLen]byte // the connections kept, as a ring once it is full
	next  int
	bad   int
	max   int

	looked time.Time     // when the files were last looked at
	every  time.Duration // least time between looks
}

// New returns an empty log.
func New() *Log {
	return &Log{byID: make(map[[RandomLen]byte]*Secrets), max: MaxConnections, every: time.Second}
}

// Open reads the files. Lines that are none of a key log are passed over and
// counted, see Bad; a file with nothing else is an error that names it.
func Open(paths ...string) (*Log, error) {
	l := New()
	var errs []error
	for _, p := range paths {
		f := &file{path: p}
		l.files = append(l.files, f)
		before := l.bad
		if err := l.follow(f); err != nil {
			errs = append(errs, err)
		} else if l.bad > before && f.lines == 0 {
			errs = append(errs, fmt.Errorf("%s: no key log: none of its %d lines is a label, a random and a secret", p, l.bad-before))
		}
	}
	l.looked = time.Now()
	return l, errors.Join(errs...)
}

// Add reads the lines of b into the log, besides those of its files.
func (l *Log) Add(b []byte) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for line := range bytes.Lines(b) {
		l.line(line)
	}
}

// AppendLines appends what the log has of the connection, as lines of a key log.
func (l *Log) AppendLines(b, random []byte) []byte {
	s, ok := l.Secrets(random)
	if !ok {
		return b
	}
	for _, label := range labels() {
		if secret := *s.slot(label); secret != nil {
			b = fmt.Appendf(b, "%s %x %x\n", label, random, secret)
		}
	}
	return b
}

// Connections returns how many connections the log holds secrets of.
func (l *Log) Connections() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return len(l.byID)
}

// Empty reports whether the log has no secrets and follows no files that may bring some. A nil log is.
func (l *Log) Empty() bool {
	if l == nil {
		return true
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	return len(l.byID) == 0 && len(l.files) == 0
}

// Bad returns how many lines were none of a key log.
func (l *Log) Bad() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.bad
}

// Secrets returns the secrets of the connection whose ClientHello has the random.
// When there are none, the files are looked at again first, once a second at most.
// A nil log has none.
func (l *Log) Secrets(random []byte) (Secrets, bool) {
	if l == nil || len(random) != RandomLen {
		return Secrets{}, false
	}
	id := [RandomLen]byte(random)
	l.mu.Lock()
	defer l.mu.Unlock()
	s := l.byID[id]
	if s == nil && len(l.files) > 0 && time.Since(l.looked) >= l.every {
		for _, f := range l.files {
			// A file that is gone or cannot be read just now has told what it had to tell;
			// the next look may find it again.
			_ = l.follow(f)
		}
		l.looked = time.Now()
		s = l.byID[id]
	}
	if s == nil {
		return Secrets{}, false
	}
	return *s, true
}

// line takes a line.
func (l *Log) line(b []byte) bool {
	line, ok, bad := ParseLine(b)
	if bad {
		l.bad++
	}
	if !ok {
		return false
	}
	s := l.byID[line.Random]
	if s == nil {
		s = new(Secrets)
		if s.slot(line.Label) == nil {
			return true // nothing of use
		}
		if len(l.ring) < l.max {
			l.ring = append(l.ring, line.Random)
		} else {
			delete(l.byID, l.ring[l.next])
			l.ring[l.next] = line.Random
			l.next = (l.next + 1) % l.max
		}
		l.byID[line.Random] = s
	}
	if slot := s.slot(line.Label); slot != nil {
		*slot = line.Secret
	}
	return true
}

// file is a log file and how far it was read.
type file struct {
	path  string
	info  os.FileInfo
	size  int64 // read so far, up to the end of a line
	lines int
}

// follow reads what was written to the file since the last time, or all of it
// when it is another file now.
func (l *Log) follow(f *file) error {
	info, err := os.Stat(f.path)
	if err != nil {
		return err
	}
	if f.info != nil && !os.SameFile(f.info, info) || info.Size() < f.size {
		f.size = 0
	}
	f.info = info
	if info.Mode().IsRegular() && info.Size() == f.size {
		return nil
	}
	in, err := os.Open(f.path)
	if err != nil {
		return err
	}
	defer in.Close() //nolint:errcheck // it was only read
	buf := make([]byte, 0, readSize)
	skip := false // within a line that is too long
	for at := f.size; ; {
		n, err := in.ReadAt(buf[len(buf):cap(buf)], at)
		at += int64(n)
		buf = buf[:len(buf)+n]
		for {
			line, rest, ok := bytes.Cut(buf, []byte("\n"))
			if !ok {
				break
			}
			f.size += int64(len(line)) + 1
			if !skip && l.line(line) {
				f.lines++
			}
			skip = false
			buf = rest
		}
		if len(buf) > maxLine { // none of a key log: pass over it without keeping it
			if !skip {
				l.bad++
			}
			f.size += int64(len(buf))
			skip, buf = true, buf[:0]
		}
		if errors.Is(err, io.EOF) {
			return nil // a last line without its end may still be being written
		}
		if err != nil {
			return fmt.Errorf("read %s: %w", f.path, err)
		}
		buf = append(make([]byte, 0, readSize), buf...)
	}
}
