package query

import (
	"fmt"
	"iter"
	"net/http"
	"strconv"
	"time"

	"github.com/go-chi/chi/v5"

	"wirelake/internal/expr"
	"wirelake/internal/spi"
)

// CaptureFields are what the packet fetcher needs to know of a session.
func CaptureFields() []spi.FieldID {
	return []spi.FieldID{spi.ID, spi.RootID, spi.Node, spi.FirstPacket, spi.LastPacket, spi.ChunkKey, spi.ChunkLinkType, spi.ChunkOffset,
		spi.ChunkLength, spi.ChunkSkip, spi.ChunkSize, spi.ChunkPackets}
}

// errNoPackets answers requests for packets where only sessions are served.
func errNoPackets() error {
	return &httpError{http.StatusServiceUnavailable, "this service serves no packets"}
}

func contentType(f Format) string {
	if f == PCAPNG {
		return "application/x-pcapng"
	}
	return "application/vnd.tcpdump.pcap"
}

// sessionsCapture answers /api/sessions.pcap and its like.
func (a *API) sessionsCapture(f Format) handler {
	return func(w http.ResponseWriter, r *http.Request, p *params) error {
		if a.Packets == nil {
			return errNoPackets()
		}
		s, err := a.search(p)
		if err != nil {
			return err
		}
		s.Fields = CaptureFields()
		docs, err := a.chosen(r, p, s)
		if err != nil {
			return err
		}
		out := newDownload(w, contentType(f), "sessions."+string(f))
		stats, err := a.export(r, out, f, docs)
		if err = out.finish(err); err == nil && stats.Gone+stats.Damaged+stats.OtherLinkType > 0 {
			w.Header().Set(http.TrailerPrefix+lossTrailer, fmt.Sprintf("gone=%d, damaged=%d, other-link-type=%d", stats.Gone, stats.Damaged, stats.OtherLinkType))
		}
		return err
	}
}

// lossTrailer is the trailer of an export that lacks sessions, or packets of some. The header is long gone by then.
const lossTrailer = "Wirelake-Lost-Sessions"

// sessionCapture answers the capture of one session: of the document that is named or, when entire, of all segments that
// the session was saved in.
func (a *API) sessionCapture(f Format, entire bool) handler {
	return func(w http.ResponseWriter, r *http.Request, _ *params) error {
		if a.Packets == nil {
			return errNoPackets()
		}
		d, warnings, err := a.find(r.Context(), chi.URLParam(r, "node"), chi.URLParam(r, "id"), CaptureFields())
		if err != nil {
			return err
		}
		for _, text := range warnings {
			a.Log.WarnContext(r.Context(), "session read with losses", "id", d.String(spi.ID), "warning", text)
		}
		out := newDownload(w, contentType(f), d.String(spi.ID)+"."+string(f))
		out.hold = captureHead
		docs := yieldAll([]*spi.Document{d})
		if root := d.String(spi.RootID); entire && root != "" {
			segments, err := a.segments(root)
			if err != nil {
				return err
			}
			docs = a.logWarnings(r, a.Engine.Each(r.Context(), segments))
		}
		stats, err := a.export(r, out, f, docs)
		if err == nil && stats.Packets == 0 && stats.Gone > 0 {
			// An export of many leaves it out; alone it is an error.
			err = fmt.Errorf("session %s: %w", d.String(spi.ID), ErrGone)
		}
		if err == nil && stats.Damaged > 0 {
			err = fmt.Errorf("session %s: %w", d.String(spi.ID), stats.Damage) // what can be read was sent
		}
		return out.finish(err)
	}
}

// segments searches for all that a session was saved in, the first one included.
func (a *API) segments(root string) (*Search, error) {
	e, err := expr.Parse("rootId == "+strconv.Quote(root), a.Registry, time.Time{})
	if err != nil {
		return nil, err
	}
	return &Search{Expr: e, Fields: CaptureFields()}, nil
}

// captureHead is above the header of a capture file: what is written before the first packet.
const captureHead = 4096

// export writes the capture and a line about it to the log.
func (a *API) export(r *http.Request, out *download, f Format, docs iter.Seq2[*spi.Document, error]) (ExportStats, error) {
	stats, err := a.Packets.Export(r.Context(), out, f, docs)
	attrs := []any{"format", string(f), "sessions", stats.Sessions, "packets", stats.Packets, "bytes", stats.Bytes,
		"gone", stats.Gone, "damaged", stats.Damaged, "other_link_type", stats.OtherLinkType, "ranges", stats.Ranges, "range_bytes", stats.RangeBytes}
	if err != nil {
		attrs = append(attrs, "error", err)
	}
	a.Log.InfoContext(r.Context(), "export", attrs...)
	return stats, err
}
