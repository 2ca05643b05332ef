package sensor

import (
	"bytes"
	"encoding/json"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"wirelake/internal/objstore"
	"wirelake/testenv"
)

// TestSessionsTellOfCutAndLoss captures with a rule and with losses, compacts, and
// searches for both.
func TestSessionsTellOfCutAndLoss(t *testing.T) {
	url := "file://" + filepath.Join(t.TempDir(), "store")
	store, err := objstore.Open(t.Context(), url, objstore.Options{})
	if err != nil {
		t.Fatal(err)
	}
	cfg := liveConfig(t)
	cfg.Cut = []CutRule{{"tls", 1000}}
	hello := tlsHello()
	const n = 50
	// Flow A is TLS and cut, flow B is not. A packet much later ends both.
	at := func(i int) int64 { return testStart + int64(i)*1000 + int64(i/(2*n))*int64(time.Hour) }
	g := &generator{lane: "gen0-0", to: 2*n + 1, dropsEvery: 1000, time: at, packet: func(i int) []byte {
		if i == 2*n {
			return udp(1, 1, nil)
		}
		host, port := byte(1+i%2), uint16(8443-i%2)
		payload := bytes.Repeat([]byte{byte(i)}, 400)
		if i == 0 {
			payload = hello
		}
		return tcp(host, 40000, port, false, 0x18, payload)
	}}
	if err := newSensor(t, store, cfg, g).Run(t.Context()); err != nil {
		t.Fatal(err)
	}
	program := testenv.Wirelake(t)
	if out, err := exec.CommandContext(t.Context(), program, "compactor", "--once", "--store", url).CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	sessions := func(expression string) []map[string]any {
		t.Helper()
		out, err := exec.CommandContext(t.Context(), program, "sessions", "--store", url, "--format", "json", expression).Output()
		if err != nil {
			t.Fatalf("%s: %v", expression, err)
		}
		var all []map[string]any
		if err := json.Unmarshal(out, &all); err != nil {
			t.Fatalf("%v in %s", err, out)
		}
		return all
	}
	cut := sessions("capture.cut > 0")
	if len(cut) != 1 {
		t.Fatalf("%d sessions are cut: %v", len(cut), cut)
	}
	// The hello and three packets are whole, 100 + 3*400 bytes being the first sum of 1000 and more.
	want := float64((n - 1 - 3) * 400)
	if c, ok := cut[0]["capture"].(map[string]any); !ok || c["cut"] != want || c["loss"] != 1.0 {
		t.Errorf("capture is %v, want %v bytes cut and 1 packet lost", cut[0]["capture"], want)
	}
	if network, ok := cut[0]["network"].(map[string]any); !ok || network["packets"] != float64(n) || network["bytes"] != float64(54*n+len(hello)+400*(n-1)) {
		t.Errorf("network is %v: counts must be those of the wire", cut[0]["network"])
	}
	if lost := sessions("capture.loss == 1"); len(lost) != 2 {
		t.Errorf("%d sessions tell of loss, want 2", len(lost))
	}
}
