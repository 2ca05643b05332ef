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
