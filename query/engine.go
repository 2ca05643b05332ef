package query

import (
	"context"
	"errors"
	"io"
	"iter"
	"slices"
	"time"

	"wirelake/internal/expr"
	"wirelake/internal/spi"
)

// Errors that callers tell apart; engines wrap them with what failed on what.
var (
	// ErrNotFound means that there is no such session.
	ErrNotFound = errors.New("session not found")
	// ErrGone means that the session is known, but the chunks of its packets are not in the store any more.
	ErrGone = errors.New("packets are gone")
	// ErrUnavailable means that the store or Elasticsearch could not be reached, after retries.
	ErrUnavailable = errors.New("unavailable")
)

// Engine finds session documents. It is safe for concurrent use.
//
// Engines skip what they cannot read (a corrupt Parquet file) and say so in warnings: the rest is still
// served. They return an error only when there is no answer at all. A cancelled ctx ends all work.
type Engine interface {
	// Search returns one page of the sessions that match, their number and the histogram asked for.
	Search(ctx context.Context, s *Search) (*Result, error)

	// Each yields every session that matches, for exports, in bounded memory. S.Sort, s.Start, s.Length and
	// s.Histogram are not looked at. Days come in ascending order; within a day the order is the engine's own.
	// Each document is the caller's to keep. An error ends the sequence, save a *[Warning], after which it goes on.
	Each(ctx context.Context, s *Search) iter.Seq2[*spi.Document, error]

	// Get returns the documents with the ids, in the order of ids, nil where there is none. Fields nil means
	// whole documents. What was skipped as unreadable comes in warnings: a nil document may then be lost, not absent.
	Get(ctx context.Context, ids []string, fields []spi.FieldID) (docs []*spi.Document, warnings []string, err error)

	// Total returns how many sessions are stored, whatever their time; -1 when that is not known cheaply.
	Total(ctx context.Context) (int64, error)
}

// Warning is an error that cost a part of the answer, not all of it.
type Warning struct{ Text string }

func (w *Warning) Error() string { return w.Text }

// Search says which sessions are wanted, and what of them.
type Search struct {
	Window Window
	Days   Days       // only sessions whose first packet is in these days; nil is all days
	Expr   *expr.Expr // never nil

	// Fields are those that the rows must have (where the session has them); id, node, firstPacket, lastPacket and the fields
	// of Sort always come too, others may. Nil means whole documents.
	Fields []spi.FieldID

	Sort          []Sort // most significant first; how ties are broken is the engine's own, but the same at every call
	Start, Length int    // rows to skip and rows to return; a Length of 0 only counts

	Histogram *Histogram // nil: none wanted
	Explain   bool       // fill Result.Explain; counting costs little, but is not free
}

// Sort is one criterion of order. A session that has several values sorts by its smallest in ascending and its
// largest in descending order; one that has none comes last in both. Text sorts by its bytes, an address by
// its 128 bits, IPv4 as the IPv6 address it is mapped to (netip.Addr.As16).
type Sort struct {
	Field      spi.FieldID
	Descending bool
}

// Window selects sessions by time. A zero To means no end, a zero From no start.
type Window struct {
	From, To int64 // milliseconds since 1970, both included
	Bounding Bounding
}

// Bounding says which times of a session must lie in the window.
type Bounding uint8

// The boundings, named as in Arkime's parameter.
const (
	BoundingLast     Bounding = iota // the last packet
	BoundingFirst                    // the first packet
	BoundingBoth                     // first and last packet
	BoundingEither                   // any moment between first and last packet: the session overlaps the window
	BoundingDatabase                 // the time the session was stored; taken as the last packet's, which is nearest
)

// Contains reports whether a session with these times (milliseconds) is selected.
func (w Window) Contains(first, last int64) bool {
	to := w.To
	if to == 0 {
		to = 1<<63 - 1
	}
	switch w.Bounding {
	case BoundingFirst:
		return w.From <= first && first <= to
	case BoundingBoth:
		return w.From <= first && last <= to
	case BoundingEither:
		return first <= to && last >= w.From
	}
	return w.From <= last && last <= to
}

// Days is a set of UTC days, as sorted ranges that neither touch nor overlap. Nil is all days.
type Days []DayRange

// DayRange is the days from From to To, both included, as days since 1970.
type DayRange struct{ From, To int }

