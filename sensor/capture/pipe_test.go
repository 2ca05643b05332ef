package capture

import (
	"bytes"
	"compress/gzip"
	"context"
	"encoding/binary"
	"errors"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"wirelake/internal/pcapfile"
)

func TestPipeReadsStandardInput(t *testing.T) {
	records := testRecords(0, 1000)
	var zipped bytes.Buffer
	z := gzip.NewWriter(&zipped)
	if _, err := z.Write(pcapOf(t, linkEthernet, records)); err != nil {
		t.Fatal(err)
	}
	if err := z.Close(); err != nil {
		t.Fatal(err)
	}
	commented := testRecords(0, 1000)
	commented[7].Comment, commented[999].Comment = "seven", "the last\nof all"
	for _, c := range []struct {
		name   string
		stream []byte
		lane   string
	}{
		{"comments", pcapngOf(t, []uint32{linkEthernet}, commented), "pipe-0"},
		{"pcap", pcapOf(t, linkEthernet, records), "pipe-0"},
		{"raw IP", pcapOf(t, linkRawIP, records), "pipe-0-link101"},
		{"pcapng", pcapngOf(t, []uint32{linkEthernet}, records), "pipe-0"},
		{"compressed", zipped.Bytes(), "pipe-0"},
	} {
		t.Run(c.name, func(t *testing.T) {
			rec := newRecorder(t)
			p := NewPipe("-", bytes.NewReader(c.stream), nil)
			if err := p.Run(t.Context(), rec.Open); err != nil {
				t.Fatal(err)
			}
			if c.name == "comments" {
				rec.wantPackets(c.lane, commented)
			} else {
				rec.wantPackets(c.lane, records)
			}
			if rec.lane(c.lane).open {
				t.Error("the lane was not closed")
			}
			s := p.State()
			if s.Packets != 1000 || s.Up || s.Error != "" || s.Malformed != 0 || s.Kind != "pipe" {
				t.Errorf("state is %+v", s)
			}
		})
	}
}

// Secrets in a stream are not kept: they are counted and told once.
func TestPipeTellsOfSecrets(t *testing.T) {
	records := testRecords(0, 20)
	b := pcapngOf(t, []uint32{linkEthernet}, records)
	secrets := []byte("CLIENT_RANDOM 00 00\n")
	block := binary.LittleEndian.AppendUint32(nil, 10) // draft-ietf-opsawg-pcapng, "Decryption Secrets Block"
	for _, v := range []int{20 + len(secrets), 0x544c534b, len(secrets)} {
		block = binary.LittleEndian.AppendUint32(block, uint32(v))
	}
	block = binary.LittleEndian.AppendUint32(append(block, secrets...), uint32(20+len(secrets)))
	var said bytes.Buffer
	rec := newRecorder(t)
	p := NewPipe("-", bytes.NewReader(slices.Concat(b, block, block)), slog.New(slog.NewTextHandler(&said, nil)))
	if err := p.Run(t.Context(), rec.Open); err != nil {
		t.Fatal(err)
	}
	rec.wantPackets("pipe-0", records)
	if s := p.State(); s.Secrets != 2 || s.Malformed != 0 || s.Error != "" {
		t.Errorf("state is %+v", s)
	}
	if strings.Count(said.String(), "secrets of TLS came") != 1 || strings.Contains(said.String(), "CLIENT_RANDOM") {
		t.Errorf("it said %s", &said)
	}
}

// Packets must not wait in a buffer for more to come.
func TestPipeDeliversWhatIsThere(t *testing.T) {
	r, w := io.Pipe()
	records := testRecords(0, 3)
	rec := newRecorder(t)
	p := NewPipe("-", r, nil)
	stop, ended := start(t, p, rec)
	b := pcapOf(t, linkEthernet, records)
	if _, err := w.Write(b[:len(b)-1]); err != nil { // the last record is not whole yet
		t.Fatal(err)
	}
	rec.wantPackets("pipe-0", records[:2])
	waitFor(t, "a flush", func() bool { return rec.lane("pipe-0").flushes > 0 })
	if !p.State().Up {
		t.Error("the source is not up")
	}
	if _, err := w.Write(b[len(b)-1:]); err != nil {
		t.Fatal(err)
	}
	rec.wantPackets("pipe-0", records)
	stop()
	if err := <-ended; err != nil {
		t.Error(err)
	}
	if s := p.State(); s.Malformed != 0 {
		t.Errorf("state is %+v", s)
	}
}

func TestPipeSurvivesDamage(t *testing.T) {
	records := testRecords(0, 100)
	whole := pcapOf(t, linkEthernet, records)
	damaged := bytes.Clone(whole)
	size := 16 + len(records[0].Data)
	for i := range 16 {
		damaged[24+size*3+i] = 0xff // the header of the fourth record
	}
	rec := newRecorder(t)
	p := NewPipe("-", bytes.NewReader(damaged[:len(damaged)-5]), nil)
	if err := p.Run(t.Context(), rec.Open); err != nil {
		t.Fatal(err)
	}
	want := append(append([]Record{}, records[:3]...), records[4:99]...)
	rec.wantPackets("pipe-0", want)
	if s := p.State(); s.Malformed != 2 || s.Error == "" {
		t.Errorf("state is %+v, want two damaged places", s)
	}
}

