package expr

import (
	"math"
	"regexp"
	"strconv"
	"strings"
	"time"

	"wirelake/internal/spi"
)

// dates compares a time. A time written to the day, minute or second equals all of
// it; for < and > it is its first instant.
func (c *checker) dates(t target, f *spi.Field, op string, items []value) (Node, error) {
	var ranges []IntRange
	for _, v := range items {
		if err := c.refusePatterns(t, v, "times"); err != nil {
			return nil, err
		}
		if _, relative := parseRelative(strings.TrimSpace(v.text), c.now); relative && c.now.IsZero() {
			return nil, c.fail(v.at, "%s means another time every time that it is read; write a date", Quote(v.text))
		}
		at, unit, ok := ParseTime(v.text, c.now)
		if !ok {
			return nil, c.fail(v.at, "%s is not a time such as \"2024/12/31 23:59:59\", 2024-12-31T23:59:59Z or -1h", Quote(v.text))
		}
		r := IntRange{at.UnixMilli(), at.UnixMilli()}
		if op == "==" || op == "!=" {
			r.Hi = at.Add(unit).UnixMilli() - 1
			r.Hi = max(r.Hi, r.Lo)
		}
		ranges = append(ranges, compareRange(op, r))
	}
	return &Leaf{Field: f, Kind: Ints, Ints: normalInts(ranges)}, nil
}

// ParseTime reads a time: "YYYY/MM/DD HH:mm:ss" and ISO 8601, both with parts left out from the end
// and with or without a zone (none: UTC); digits alone, seconds since 1970, or milliseconds
// from 12 digits on; now; and times relative to now, such as -1h, +2d, -1d@d, @w1 (units s, m, h,
// d, w, M, q, y; after @ the unit whose start is meant, for w with the day, 0 for Sunday).
// It returns also how long the smallest unit written is.
func ParseTime(s string, now time.Time) (at time.Time, unit time.Duration, ok bool) {
	s = strings.TrimSpace(s)
	if n, err := strconv.ParseUint(s, 10, 63); err == nil && len(s) != 4 {
		if len(s) >= 12 {
			return time.UnixMilli(int64(n)).UTC(), time.Millisecond, n <= maxMillis
		}
		return time.Unix(int64(n), 0).UTC(), time.Second, true
	}
	if at, ok := parseRelative(s, now.UTC()); ok {
		return at, time.Millisecond, true
	}
	return parseAbsolute(s)
}

// maxMillis is the end of year 9999, after which times have no four-digit year.
const maxMillis = 253402300799999

func parseAbsolute(s string) (time.Time, time.Duration, bool) {
	date, clock := s, ""
	if i := strings.IndexAny(s, " T"); i >= 0 {
		date, clock = s[:i], strings.TrimSpace(s[i+1:])
	}
	date = strings.ReplaceAll(date, "/", "-")
	zone := ""
	if i := strings.IndexAny(clock, "Zz+- "); i >= 0 {
		clock, zone = strings.TrimSpace(clock[:i]), strings.TrimSpace(clock[i:])
	}
	for _, f := range [...]struct {
		layout string
		unit   time.Duration
	}{
		{"2006-1-2 15:04:05.999999999", time.Second},
		{"2006-1-2 15:04", time.Minute},
		{"2006-1-2", 24 * time.Hour},
		{"2006-1-2 15", time.Hour},
		{"2006-1", 31 * 24 * time.Hour},
		{"2006", 366 * 24 * time.Hour},
	} {
		text := strings.TrimSpace(date + " " + clock)
		at, err := time.Parse(f.layout, text)
		if err != nil {
			continue
		}
		if strings.Contains(clock, ".") {
			f.unit = time.Millisecond
		}
		switch f.layout {
		case "2006":
			f.unit = at.AddDate(1, 0, 0).Sub(at)
		case "2006-1":
			f.unit = at.AddDate(0, 1, 0).Sub(at)
		}
		offset, ok := parseZone(zone)
		if !ok || zone != "" && clock == "" || at.Year() < 1 {
			return time.Time{}, 0, false
		}
		return at.Add(-offset), f.unit, true
	}
	return time.Time{}, 0, false
}

