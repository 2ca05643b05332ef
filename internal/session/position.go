package session

// Position says where the record of a packet is: its chunk, by a number that the
// caller gives, and the bytes of its record in the chunk's decompressed stream.
// Length 0 means that the position is not wanted.
type Position struct {
	Chunk  uint32
	Length uint32 // of the record, header included
	Offset uint64
}

// Range is a run of records of one session that lie next to each other in a chunk.
type Range struct {
	Chunk      uint32
	Packets    uint32
	Start, End uint64 // in the chunk's decompressed stream
}

// addPosition appends the record to the ranges, in the order of the packets.
func addPosition(r []Range, p Position) []Range {
	if p.Length == 0 {
		return r
	}
	if n := len(r); n > 0 && r[n-1].Chunk == p.Chunk && r[n-1].End == p.Offset {
		r[n-1].End += uint64(p.Length)
		r[n-1].Packets++
		return r
	}
	return append(r, Range{Chunk: p.Chunk, Packets: 1, Start: p.Offset, End: p.Offset + uint64(p.Length)})
}
