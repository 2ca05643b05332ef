package objstore_test

import (
	"fmt"
	"net"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"wirelake/internal/objstore"
	"wirelake/internal/objstore/storetest"
	"wirelake/testenv"
)

// loopbackOnly refuses every address that is not this machine's, so that no
// setting of the environment leads a test to a real bucket.
func loopbackOnly(_, address string, _ syscall.RawConn) error {
	host, _, err := net.SplitHostPort(address)
	if ip := net.ParseIP(host); err != nil || !ip.IsLoopback() {
		return fmt.Errorf("a test would leave the machine for %s", address)
	}
	return nil
}

// testOptions retries as in service, but gives up on a silent server sooner.
func testOptions() objstore.Options {
	return objstore.Options{DialControl: loopbackOnly, Config: objstore.Config{Timeout: 10 * time.Second}}
}

// opener returns a function that opens ever new prefixes of the bucket.
func opener(bucket *testenv.S3, opts objstore.Options) func(t *testing.T) objstore.Store {
	var prefixes atomic.Int64
	return func(t *testing.T) objstore.Store {
		t.Helper()
		s, err := objstore.Open(t.Context(), bucket.URL(fmt.Sprintf("pre/fix-%d", prefixes.Add(1))), opts)
		if err != nil {
			t.Fatal(err)
		}
		return s
	}
}

func s3Bucket(t *testing.T) *testenv.S3 {
	t.Helper()
	bucket := testenv.MinIO(t)
	bucket.Setenv(t)
	return bucket
}

func TestS3Store(t *testing.T) {
	open := opener(s3Bucket(t), testOptions())
	storetest.Run(t, open)
	storetest.RunLarge(t, storetest.MemoryLimit, open)
}
