package dissect

import (
	"bytes"
	"encoding/binary"

	"wirelake/internal/spi"
)

// synchrophasor reads measurements of phasors (IEEE C37.118.2-2011 clause 6): the streams, commands and
// configurations; data frames are only counted in.
type synchrophasor struct {
	Base
	frameType, idCode, command, dataRate, numPMU, station spi.FieldID
}

const (
	phasorHeader = 14 // of all frames
	phasorFrame  = phasorHeader + 2
	phasorName   = 16 // bytes of a name in configurations 1 and 2
	maxPMU       = 1000
)

func newSynchrophasor(r *spi.Registry) Protocol {
	g := fieldGroup{r, "synchrophasor"}
	p := &synchrophasor{
		frameType: g.list(spi.LoTerm, "frameType", "Frame type", "frame types by name"),
		idCode:    g.list(spi.Integer, "idcode", "Id code", "stream ids"),
		command:   g.list(spi.Integer, "cmd", "Command", "command numbers"),
		dataRate:  g.list(spi.Integer, "dataRate", "Data rate", "frames per second; below 0: seconds per frame"),
		numPMU:    g.list(spi.Integer, "numPMU", "PMUs", "numbers of measurement units"),
		station:   g.list(spi.Term, "station", "Station", "names of stations"),
	}
	matcher := func(on Transport) Matcher {
		return Matcher{On: on, Bytes: "\xaa", MinLen: phasorFrame, Func: func(s *Session, _ Dir, b []byte) bool {
			size := phasorSize(b)
			return size > 0 && (s.OnPort(4712) || s.OnPort(4713) || len(b) >= size && phasorCRC(b[:size]))
		}}
	}
	return Protocol{
		Name:     "synchrophasor",
		Matchers: []Matcher{matcher(TCP), matcher(UDP)},
		New:      func(*Session) Parser { return p },
	}
}

func phasorType(b byte) string {
	return nameOf([]string{"data", "header", "cfg1", "cfg2", "command", "cfg3"}, b>>4)
}

// phasorSize returns the length of the frame at the front of b, 0 for none.
func phasorSize(b []byte) int {
	size := int(binary.BigEndian.Uint16(b[2:]))
	if b[0] != 0xaa || phasorType(b[1]) == "" || b[1]&0x0f == 0 || b[1]&0x0f > 3 || size < phasorFrame {
		return 0
	}
	return size
}

// phasorCRC reports whether a frame ends with its CRC-CCITT (annex B).
func phasorCRC(frame []byte) bool {
	crc := uint16(0xffff)
	for _, c := range frame[:len(frame)-2] {
		t := byte(crc>>8) ^ c
		t ^= t >> 4
		crc = crc<<8 ^ uint16(t) ^ uint16(t)<<5 ^ uint16(t)<<12
	}
	return crc == binary.BigEndian.Uint16(frame[len(frame)-2:])
}

// Parse implements Parser. p has no state, and is shared by all sessions.
func (p *synchrophasor) Parse(s *Session, _ Dir, b []byte) (int, Status) {
	n := 0
	for len(b)-n >= phasorFrame {
		size := phasorSize(b[n:])
		if size == 0 {
			return n, Done
		}
		if len(b)-n < size {
			break
		}
		p.frame(s, b[n:n+size])
		n += size
	}
	return n, More
}

// Datagram implements Parser.
func (p *synchrophasor) Datagram(s *Session, _ Dir, b []byte) Status {
	if len(b) >= phasorFrame && phasorSize(b) > 0 {
		p.frame(s, b[:min(len(b), phasorSize(b))])
	}
	return More
}

func (p *synchrophasor) frame(s *Session, b []byte) {
	name := phasorType(b[1])
	s.Doc.AddString(p.frameType, name)
	s.Doc.AddInt(p.idCode, int64(binary.BigEndian.Uint16(b[4:])))
	body := phasorBytes(b[phasorHeader : len(b)-2])
	switch name {
	case "command":
		if cmd, ok := body.uint16(); ok {
			s.Doc.AddInt(p.command, int64(cmd))
		}
	case "cfg1", "cfg2":
		p.configuration(s, body, false)
	case "cfg3":
		body.skip(2) // which of several frames it is
		p.configuration(s, body, true)
	}
}

// configuration reads the units that send (clause 6.4, tables 8 to 10; cfg3: clause 6.5, table 12).
func (p *synchrophasor) configuration(s *Session, b phasorBytes, three bool) {
	b.skip(4) // time base
	units, ok := b.uint16()
	if !ok {
		return
	}
	s.Doc.AddInt(p.numPMU, int64(units))
	if units > maxPMU {
		return
	}
	for range units {
		name, ok := b.name(three)
		if !ok {
			return
		}
		if name = bytes.TrimRight(name, " \x00"); len(name) > 0 {
			s.Doc.AddBytes(p.station, name)
		}
		id, _ := b.uint16()
		if three {
			b.skip(16) // global id
		}
		b.skip(2) // format
		phasors, _ := b.uint16()
		analogs, _ := b.uint16()
		digitals, ok := b.uint16()
		if !ok {
			return
		}
		s.Doc.AddInt(p.idCode, int64(id))
		names := int(phasors) + int(analogs) + 16*int(digitals)
		if !three {
			b.skip(names*phasorName + 4*(int(phasors)+int(analogs)+int(digitals)) + 4) // with nominal frequency and change count
			continue
		}
		for range names {
			if _, ok := b.name(true); !ok {
				return
			}
		}
		b.skip(12*int(phasors) + 8*int(analogs) + 4*int(digitals) + 12 + 1 + 8 + 4) // scales, place, class, window, delay, frequency, count
	}
	if rate, ok := b.uint16(); ok {
		s.Doc.AddInt(p.dataRate, int64(int16(rate))) //nolint:gosec // a signed number (table 9, DATA_RATE)
	}
}

// phasorBytes is what of a frame is still to be read.
type phasorBytes []byte

func (b *phasorBytes) skip(n int) { *b = (*b)[min(n, len(*b)):] }

func (b *phasorBytes) uint16() (uint16, bool) {
	if len(*b) < 2 {
		*b = nil
		return 0, false
	}
	n := binary.BigEndian.Uint16(*b)
	*b = (*b)[2:]
	return n, true
}

// name reads a name of fixed length, or behind its length.
func (b *phasorBytes) name(prefixed bool) ([]byte, bool) {
	n := phasorName
	if prefixed {
		if len(*b) == 0 {
			return nil, false
		}
		n = int((*b)[0])
		*b = (*b)[1:]
	}
	if len(*b) < n {
		return nil, false
	}
	name := (*b)[:n]
	*b = (*b)[n:]
	return name, true
}
