package sessionfile

import "slices"

// columnBuffer collects one column of a row group. Rows without a value are added when
// the next value comes, or the row group ends, so that they cost nothing until then.
type columnBuffer struct {
	col  *column
	rows int     // rows whose levels are here; rows up to the current one are null
	defs []uint8 // definition level of each entry
	reps []uint8 // repetition level of each entry, only in columns within a list
	ints []int64
	strs []uint32 // per value, its entry in set
	set  stringSet
}

func (b *columnBuffer) reset() {
	b.rows = 0
	b.defs, b.reps, b.ints, b.strs = b.defs[:0], b.reps[:0], b.ints[:0], b.strs[:0]
	b.set.reset()
}

// pad adds null rows until rows rows are here.
func (b *columnBuffer) pad(rows int) {
	n := rows - b.rows
	if n <= 0 {
		return
	}
	b.defs = appendZeros(b.defs, n)
	if b.col.maxRep > 0 {
		b.reps = appendZeros(b.reps, n)
	}
	b.rows = rows
}

func appendZeros(b []uint8, n int) []uint8 {
	b = slices.Grow(b, n)
	at := len(b)
	b = b[:at+n]
	clear(b[at:])
	return b
}

// entry adds one entry without a value.
func (b *columnBuffer) entry(rep, def uint8) {
	b.defs = append(b.defs, def)
	if b.col.maxRep > 0 {
		b.reps = append(b.reps, rep)
	}
}

func (b *columnBuffer) addInt(rep uint8, v int64) {
	b.entry(rep, b.col.maxDef)
	b.ints = append(b.ints, v)
}

func (b *columnBuffer) addString(rep uint8, v string) {
	b.entry(rep, b.col.maxDef)
	b.strs = append(b.strs, b.set.add(validText(v)))
}

func (b *columnBuffer) numValues() int { return len(b.ints) + len(b.strs) }

// permute puts the rows in the order given: row i becomes what row order[i] was.
func (b *columnBuffer) permute(order []uint32, s *permuteScratch) {
	entries, values := s.index(b)
	s.defs = s.defs[:0]
	s.reps = s.reps[:0]
	s.ints = s.ints[:0]
	s.strs = s.strs[:0]
	for _, r := range order {
		e, f := entries[r], entries[r+1]
		v, w := values[r], values[r+1]
		if f == e+1 {
			s.defs = append(s.defs, b.defs[e])
		} else {
			s.defs = append(s.defs, b.defs[e:f]...)
		}
		if b.col.maxRep > 0 {
			s.reps = append(s.reps, b.reps[e:f]...)
		}
		switch {
		case v == w:
		case b.col.numeric():
			s.ints = append(s.ints, b.ints[v:w]...)
		default:
			s.strs = append(s.strs, b.strs[v:w]...)
		}
	}
	b.defs, s.defs = s.defs, b.defs
	b.reps, s.reps = s.reps, b.reps
	b.ints, s.ints = s.ints, b.ints
	b.strs, s.strs = s.strs, b.strs
}

type permuteScratch struct {
	entries, values []uint32
	defs, reps      []uint8
	ints            []int64
	strs            []uint32
}

// index returns, per row and one past the last, where its entries and its values begin.
func (s *permuteScratch) index(b *columnBuffer) (entries, values []uint32) {
	s.entries, s.values = s.entries[:0], s.values[:0]
	v := uint32(0)
	for e, def := range b.defs {
		if b.col.maxRep == 0 || b.reps[e] == 0 {
			s.entries = append(s.entries, uint32(e)) //nolint:gosec // G115: a row group has fewer entries
			s.values = append(s.values, v)
		}
		if def == b.col.maxDef {
			v++
		}
	}
	s.entries = append(s.entries, uint32(len(b.defs))) //nolint:gosec // G115: as above
	s.values = append(s.values, v)
	return s.entries, s.values
}
