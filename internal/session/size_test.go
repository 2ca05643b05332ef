package session

import (
	"testing"
	"unsafe"
)

// TestSizes holds that the memory counted for a session is not less than what
// its state takes: the structs and their place in the table.
func TestSizes(t *testing.T) {
	const entry = 2 * (unsafe.Sizeof(flow{}.key) + 8) // a table is half full at worst
	if got := unsafe.Sizeof(flow{}) + entry; got > flowBytes {
		t.Errorf("a flow takes %d bytes, %d are counted", got, flowBytes)
	}
	if got := unsafe.Sizeof(conn{}); got > connBytes {
		t.Errorf("a conn takes %d bytes, %d are counted", got, connBytes)
	}
}
