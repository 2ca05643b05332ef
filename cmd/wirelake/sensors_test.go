package main

import (
	"bytes"
	"encoding/json"
	"os"
	"strings"
	"testing"
	"time"

	"wirelake/internal/objstore"
	"wirelake/internal/sensorstatus"
)

func testStatuses(now time.Time) []sensorstatus.Status {
	offset := -0.2
	return []sensorstatus.Status{
		{
			Sensor: "edge1", Written: now.Add(-4 * time.Second), ClockOffset: &offset,
			Interfaces: []sensorstatus.Interface{
				{Name: "eth0", Up: true, Packets: 1_234_567, PacketsPerSecond: 81_250, BitsPerSecond: 412e6, DropsPerSecond: 12.5, KernelDrops: 40},
				{Name: "eth1", Packets: 5, Error: "interface is down\x1b[31m"},
			},
			Drops: sensorstatus.Drops{Kernel: 40, QuotaOldest: 2}, Spool: sensorstatus.Spool{BacklogBytes: 3 << 29, OldestUnsent: now.Add(-100 * time.Second)},
			Problems: []string{sensorstatus.LossProblem + " 3s ago: kernel 40"},
		},
		{
			Sensor: "edge2", Written: now.Add(-3 * time.Hour), Interfaces: []sensorstatus.Interface{{Name: "tcp://10.0.0.1:57012", Up: true, Packets: 7, PacketsPerSecond: 9}},
			Error: &sensorstatus.Trouble{Time: now.Add(-4 * time.Hour), Text: "put: connection refused"},
		},
	}
}

func TestSensorsTable(t *testing.T) {
	now := time.Unix(1772532000, 0).UTC()
	var views []sensorstatus.View
	for _, s := range testStatuses(now) {
		views = append(views, sensorstatus.NewView(s, now))
	}
	var b bytes.Buffer
	if err := writeSensors(&b, views, now, false); err != nil {
		t.Fatal(err)
	}
	want := `SENSOR                  STATE   AGE  PACKETS/s  BIT/s  DROPS/s  PACKETS  LOST   SPOOL  OLDEST  CLOCK
edge1                   losing   4s        81k   412M       12  1234572    42  1.5GiB    100s  -0.2s
  eth0                  up                 81k   412M       12  1234567    40
  eth1                  down                 0      0        0        5     0
    interface is down?[31m
  ! packets were lost 3s ago: kernel 40
edge2                   stale    3h          -      -        -        7     0      0B       -      -
  tcp://10.0.0.1:57012                       -      -        -        7     0
  last error, 4h ago: put: connection refused
`
	if got := b.String(); got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
	b.Reset()
	if err := writeSensors(&b, views, now, true); err != nil {
		t.Fatal(err)
	}
	for _, text := range []string{red + "losing" + plain, yellow + "stale" + plain, yellow + "down" + plain, red + "42" + plain} {
		if !strings.Contains(b.String(), text) {
			t.Errorf("%q is not in colour:\n%q", text, b.String())
		}
	}
}

func TestSensorsCommand(t *testing.T) {
	url := "file://" + t.TempDir()
	store, err := objstore.Open(t.Context(), url, objstore.Options{})
	if err != nil {
		t.Fatal(err)
	}
	if code, out, text := runCLI(t, "sensors", "--store", url); code != exitOK || out != "" || !strings.Contains(text, "no sensor has written a status") {
		t.Errorf("without sensors: %d %q %q", code, out, text)
	}
	for _, s := range testStatuses(time.Now()) {
		if _, err := sensorstatus.Put(t.Context(), store, &s); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := objstore.PutBytes(t.Context(), store, sensorstatus.Key("bad"), []byte(`{"version":9}`)); err != nil {
		t.Fatal(err)
	}
	code, out, text := runCLI(t, "sensors", "--store", url)
	if code != exitOK || !strings.Contains(out, "losing") || strings.Contains(out, "\x1b") || !strings.Contains(text, "state/sensors/bad.json") {
		t.Errorf("table: %d\n%s%s", code, out, text)
	}
	code, out, _ = runCLI(t, "sensors", "--store", url, "--format", "json")
	var got struct {
		Sensors []sensorstatus.View `json:"sensors"`
	}
	if err := json.Unmarshal([]byte(out), &got); err != nil || code != exitOK {
		t.Fatalf("json: %d %v\n%s", code, err, out)
	}
	if len(got.Sensors) != 2 || got.Sensors[0].Condition != sensorstatus.Losing || got.Sensors[0].Lost != 42 || got.Sensors[1].Condition != sensorstatus.Stale {
		t.Errorf("got %+v", got.Sensors)
	}
	if code, _, text := runCLI(t, "sensors", "--store", url, "--format", "xml"); code != exitUsage || !strings.Contains(text, "xml") {
		t.Errorf("xml: %d %q", code, text)
	}
}

// Captures under a prefix of another store are imported once, however often the command runs.
func TestImportObjects(t *testing.T) {
	captures, archive := t.TempDir(), "file://"+t.TempDir()
	sample, err := os.ReadFile("../../testenv/sample/sample.pcap.gz")
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"2026/a.pcap.gz", "2026/b.pcap.gz"} {
		source, err := objstore.Open(t.Context(), "file://"+captures, objstore.Options{})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := objstore.PutBytes(t.Context(), source, name, sample); err != nil {
			t.Fatal(err)
		}
	}
	source := "file://" + captures + "/2026"
	code, first, text := runCLI(t, "import", "--store", archive, source)
	if code != exitOK || !strings.Contains(first, "imported from "+source) || strings.HasPrefix(first, "0 packets") {
		t.Fatalf("%d %q %q", code, first, text)
	}
	if code, out, text := runCLI(t, "import", "--store", archive, source); code != exitOK || !strings.HasPrefix(out, "0 packets") {
		t.Errorf("once more: %d %q %q", code, out, text)
	}
	if code, _, text := runCLI(t, "import", "--store", archive, source, captures); code != exitUsage || !strings.Contains(text, "imported alone") {
		t.Errorf("with a folder: %d %q", code, text)
	}
	if code, _, text := runCLI(t, "import", "--store", archive, archive); code != exitError || !strings.Contains(text, "the archive itself") {
		t.Errorf("of the archive: %d %q", code, text)
	}
}
