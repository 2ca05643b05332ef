package expr_test

import (
	"testing"

	"wirelake/internal/expr"
	"wirelake/internal/expr/exprtest"
)

// TestExpressions holds that the list of the differential test is worth its time: all of it is
// valid, prints and reads again to the same, and most of it divides the documents.
func TestExpressions(t *testing.T) {
	reg := exprtest.Registry()
	docs := exprtest.Documents(reg, 2000)
	all := exprtest.Expressions()
	dull := 0
	for _, text := range all {
		e, err := expr.Parse(text, reg, exprtest.Now())
		if err != nil {
			t.Errorf("%s: %v", text, err)
			continue
		}
		again, err := expr.Parse(e.String(), reg, exprtest.Now())
		if err != nil || again.String() != e.String() {
			t.Errorf("%s: printed as %s, read again as %v, %v", text, e, again, err)
			continue
		}
		found := 0
		for _, d := range docs {
			if e.Match(d) {
				found++
			}
			if again.Match(d) != e.Match(d) {
				t.Errorf("%s and %s do not mean the same", text, e)
				break
			}
		}
		if found == 0 || found == len(docs) {
			dull++
			t.Logf("%s finds %d of %d", text, found, len(docs))
		}
	}
	t.Logf("%d expressions, %d of them find all or nothing", len(all), dull)
	if len(all) < 150 || dull > len(all)/10 {
		t.Errorf("%d expressions of which %d find all or nothing; want 150, and a tenth of them at most", len(all), dull)
	}
}
