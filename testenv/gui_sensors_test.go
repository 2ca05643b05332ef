package testenv

import (
	"bytes"
	"context"
	"sync"
	"testing"
	"time"

	"wirelake/internal/chunk"
	"wirelake/internal/objstore"
	"wirelake/internal/packet"
	"wirelake/internal/sensorstatus"
)

// fillSensors puts into the store what web/e2e/sensors.test.mjs looks at: the status of four sensors, one of which
// loses packets until the test ends, one that cannot be read, and a session whose sensor dropped packets.
func fillSensors(t *testing.T, url string) {
	store, err := objstore.Open(t.Context(), url, objstore.Options{})
	if err != nil {
		t.Fatal(err)
	}
	putLossyChunk(t, store)
	if _, err := objstore.PutBytes(t.Context(), store, sensorstatus.Key("damaged"), []byte(`{"version":99}`)); err != nil {
		t.Fatal(err)
	}
	started := time.Now().UTC().Add(-26 * time.Hour)
	put := func(ctx context.Context, s sensorstatus.Status) error {
		s.Program, s.Host, s.PID, s.Started = "wirelake test", "edge.example.org", 7, started
		_, err := sensorstatus.Put(ctx, store, &s)
		return err
	}
	tell := func(ctx context.Context, n uint64) error {
		now := time.Now().UTC()
		if err := put(ctx, sensorstatus.Status{
			Sensor: "busy", Written: now,
			Interfaces: []sensorstatus.Interface{{Name: "eth0", Kind: "afpacket", Up: true, Packets: 1000 * n, Bytes: 800_000 * n, KernelDrops: 3 * n,
				PacketsPerSecond: 1000, BitsPerSecond: 6.4e6, DropsPerSecond: 3}},
			Drops:    sensorstatus.Drops{Kernel: 3 * n},
			Problems: []string{sensorstatus.LossProblem + " 0s ago"},
			Error:    &sensorstatus.Trouble{Time: now.Add(-time.Minute), Text: "put chunk: connection reset by peer"},
		}); err != nil {
			return err
		}
		return put(ctx, sensorstatus.Status{
			Sensor: "quiet", Written: now,
			Interfaces: []sensorstatus.Interface{
				{Name: "eth0", Kind: "afpacket", Up: true, Packets: 1200 * n, Bytes: 187_000 * n, PacketsPerSecond: 1200, BitsPerSecond: 1.5e6},
				{Name: "vxlan://:4789", Kind: "vxlan", Up: true},
			},
			Spool: sensorstatus.Spool{BacklogBytes: 5 << 20, OldestUnsent: now.Add(-30 * time.Second)},
		})
	}
	for _, s := range []sensorstatus.Status{
		{Sensor: "gone", Written: started, Interfaces: []sensorstatus.Interface{{Name: "tcp://192.0.2.1:57012", Kind: "pcap-over-ip", Up: true, Packets: 7}}},
		{Sensor: "lossy", Written: time.Now().UTC(), Stopped: true, Drops: sensorstatus.Drops{Kernel: 12}, Interfaces: []sensorstatus.Interface{{Name: "eth0", Kind: "afpacket", KernelDrops: 12}}},
	} {
		if err := put(t.Context(), s); err != nil {
			t.Fatal(err)
		}
	}
	if err := tell(t.Context(), 1); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	var told sync.WaitGroup
	told.Go(func() {
		for n := uint64(2); ; n++ {
			select {
			case <-ctx.Done():
				return
			case <-time.After(time.Second):
			}
			if err := tell(ctx, n); err != nil && ctx.Err() == nil {
				t.Errorf("status: %v", err)
				return
			}
		}
	})
	t.Cleanup(func() {
		cancel()
		told.Wait()
	})
}

// putLossyChunk stores a chunk of one UDP packet that was cut, while which the kernel dropped twelve. It is older than the sample, so
// that what the other tests look at first stays first.
func putLossyChunk(t *testing.T, store objstore.Store) {
	t.Helper()
	const linkEthernet, nanos, cut = 1, 946_684_800_000_000_000, 1000 // the time is 2000-01-01
	frame := []byte{2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 2, 8, 0,         // Ethernet
		0x45, 0, 0, 32, 0, 1, 0, 0, 64, 17, 0, 0, 192, 0, 2, 1, 198, 51, 100, 1, // IPv4
		0x9c, 0x40, 0x27, 0x0f, 0, 12, 0, 0, 'l', 'o', 's', 't'} // UDP
	b, err := chunk.NewBuilder(chunk.DefaultConfig())
	if err != nil {
		t.Fatal(err)
	}
	var p packet.Packet
	packet.NewDecoder(linkEthernet, packet.Options{}).Decode(frame, nanos, len(frame)+cut, &p)
	if err := b.Add(&p, frame); err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	sum, err := b.Seal(chunk.Meta{Sensor: "lossy", Lane: "eth0-0", Interface: "eth0", LinkType: linkEthernet, Snaplen: 65535, KeyNanos: nanos, Final: true, KernelDrops: 12}, &out)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := objstore.PutBytes(t.Context(), store, sum.Key, out.Bytes(), objstore.IfAbsent()); err != nil {
		t.Fatal(err)
	}
}
