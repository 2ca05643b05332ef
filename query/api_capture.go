package query

import (
	"iter"
	"net/http"

	"github.com/go-chi/chi/v5"

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
		return a.export(w, r, f, "sessions."+string(f), docs)
	}
}

// sessionCapture answers the capture of one session. Its segments are one session here: entire or not is the same.
func (a *API) sessionCapture(f Format) handler {
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
		// A session without its chunks is an error here, where an export of many leaves it out.
		for _, err := range a.Packets.Session(r.Context(), d) {
			if err != nil {
				return err
			}
			break
		}
		return a.export(w, r, f, d.String(spi.ID)+"."+string(f), yieldAll([]*spi.Document{d}))
	}
}

func (a *API) export(w http.ResponseWriter, r *http.Request, f Format, name string, docs iter.Seq2[*spi.Document, error]) error {
	out := newDownload(w, contentType(f), name)
	stats, err := a.Packets.Export(r.Context(), out, f, docs)
	a.Log.InfoContext(r.Context(), "export", "format", string(f), "sessions", stats.Sessions, "packets", stats.Packets, "bytes", stats.Bytes,
		"gone", stats.Gone, "other_link_type", stats.OtherLinkType, "ranges", stats.Ranges, "range_bytes", stats.RangeBytes, "error", err)
	return out.finish(err)
}
