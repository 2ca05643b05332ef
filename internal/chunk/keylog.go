package chunk

import "strings"

const (
	keyLogPrefix = "keylogs/"
	keyLogSuffix = ".keys"
)

// KeyLogKey returns the object key of the key log that may be stored for the
// chunk with the key, as text (package keylog): secrets of the TLS connections
// whose ClientHello is in the chunk. It lies under a prefix of its own, so that who
// may read packets need not be able to read keys:
//
//	keylogs/sensor=<sensor>/lane=<lane>/day=<YYYY-MM-DD>/<KeyNanos>-<Sequence>.keys
func KeyLogKey(key string) string {
	return keyLogPrefix + strings.TrimSuffix(strings.TrimPrefix(key, keyPrefix), keySuffix) + keyLogSuffix
}

// KeyLogPrefix is what the keys of all key logs of a lane begin with.
func KeyLogPrefix(sensor, lane string) string {
	return keyLogPrefix + strings.TrimPrefix(LanePrefix(sensor, lane), keyPrefix)
}
