package query

import (
	"fmt"
	"net/http"
	"time"

	"wirelake/internal/sensorstatus"
)

// sensorsAnswer is the answer of /api/v1/sensors.
type sensorsAnswer struct {
	Now      time.Time           `json:"now"` // of the server, to which ages relate
	Sensors  []sensorstatus.View `json:"sensors"`
	Warnings []string            `json:"warnings,omitempty"` // status objects that cannot be read
}

// sensors answers with how each sensor was when it last said so, in the order of their names.
func (a *API) sensors(w http.ResponseWriter, r *http.Request, _ *params) error {
	if a.Store == nil {
		return &httpError{status: http.StatusServiceUnavailable, text: "this server has no store of sensors"}
	}
	out := sensorsAnswer{Now: a.now().UTC(), Sensors: []sensorstatus.View{}}
	views, damaged, err := sensorstatus.List(r.Context(), a.Store, out.Now)
	if err != nil {
		if r.Context().Err() != nil {
			return r.Context().Err()
		}
		return fmt.Errorf("%w: %w", ErrUnavailable, err)
	}
	out.Sensors = append(out.Sensors, views...)
	for _, err := range damaged {
		out.Warnings = append(out.Warnings, err.Error())
	}
	a.writeJSON(w, r, http.StatusOK, out)
	return nil
}
