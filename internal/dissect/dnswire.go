package dissect

import (
	"encoding/binary"
	"encoding/hex"
	"net/netip"
	"strconv"
	"strings"
)

// dnsMessage reads the wire format of RFC 1035 section 4.
type dnsMessage struct {
	b  []byte
	at int
}

// dnsRecord is one resource record. Data lies in the message from dataAt on.
type dnsRecord struct {
	name         string
	rtype, class uint16
	ttl          uint32
	data         []byte
	dataAt       int
}

const (
	maxDNSName     = 255 // bytes of a name on the wire (RFC 1035 section 2.3.4)
	maxDNSPointers = 32  // a name of 127 labels needs no more, and loops end soon
)

// name reads the name at the cursor and moves behind it.
func (m *dnsMessage) name() (string, bool) {
	name, next, ok := m.nameAt(m.at)
	m.at = next
	return name, ok
}

// nameAt reads a name, following compression pointers, and returns the offset
// behind it. The root is "<root>".
func (m *dnsMessage) nameAt(at int) (name string, next int, ok bool) {
	var buf [maxDNSName]byte
	out := buf[:0]
	pointers := 0
	next = -1
	for {
		if at >= len(m.b) {
			return "", at, false
		}
		n := int(m.b[at])
		switch {
		case n == 0:
			if next < 0 {
				next = at + 1
			}
			if len(out) == 0 {
				return dnsRoot, next, true
			}
			return string(out), next, true
		case n&0xc0 == 0xc0:
			if at+1 >= len(m.b) || pointers == maxDNSPointers {
				return "", at, false
			}
			if next < 0 {
				next = at + 2
			}
			pointers++
			at = n&0x3f<<8 | int(m.b[at+1])
		case n > 63:
			return "", at, false // reserved label types
		default:
			if at+1+n > len(m.b) || len(out)+1+n > maxDNSName {
				return "", at, false
			}
			if len(out) > 0 {
				out = append(out, '.')
			}
			out = append(out, m.b[at+1:at+1+n]...)
			at += 1 + n
		}
	}
}

// record reads the record at the cursor and moves behind it.
func (m *dnsMessage) record() (r dnsRecord, ok bool) {
	if r.name, ok = m.name(); !ok || m.at+10 > len(m.b) {
		return r, false
	}
	h := m.b[m.at:]
	r.rtype, r.class, r.ttl = binary.BigEndian.Uint16(h), binary.BigEndian.Uint16(h[2:]), binary.BigEndian.Uint32(h[4:])
	size := int(binary.BigEndian.Uint16(h[8:]))
	r.dataAt = m.at + 10
	if r.dataAt+size > len(m.b) {
		return r, false
	}
	r.data = m.b[r.dataAt : r.dataAt+size]
	m.at = r.dataAt + size
	return r, true
}

// nameIn reads a name within a record's data.
func (m *dnsMessage) nameIn(r *dnsRecord, off int) (string, bool) {
	if off >= len(r.data) {
		return "", false
	}
	name, _, ok := m.nameAt(r.dataAt + off)
	return name, ok
}

func (r *dnsRecord) uint16(off int) uint64 { return uint64(binary.BigEndian.Uint16(r.data[off:])) }
func (r *dnsRecord) uint32(off int) uint64 { return uint64(binary.BigEndian.Uint32(r.data[off:])) }

// join builds the text of a record from its parts.
func join(parts ...any) string {
	var b strings.Builder
	for i, p := range parts {
		if i > 0 {
			b.WriteByte(' ')
		}
		switch p := p.(type) {
		case string:
			b.WriteString(p)
		case uint64:
			b.WriteString(strconv.FormatUint(p, 10))
		}
	}
	return b.String()
}

// caa writes a CAA record (RFC 8659 section 4).
func (r *dnsRecord) caa() (string, bool) {
	if len(r.data) < 2 || 2+int(r.data[1]) > len(r.data) {
		return "", false
	}
	tag := 2 + int(r.data[1])
	return join("CAA", uint64(r.data[0]), string(r.data[2:tag]), string(r.data[tag:])), true
}

// ds writes a DS record (RFC 4034 section 5).
func (r *dnsRecord) ds() (string, bool) {
	if len(r.data) < 4 {
		return "", false
	}
	return join("DS", r.uint16(0), uint64(r.data[2]), uint64(r.data[3]), strings.ToUpper(hex.EncodeToString(r.data[4:]))), true
}

