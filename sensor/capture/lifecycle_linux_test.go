package capture

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"wirelake/testenv"
)

// TestInterfaceComesAndGoes takes an interface that is not there at first, goes down and up, is deleted and made anew.
func TestInterfaceComesAndGoes(t *testing.T) {
	testenv.NeedNamespace(t)
	c := smallRing()
	c.Workers = 2
	c.Filter = "udp"
	s := newAFPacket(t, "ga0", c)
	rec := newRecorder(t)
	end := capturing(t, s, rec.Open)
	state := func(up bool, text string) {
		t.Helper()
		waitFor(t, fmt.Sprintf("up %v %q", up, text), func() bool { st := s.State(); return st.Up == up && strings.Contains(st.Error, text) })
	}
	state(false, "no such interface")
	sent, gone, lostBefore := 0, 0, 0 // gone: lost by the veth pairs, those before this one in lostBefore
	send := func(n int) {
		t.Helper()
		out := newSender(t, "gb0")
		for range n {
			out.send(numbered(53, sent))
			sent++
		}
		gone = lostBefore + out.lost()
	}
	all := func() (got []int) {
		for _, lane := range rec.names() {
			for _, r := range rec.lane(lane).packets {
				got = append(got, numberOf(t, r.Data))
			}
		}
		return got
	}
	arrived := func() {
		t.Helper()
		waitFor(t, fmt.Sprintf("%d packets", sent), func() bool { return len(all()) >= sent-gone })
	}
	for round := range 3 {
		testenv.Run(t, "ip", "link", "add", "ga0", "type", "veth", "peer", "name", "gb0")
		state(false, "down")
		testenv.LinkUp(t, "gb0")
		testenv.LinkUp(t, "ga0")
		state(true, "")
		send(1000)
		arrived()
		testenv.Run(t, "ip", "link", "set", "ga0", "down")
		state(false, "down")
		if round == 1 {
			if err := s.Reload("udp and port 53"); err != nil {
				t.Fatal(err)
			}
			if err := s.Reload("no filter"); err == nil {
				t.Error("a bad filter is taken while the interface is down")
			}
		}
		testenv.LinkUp(t, "ga0")
		state(true, "")
		send(1000)
		// The last packets are in the ring when it is deleted.
		testenv.Run(t, "ip", "link", "del", "ga0")
		state(false, "no such interface")
		arrived()
		lostBefore = gone
	}
	end()
	got := all()
	for i, n := range got {
		if n != i && gone == 0 || i > 0 && n <= got[i-1] {
			t.Fatalf("packet %d has number %d", i, n)
		}
	}
	if len(got) != sent-gone {
		t.Errorf("captured %d packets of %d, of which veth pairs lost %d", len(got), sent, gone)
	}
	for _, lane := range rec.names() {
		if l := rec.lane(lane); l.opened != 1 || l.open || l.drops != 0 {
			t.Errorf("lane %s: opened %d times, open %v, %d drops", lane, l.opened, l.open, l.drops)
		}
	}
}

// TestSinkError ends the source.
func TestSinkError(t *testing.T) {
	testenv.Veth(t, "ea0", "eb0")
	for _, workers := range []int{1, 3} {
		c := smallRing()
		c.Workers = workers
		rec := newRecorder(t)
		full := errors.New("the disk is gone")
		s := newAFPacket(t, "ea0", c)
		_, ended := startWith(t, s, rec.Open)
		waitFor(t, "up", func() bool { return s.State().Up })
		rec.mu.Lock()
		rec.fail = full
		rec.mu.Unlock()
		newSender(t, "eb0").send(numbered(1, 1))
		select {
		case err := <-ended:
			if !errors.Is(err, full) || !strings.Contains(err.Error(), "ea0") {
				t.Errorf("Run: %v", err)
			}
		case <-time.After(patience):
			t.Fatal("Run does not end")
		}
		if _, ended := startWith(t, s, func(string, Interface) (Sink, error) { return nil, full }); !errors.Is(<-ended, full) {
			t.Error("the error of the opener is not told")
		}
	}
}

// TestEndDeliversRing holds that what is in the ring when the source is ended reaches the sink.
func TestEndDeliversRing(t *testing.T) {
	testenv.Veth(t, "xa0", "xb0")
	before := 0
	for range 10 {
		rec := newRecorder(t)
		s := newAFPacket(t, "xa0", smallRing())
		if err := s.Open(); err != nil {
			t.Fatal(err)
		}
		out := newSender(t, "xb0")
		for i := range 500 {
			out.send(numbered(1, i))
		}
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		if err := s.Run(ctx, rec.Open); err != nil {
			t.Fatal(err)
		}
		lost := out.lost() // since the pair was made
		if got := len(rec.lane("xa0-0").packets); got != 500-lost+before {
			t.Fatalf("%d packets of 500 that came before the end, less %d", got, lost-before)
		}
		before = lost
	}
}
