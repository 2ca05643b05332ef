package query

import (
	"cmp"
	"math"
	"slices"
	"time"
)

// noDays is the empty set; nil would be all days.
func noDays() Days { return Days{} }

// daysOf returns the set of the days given.
func daysOf(days []int) Days {
	slices.Sort(days)
	out := noDays()
	for _, d := range days {
		if n := len(out); n > 0 && d <= out[n-1].To+1 {
			out[n-1].To = max(out[n-1].To, d)
			continue
		}
		out = append(out, DayRange{d, d})
	}
	return out
}

// parseDay is the inverse of [DayName].
func parseDay(s string) (int, bool) {
	t, err := time.Parse(time.DateOnly, s)
	return int(t.Unix() / (24 * 60 * 60)), err == nil
}

// The bounds of what a complement reaches to, far from where day numbers would overflow as milliseconds.
const (
	firstDay = math.MinInt32
	lastDay  = math.MaxInt32
)

// complement returns the days that are not in d.
func (d Days) complement() Days {
	if d == nil {
		return noDays()
	}
	out := noDays()
	next := firstDay
	for _, r := range d {
		if next < r.From {
			out = append(out, DayRange{next, r.From - 1})
		}
		next = r.To + 1
	}
	if next <= lastDay {
		out = append(out, DayRange{next, lastDay})
	}
	return out
}

// intersect returns the days that are in both sets.
func (d Days) intersect(o Days) Days {
	if d == nil {
		return o
	}
	if o == nil {
		return d
	}
	out := noDays()
	for _, a := range d {
		for _, b := range o {
			if r := (DayRange{max(a.From, b.From), min(a.To, b.To)}); r.From <= r.To {
				out = append(out, r)
			}
		}
	}
	slices.SortFunc(out, func(a, b DayRange) int { return cmp.Compare(a.From, b.From) })
	return out
}

// days returns the days that the first packets of sessions in the window can have.
func (w Window) days() Days {
	from, to := firstDay, lastDay
	if w.To != 0 {
		to = DayOf(w.To) // no session ends before it starts
	}
	if w.From != 0 && (w.Bounding == BoundingFirst || w.Bounding == BoundingBoth) {
		from = DayOf(w.From)
	}
	if from > to {
		return noDays()
	}
	return Days{{from, to}}
}