// rrsig writes a RRSIG record without its signature (RFC 4034 section 3).
func (m *dnsMessage) rrsig(r *dnsRecord) (string, bool) {
	if len(r.data) < 19 {
		return "", false
	}
	signer, ok := m.nameIn(r, 18)
	return join("RRSIG", dnsTypeName(binary.BigEndian.Uint16(r.data)), uint64(r.data[2]), uint64(r.data[3]), r.uint32(4), r.uint32(8), r.uint32(12), r.uint16(16), signer), ok
}

// namesRoot reports whether the name that a record tells of is the root: a signature by its keys, or that there is no
// mail exchange (RFC 7505).
func (m *dnsMessage) namesRoot(r *dnsRecord) bool {
	const exchange, signer = 2, 18 // behind the preference; behind what is signed
	at := 0
	switch r.rtype {
	case dnsCNAME, dnsNS:
	case dnsMX:
		at = exchange
	case dnsRRSIG:
		at = signer
	default:
		return false
	}
	name, ok := m.nameIn(r, at)
	return ok && name == dnsRoot
}

// srv writes a SRV record (RFC 2782).
func (m *dnsMessage) srv(r *dnsRecord) (string, bool) {
	if len(r.data) < 7 {
		return "", false
	}
	target, ok := m.nameIn(r, 6)
	return join(r.uint16(0), r.uint16(2), r.uint16(4), target), ok
}

// nsec writes a NSEC record (RFC 4034 section 4).
func (m *dnsMessage) nsec(r *dnsRecord) (string, bool) {
	if len(r.data) == 0 {
		return "", false
	}
	next, end, ok := m.nameAt(r.dataAt)
	if !ok || end > r.dataAt+len(r.data) {
		return "", false
	}
	parts := []any{"NSEC", next}
	for b := m.b[end : r.dataAt+len(r.data)]; len(b) >= 2 && 2+int(b[1]) <= len(b); b = b[2+int(b[1]):] {
		window := uint16(b[0]) << 8
		for i, bits := range b[2 : 2+int(b[1])] {
			for bit := range 8 {
				if bits&(0x80>>bit) != 0 {
					parts = append(parts, dnsTypeName(window|uint16(i*8+bit))) //nolint:gosec // i is under 256/8
				}
			}
		}
	}
	return join(parts...), true
}

// svcb writes a HTTPS or SVCB record (RFC 9460).
func (m *dnsMessage) svcb(r *dnsRecord) (string, bool) {
	if len(r.data) < 3 {
		return "", false
	}
	target, end, ok := m.nameAt(r.dataAt + 2)
	if !ok || end > r.dataAt+len(r.data) {
		return "", false
	}
	if target == dnsRoot {
		target = "."
	}
	name := "HTTPS"
	if r.rtype == dnsSVCB {
		name = "SVCB"
	}
	parts := []any{name, r.uint16(0), target}
	for b := m.b[end : r.dataAt+len(r.data)]; len(b) >= 4; {
		key, size := binary.BigEndian.Uint16(b), int(binary.BigEndian.Uint16(b[2:]))
		if 4+size > len(b) {
			break
		}
		parts = append(parts, svcParam(key, b[4:4+size]))
		b = b[4+size:]
	}
	return join(parts...), true
}

// svcParam writes one service parameter (RFC 9460 section 7, RFC 9461 for dohpath, RFC 9848 for ech).
func svcParam(key uint16, v []byte) string {
	var items []string
	switch key {
	case 0:
		for ; len(v) >= 2; v = v[2:] {
			items = append(items, "key"+strconv.Itoa(int(binary.BigEndian.Uint16(v))))
		}
		return "mandatory=" + strings.Join(items, ",")
	case 1:
		for len(v) > 0 && int(v[0]) < len(v) {
			if v[0] > 0 {
				items = append(items, string(v[1:1+int(v[0])]))
			}
			v = v[1+int(v[0]):]
		}
		return "alpn=" + strings.Join(items, ",")
	case 2:
		return "no-default-alpn"
	case 3:
		if len(v) < 2 {
			return "port="
		}
		return "port=" + strconv.Itoa(int(binary.BigEndian.Uint16(v)))
	case 4, 6:
		name, size := "ipv4hint=", 4
		if key == 6 {
			name, size = "ipv6hint=", 16
		}
		for ; len(v) >= size; v = v[size:] {
			a, _ := netip.AddrFromSlice(v[:size]) // of 4 or 16 bytes
			items = append(items, a.String())
		}
		return name + strings.Join(items, ",")
	case 5:
		return "ech=" + hex.EncodeToString(v)
	case 7:
		return "dohpath=" + string(v)
	}
	return "key" + strconv.Itoa(int(key)) + "=" + hex.EncodeToString(v)
}