func TestPipeRefusesWhatIsNoCapture(t *testing.T) {
	for name, b := range map[string][]byte{"empty": nil, "text": []byte("tcpdump: eth9: No such device exists\n")} {
		p := NewPipe("-", bytes.NewReader(b), nil)
		if err := p.Run(t.Context(), newRecorder(t).Open); !errors.Is(err, pcapfile.ErrFormat) {
			t.Errorf("%s: got %v", name, err)
		}
	}
}

func TestSinkErrorEndsPipe(t *testing.T) {
	rec := newRecorder(t)
	rec.fail = errors.New("spool is gone")
	err := NewPipe("-", bytes.NewReader(pcapOf(t, linkEthernet, testRecords(0, 10))), nil).Run(t.Context(), rec.Open)
	if !errors.Is(err, rec.fail) {
		t.Errorf("got %v", err)
	}
}

// Each writer of a named pipe begins a stream; what one writes that is no capture costs nothing else.
func TestNamedPipeTakesOneWriterAfterAnother(t *testing.T) {
	path := filepath.Join(t.TempDir(), "capture.fifo")
	if err := syscall.Mkfifo(path, 0o600); err != nil {
		t.Fatal(err)
	}
	rec := newRecorder(t)
	p := NewPipe(path, nil, nil)
	stop, ended := start(t, p, rec)
	records := testRecords(0, 300)
	write := func(b []byte) {
		t.Helper()
		if err := os.WriteFile(path, b, 0); err != nil {
			t.Fatal(err)
		}
	}
	lane := "pipe-" + peerLane(path[1:]) + "-0"
	write(pcapOf(t, linkEthernet, records[:100]))
	rec.wantPackets(lane, records[:100])
	write([]byte("no capture"))
	waitFor(t, "a refusal", func() bool { return p.State().Malformed == 1 })
	write(pcapOf(t, linkEthernet, records[100:]))
	rec.wantPackets(lane, records)
	time.Sleep(10 * time.Millisecond) // it waits for a writer now
	stop()
	select {
	case err := <-ended:
		if err != nil {
			t.Error(err)
		}
	case <-time.After(patience):
		t.Fatal("waiting for a writer does not end")
	}
}

// What a writer leaves in a named pipe before its stream is begun stays there.
func TestNamedPipeKeepsWhatAWriterLeft(t *testing.T) {
	path := filepath.Join(t.TempDir(), "capture.fifo")
	if err := syscall.Mkfifo(path, 0o600); err != nil {
		t.Fatal(err)
	}
	rec := newRecorder(t)
	p := NewPipe(path, nil, nil)
	defer p.hold(nil)
	records := testRecords(0, 300)
	first := make(chan error, 1)
	go func() { first <- os.WriteFile(path, pcapOf(t, linkEthernet, records[:100]), 0) }() // waits for a reader
	for n := 1; n <= 3; n++ {
		if more, err := p.read(t.Context(), rec.Open); !more || err != nil {
			t.Fatal(more, err)
		}
		rec.wantPackets("pipe-"+peerLane(path[1:])+"-0", records[:100*n])
		if n == 3 {
			break
		}
		// This one comes and goes while the next stream is not begun.
		if err := os.WriteFile(path, pcapOf(t, linkEthernet, records[100*n:100*n+100]), 0); err != nil {
			t.Fatal(err)
		}
	}
	if err := <-first; err != nil {
		t.Error(err)
	}
}

func TestPipeLanesAreBounded(t *testing.T) {
	links := make([]uint32, maxStreamLanes+1)
	for i := range links {
		links[i] = linkEthernet
	}
	rec := newRecorder(t)
	err := NewPipe("-", bytes.NewReader(pcapngOf(t, links, testRecords(0, len(links)))), nil).Run(context.Background(), rec.Open)
	if !errors.Is(err, errLanes) || len(rec.names()) != maxStreamLanes {
		t.Errorf("got %v and %d lanes", err, len(rec.names()))
	}
}

// The allocations are those of a stream, not of its packets.
func BenchmarkPipe(b *testing.B) {
	records := testRecords(0, 20_000)
	for i := range records {
		records[i].Data = append(records[i].Data, make([]byte, 600)...)
		records[i].WireLen = len(records[i].Data)
	}
	stream := pcapOf(b, linkEthernet, records)
	sink := &countingSink{}
	b.SetBytes(int64(len(stream)))
	b.ReportAllocs()
	for b.Loop() {
		if err := NewPipe("-", bytes.NewReader(stream), nil).Run(context.Background(), sink.Open); err != nil {
			b.Fatal(err)
		}
	}
	if sink.packets != b.N*len(records) {
		b.Fatalf("%d packets", sink.packets)
	}
}

// countingSink counts packets.
type countingSink struct{ packets int }

func (s *countingSink) Open(string, Interface) (Sink, error) { return s, nil }
func (s *countingSink) Packet(*Record) error                 { s.packets++; return nil }
func (s *countingSink) Drops(uint64)                         {}
func (s *countingSink) Flush() error                         { return nil }
func (s *countingSink) Close() error                         { return nil }
