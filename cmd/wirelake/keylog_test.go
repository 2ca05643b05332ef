package main

import (
	"path/filepath"
	"slices"
	"strings"
	"testing"
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
					t.Errorf("%s is not in\n%s", w, out)
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

// TestStoredKeyLog holds who decrypts what: a compactor with the key log, any
// compactor once the import has stored it, redissect later, and nobody else.
func TestStoredKeyLog(t *testing.T) {
	const capture, keys = "testdata/tls/tls13-aes256-h2.pcap", "testdata/tls/tls13-aes256-h2.keys"
	run := func(t *testing.T, args ...string) string {
		t.Helper()
		code, out, errText := runCLI(t, args...)
		if code != exitOK {
			t.Fatalf("%q: exit code %d: %s", args, code, errText)
		}
		return out
	}
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
	if code, _, errText := runCLI(t, "import", "--store", "file://"+t.TempDir(), "--store-keylog", capture); code != exitUsage || !strings.Contains(errText, "--keylog") {
		t.Errorf("--store-keylog without --keylog: exit code %d, %s", code, errText)
	}
}
