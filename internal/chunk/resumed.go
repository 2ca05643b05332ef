package chunk

import "strings"

// ResumedPrefix is what the keys begin with of the objects that say that a lane goes on which had ended:
//
//	state/resumed/sensor=<sensor>/lane=<lane>
//
// Who stores the first chunk behind one that is Final writes the object, which is empty, before; who follows lanes looks
// at the lane again, which may have taken a long rest, and deletes it.
const ResumedPrefix = "state/resumed/"

// ResumedKey returns the object's key.
func ResumedKey(sensor, lane string) string {
	return ResumedPrefix + strings.TrimSuffix(strings.TrimPrefix(LanePrefix(sensor, lane), keyPrefix), "/")
}

// ResumedLane returns the prefix of the chunks of the lane that the key of such an object names.
func ResumedLane(key string) string {
	return keyPrefix + strings.TrimPrefix(key, ResumedPrefix) + "/"
}
