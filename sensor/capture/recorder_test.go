package capture

import (
	"bytes"
	"context"
	"fmt"
	"sync"
	"testing"
	"time"

	"wirelake/internal/pcapfile"
)

// recorder keeps what sources deliver, by lane. Its lanes must be closed before they are opened again.
type recorder struct {
	t    testing.TB
	mu   sync.Mutex
	byLn map[string]*recordedLane
	fail error // what Packet returns
}

type recordedLane struct {
	rec     *recorder
	iface   Interface
	open    bool
	opened  int
	packets []Record
	drops   uint64
	flushes int
}

func newRecorder(t testing.TB) *recorder { return &recorder{t: t, byLn: map[string]*recordedLane{}} }

func (r *recorder) Open(lane string, i Interface) (Sink, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	l := r.byLn[lane]
	if l == nil {
		l = &recordedLane{rec: r}
		r.byLn[lane] = l
	}
	if l.open {
		return nil, fmt.Errorf("lane %s is open already", lane)
	}
	l.open, l.iface, l.opened = true, i, l.opened+1
	return l, nil
}

func (l *recordedLane) Packet(r *Record) error {
	l.rec.mu.Lock()
	defer l.rec.mu.Unlock()
	if l.rec.fail != nil {
		return l.rec.fail
	}
	c := *r
	c.Data = bytes.Clone(r.Data)
	l.packets = append(l.packets, c)
	return nil
}

func (l *recordedLane) Drops(n uint64) {
	l.rec.mu.Lock()
	defer l.rec.mu.Unlock()
	l.drops += n
}

func (l *recordedLane) Flush() error {
	l.rec.mu.Lock()
	defer l.rec.mu.Unlock()
	l.flushes++
	return nil
}

func (l *recordedLane) Close() error {
	l.rec.mu.Lock()
	defer l.rec.mu.Unlock()
	l.open = false
	return nil
}

// lane returns what a lane has by now.
func (r *recorder) lane(name string) recordedLane {
	r.mu.Lock()
	defer r.mu.Unlock()
	if l := r.byLn[name]; l != nil {
		return *l
	}
	return recordedLane{}
}

func (r *recorder) names() (names []string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for n := range r.byLn {
		names = append(names, n)
	}
	return names
}

// wantPackets compares the packets of a lane, which may come yet.
func (r *recorder) wantPackets(lane string, want []Record) {
	r.t.Helper()
	waitFor(r.t, fmt.Sprintf("%d packets in lane %s", len(want), lane), func() bool { return len(r.lane(lane).packets) >= len(want) })
	got := r.lane(lane).packets
	if len(got) != len(want) {
		r.t.Fatalf("lane %s: got %d packets, want %d; lanes %v", lane, len(got), len(want), r.names())
	}
	for i := range got {
		if got[i].TimeNanos != want[i].TimeNanos || got[i].WireLen != want[i].WireLen || got[i].Comment != want[i].Comment || !bytes.Equal(got[i].Data, want[i].Data) {
			r.t.Fatalf("lane %s: packet %d: got %d ns, %d of %d bytes, want %d ns, %d of %d", lane, i,
				got[i].TimeNanos, len(got[i].Data), got[i].WireLen, want[i].TimeNanos, len(want[i].Data), want[i].WireLen)
		}
	}
}

// patience bounds what a test waits for; two cores shared by many tests are slow.
const patience = 2 * time.Minute

func waitFor(t testing.TB, what string, ok func() bool) {
	t.Helper()
	for end := time.Now().Add(patience); !ok(); time.Sleep(2 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("waited %v for %s", patience, what)
		}
	}
}

// start runs a source until the test or stop ends it; ended gives what Run returned.
func start(t testing.TB, s Source, rec *recorder) (stop context.CancelFunc, ended <-chan error) {
	t.Helper()
	return startWith(t, s, rec.Open)
}

func startWith(t testing.TB, s Source, open Opener) (stop context.CancelFunc, ended <-chan error) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	finished := make(chan struct{})
	go func() {
		defer close(finished)
		done <- s.Run(ctx, open)
	}()
	t.Cleanup(func() {
		cancel()
		<-finished
	})
	return cancel, done
}

const testNanos = 1772532000_123456789 // 2026-03-03 10:00 UTC

// testRecords are n frames, each with its number in it.
func testRecords(first, n int) []Record {
	all := make([]Record, n)
	for i := range all {
		frame := fmt.Appendf(make([]byte, 14, 200), "packet %d", first+i)
		all[i] = Record{TimeNanos: testNanos + int64(first+i)*1e6, WireLen: len(frame) + i%3*100, Data: frame}
	}
	return all
}

// pcapOf writes records as a pcap stream.
func pcapOf(t testing.TB, linkType uint32, records []Record) []byte {
	t.Helper()
	var b bytes.Buffer
	w, err := pcapfile.NewWriter(&b, linkType, 0)
	if err != nil {
		t.Fatal(err)
	}
	for _, r := range records {
		if err := w.Write(r.TimeNanos, r.WireLen, r.Data); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Flush(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// pcapngOf writes records in turn to interfaces of these link types.
func pcapngOf(t testing.TB, linkTypes []uint32, records []Record) []byte {
	t.Helper()
	var b bytes.Buffer
	w, err := pcapfile.NewNgWriter(&b, "test")
	if err != nil {
		t.Fatal(err)
	}
	for i, l := range linkTypes {
		if _, err := w.AddInterface(pcapfile.Interface{LinkType: l, Name: fmt.Sprintf("if%d", i)}); err != nil {
			t.Fatal(err)
		}
	}
	for i, r := range records {
		if err := w.Write(&pcapfile.Record{TimeNanos: r.TimeNanos, WireLen: r.WireLen, Data: r.Data, Comment: r.Comment, Interface: i % len(linkTypes)}); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Flush(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}
