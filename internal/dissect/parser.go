package dissect

// Dir is the side that sent bytes, relative to the session.
type Dir uint8

// The directions of a session.
const (
	Client Dir = 0 // from the session's source
	Server Dir = 1 // from the session's destination
)

// Other returns the opposite direction.
func (d Dir) Other() Dir { return d ^ 1 }

// Status is what a parser wants next.
type Status uint8

const (
	// More asks for the following bytes too.
	More Status = iota
	// DirDone says that nothing more of this direction is wanted.
	DirDone
	// Done says that nothing more of the session is wanted. Only End is called after it.
	Done
)

// Parser reads one protocol of one session. Embed [Base] and override what the
// protocol needs. Methods of one parser are never called at the same time. No
// method may keep the bytes it is given.
type Parser interface {
	// Parse reads a byte stream (TCP). b holds all bytes of the direction, in
	// order, that the parser has not consumed yet: at least those it left last
	// time and one more. It returns how many it is finished with; the rest come
	// again in front of the bytes that follow. Consume all that can be consumed:
	// Parse is not called again before new bytes arrive. Bodies should be
	// consumed as they come: a session may hold at most [Limits].Buffer bytes,
	// past it the parser is dropped and the session tagged.
	Parse(s *Session, dir Dir, b []byte) (n int, st Status)

	// Gap says that missing bytes of the direction will never come; what was not
	// consumed before them is dropped. The next Parse starts behind the gap.
	Gap(s *Session, dir Dir, missing int) Status

	// Datagram reads one datagram (UDP), one DATA chunk (SCTP), the payload of
	// one IP packet (matchers by IP protocol, transport header included) or of
	// one frame (matchers by ethertype).
	Datagram(s *Session, dir Dir, b []byte) Status

	// End is called each time the session's document is saved, with final false
	// for a segment of a session that goes on. It writes what was gathered; after
	// a segment the document is a new, empty one.
	End(s *Session, final bool)
}

// Base is a Parser that wants nothing: embed it, and override what the protocol needs.
type Base struct{}

// Parse implements Parser.
func (Base) Parse(*Session, Dir, []byte) (int, Status) { return 0, Done }

// Gap implements Parser: by default a parser ends at the first gap.
func (Base) Gap(*Session, Dir, int) Status { return Done }

// Datagram implements Parser.
func (Base) Datagram(*Session, Dir, []byte) Status { return Done }

// End implements Parser.
func (Base) End(*Session, bool) {}
