package packet

// Decoder decodes the frames of one stream of packets. It holds the fragment table of that stream, so
// packets must come in capture order; it is not safe for concurrent use.
type Decoder struct {
	linkType uint32
	frags    fragTable
}

// Options are the rare settings of a Decoder; the zero value is right for most.
type Options struct {
	// FragmentLimit is how many datagrams whose fragments are on their way are remembered (default 4096).
	FragmentLimit int
}

// NewDecoder returns a decoder for frames of the given link type (LINKTYPE_ number, as in pcap files).
// A link type that is not known is no error: its packets get a key of KindUnknown.
func NewDecoder(linkType uint32, o Options) *Decoder {
	d := &Decoder{linkType: linkType}
	d.frags.init(o.FragmentLimit)
	return d
}

// Decode decodes the frame data, captured at timeNanos and wireLen bytes long on the wire, into p.
//
// It always yields a key: whatever is wrong with the frame is told by p.Mark and p.Truncated. The
// slices of p point into data. It never panics and never allocates.
func (d *Decoder) Decode(data []byte, timeNanos int64, wireLen int, p *Packet) {
	p.reset()
	p.TimeNanos, p.WireLen, p.CapLen, p.LinkType = timeNanos, uint32(wireLen), uint32(len(data)), d.linkType
	d.decodeLink(data, p)
}
