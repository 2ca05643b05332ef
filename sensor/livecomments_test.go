package sensor

import (
	"bytes"
	"context"
	"net"
	"slices"
	"testing"

	"wirelake/internal/chunk"
	"wirelake/internal/objstore"
	"wirelake/internal/pcapfile"
	"wirelake/sensor/capture"
)

// commentedStream is a pcapng stream of n packets, the fourth with a comment that is not all UTF-8.
func commentedStream(t *testing.T, n int) []byte {
	t.Helper()
	var b bytes.Buffer
	w, err := pcapfile.NewNgWriter(&b, "test")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := w.AddInterface(pcapfile.Interface{LinkType: 1, Snaplen: 262144}); err != nil {
		t.Fatal(err)
	}
	for i := range n {
		rec := pcapfile.Record{TimeNanos: testStart + int64(i)*1000, Data: numbered(i), WireLen: len(numbered(i))}
		if i == 3 {
			rec.Comment = "für den \xff Bericht"
		}
		if err := w.Write(&rec); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Flush(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func storedComments(t *testing.T, store objstore.Store) (all []string) {
	t.Helper()
	for obj, err := range store.List(t.Context(), "chunks/", "") {
		if err != nil {
			t.Fatal(err)
		}
		r, err := chunk.Open(t.Context(), store, obj.Key)
		if err != nil {
			t.Fatal(err)
		}
		for _, c := range r.Comments() {
			all = append(all, c.Text)
		}
	}
	return all
}

// TestLiveComments holds that the comments of packets in pcapng streams are in the chunks: of what is read, and of pcap-over-IP.
func TestLiveComments(t *testing.T) {
	const n = 10
	want := []string{"für den \uFFFD Bericht"}
	t.Run("read", func(t *testing.T) {
		store := fileStore(t)
		if err := newSensor(t, store, liveConfig(t), capture.NewPipe("-", bytes.NewReader(commentedStream(t, n)), nil)).Run(t.Context()); err != nil {
			t.Fatal(err)
		}
		readArchive(t, store).wantPackets(t, n, 0)
		if got := storedComments(t, store); !slices.Equal(got, want) {
			t.Errorf("comments %q, want %q", got, want)
		}
	})
	t.Run("pcap-over-IP", func(t *testing.T) {
		server, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		defer server.Close() //nolint:errcheck // of the test
		stream := commentedStream(t, n)
		sent := make(chan error, 1)
		go func() {
			conn, err := server.Accept()
			if err == nil {
				_, err = conn.Write(stream)
			}
			sent <- err
		}()
		store := fileStore(t)
		source, err := capture.NewPcapOverIPClient("tcp://"+server.Addr().String(), capture.TLSFiles{}, nil)
		if err != nil {
			t.Fatal(err)
		}
		ctx, stop := context.WithCancel(t.Context())
		done := make(chan error, 1)
		go func() { done <- newSensor(t, store, liveConfig(t), source).Run(ctx) }()
		if err := <-sent; err != nil {
			t.Error(err)
		}
		waitFor(t, "the packets", func() bool { return source.State().Packets == n })
		stop()
		if err := <-done; err != nil {
			t.Fatal(err)
		}
		readArchive(t, store).wantPackets(t, n, 0)
		if got := storedComments(t, store); !slices.Equal(got, want) {
			t.Errorf("comments %q, want %q", got, want)
		}
	})
}
