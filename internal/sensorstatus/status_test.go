package sensorstatus

import (
	"errors"
	"fmt"
	"reflect"
	"strings"
	"testing"
	"time"

	"wirelake/internal/objstore"
)

func TestStatusComesBack(t *testing.T) {
	store, err := objstore.Open(t.Context(), "file://"+t.TempDir(), objstore.Options{})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := Get(t.Context(), store, "edge1"); !errors.Is(err, objstore.ErrNotFound) {
		t.Fatalf("status of a sensor that never ran: %v", err)
	}
	offset := -0.25
	want := Status{
		Sensor: "edge1", Program: "wirelake v1", Host: "h", PID: 7, Started: time.Unix(1772532000, 0).UTC(), Written: time.Unix(1772532010, 5).UTC(),
		ClockOffset: &offset,
		Interfaces:  []Interface{{Name: "eth0", Kind: "afpacket", Up: true, Packets: 3, Bytes: 180, BitsPerSecond: 144}},
		Lanes:       []Lane{{Name: "eth0-0", Packets: 3, Bytes: 180}},
		Drops:       Drops{Kernel: 1, QuotaOldest: 2, QuotaNew: 3, Disk: 4, Damaged: 5, Malformed: 6, Duplicates: 100},
		Spool:       Spool{Folder: "/spool", BacklogBytes: 4096, Policy: "drop-oldest"},
		Error:       &Trouble{Time: time.Unix(1772532005, 0).UTC(), Text: "put: refused"},
	}
	if lost := want.Drops.Lost(); lost != 21 {
		t.Errorf("%d packets lost, want 21: duplicates are no loss", lost)
	}
	if _, err := Put(t.Context(), store, &want); err != nil {
		t.Fatal(err)
	}
	got, err := Get(t.Context(), store, "edge1")
	if err != nil {
		t.Fatal(err)
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got %+v\nwant %+v", got, want)
	}

	// What is not a status, or of another version, is told and does not hide the others.
	for name, text := range map[string]string{"bad": "{", "new": `{"version":2}`} {
		if _, err := objstore.PutBytes(t.Context(), store, Key(name), []byte(text)); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := objstore.PutBytes(t.Context(), store, LeaseKey("edge1"), []byte("{}")); err != nil {
		t.Fatal(err)
	}
	all, damaged, err := List(t.Context(), store, want.Written)
	if err != nil || len(all) != 1 || all[0].Sensor != "edge1" {
		t.Errorf("listed %+v, %v", all, err)
	}
	if text := fmt.Sprint(damaged); len(damaged) != 2 || !strings.Contains(text, "state/sensors/bad.json") || !strings.Contains(text, "version 2, supported is 1") {
		t.Errorf("damaged are %v", damaged)
	}
}

func TestConditions(t *testing.T) {
	now := time.Unix(1772532000, 0)
	ahead := 100.0
	up := []Interface{{Name: "eth0", Up: true}}
	for _, c := range []struct {
		name string
		s    Status
		age  float64
		want Condition
	}{
		{"all is well", Status{Written: now.Add(-10 * time.Second), Interfaces: up}, 10, OK},
		{"what was lost long ago", Status{Written: now, Interfaces: up, Drops: Drops{Kernel: 7}}, 0, OK},
		{"no word for 31 s", Status{Written: now.Add(-31 * time.Second), Interfaces: up}, 31, Stale},
		{"a clock ahead of the store's", Status{Written: now.Add(60 * time.Second), ClockOffset: &ahead, Interfaces: up}, 40, Stale},
		{"a clock ahead of ours", Status{Written: now.Add(60 * time.Second), Interfaces: up}, 0, OK},
		{"stopped long ago", Status{Written: now.Add(-time.Hour), Stopped: true, Interfaces: up, Problems: []string{"x"}}, 3600, Stopped},
		{"drops", Status{Written: now, Interfaces: []Interface{{Up: true, DropsPerSecond: 0.1}}}, 0, Losing},
		{"a full spool", Status{Written: now, Interfaces: up, Spool: Spool{Full: true}}, 0, Losing},
		{"lost a moment ago", Status{Written: now, Interfaces: up, Problems: []string{"uploads fail", LossProblem + " 3s ago"}}, 0, Losing},
		{"an interface down", Status{Written: now, Interfaces: []Interface{{Name: "eth0", Up: true}, {Name: "eth1"}}}, 0, InTrouble},
		{"uploads that fail", Status{Written: now, Interfaces: up, Problems: []string{"nothing could be uploaded for 6m"}}, 0, InTrouble},
		{"losing and stale", Status{Written: now.Add(-time.Minute), Interfaces: up, Spool: Spool{Full: true}}, 60, Stale},
	} {
		if v := NewView(c.s, now); v.Condition != c.want || v.AgeSeconds != c.age || v.Lost != c.s.Drops.Lost() {
			t.Errorf("%s: got %s, %v s old, %d lost, want %s, %v s", c.name, v.Condition, v.AgeSeconds, v.Lost, c.want, c.age)
		}
	}
}

func FuzzDecode(f *testing.F) {
	f.Add([]byte(`{"version":1,"sensor":"edge1","written":"2026-03-03T10:00:00Z","interfaces":[{"name":"eth0","up":true}],"clock_offset":1e300}`))
	f.Add([]byte(`{"version":1,"spool":{"oldest_unsent":"x"}}`))
	f.Fuzz(func(t *testing.T, b []byte) {
		s, err := Decode("state/sensors/x.json", b)
		var bad *DecodeError
		if err != nil {
			if !errors.As(err, &bad) || bad.Key != "state/sensors/x.json" {
				t.Errorf("%v", err)
			}
			return
		}
		if v := NewView(s, time.Unix(1772532000, 0)); v.AgeSeconds < 0 || v.Condition == "" {
			t.Errorf("%+v", v)
		}
	})
}
