package main

import (
	"bytes"
	"crypto/md5"
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"wirelake/internal/objstore"
	"wirelake/internal/pcapfile"
	"wirelake/internal/pcapfile/pcaptest"
	"wirelake/internal/telemetry"
)

// TestKeyLog holds that what curl and openssl said to nginx is read with their key
// logs, and nothing of it without. testenv/tls-captures.sh made the captures.
func TestKeyLog(t *testing.T) {
	captures, err := filepath.Glob("testdata/tls/*.pcap")
	if err != nil || len(captures) < 7 {
		t.Fatalf("captures %q, %v", captures, err)
	}
	for _, pcap := range captures {
		name := strings.TrimSuffix(filepath.Base(pcap), ".pcap")
		t.Run(name, func(t *testing.T) {
			keys := strings.TrimSuffix(pcap, ".pcap") + ".keys"
			code, out, errText := runCLI(t, "spi", "--reference=false", "--jsonl", "--keylog", keys, pcap)
			if code != exitOK {
				t.Fatalf("exit code %d: %s", code, errText)
			}
			want := []string{`"tls:decrypted"`, `"http"`, `"uri":["secret.example.org/page.html"]`, `"statuscode":[200]`, `4e45aba834b1bd3d8bc45be0f34017ab`, `"alt":["`, `"useragent":["`}
			if strings.HasPrefix(name, "tls12-rsa") {
				want = append(want, `"cipher":["TLS_RSA_WITH_AES_128_GCM_SHA256"]`)
			} else {
				want = append(want, `"requestBody":["user=me&word=hidden"]`)
			}
			if strings.HasSuffix(name, "-h2") {
				want = append(want, `"http2"`, `"next_protocol":["h2"]`)
			}
			for _, w := range want {
				if !strings.Contains(out, w) {
					t.Errorf("%s is not in\n%.3000s", w, out)
				}
			}
			other := captures[(slices.Index(captures, pcap)+1)%len(captures)]
			for _, args := range [][]string{{}, {"--keylog", strings.TrimSuffix(other, ".pcap") + ".keys"}} {
				code, out, errText := runCLI(t, append([]string{"spi", "--reference=false", "--jsonl", pcap}, args...)...)
				if code != exitOK || strings.Contains(out, "page.html") || strings.Contains(out, "decrypted") {
					t.Errorf("without its keys: exit code %d %s\n%s", code, errText, out)
				}
			}
		})
	}
	if code, _, errText := runCLI(t, "spi", "--keylog", "testdata/none.keys", captures[0]); code == exitOK || !strings.Contains(errText, "testdata/none.keys") {
		t.Errorf("a key log that is missing: exit code %d, %s", code, errText)
	}
}

// TestHTTP3KeyLog holds that what aioquic's client and server said to one another in HTTP/3 is read with the key logs, and nothing of
// it without. testenv/http3-captures.sh made the captures.
func TestHTTP3KeyLog(t *testing.T) {
	captures, err := filepath.Glob("testdata/quic/*.pcap")
	if err != nil || len(captures) < 3 {
		t.Fatalf("captures %q, %v", captures, err)
	}
	for _, pcap := range captures {
		t.Run(strings.TrimSuffix(filepath.Base(pcap), ".pcap"), func(t *testing.T) {
			keys := strings.TrimSuffix(pcap, ".pcap") + ".keys"
			code, out, errText := runCLI(t, "spi", "--reference=false", "--jsonl", "--keylog", keys, pcap)
			if code != exitOK {
				t.Fatalf("exit code %d: %s", code, errText)
			}
			page := []byte("<html>" + strings.Repeat("a", 3000))
			for _, w := range []string{
				`"protocol":["quic","http","http3","udp"]`, `"tls:decrypted"`, `"method":["GET","POST"],"method-GET":5,"method-POST":1`, `"statuscode":[200,404]`,
				`"uri":["secret.example.org/page.html?q=1","secret.example.org/form","secret.example.org/many/0","secret.example.org/many/1","secret.example.org/many/2","secret.example.org/missing"]`,
				`"useragent":["hidden agent/3"]`, `"requestBody":["user=me&word=hidden"]`, fmt.Sprintf("%x", md5.Sum(page)), `"alt":["secret.example.org"]`, `"next_protocol":["h3"]`,
			} {
				if !strings.Contains(out, w) {
					t.Errorf("%s is not in\n%.3000s", w, out)
				}
			}
			for _, args := range [][]string{{"--reference=false"}, {"--keylog", keys}} { // without keys, and for the reference
				code, out, errText = runCLI(t, append([]string{"spi", "--jsonl", pcap}, args...)...)
				if code != exitOK || !strings.Contains(out, "secret.example.org") || strings.Contains(out, "page.html") || strings.Contains(out, "decrypted") {
					t.Errorf("%q: exit code %d %s\n%s", args, code, errText, out)
				}
			}
		})
	}
}

