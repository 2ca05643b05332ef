package dissect_test

import (
	"testing"

	"wirelake/internal/dissect"
)

// TestHotNames holds that Elasticsearch can answer the commonest searches: a name that stands for several fields
// needs all of them there.
func TestHotNames(t *testing.T) {
	reg := dissect.New().Registry()
	for _, name := range []string{"ip", "port", "host", "country", "user", "communityId"} {
		fields := reg.ByExpr(name)
		if len(fields) == 0 {
			t.Errorf("%s stands for nothing", name)
		}
		for _, f := range fields {
			if !f.Hot {
				t.Errorf("%s stands for %s among others, which is not hot", name, f.Path)
			}
		}
	}
}
