package capture

import (
	"sync"
	"sync/atomic"
)

// counters is what a source's State is made of. Its goroutines write it and
// whoever asks for the state reads it.
type counters struct {
	packets, bytes, drops, malformed, secrets atomic.Uint64

	mu      sync.Mutex
	up      bool
	trouble string
}

// packet counts a packet that was delivered.
func (c *counters) packet(wireLen int) {
	c.packets.Add(1)
	c.bytes.Add(uint64(max(wireLen, 0)))
}

// setUp says that the source delivers.
func (c *counters) setUp() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.up, c.trouble = true, ""
}

// setDown says that the source does not deliver, and why.
func (c *counters) setDown(err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.up = false
	if err != nil {
		c.trouble = err.Error()
	}
}

// note keeps the last trouble of a source that goes on.
func (c *counters) note(err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.trouble = err.Error()
}

// state returns the State of the source with this name and kind.
func (c *counters) state(name, kind string) State {
	s := State{
		Name: name, Kind: kind,
		Packets: c.packets.Load(), Bytes: c.bytes.Load(), KernelDrops: c.drops.Load(), Malformed: c.malformed.Load(), Secrets: c.secrets.Load(),
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	s.Up, s.Error = c.up, c.trouble
	return s
}