// TestMailKeyLog holds that mail which smtplib, imaplib, poplib and openssl said to aiosmtpd and Dovecot, in TLS from the beginning or
// after STARTTLS, is read with their key logs. testenv/mail-captures.sh made the captures.
func TestMailKeyLog(t *testing.T) {
	content := []byte(strings.Repeat("%PDF-1.7\nhidden contents\n", 20))
	captures, err := filepath.Glob("testdata/mail/*.pcap")
	if err != nil || len(captures) < 7 {
		t.Fatalf("captures %q, %v", captures, err)
	}
	for _, pcap := range captures {
		name := strings.TrimSuffix(filepath.Base(pcap), ".pcap")
		protocol, _, _ := strings.Cut(strings.Replace(name, "s-tls", "-tls", 1), "-")
		t.Run(name, func(t *testing.T) {
			code, out, errText := runCLI(t, "spi", "--reference=false", "--jsonl", "--keylog", strings.TrimSuffix(pcap, ".pcap")+".keys", pcap)
			if code != exitOK {
				t.Fatalf("exit code %d: %s", code, errText)
			}
			want := []string{
				`"tls:decrypted"`, `"tls"`, `"` + protocol + `"`, `"subject":["Hidden files"]`, `"src":["alice@example.com"]`, `"filename":["hidden.pdf"]`,
				fmt.Sprintf(`"md5":"%x"`, md5.Sum(content)), fmt.Sprintf(`"sha256":"%x"`, sha256.Sum256(content)), `"source":"` + protocol + `"`, `"type":"application/pdf"`,
			}
			if protocol != "smtp" {
				want = append(want, `"user":["alice"]`)
			}
			for _, w := range want {
				if !strings.Contains(out, w) {
					t.Errorf("%s is not in\n%.3000s", w, out)
				}
			}
			code, out, errText = runCLI(t, "spi", "--reference=false", "--jsonl", pcap)
			if code != exitOK || strings.Contains(out, "Hidden files") || strings.Contains(out, "decrypted") {
				t.Errorf("without its keys: exit code %d %s\n%s", code, errText, out)
			}
		})
	}
}

