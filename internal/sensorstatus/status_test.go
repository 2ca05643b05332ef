package sensorstatus

import (
	"errors"
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
	all, err := List(t.Context(), store)
	if len(all) != 1 || all[0].Sensor != "edge1" {
		t.Errorf("listed %+v", all)
	}
	if err == nil || !strings.Contains(err.Error(), "state/sensors/bad.json") || !strings.Contains(err.Error(), "version 2, supported is 1") {
		t.Errorf("the error is %v", err)
	}
}
