package testenv_test

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"

	"wirelake/testenv"
)

// fetch returns status and body of a GET that asks for JSON.
func fetch(t *testing.T, u string) (int, []byte) {
	t.Helper()
	req, err := http.NewRequest(http.MethodGet, u, nil)
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Accept", "application/json")
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatalf("%s: %v", u, err)
	}
	return resp.StatusCode, b
}

// sessionsOf returns the answer of /api/sessions.
func sessionsOf(t *testing.T, base string, kv ...string) (a struct {
	Data            []map[string]any
	RecordsTotal    int
	RecordsFiltered int
	Warnings        []string
},
) {
	t.Helper()
	q := url.Values{"date": {"-1"}}
	for i := 0; i < len(kv); i += 2 {
		q.Set(kv[i], kv[i+1])
	}
	status, body := fetch(t, base+"/api/sessions?"+q.Encode())
	if err := json.Unmarshal(body, &a); err != nil || status != http.StatusOK {
		t.Fatalf("%v: %d %v %.300s", kv, status, err, body)
	}
	return a
}

// countPackets lets tshark read a capture.
func countPackets(t *testing.T, capture []byte) int {
	t.Helper()
	cmd := exec.Command(testenv.Tshark(t), "-r", "-", "-T", "fields", "-e", "frame.number")
	cmd.Stdin = bytes.NewReader(capture)
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("tshark: %v", err)
	}
	return bytes.Count(out, []byte("\n"))
}

// TestAPI serves an archive on MinIO, and then lets things go wrong with it.
func TestAPI(t *testing.T) {
	bucket := testenv.MinIO(t)
	proxy := testenv.Proxy(t, bucket.Addr())
	bucket.Setenv(t)
	store := bucket.URL("archive")
	sample, err := filepath.Abs("sample/sample.pcap.gz")
	if err != nil {
		t.Fatal(err)
	}
	for _, sensor := range []string{"east", "west"} {
		run(t, "import", "--store", store, "--sensor", sensor, sample)
	}
	run(t, "compactor", "--store", store, "--once")
	base := serveQuery(t, "--store", bucket.Via(proxy.Addr()).URL("archive"))

	all := sessionsOf(t, base, "length", "10000", "fields", "*")
	var east []json.RawMessage
	if err := json.Unmarshal(run(t, "sessions", "--store", store, "--format", "json", "node == east"), &east); err != nil || len(east) == 0 {
		t.Fatalf("wirelake sessions: %v, %d of them", err, len(east))
	}
	want := len(east)
	if all.RecordsTotal != 2*want || all.RecordsFiltered != 2*want || len(all.Data) != 2*want {
		t.Fatalf("%d sessions stored, %d found, %d rows; want %d", all.RecordsTotal, all.RecordsFiltered, len(all.Data), 2*want)
	}
	packets := 0
	for _, d := range all.Data {
		if d["node"] == "east" {
			packets += int(d["network"].(map[string]any)["packets"].(float64))
		}
	}
	for _, format := range []string{"pcap", "pcapng"} {
		status, capture := fetch(t, base+"/api/sessions."+format+"?date=-1&expression="+url.QueryEscape("node == east"))
		if n := countPackets(t, capture); status != http.StatusOK || n != packets {
			t.Errorf("%s: status %d, %d packets, the sessions have %d", format, status, n, packets)
		}
	}
	one := sessionsOf(t, base, "expression", `node == east && http.method == GET && ip == ipv4`, "length", "1").Data[0]
	path := fmt.Sprintf("%s/api/session/east/%s", base, one["id"])
	checkPackets(t, path)
	if status, csv := fetch(t, base+"/api/sessions.csv?date=-1&fields=id,source.ip"); status != http.StatusOK || bytes.Count(csv, []byte("\n")) != 2*want+1 {
		t.Errorf("CSV: status %d, %d lines", status, bytes.Count(csv, []byte("\n")))
	}

	damage(t, bucket, base, path, want)

	// The store goes away: 503, and all is well when it is back.
	proxy.Down()
	for _, u := range []string{base + "/api/sessions?date=-1", path + ".pcap", path, base + "/readyz"} {
		status, body := fetch(t, u)
		if status != http.StatusServiceUnavailable {
			t.Errorf("%s without the store: %d %.200s", u, status, body)
		}
	}
	if status, _ := fetch(t, base+"/healthz"); status != http.StatusOK {
		t.Errorf("healthz without the store: %d", status)
	}
	proxy.Up()
	deadline := time.Now().Add(30 * time.Second)
	for {
		status, _ := fetch(t, base+"/readyz")
		if status == http.StatusOK {
			break
		}
		if time.Now().After(deadline) {
			t.Fatalf("not ready after the store came back: %d", status)
		}
		time.Sleep(200 * time.Millisecond)
	}
	if a := sessionsOf(t, base); a.RecordsFiltered != want {
		t.Errorf("%d sessions after the store came back, want %d", a.RecordsFiltered, want)
	}
}

