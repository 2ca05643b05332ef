package pcapfile

import (
	"bytes"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

func drawRecord(t *rapid.T, interfaces int) Record {
	data := rapid.SliceOfN(rapid.Byte(), 1, 300).Draw(t, "data")
	return Record{
		TimeNanos: rapid.Int64Range(0, 1<<32*1_000_000_000-1).Draw(t, "time"),
		WireLen:   len(data) + rapid.IntRange(0, 2000).Draw(t, "cut"),
		Interface: rapid.IntRange(0, interfaces-1).Draw(t, "interface"),
		Data:      data,
		Comment:   rapid.StringN(0, 20, 40).Draw(t, "comment"),
	}
}

func TestWriterRoundTrip(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		link := rapid.Uint32Range(0, 65535).Draw(rt, "link type")
		var out bytes.Buffer
		w, err := NewWriter(&out, link, 0)
		if err != nil {
			rt.Fatal(err)
		}
		var want []Record
		for range rapid.IntRange(0, 20).Draw(rt, "records") {
			r := drawRecord(rt, 1)
			r.Comment = ""
			if err := w.Write(r.TimeNanos, r.WireLen, r.Data); err != nil {
				rt.Fatal(err)
			}
			want = append(want, r)
		}
		if err := w.Flush(); err != nil {
			rt.Fatal(err)
		}
		got, ifaces, errs := readAll(t, out.Bytes())
		for i := range got {
			got[i].Offset = 0
		}
		if len(errs) > 0 || fmt.Sprint(got) != fmt.Sprint(want) || ifaces[0].LinkType != link || ifaces[0].Snaplen != DefaultSnaplen {
			rt.Fatalf("read %v %v %v, want %v", got, ifaces, errs, want)
		}
	})
}

func TestNgWriterRoundTrip(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		var out bytes.Buffer
		w, err := NewNgWriter(&out, rapid.StringN(0, 10, 20).Draw(rt, "application"))
		if err != nil {
			rt.Fatal(err)
		}
		var want []Record
		var wantIfaces []Interface
		for range rapid.IntRange(1, 4).Draw(rt, "batches") {
			i := Interface{
				LinkType: rapid.Uint32Range(0, 65535).Draw(rt, "link type"), Snaplen: rapid.Uint32().Draw(rt, "snaplen"),
				Name: rapid.StringMatching("[a-z0-9]{0,9}").Draw(rt, "name"), Description: rapid.StringMatching("[a-z0-9]{0,9}").Draw(rt, "description"), UnitsPerSec: 1e9,
			}
			if n, err := w.AddInterface(i); err != nil || n != len(wantIfaces) {
				rt.Fatal(n, err)
			}
			wantIfaces = append(wantIfaces, i)
			for range rapid.IntRange(0, 10).Draw(rt, "records") {
				r := drawRecord(rt, len(wantIfaces))
				r.Comment = strings.TrimRight(r.Comment, "\x00")
				if err := w.Write(&r); err != nil {
					rt.Fatal(err)
				}
				want = append(want, r)
			}
		}
		if err := w.Flush(); err != nil {
			rt.Fatal(err)
		}
		got, ifaces, errs := readAll(t, out.Bytes())
		for i := range got {
			got[i].Offset = 0
		}
		if len(errs) > 0 || fmt.Sprint(got) != fmt.Sprint(want) || fmt.Sprint(ifaces) != fmt.Sprint(wantIfaces) {
			rt.Fatalf("read %v %v %v, want %v %v", got, ifaces, errs, want, wantIfaces)
		}
	})
}

func TestWritersRefuseWhatDoesNotFit(t *testing.T) {
	var out bytes.Buffer
	w, _ := NewWriter(&out, 1, 0)
	for _, nanos := range []int64{-1, 1 << 32 * 1_000_000_000} {
		if err := w.Write(nanos, 1, []byte{1}); !errors.Is(err, ErrRecord) {
			t.Errorf("time %d: error %v, want ErrRecord", nanos, err)
		}
	}
	if err := w.Write(0, 1, make([]byte, MaxRecordBytes+1)); !errors.Is(err, ErrRecord) {
		t.Errorf("error %v, want ErrRecord", err)
	}
	if _, err := NewWriter(&out, 1<<16, 0); !errors.Is(err, ErrRecord) {
		t.Errorf("error %v, want ErrRecord", err)
	}
	ng, _ := NewNgWriter(&out, "")
	if err := ng.Write(&Record{Data: []byte{1}}); !errors.Is(err, ErrRecord) {
		t.Errorf("interface that was not added: error %v, want ErrRecord", err)
	}
}