// withSecrets writes a capture as pcapng with the key log in it (draft-ietf-opsawg-pcapng, "Decryption Secrets Block"), in front of
// the packets or behind them, and returns its name. With late not zero they are also behind a packet that comes so much later.
func withSecrets(t *testing.T, capture, keys string, behind bool, late time.Duration) string {
	t.Helper()
	secrets, err := os.ReadFile(keys)
	if err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	w, err := pcapfile.NewNgWriter(&out, "test")
	if err != nil {
		t.Fatal(err)
	}
	c := pcaptest.Read(t, capture)
	if _, err := w.AddInterface(c.Interfaces[0]); err != nil {
		t.Fatal(err)
	}
	if err := w.Flush(); err != nil {
		t.Fatal(err)
	}
	le := binary.LittleEndian
	size := len(secrets)
	for len(secrets)%4 != 0 {
		secrets = append(secrets, 0)
	}
	block := le.AppendUint32(le.AppendUint32(nil, 10), uint32(20+len(secrets)))
	block = append(le.AppendUint32(le.AppendUint32(block, 0x544c534b), uint32(size)), secrets...)
	block = le.AppendUint32(block, uint32(20+len(secrets)))
	if !behind {
		out.Write(block)
	}
	if late > 0 {
		last := c.Records[len(c.Records)-1]
		last.TimeNanos += int64(late)
		c.Records = append(c.Records, last)
	}
	for i := range c.Records {
		if err := w.Write(&c.Records[i]); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Flush(); err != nil {
		t.Fatal(err)
	}
	if behind {
		out.Write(block)
	}
	name := filepath.Join(t.TempDir(), "secrets.pcapng")
	if err := os.WriteFile(name, out.Bytes(), 0o600); err != nil {
		t.Fatal(err)
	}
	return name
}

// sealedBy is how much later a packet must come for an import to have sealed what is before it.
const sealedBy = 2 * time.Hour

// TestSecretsInCapture holds that secrets in a pcapng file are as good as a key log given beside it: for spi, and for an import that
// stores key logs.
func TestSecretsInCapture(t *testing.T) {
	for _, behind := range []bool{false, true} {
		t.Run(fmt.Sprintf("behind=%v", behind), func(t *testing.T) {
			secretsInCapture(t, withSecrets(t, "testdata/tls/tls13-aes256-h2.pcap", "testdata/tls/tls13-aes256-h2.keys", behind, sealedBy))
		})
	}
}

func secretsInCapture(t *testing.T, capture string) {
	t.Helper()
	code, out, errText := runCLI(t, "spi", "--reference=false", "--jsonl", capture)
	if code != exitOK || !strings.Contains(out, "tls:decrypted") || !strings.Contains(out, `"uri":["secret.example.org/page.html"]`) {
		t.Errorf("exit code %d %s\n%s", code, errText, out)
	}
	code, out, _ = runCLI(t, "spi", "--reference=false", "--jsonl", capture, "testdata/tls/tls12-aes128-h2.pcap")
	if code != exitOK || strings.Count(out, `"uri":["secret.example.org/page.html"]`) != 1 {
		t.Errorf("exit code %d; the secrets of one file decrypt another:\n%s", code, out)
	}
	for _, store := range []bool{false, true} {
		dir := "file://" + t.TempDir()
		for _, args := range [][]string{{"import", "-q", "--store", dir, fmt.Sprintf("--store-keylog=%v", store), capture}, {"compactor", "--store", dir, "--once"}} {
			if code, _, errText := runCLI(t, args...); code != exitOK {
				t.Fatalf("%q: exit code %d: %s", args, code, errText)
			}
		}
		_, out, _ := runCLI(t, "sessions", "--store", dir, "http.uri.path == /page.html")
		if got := strings.Count(out, "http2"); got != 1 && store || got != 0 && !store {
			t.Errorf("stored %v: %d sessions decrypted\n%s", store, got, out)
		}
	}
}

// TestSecretsInStream holds what becomes of secrets in a pcapng stream on standard input: spi uses those in front of packets, says
// so of others, and of a file all; an import that stores key logs uses all.
func TestSecretsInStream(t *testing.T) {
	for _, tt := range []struct {
		name         string
		behind, file bool
		spi          bool // decrypts
	}{
		{"in front, of a pipe", false, false, true},
		{"behind, of a pipe", true, false, false},
		{"behind, of a file", true, true, true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			capture := withSecrets(t, "testdata/tls/tls13-aes256-h2.pcap", "testdata/tls/tls13-aes256-h2.keys", tt.behind, sealedBy)
			stdin := func() io.Reader {
				f, err := os.Open(filepath.Clean(capture))
				if err != nil {
					t.Fatal(err)
				}
				t.Cleanup(func() { f.Close() }) //nolint:errcheck // it was only read
				if tt.file {
					return f
				}
				return struct{ io.Reader }{f}
			}
			code, out, errText := runCLIFrom(t, stdin(), "spi", "--reference=false", "--jsonl", "-")
			if got := strings.Contains(out, `"uri":["secret.example.org/page.html"]`); code != exitOK || got != tt.spi {
				t.Errorf("spi: exit code %d %s, decrypted is %v\n%.2000s", code, errText, got, out)
			}
			if got := strings.Contains(errText, "secrets behind packets"); got == tt.spi {
				t.Errorf("spi: warned is %v: %s", got, errText)
			}
			for _, store := range []bool{false, true} {
				dir := t.TempDir()
				code, _, errText := runCLIFrom(t, stdin(), "import", "-q", "--store", "file://"+dir, fmt.Sprintf("--store-keylog=%v", store), "-")
				if code != exitOK {
					t.Fatalf("import: exit code %d: %s", code, errText)
				}
				if _, err := os.Stat(filepath.Join(dir, "keylogs")); (err == nil) != store {
					t.Errorf("key logs stored, want %v: %v", store, err)
				}
				if code, _, errText := runCLI(t, "compactor", "--store", "file://"+dir, "--once"); code != exitOK {
					t.Fatalf("compactor: exit code %d: %s", code, errText)
				}
				_, out, _ := runCLI(t, "sessions", "--store", "file://"+dir, "http.uri.path == /page.html")
				if got := strings.Count(out, "http2"); got != 1 && store || got != 0 && !store {
					t.Errorf("stored %v: %d sessions decrypted\n%s", store, got, out)
				}
			}
		})
	}
}