// Contains reports whether a first packet at ms is in the days.
func (d Days) Contains(ms int64) bool {
	if d == nil {
		return true
	}
	day := DayOf(ms)
	return slices.ContainsFunc(d, func(r DayRange) bool { return r.From <= day && day <= r.To })
}

// DayOf returns the UTC day, in days since 1970, of a time in milliseconds.
func DayOf(ms int64) int {
	const day = 24 * 60 * 60 * 1000
	if ms < 0 {
		return int((ms - day + 1) / day)
	}
	return int(ms / day)
}

// DayName returns a day of DayOf as in partitions and index names: 2006-01-02.
func DayName(day int) string {
	return time.Unix(int64(day)*24*60*60, 0).UTC().Format(time.DateOnly)
}

// Histogram asks for counts by time.
type Histogram struct {
	Field    spi.FieldID   // spi.FirstPacket or spi.LastPacket: the time that puts a session in a bucket
	Interval time.Duration // of a bucket, whole milliseconds; buckets begin at multiples of it since 1970
}

// Bucket is the sums over the sessions of one interval.
type Bucket struct {
	Start    int64 // milliseconds since 1970
	Sessions int64

	SourcePackets, DestinationPackets int64
	SourceBytes, DestinationBytes     int64
	ClientBytes, ServerBytes          int64
}

// Add adds the sums of another bucket.
func (b *Bucket) Add(o Bucket) {
	b.Sessions += o.Sessions
	b.SourcePackets += o.SourcePackets
	b.DestinationPackets += o.DestinationPackets
	b.SourceBytes += o.SourceBytes
	b.DestinationBytes += o.DestinationBytes
	b.ClientBytes += o.ClientBytes
	b.ServerBytes += o.ServerBytes
}

// Result is the answer to a Search.
type Result struct {
	Rows     []*spi.Document
	Total    int64    // sessions that match
	Buckets  []Bucket // in order of time, empty ones left out; nil unless asked for
	Warnings []string // what was skipped and why; nil for a whole answer
	Explain  *Explain // nil unless asked for
}

// Explain says what an engine read to answer, and what it could skip.
type Explain struct {
	Engine string        `json:"engine"`
	Took   time.Duration `json:"tookNanos"`
	Rows   int64         `json:"rows"` // rows that match
	Gets   int64         `json:"gets,omitempty"`
	Bytes  int64         `json:"bytes,omitempty"` // fetched
	Steps  []Step        `json:"steps,omitempty"` // what was looked at, from the coarse to the fine
	Notes  []string      `json:"notes,omitempty"` // such as why an engine was chosen, or the query sent to it
	Parts  []*Explain    `json:"parts,omitempty"` // of the engines that a planner asked
}

// Step is one level of pruning: of Total things, Skipped were not read.
type Step struct {
	What    string `json:"what"` // "partitions", "files", "row groups by statistics", "row groups by bloom filter", "pages"
	Total   int64  `json:"total"`
	Skipped int64  `json:"skipped"`
}

// Packets fetches the packets of sessions from the store. It is safe for concurrent use.
type Packets interface {
	// Export writes the packets of the sessions to w as one capture file, merged by time, in bounded memory,
	// and flushes w's first bytes before the last range is fetched. A session whose chunks are gone, or damaged, is counted
	// and loses what cannot be read; errors of sessions end the export.
	Export(ctx context.Context, w io.Writer, format Format, sessions iter.Seq2[*spi.Document, error]) (ExportStats, error)

	// Session yields the packets of one session in order of time. It yields an error that wraps [ErrGone] when
	// the chunks are not there any more. Packet.Data is valid until the next packet.
	Session(ctx context.Context, doc *spi.Document) iter.Seq2[Packet, error]
}

// Format is a capture file format.
type Format string

// The formats of exports.
const (
	PCAP   Format = "pcap"   // nanosecond pcap; sessions of a second link type are left out and counted
	PCAPNG Format = "pcapng" // an interface for each link type
)

// Packet is one packet of a session.
type Packet struct {
	TimeNanos int64
	LinkType  uint32
	WireLen   int
	Data      []byte // as captured
}

// ExportStats says what an export wrote, and what it took.
type ExportStats struct {
	Sessions, Packets, Bytes int64
	Gone                     int64 // sessions without some of their chunks
	Damaged                  int64 // sessions with damage in their chunks: packets behind it are left out
	Damage                   error // the first of it, a [chunk.CorruptError]; nil without
	OtherLinkType            int64 // sessions left out because pcap holds one link type
	Ranges, RangeBytes       int64 // range GETs and what they fetched
}
