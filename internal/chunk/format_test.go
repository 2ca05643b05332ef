package chunk

import (
	"bytes"
	"context"
	"encoding/hex"
	"flag"
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	seekable "github.com/SaveTheRbtz/zstd-seekable-format-go/pkg"
	"github.com/klauspost/compress/zstd"

	"wirelake/internal/packet"
)

const (
	formatPage = "../../docs/chunk-format.md"
	v1Object   = "testdata/v1.pcap.zst"
)

func updateFlag() *bool {
	if f := flag.Lookup("update"); f != nil {
		v := f.Value.String() == "true"
		return &v
	}
	return flag.Bool("update", false, "rewrite the test vector in docs/ and the objects in testdata")
}

var update = updateFlag() // flags must exist before they are parsed

// vectorPackets are those of the test vector: a TCP flow of two packets around
// an ARP request.
func vectorPackets() []testPacket {
	a, b := [16]byte{10, 0, 0, 1}, [16]byte{10, 0, 0, 2}
	tcp, dir := packet.NewKey(packet.KindIPv4, packet.ProtoTCP, b, a, 40000, 443)
	arp, arpDir := packet.NewKey(packet.KindMAC, 0, [16]byte{2, 0, 0, 0, 0, 1}, [16]byte{255, 255, 255, 255, 255, 255}, 0x806, 0x806)
	const t0 = 1772532000_000000000
	return []testPacket{
		{tcp, dir, t0 + 1_000, 60, []byte("syn")},
		{arp, arpDir, t0 + 2_000, 42, []byte("who has")},
		{tcp, dir.Reverse(), t0 + 3_000, 7, []byte("syn ack")},
	}
}

func vectorMeta() Meta {
	m := testMeta()
	m.File, m.Generator = "/captures/a.pcap", "wirelake"
	return m
}

// v1Packets are those of the object kept in testdata: small flows and a large
// one, text and noise.
func v1Packets() []testPacket {
	rng := rand.New(rand.NewPCG(20, 26))
	all := mixedPackets(12, 6, 700)
	for i := range 60 {
		p := testPacket{key: ipv4Key(100), dir: packet.Dir(i % 2), nanos: 1772532003_000000000 + int64(i), data: make([]byte, 1460)}
		for j := range p.data {
			p.data[j] = byte(rng.Uint32())
		}
		p.wireLen = len(p.data)
		all = append(all, p)
	}
	return all
}

// vectorComment is what was written about the last packet of the vector.
const vectorComment = "late"

func sealAs(t *testing.T, m Meta, packets []testPacket, comment string) []byte {
	t.Helper()
	b, err := NewBuilder(testConfig())
	if err != nil {
		t.Fatal(err)
	}
	fill(t, b, packets)
	b.Comment(comment)
	var out bytes.Buffer
	if _, err := b.Seal(m, &out); err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}

// vectorHex returns the hex dump of the page's test vector, and the page around it.
func vectorHex(t *testing.T) (before, dump, after string) {
	t.Helper()
	page, err := os.ReadFile(formatPage)
	if err != nil {
		t.Fatal(err)
	}
	const begin, end = "<!-- vector -->\n", "<!-- end of vector -->"
	before, rest, ok1 := strings.Cut(string(page), begin)
	dump, after, ok2 := strings.Cut(rest, end)
	if !ok1 || !ok2 {
		t.Fatalf("%s has no vector", formatPage)
	}
	return before + begin, dump, end + after
}