func TestWriterGolden(t *testing.T) {
	var out bytes.Buffer
	w, _ := NewWriter(&out, 1, 0)
	_ = w.Write(1700000000_123456789, 60, []byte{0xca, 0xfe})
	_ = w.Flush()
	want := "4d3cb2a1" + "02000400" + "0000000000000000" + "00000400" + "01000000" +
		"00f15365" + "15cd5b07" + "02000000" + "3c000000" + "cafe"
	if got := hex.EncodeToString(out.Bytes()); got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
	out.Reset()
	ng, _ := NewNgWriter(&out, "x")
	_, _ = ng.AddInterface(Interface{LinkType: 101, Name: "a"})
	_ = ng.Write(&Record{TimeNanos: 1700000000_123456789, WireLen: 60, Data: []byte{0xca, 0xfe}, Comment: "hi"})
	_ = ng.Flush()
	want = "0a0d0d0a" + "28000000" + "4d3c2b1a" + "01000000" + "ffffffffffffffff" + "04000100" + "78000000" + "00000000" + "28000000" +
		"01000000" + "28000000" + "65000000" + "00000000" + "02000100" + "61000000" + "09000100" + "09000000" + "00000000" + "28000000" +
		"06000000" + "30000000" + "00000000" + "fe9c9717" + "15cd853d" + "02000000" + "3c000000" + "cafe0000" + "01000200" + "68690000" + "00000000" + "30000000"
	if got := hex.EncodeToString(out.Bytes()); got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
}

// What the writers write is what Wireshark's tools read.
func TestTsharkReadsWhatIsWritten(t *testing.T) {
	dir := t.TempDir()
	frame, err := hex.DecodeString("ffffffffffff0200000000010800" + "4500001e000100004011b9c8" + "0a000001" + "0a0000ff" + "00350035000a0000" + "6869")
	if err != nil {
		t.Fatal(err)
	}
	const n = 1000
	pcap, ng := filepath.Join(dir, "a.pcap"), filepath.Join(dir, "a.pcapng")
	writeFile(t, pcap, func(out *os.File) error {
		w, err := NewWriter(out, 1, 0)
		for i := 0; i < n && err == nil; i++ {
			err = w.Write(1700000000_123456789+int64(i), len(frame)+9, frame)
		}
		return errors.Join(err, w.Flush())
	})
	writeFile(t, ng, func(out *os.File) error {
		w, err := NewNgWriter(out, "wirelake")
		if err != nil {
			return err
		}
		for i := 0; i < n && err == nil; i++ {
			switch i { // the second interface comes when packets were written
			case 0:
				_, err = w.AddInterface(Interface{LinkType: 1, Name: "eth0"})
			case n / 2:
				_, err = w.AddInterface(Interface{LinkType: 101, Name: "tun0"})
			}
			r := Record{TimeNanos: 1700000000_123456789 + int64(i), WireLen: len(frame), Data: frame, Comment: fmt.Sprint("packet ", i)}
			if i >= n/2 {
				r.Interface, r.Data, r.WireLen = 1, frame[14:], len(frame)-14
			}
			err = errors.Join(err, w.Write(&r))
		}
		return errors.Join(err, w.Flush())
	})
	for file, want := range map[string][2]string{
		pcap: {"1700000000.123456789\t53\tFrame (44 bytes captured)", "1700000000.123457788"},
		ng:   {"1700000000.123456789\t44\t", "1700000000.123457788"},
	} {
		args := []string{"-r", file, "-T", "fields", "-e", "frame.time_epoch", "-e", "frame.len", "-e", "frame.cap_len", "-e", "udp.port", "-e", "frame.interface_name", "-e", "frame.comment"}
		lines := strings.Split(strings.TrimSpace(run(t, "tshark", args...)), "\n")
		if len(lines) != n {
			t.Fatalf("tshark sees %d packets in %s, want %d", len(lines), file, n)
		}
		first, last := strings.Split(lines[0], "\t"), strings.Split(lines[n-1], "\t")
		if first[0] != "1700000000.123456789" || last[0] != want[1] || first[2] != "44" || first[3] != "53,53" || last[3] != "53,53" {
			t.Errorf("%s: tshark reads %q and %q", file, first, last)
		}
		if file == ng && (first[4] != "eth0" || last[4] != "tun0" || first[5] != "packet 0" || last[5] != fmt.Sprint("packet ", n-1)) {
			t.Errorf("%s: tshark reads %q and %q", file, first, last)
		}
		if file == pcap && first[1] != "53" {
			t.Errorf("%s: tshark reads wire length %s, want 53", file, first[1])
		}
		if out := run(t, "capinfos", "-c", "-M", file); !strings.Contains(out, fmt.Sprint(n)) {
			t.Errorf("capinfos does not find %d packets: %s", n, out)
		}
	}
}

func writeFile(t *testing.T, name string, fill func(*os.File) error) {
	t.Helper()
	f, err := os.Create(name)
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(fill(f), f.Close()); err != nil {
		t.Fatal(err)
	}
}

func run(t *testing.T, name string, args ...string) string {
	t.Helper()
	cmd := exec.Command(name, args...)
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("%s %v: %v: %s", name, args, err, stderr.String())
	}
	return string(out)
}
