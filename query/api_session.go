package query

import (
	"context"
	"fmt"
	"net/http"

	"github.com/go-chi/chi/v5"

	"wirelake/internal/spi"
)

// session answers with one whole document.
func (a *API) session(w http.ResponseWriter, r *http.Request, p *params) error {
	d, warnings, err := a.find(r.Context(), chi.URLParam(r, "node"), chi.URLParam(r, "id"), nil)
	if err != nil {
		return err
	}
	for _, text := range warnings {
		a.Log.WarnContext(r.Context(), "session read with losses", "id", d.String(spi.ID), "warning", text)
	}
	a.writeJSON(w, r, http.StatusOK, row(a.Registry, d, nil, p.flag("flatten")))
	return nil
}

// find returns the document with an id. The node is Arkime's way of addressing: when it is not the session's sensor,
// the path is wrong.
func (a *API) find(ctx context.Context, node, id string, fields []spi.FieldID) (*spi.Document, []string, error) {
	docs, warnings, err := a.Engine.Get(ctx, []string{id}, fields)
	if err != nil {
		return nil, nil, err
	}
	if docs[0] == nil {
		if len(warnings) > 0 {
			return nil, nil, fmt.Errorf("session %s was not found, but not all could be read: %s: %w", id, warnings[0], ErrNotFound)
		}
		return nil, nil, fmt.Errorf("session %s: %w", id, ErrNotFound)
	}
	if have := docs[0].String(spi.Node); node != "" && have != node {
		return nil, nil, fmt.Errorf("session %s of node %s: %w: it is of node %s", id, node, ErrNotFound, have)
	}
	return docs[0], warnings, nil
}
