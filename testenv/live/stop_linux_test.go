package live

import (
	"net"
	"path/filepath"
	"testing"

	"wirelake/testenv"
)

// TestStopBeforeTheStoreAnswers ends the sensor while it waits for its store: what came since it listened is kept.
func TestStopBeforeTheStoreAnswers(t *testing.T) {
	testenv.Veth(t, "st0", "st1")
	path := sample(t)
	dir := openTempDir(t)
	spool, archive := filepath.Join(dir, "spool"), filepath.Join(dir, "store")
	silent, err := net.Listen("tcp", "127.0.0.1:0") // takes connections and says nothing
	if err != nil {
		t.Fatal(err)
	}
	defer silent.Close()
	env := []string{
		"WIRELAKE_SENSOR_BLOCKS=192", "WIRELAKE_SENSOR_STOP_TIMEOUT=1s", "AWS_ACCESS_KEY_ID=none", "AWS_SECRET_ACCESS_KEY=none", "AWS_REGION=none",
		"AWS_ENDPOINT_URL_S3=http://" + silent.Addr().String(),
	}

	s := startSensorWith(t, env, "s3://away/archive", []string{"st0"}, "--spool", spool)
	sent := replay(t, "st1", path, 1)
	s.stop()
	t.Logf("%d packets sent\n%s", sent, s.said())
	startSensor(t, "file://"+archive, []string{"st0"}, "--spool", spool).stop()
	if packets, lost := archived(t, archive); lost != 0 || packets.count() != sent {
		t.Errorf("sent %d, archived %d, lost %d", sent, packets.count(), lost)
	}
}
