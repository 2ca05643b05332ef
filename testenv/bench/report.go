package main

import (
	"fmt"
	"io"
	"runtime"
	"slices"
	"strings"
	"text/tabwriter"
	"time"
)

// report collects the figures of a run.
type report struct{ rows []row }

// row is one figure beside its yardstick. The ratio is what must be at least or at most the bounds.
type row struct {
	what      string
	measured  string
	yardstick string
	ratio     float64
	byCPU     float64 // the ratio of the CPU times, servers included; 0: none
	least     bool    // the bounds are the least that is wanted, not the most
	required  float64 // 0: none
	goal      float64 // 0: none
	unit      string  // of the ratio, for figures that are bounded themselves
}

func (r *report) add(rows ...row) { r.rows = append(r.rows, rows...) }

// verdict says how the ratio compares with the bounds.
func (r row) verdict() string {
	meets := func(bound float64) bool {
		if r.least {
			return r.ratio >= bound
		}
		return r.ratio <= bound
	}
	switch {
	case r.required == 0:
		return ""
	case !meets(r.required):
		return "MISSED"
	case r.goal != 0 && meets(r.goal):
		return "goal"
	}
	return "met"
}

// bounds returns the bounds as people read them.
func (r row) bounds() string {
	sign := "≤"
	if r.least {
		sign = "≥"
	}
	var s []string
	for _, b := range []float64{r.required, r.goal} {
		if b != 0 {
			s = append(s, sign+number(b))
		}
	}
	return strings.Join(s, ", ")
}

// number writes a number with three digits, and none behind the point when it is large.
func number(f float64) string {
	switch {
	case f == float64(int64(f)):
		return fmt.Sprintf("%.0f", f)
	case f >= 100:
		return fmt.Sprintf("%.0f", f)
	case f >= 10:
		return fmt.Sprintf("%.1f", f)
	}
	return strings.TrimRight(fmt.Sprintf("%.3f", f), "0")
}

// print writes the table, in Markdown that lines up.
func (r *report) print(w io.Writer) error {
	var s strings.Builder
	fmt.Fprintf(&s, "\n%s, %s/%s, %d cores\n\n", runtime.Version(), runtime.GOOS, runtime.GOARCH, runtime.NumCPU())
	s.WriteString("| what\t| measured\t| yardstick\t| ratio\t| by CPU\t| required, goal\t|\t|\n")
	s.WriteString("| ---\t| ---\t| ---\t| ---\t| ---\t| ---\t| ---\t|\n")
	for _, row := range r.rows {
		ratio := number(row.ratio)
		if row.unit != "" {
			ratio += " " + row.unit
		}
		byCPU := ""
		if row.byCPU != 0 {
			byCPU = number(row.byCPU)
		}
		fmt.Fprintf(&s, "| %s\t| %s\t| %s\t| %s\t| %s\t| %s\t| %s\t|\n", row.what, row.measured, row.yardstick, ratio, byCPU, row.bounds(), row.verdict())
	}
	tw := tabwriter.NewWriter(w, 0, 0, 1, ' ', 0)
	if _, err := io.WriteString(tw, s.String()); err != nil {
		return err
	}
	return tw.Flush()
}

// median returns the middle of the values, of an even number the mean of the two.
func median[T ~int64 | ~float64](values []T) T {
	v := slices.Sorted(slices.Values(values))
	n := len(v)
	if n%2 == 1 {
		return v[n/2]
	}
	return (v[n/2-1] + v[n/2]) / 2
}

// rate formats so many things in a time.
func rate(n float64, took time.Duration, unit string) string {
	return number(n/took.Seconds()) + " " + unit + "/s"
}