// TestSecretsInWatchedFiles holds that a sensor that imports files as they come stores the secrets in them when asked, as an import does.
func TestSecretsInWatchedFiles(t *testing.T) {
	capture := withSecrets(t, "testdata/tls/tls13-aes256-h2.pcap", "testdata/tls/tls13-aes256-h2.keys", true, sealedBy)
	for _, ask := range []bool{false, true} {
		dir := t.TempDir()
		store, err := objstore.Open(t.Context(), "file://"+dir, objstore.Options{})
		if err != nil {
			t.Fatal(err)
		}
		a := newApp(telemetry.Build{Version: "v0"})
		a.log, a.reg = slog.New(slog.DiscardHandler), prometheus.NewRegistry()
		a.cfg.Import.StoreKeyLog = ask
		cfg := a.cfg.Sensor
		cfg.Name, cfg.Watch.Sources = "edge1", []string{"file://" + filepath.Dir(capture)}
		w, err := a.sensorWatcher(t.Context(), cfg, store)
		if err != nil {
			t.Fatal(err)
		}
		if err := w.Once(t.Context()); err != nil {
			t.Fatal(err)
		}
		keys, err := filepath.Glob(dir + "/keylogs/sensor=edge1/*/*/*.keys")
		if err != nil || len(keys) != 0 && !ask || len(keys) != 2 && ask { // of two chunks
			t.Errorf("asked %v: %q stored, %v", ask, keys, err)
		}
	}
}

// TestSecretsInLiveStream holds that a sensor stores the secrets of a stream when asked, wherever in it they are, or what
// session.keylog says; and that any compactor then decrypts.
func TestSecretsInLiveStream(t *testing.T) {
	const shown = 50 * time.Second // has the sessions before it ended, and is in their chunk
	const capture, keys = "testdata/tls/tls13-aes256-h2.pcap", "testdata/tls/tls13-aes256-h2.keys"
	for _, tt := range []struct {
		name, read string
		env        map[string]string
		decrypted  int
	}{
		{"not asked", withSecrets(t, capture, keys, false, shown), nil, 0},
		{"in front", withSecrets(t, capture, keys, false, shown), map[string]string{"WIRELAKE_SENSOR_STORE_KEYLOG": "true"}, 1},
		{"behind", withSecrets(t, capture, keys, true, shown), map[string]string{"WIRELAKE_SENSOR_STORE_KEYLOG": "true"}, 1},
		{"of a file", withSecrets(t, capture, "testdata/tls/tls12-aes128-h2.keys", false, shown), map[string]string{"WIRELAKE_SENSOR_STORE_KEYLOG": "true", "WIRELAKE_SESSION_KEYLOG": keys}, 1},
	} {
		t.Run(tt.name, func(t *testing.T) {
			dir, spool := t.TempDir(), t.TempDir()
			for k, v := range tt.env {
				t.Setenv(k, v)
			}
			code, _, errText := runCLI(t, "sensor", "--name", "edge1", "--read", tt.read, "--store", "file://"+dir, "--spool", spool)
			if code != exitOK {
				t.Fatalf("sensor: exit code %d: %s", code, errText)
			}
			for k := range tt.env {
				if err := os.Unsetenv(k); err != nil {
					t.Fatal(err)
				}
			}
			if got := strings.Contains(errText, "secrets of TLS came"); got != (tt.env == nil) {
				t.Errorf("told that secrets are not kept is %v: %s", got, errText)
			}
			stored, err := filepath.Glob(dir + "/keylogs/sensor=edge1/*/*/*.keys")
			if err != nil || (len(stored) == 1) != (tt.env != nil) {
				t.Errorf("%q stored, %v", stored, err)
			}
			if code, _, errText := runCLI(t, "compactor", "--store", "file://"+dir, "--once"); code != exitOK {
				t.Fatalf("compactor: exit code %d: %s", code, errText)
			}
			_, out, _ := runCLI(t, "sessions", "--store", "file://"+dir, "http.uri.path == /page.html")
			if got := strings.Count(out, "http2"); got != tt.decrypted {
				t.Errorf("%d sessions decrypted, want %d\n%s", got, tt.decrypted, out)
			}
			err = filepath.WalkDir(spool, func(path string, d fs.DirEntry, err error) error {
				if err == nil && d.Type().IsRegular() {
					b, err := os.ReadFile(filepath.Clean(path))
					if err != nil || bytes.Contains(b, []byte("TRAFFIC_SECRET")) {
						t.Errorf("%s has secrets, or %v", path, err)
					}
				}
				return err
			})
			if err != nil {
				t.Error(err)
			}
		})
	}
}

