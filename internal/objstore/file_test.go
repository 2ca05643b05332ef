package objstore_test

import (
	"testing"

	"wirelake/internal/objstore"
	"wirelake/internal/objstore/storetest"
)

func openFile(t *testing.T) objstore.Store {
	t.Helper()
	s, err := objstore.Open(t.Context(), "file://"+t.TempDir(), objstore.Options{})
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func TestFileStore(t *testing.T) {
	storetest.Run(t, openFile)
	storetest.RunLarge(t, openFile)
}
