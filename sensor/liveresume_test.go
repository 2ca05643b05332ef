package sensor

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"

	"wirelake/internal/objstore"
	"wirelake/testenv"
)

// TestUploadGoesOnAfterAKill kills the program in the middle of an upload in parts, and
// counts what goes over the wire when it is started again: only the parts that the store
// does not have.
func TestUploadGoesOnAfterAKill(t *testing.T) {
	const packets, part = 40_000, 5 << 20
	minio, dir := testenv.MinIO(t), t.TempDir()
	minio.Setenv(t)
	folder := filepath.Join(dir, "spool")
	file := func(name string, from, to int) string {
		var all []testPacket
		for n := from; n < to; n++ {
			all = append(all, testPacket{nanos: testStart + int64(n)*1e6, data: numbered(n)})
		}
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, pcap(all), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	run := func(proxy *testenv.FaultyProxy, packets string) *process {
		settings := filepath.Join(dir, "wirelake.yaml")
		text := fmt.Sprintf("store: s3://%s/resumed?path_style=true\nobject_store: {part_size: 5MiB, part_concurrency: 1}\nsensor: {name: s1, spool: %s, read: [%s], chunk_bytes: 64MiB, lease_ttl: 3s}\n", minio.Bucket, folder, packets)
		if err := os.WriteFile(settings, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		t.Setenv("AWS_ENDPOINT_URL_S3", "http://"+proxy.Addr())
		return startSensor(t, "--config", settings)
	}
	var note struct{ Key, Upload string }
	stored := func() (n int64) { // bytes of the parts of the upload that is noted
		notes, err := filepath.Glob(filepath.Join(folder, "lanes", "*", "upload.json"))
		if err != nil || len(notes) != 1 {
			return 0
		}
		b, err := os.ReadFile(notes[0])
		if err != nil {
			t.Fatal(err)
		}
		if err := json.Unmarshal(b, &note); err != nil {
			t.Fatal(err)
		}
		parts, err := minio.Client().ListParts(t.Context(), &s3.ListPartsInput{Bucket: &minio.Bucket, Key: aws.String("resumed/" + note.Key), UploadId: &note.Upload})
		if err != nil {
			t.Fatal(err)
		}
		for _, p := range parts.Parts {
			n += aws.ToInt64(p.Size)
		}
		return n
	}

	slow := testenv.Proxy(t, minio.Addr())
	slow.BandwidthRequests(3 << 10) // seconds between the second part and the last
	p := run(slow, file("first.pcap", 0, packets))
	waitFor(t, "two parts", func() bool { return stored() >= 2*part })
	if err := p.cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = p.cmd.Wait() // killed
	slow.Down()      // nothing of it comes late
	had := stored()
	chunks, err := filepath.Glob(filepath.Join(folder, "lanes", "*", "*.pcap.zst"))
	if err != nil || len(chunks) != 1 {
		t.Fatalf("chunks in the spool: %v, %v\n%s", chunks, err, p.logged())
	}
	info, err := os.Stat(chunks[0])
	if err != nil {
		t.Fatal(err)
	}
	missing := info.Size() - had
	if had < 2*part || missing < part {
		t.Fatalf("the store has %d of %d bytes: it was not the middle", had, info.Size())
	}

	counted := testenv.Proxy(t, minio.Addr())
	p = run(counted, file("second.pcap", packets, packets+1))
	if err := p.cmd.Wait(); err != nil {
		t.Fatalf("%v\n%s", err, p.logged())
	}
	waitFor(t, "the bytes to be counted", func() bool { return counted.RequestBytes() >= missing })
	sent := counted.RequestBytes()
	t.Logf("a chunk of %d bytes: the store had %d; %d were missing, and %d went over the wire in all", info.Size(), had, missing, sent)
	if sent > missing+256<<10 {
		t.Errorf("%d bytes went over the wire, %d were missing", sent, missing)
	}
	if !strings.Contains(p.logged(), "upload resumed") {
		t.Error("the log does not tell of it")
	}
	store, err := objstore.Open(t.Context(), minio.URL("resumed"), objstore.Options{})
	if err != nil {
		t.Fatal(err)
	}
	readArchive(t, store).wantPackets(t, packets+1, 0)
	notes, err := filepath.Glob(filepath.Join(folder, "lanes", "*", "upload.json"))
	if err != nil || len(notes) != 0 {
		t.Errorf("notes of finished uploads: %v, %v", notes, err)
	}
	if _, err := minio.Client().ListParts(t.Context(), &s3.ListPartsInput{Bucket: &minio.Bucket, Key: aws.String("resumed/" + note.Key), UploadId: &note.Upload}); err == nil {
		t.Error("the upload is still open in the store")
	}
	if _, err := os.Stat(chunks[0]); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("the chunk in the spool: %v", err)
	}
}