// parseZone reads Z, UTC, GMT, +02:00, +0200 and +02; nothing is UTC.
func parseZone(s string) (time.Duration, bool) {
	switch strings.ToUpper(s) {
	case "", "Z", "UTC", "GMT":
		return 0, true
	}
	for _, layout := range []string{"-07:00", "-0700", "-07"} {
		if t, err := time.Parse(layout, s); err == nil {
			_, offset := t.Zone()
			return time.Duration(offset) * time.Second, true
		}
	}
	return 0, false
}

// relativeTime matches [±N unit][@unit[day]]; a number after a sign may be left out (1).
const relativeTime = `^(?:([+-])(\d*)([A-Za-z]+))?(?:@([A-Za-z]+?)([0-6])?)?$`

// maxRelative bounds the number before the unit: 10,000 years of seconds.
const maxRelative = 315_576_000_000

func parseRelative(s string, now time.Time) (time.Time, bool) {
	if s == "now" {
		return now, true
	}
	if s == "" || strings.IndexByte("+-@", s[0]) < 0 {
		return now, false
	}
	m := regexp.MustCompile(relativeTime).FindStringSubmatch(s)
	if m == nil {
		return now, false
	}
	at := now
	if m[1] != "" {
		n := int64(1)
		if m[2] != "" {
			var err error
			if n, err = strconv.ParseInt(m[2], 10, 64); err != nil || n > maxRelative {
				return now, false
			}
		}
		if m[1] == "-" {
			n = -n
		}
		var ok bool
		if at, ok = addUnits(at, n, unitOf(m[3])); !ok {
			return now, false
		}
	}
	if m[4] == "" {
		return at, true
	}
	unit := unitOf(m[4])
	if m[5] != "" && unit != 'w' {
		return now, false
	}
	day, _ := strconv.Atoi(m[5]) // none: Sunday
	return snap(at, unit, time.Weekday(day))
}

// unitOf returns the letter of a unit written short or long, 0 for none.
func unitOf(s string) byte {
	switch s {
	case "s", "sec", "secs", "second", "seconds":
		return 's'
	case "m", "min", "mins", "minute", "minutes":
		return 'm'
	case "h", "hr", "hrs", "hour", "hours":
		return 'h'
	case "d", "day", "days":
		return 'd'
	case "w", "week", "weeks":
		return 'w'
	case "M", "mon", "month", "months":
		return 'M'
	case "q", "qtr", "qtrs", "quarter", "quarters":
		return 'q'
	case "y", "yr", "yrs", "year", "years":
		return 'y'
	}
	return 0
}

func addUnits(t time.Time, n int64, unit byte) (time.Time, bool) {
	seconds := map[byte]int64{'s': 1, 'm': 60, 'h': 3600, 'd': 86400, 'w': 7 * 86400}[unit]
	months := map[byte]int64{'M': 1, 'q': 3, 'y': 12}[unit]
	switch {
	case seconds > 0 && n <= maxRelative/seconds && n >= -maxRelative/seconds:
		t = time.UnixMilli(t.UnixMilli() + n*seconds*1000).UTC()
	case months > 0 && n < math.MaxInt32/12 && n > math.MinInt32/12:
		// A month that is too short for the day ends at its last, it does not run over.
		first := time.Date(t.Year(), t.Month()+time.Month(n*months), 1, t.Hour(), t.Minute(), t.Second(), t.Nanosecond(), time.UTC)
		last := first.AddDate(0, 1, -1).Day()
		t = first.AddDate(0, 0, min(t.Day(), last)-1)
	default:
		return t, false
	}
	return t, t.UnixMilli() <= maxMillis && t.UnixMilli() >= -maxMillis
}

// snap returns the start of the unit that t lies in.
func snap(t time.Time, unit byte, day time.Weekday) (time.Time, bool) {
	y, m, d := t.Date()
	switch unit {
	case 's':
		return t.Truncate(time.Second), true
	case 'm':
		return t.Truncate(time.Minute), true
	case 'h':
		return t.Truncate(time.Hour), true
	case 'w':
		d -= (int(t.Weekday()) - int(day) + 7) % 7
	case 'd':
	case 'M':
		d = 1
	case 'q':
		m, d = m-(m-1)%3, 1
	case 'y':
		m, d = 1, 1
	default:
		return t, false
	}
	return time.Date(y, m, d, 0, 0, 0, 0, time.UTC), true
}
