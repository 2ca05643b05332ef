package keylog

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func id(n int) []byte { return bytes.Repeat([]byte{byte(n)}, RandomLen) }

func text(label string, n int, secret string) string {
	return fmt.Sprintf("%s %x %s\n", label, id(n), secret)
}

func TestOpen(t *testing.T) {
	path := filepath.Join(t.TempDir(), "keys.log")
	write := func(s string) {
		t.Helper()
		if err := os.WriteFile(path, []byte(s), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	first := "# a comment\n\n" + text("CLIENT_RANDOM", 1, "aabb") + text("SERVER_TRAFFIC_SECRET_0", 2, "CC") + text("EXPORTER_SECRET", 3, "dd") +
		"CLIENT_RANDOM xyz\n" + strings.Repeat("long ", 100_000) + "\n" + text("CLIENT_TRAFFIC_SECRET_0", 2, "ee")
	write(first + "CLIENT_RANDOM 0404")
	l, err := Open(path)
	if err != nil {
		t.Fatal(err)
	}
	l.every = 0
	if l.Connections() != 2 || l.Bad() != 2 {
		t.Errorf("%d connections and %d bad lines, want 2 and 2", l.Connections(), l.Bad())
	}
	if s, ok := l.Secrets(id(1)); !ok || !bytes.Equal(s.Master, []byte{0xaa, 0xbb}) || s.ClientTraffic != nil {
		t.Errorf("connection 1: %+v %v", s, ok)
	}
	if s, ok := l.Secrets(id(2)); !ok || !bytes.Equal(s.ServerTraffic, []byte{0xcc}) || !bytes.Equal(s.ClientTraffic, []byte{0xee}) {
		t.Errorf("connection 2: %+v %v", s, ok)
	}
	if _, ok := l.Secrets(id(4)); ok {
		t.Error("a line without its end was read")
	}
	write(first + text("CLIENT_RANDOM", 4, "44") + text("CLIENT_RANDOM", 5, "55"))
	if s, ok := l.Secrets(id(4)); !ok || !bytes.Equal(s.Master, []byte{0x44}) {
		t.Errorf("after the file grew: %+v %v", s, ok)
	}
	write(text("CLIENT_RANDOM", 6, "66"))
	if _, ok := l.Secrets(id(6)); !ok {
		t.Error("a file that was replaced is not read from its start")
	}
	l.Add([]byte(text("CLIENT_RANDOM", 7, "77")))
	if _, ok := l.Secrets(id(7)); !ok {
		t.Error("a line that was added is not there")
	}
	again := New()
	again.Add(l.AppendLines(l.AppendLines(nil, id(7)), id(99)))
	if s, ok := again.Secrets(id(7)); !ok || !bytes.Equal(s.Master, []byte{0x77}) || again.Connections() != 1 {
		t.Errorf("lines written and read again: %+v %v", s, ok)
	}
	if _, ok := (*Log)(nil).Secrets(id(1)); ok {
		t.Error("no log at all has secrets")
	}
}

func TestOpenNoLog(t *testing.T) {
	path := filepath.Join(t.TempDir(), "no.log")
	if err := os.WriteFile(path, []byte("something else\nof two lines\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, p := range []string{path, path + ".missing"} {
		if _, err := Open(p); err == nil || !strings.Contains(err.Error(), p) {
			t.Errorf("%s: %v, want an error that names it", p, err)
		}
	}
}

// TestBound holds that the latest connections are kept when there are too many.
func TestBound(t *testing.T) {
	l := New()
	l.max = 3
	for n := range 10 {
		l.Add([]byte(text("CLIENT_RANDOM", n, "00")))
	}
	for n := range 10 {
		if _, ok := l.Secrets(id(n)); ok != (n >= 7) {
			t.Errorf("connection %d: %v", n, ok)
		}
	}
	if l.Connections() != 3 || len(l.ring) != 3 {
		t.Errorf("%d connections, %d in the ring", l.Connections(), len(l.ring))
	}
}

func FuzzParseLine(f *testing.F) {
	f.Add([]byte(text("CLIENT_RANDOM", 1, "aabb")))
	f.Add([]byte("# x"))
	f.Fuzz(func(t *testing.T, b []byte) {
		l, ok, bad := ParseLine(b)
		if ok && (bad || len(l.Secret) == 0 || len(l.Secret) > maxSecret) {
			t.Fatalf("%q: %+v", b, l)
		}
	})
}