// checkPackets looks at the packets of an HTTP session.
func checkPackets(t *testing.T, path string) {
	t.Helper()
	status, body := fetch(t, path+"/packets")
	var a struct {
		Total   int
		Packets []struct {
			N             int
			Src           bool
			Data          string
			PayloadOffset int
			PayloadLength int
			Summary       string
		}
	}
	if err := json.Unmarshal(body, &a); err != nil || status != http.StatusOK || a.Total != len(a.Packets) || a.Total == 0 {
		t.Fatalf("%s: %d %v %.300s", path, status, err, body)
	}
	payload := map[bool]string{}
	for _, p := range a.Packets {
		data, err := base64.StdEncoding.DecodeString(p.Data)
		if err != nil {
			t.Fatal(err)
		}
		payload[p.Src] += string(data[p.PayloadOffset : p.PayloadOffset+p.PayloadLength])
	}
	if !strings.HasPrefix(payload[true], "GET ") || !strings.HasPrefix(payload[false], "HTTP/1.") {
		t.Errorf("payloads begin %.20q and %.20q", payload[true], payload[false])
	}
	if status, capture := fetch(t, path+".pcap"); status != http.StatusOK || countPackets(t, capture) != a.Total {
		t.Errorf("%s.pcap: %d, %d packets, want %d", path, status, countPackets(t, capture), a.Total)
	}
	resp, err := http.Get(path + "/packets?base=ascii")
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	html, err := io.ReadAll(resp.Body)
	if err != nil || !strings.HasPrefix(resp.Header.Get("Content-Type"), "text/html") || !bytes.Contains(html, []byte("GET /")) {
		t.Errorf("HTML: %v %s %.300s", err, resp.Header.Get("Content-Type"), html)
	}
}

// damage removes the chunks of the east and breaks the Parquet files of the west: the answers name what is gone, and
// serve the rest.
func damage(t *testing.T, bucket *testenv.S3, base, east string, want int) {
	t.Helper()
	client := bucket.Client()
	list, err := client.ListObjectsV2(t.Context(), &s3.ListObjectsV2Input{Bucket: aws.String(bucket.Bucket), Prefix: aws.String("archive/")})
	if err != nil {
		t.Fatal(err)
	}
	broken := ""
	for _, o := range list.Contents {
		switch key := *o.Key; {
		case strings.Contains(key, "chunks/sensor=east/"):
			_, err = client.DeleteObject(t.Context(), &s3.DeleteObjectInput{Bucket: aws.String(bucket.Bucket), Key: o.Key})
		case strings.Contains(key, "sensor=west/") && strings.HasSuffix(key, ".parquet"):
			broken = strings.TrimPrefix(key, "archive/")
			_, err = client.PutObject(t.Context(), &s3.PutObjectInput{Bucket: aws.String(bucket.Bucket), Key: o.Key, Body: bytes.NewReader(bytes.Repeat([]byte("not Parquet"), 1000))})
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	for _, u := range []string{east + ".pcap", east + "/packets"} {
		if status, body := fetch(t, u); status != http.StatusGone || !bytes.Contains(body, []byte("gone")) {
			t.Errorf("%s without chunks: %d %.200s", u, status, body)
		}
	}
	if status, _ := fetch(t, east); status != http.StatusOK {
		t.Errorf("the document of a session without chunks: %d", status)
	}
	if status, capture := fetch(t, base+"/api/sessions.pcapng?date=-1&expression="+url.QueryEscape("node == east")); status != http.StatusOK || countPackets(t, capture) != 0 {
		t.Errorf("an export of sessions without chunks: %d", status)
	}
	a := sessionsOf(t, base)
	if a.RecordsFiltered != want || len(a.Warnings) == 0 || !strings.Contains(strings.Join(a.Warnings, "\n"), broken) {
		t.Errorf("with %s broken: %d sessions of %d, warnings %q", broken, a.RecordsFiltered, want, a.Warnings)
	}
}