// TestStoredKeyLog holds who decrypts what: a compactor with the key log, any
// compactor once the import has stored it, redissect later, and nobody else.
func TestStoredKeyLog(t *testing.T) {
	const capture, keys = "testdata/tls/tls13-aes256-h2.pcap", "testdata/tls/tls13-aes256-h2.keys"
	const quic = "testdata/quic/h3-aes256-update"
	run := func(t *testing.T, args ...string) string {
		t.Helper()
		code, out, errText := runCLI(t, args...)
		if code != exitOK {
			t.Fatalf("%q: exit code %d: %s", args, code, errText)
		}
		return out
	}
	t.Run("QUIC", func(t *testing.T) {
		store := "file://" + t.TempDir()
		run(t, "import", "-q", "--store", store, "--keylog", quic+".keys", "--store-keylog", quic+".pcap")
		run(t, "compactor", "--store", store, "--once")
		if got := run(t, "sessions", "--store", store, "http.uri.path == /page.html"); strings.Count(got, "http3") != 1 {
			t.Errorf("not decrypted: %s", got)
		}
	})
	for _, tt := range []struct {
		name              string
		imports, compacts []string
		stored, decrypted int
	}{
		{"stored with the chunk", []string{"--keylog", keys, "--store-keylog"}, nil, 1, 2},
		{"given to the compactor", []string{"--keylog", keys}, []string{"--keylog", keys}, 0, 2},
		{"given to the import only", []string{"--keylog", keys}, nil, 0, 0},
	} {
		t.Run(tt.name, func(t *testing.T) {
			dir := t.TempDir()
			store := "file://" + dir
			run(t, append([]string{"import", "-q", "--store", store, capture}, tt.imports...)...)
			run(t, append([]string{"compactor", "--store", store, "--once"}, tt.compacts...)...)
			stored, err := filepath.Glob(dir + "/keylogs/*/*/*/*.keys")
			if err != nil || len(stored) != tt.stored {
				t.Errorf("%d key logs stored, want %d (%v)", len(stored), tt.stored, err)
			}
			count := func() int {
				return strings.Count(run(t, "sessions", "--store", store, "http.uri.path == /page.html || http.uri.path == /form"), "http2")
			}
			if got := count(); got != tt.decrypted {
				t.Errorf("%d sessions decrypted, want %d", got, tt.decrypted)
			}
			if tt.decrypted == 0 {
				run(t, "redissect", "--quiet", "--store", store, "--keylog", keys)
				if got := count(); got != 2 {
					t.Errorf("%d sessions decrypted after redissect, want 2", got)
				}
			}
		})
	}
}
