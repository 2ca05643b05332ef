package capture

// Position says where the packets of a lane stand in the ring that they come from:
// the next packet is packet number Packet of the ring's block Block, both counted as
// the kernel does, blocks from 1 and packets in a block from 0. The zero Position says
// that there is no ring.
type Position struct {
	Ring   uint64 `json:"ring"` // random identity of the ring, not 0
	Block  uint64 `json:"block"`
	Packet uint64 `json:"packet"`
	Passed uint64 `json:"passed"` // packets of the ring before that one
	Drops  uint64 `json:"drops"`  // packets lost before them, of which the lane was told
}

// Before reports whether p comes before o in the same ring.
func (p Position) Before(o Position) bool {
	if p.Passed != o.Passed {
		return p.Passed < o.Passed
	}
	if p.Block != o.Block {
		return p.Block < o.Block
	}
	return p.Drops < o.Drops
}

// Log is a Sink that outlives the process: what it has written is there at the next
// start. A ring that outlives the process as well gives no block back to the kernel
// before its packets are written, and goes on where the log ends: so each packet is in
// the log once.
//
// Like a Sink it belongs to one goroutine, except for Note and Noted.
type Log interface {
	Sink
	// Resume returns where the log ended when this process found it; the zero Position
	// when it does not know. It reads what was written last.
	Resume() (Position, error)
	// At says where the next packet stands. It is called at the beginning of each block.
	At(p Position)
	// Taken is how many packets were given to Packet so far, and Written how many of
	// them, from the first, are in the log for good: written, or counted there as lost.
	Taken() uint64
	Written() uint64
	// Hurry asks for all that was flushed to be written now.
	Hurry()
	// Note keeps a few bytes, at most MaxNoteBytes, for the next process, and Noted
	// returns those of the process before; nil when there are none. A nil note takes
	// them away. They survive the process, and need not survive the machine.
	Note(b []byte) error
	Noted() ([]byte, error)
}

// MaxNoteBytes is the most bytes of a Log's note: a write of so much is whole or not there.
const MaxNoteBytes = 4096
