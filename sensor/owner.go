package sensor

import (
	"fmt"
	"log/slog"
	"time"

	"wirelake/internal/lease"
	"wirelake/internal/objstore"
	"wirelake/internal/sensorstatus"
)

// HeldError says that another sensor runs under the name.
type HeldError struct {
	Sensor string
	lease.Record
}

func (e *HeldError) Error() string {
	return fmt.Sprintf("sensor %s runs already, on host %s (pid %d) for %v, with a sign of life %v ago: give this one another name, or stop that one",
		e.Sensor, e.Holder.Host, e.Holder.PID, time.Since(e.Taken).Round(time.Second), time.Since(e.Renewed).Round(time.Second))
}

// newOwner returns the lease on a sensor's name: the right to upload under it. A process
// with the same spool takes it at once: it has the spool's lock, so the holder is gone.
func newOwner(store objstore.Store, sensor, spoolID string, ttl time.Duration, log *slog.Logger) *lease.Lease {
	self := lease.ThisProcess()
	self.Machine, self.Started, self.Spool = "", "", spoolID
	return lease.New(lease.Config{Store: store, Key: sensorstatus.LeaseKey(sensor), TTL: ttl, Self: self, Log: log})
}
