package dissect

import (
	"encoding/base64"
	"slices"
)

// mailBody hashes a part as its lines come, decoded (RFC 2045 section 6).
type mailBody struct {
	fileHash
	encoding string
	skip     bool
	bare     bool   // the line before ended with LF alone
	newline  bool   // a line ended, and no soft line break ended it: its end goes before the next
	left     []byte // base64: characters short of a group of four
	out      []byte
}

// encodingUnknown is that of a part whose headers were not seen: base64 when its first line looks like it. Others are
// not read.
const encodingUnknown = "?"

func newMailBody(encoding string) *mailBody {
	b := &mailBody{encoding: encoding}
	b.reset()
	return b
}

// line takes a line without its end. begins says that it is not the rest of one, bare that it ends with LF alone.
func (b *mailBody) line(line []byte, begins, bare bool) {
	if b.encoding == encodingUnknown {
		b.encoding = ""
		if isBase64Line(line) {
			b.encoding = "base64"
		} else {
			b.skip = true
		}
	}
	if b.skip {
		return
	}
	switch b.encoding {
	case "base64":
		b.base64(line)
		return
	case "quoted-printable":
		if begins && b.newline {
			b.write([]byte("\r\n"), fileHeadBytes)
		}
		b.newline = b.quotedPrintable(line)
	default:
		// The end of the last line belongs to the boundary (RFC 2046 section 5.1.1).
		if begins && b.newline {
			end := []byte("\r\n")
			if b.bare {
				end = end[1:]
			}
			b.write(end, fileHeadBytes)
		}
		b.newline, b.bare = true, bare
		b.write(line, fileHeadBytes)
	}
}

// base64 takes characters of base64, of which what is before damage counts.
func (b *mailBody) base64(line []byte) {
	had := len(b.left)
	b.left = append(b.left, line...)
	if b.decode(false) {
		return
	}
	b.left = b.left[:had]
	for _, c := range line {
		if isBase64(c) {
			b.left = append(b.left, c)
		}
	}
	b.decode(true)
}

// decode writes what the whole groups of four hold. Unless they may be damaged, and then count up to there, it does
// nothing and returns false when there is anything but base64.
func (b *mailBody) decode(damaged bool) bool {
	whole := len(b.left) / 4 * 4
	size := base64.StdEncoding.DecodedLen(whole)
	b.out = slices.Grow(b.out[:0], size)[:size]
	n, err := base64.StdEncoding.Decode(b.out, b.left[:whole])
	if !damaged && (err != nil || slices.ContainsFunc(b.left[whole:], func(c byte) bool { return !isBase64(c) })) {
		return false
	}
	b.left = append(b.left[:0], b.left[whole:]...)
	b.write(b.out[:n], fileHeadBytes)
	return true
}

func isBase64(c byte) bool { return isAlnum(c) || c == '+' || c == '/' || c == '=' }

// quotedPrintable takes a line, and reports whether it ends in the text too.
func (b *mailBody) quotedPrintable(line []byte) (hard bool) {
	for len(line) > 0 && (line[len(line)-1] == ' ' || line[len(line)-1] == '\t') {
		line = line[:len(line)-1] // transport padding
	}
	b.out = b.out[:0]
	hard = true
	for i := 0; i < len(line); i++ {
		if line[i] != '=' {
			b.out = append(b.out, line[i])
			continue
		}
		if i+1 == len(line) {
			hard = false // a soft line break
			break
		}
		hi, ok1 := hexDigit(line[i+1])
		var lo byte
		ok2 := false
		if i+2 < len(line) {
			lo, ok2 = hexDigit(line[i+2])
		}
		if !ok1 || !ok2 {
			b.out = append(b.out, '=') // not an encoder's: shown as it is (RFC 2045 section 6.7)
			continue
		}
		b.out = append(b.out, hi<<4|lo)
		i += 2
	}
	b.write(b.out, fileHeadBytes)
	return hard
}

// finish takes what base64 without padding leaves.
func (b *mailBody) finish() {
	if n := len(b.left); n >= 2 {
		var out [3]byte
		m, _ := base64.RawStdEncoding.Decode(out[:], b.left)
		b.write(out[:m], fileHeadBytes)
	}
	b.left = nil
}

func hexDigit(c byte) (byte, bool) {
	switch {
	case c >= '0' && c <= '9':
		return c - '0', true
	case c >= 'A' && c <= 'F':
		return c - 'A' + 10, true
	case c >= 'a' && c <= 'f':
		return c - 'a' + 10, true
	}
	return 0, false
}

// isBase64Line reports whether a line is one of base64 that others follow, as encoders make them.
func isBase64Line(line []byte) bool {
	for _, c := range line {
		if !isAlnum(c) && c != '+' && c != '/' {
			return false
		}
	}
	return len(line) >= 60 && len(line)%4 == 0
}