// TestVector decodes the test vector of docs/chunk-format.md and encodes it again.
func TestVector(t *testing.T) {
	encoded := sealAs(t, vectorMeta(), vectorPackets(), vectorComment)
	before, dump, after := vectorHex(t)
	if *update {
		dump = "\n"
		for line := range strings.Lines(hex.Dump(encoded)) {
			dump += "    " + strings.TrimRight(line[:58], " ") + "\n"
		}
		dump += "\n"
		if err := os.WriteFile(formatPage, []byte(before+dump+after), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	var digits strings.Builder
	for line := range strings.Lines(dump) {
		if f := strings.Fields(line); len(f) > 1 {
			digits.WriteString(strings.Join(f[1:], ""))
		}
	}
	vector, err := hex.DecodeString(digits.String())
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(vector, encoded) {
		t.Errorf("the packets of the vector are now encoded as\n%s", hex.Dump(encoded))
	}
	checkChunk(t, vector, vectorMeta(), vectorPackets())
	// The last packet follows the first, of 3 bytes, in the stream.
	if got, want := open(t, vector).Comments(), (Comment{pcapHeaderBytes + recordHeaderSize + 3, vectorComment}); len(got) != 1 || got[0] != want {
		t.Errorf("comments are %v, want %v", got, want)
	}
}

// TestOldObjects reads an object of each released version.
func TestOldObjects(t *testing.T) {
	if *update {
		if err := os.WriteFile(v1Object, sealAs(t, testMeta(), v1Packets(), ""), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	b, err := os.ReadFile(v1Object)
	if err != nil {
		t.Fatal(err)
	}
	checkChunk(t, b, testMeta(), v1Packets())
}

func checkChunk(t *testing.T, b []byte, want Meta, packets []testPacket) {
	t.Helper()
	r := open(t, b)
	flows := byFlow(packets)
	got := r.Meta()
	got.FirstNanos, got.LastNanos, got.Packets, got.Bytes = 0, 0, 0, 0
	if got != want || len(r.Flows()) != len(flows) {
		t.Fatalf("chunk of %+v with %d flows, want %+v with %d", got, len(r.Flows()), want, len(flows))
	}
	n := 0
	err := r.ReadFlows(context.Background(), func(_ *FlowEntry, records *FlowRecords) error {
		sameRecords(t, "scan", records.Next, flows[n])
		n++
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

// TestUnknownVersion checks that the error names both versions.
func TestUnknownVersion(t *testing.T) {
	b, sum := sealPackets(t, testConfig(), vectorPackets())
	r := open(t, b)
	content := b[r.dataSize()+skippableHeaderSize:][:sum.IndexBytes-skippableHeaderSize]
	content[len(indexMagic)] = 9
	crc := crc32c(0, content[:len(content)-4])
	copy(content[len(content)-4:], []byte{byte(crc), byte(crc >> 8), byte(crc >> 16), byte(crc >> 24)})
	_, err := Open(context.Background(), &object{b: b}, testKey)
	if err == nil || !strings.Contains(err.Error(), testKey) || !strings.Contains(err.Error(), "found 9, supported is 1") {
		t.Errorf("Open of version 9: %v", err)
	}
}

// TestOtherSeekableImplementation seeks in a chunk with an implementation of the
// seekable format that is not ours, and finds every flow where the index says.
func TestOtherSeekableImplementation(t *testing.T) {
	packets := mixedPackets(30, 60, 500)
	b, _ := sealPackets(t, testConfig(), packets)
	r := open(t, b)
	dec, err := zstd.NewReader(nil)
	if err != nil {
		t.Fatal(err)
	}
	defer dec.Close()
	s, err := seekable.NewReader(bytes.NewReader(b), dec)
	if err != nil {
		t.Fatal(err)
	}
	flows := byFlow(packets)
	for _, i := range rand.New(rand.NewPCG(3, 4)).Perm(len(flows)) {
		e := r.Flows()[i]
		raw := make([]byte, e.Length)
		if _, err := s.ReadAt(raw, int64(e.Offset)); err != nil {
			t.Fatal(err)
		}
		sameRecords(t, "seek", func(rec *Record) error {
			if len(raw) == 0 {
				return io.EOF
			}
			n, reason := decodeRecord(raw, rec)
			if reason != "" {
				t.Fatal(reason)
			}
			raw = raw[n:]
			return nil
		}, flows[i])
	}
}

// TestToolsRead checks that zstd, tcpdump and tshark read a chunk as it is, and
// count the packets that are in it.
func TestToolsRead(t *testing.T) {
	var packets []testPacket
	for i := range 5000 {
		frame := append([]byte{2, 0, 0, 0, 0, 2, 2, 0, 0, 0, 0, 1, 8, 0, 0x45, 0, 0, 40, 0, 0, 0x40, 0, 64, 17, 0, 0, 10, 0, byte(i % 97), 1, 10, 0, 0, 2, 4, byte(i), 0, 53, 0, 20, 0, 0}, bytes.Repeat([]byte{byte(i)}, 12)...)
		packets = append(packets, testPacket{ipv4Key(i % 300), 0, 1772532000_000000000 + int64(i)*1_000_003, len(frame), frame})
	}
	b, _ := sealPackets(t, testConfig(), packets)
	path := filepath.Join(t.TempDir(), "chunk.pcap.zst")
	if err := os.WriteFile(path, b, 0o600); err != nil {
		t.Fatal(err)
	}
	stream, err := exec.Command("zstd", "-dcq", path).Output()
	if err != nil {
		t.Fatalf("zstd -dc: %v", err)
	}
	for _, tool := range [][]string{{"tcpdump", "-nr", "-"}, {"tshark", "-nr", "-", "-T", "fields", "-e", "frame.number"}} {
		cmd := exec.Command(tool[0], tool[1:]...)
		cmd.Stdin = bytes.NewReader(stream)
		out, err := cmd.Output()
		if err != nil {
			t.Fatalf("%s: %v", tool[0], err)
		}
		if got := strings.Count(string(out), "\n"); got != len(packets) {
			t.Errorf("%s counts %d packets of %d", tool[0], got, len(packets))
		}
	}
	out, err := exec.Command("tshark", "-nr", path, "-T", "fields", "-e", "frame.number").Output()
	if err != nil {
		t.Fatalf("tshark on the chunk itself: %v", err)
	}
	if got := strings.Fields(string(out)); len(got) != len(packets) || got[len(got)-1] != strconv.Itoa(len(packets)) {
		t.Errorf("tshark on the chunk itself counts %d packets of %d", len(got), len(packets))
	}
}
