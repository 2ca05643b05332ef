package dissect

import "bytes"

// nextLine returns the first line of b without its end (LF or CRLF), and the
// bytes it takes with it; 0 when the end has not come.
func nextLine(b []byte) (line []byte, n int) {
	i := bytes.IndexByte(b, '\n')
	if i < 0 {
		return nil, 0
	}
	return bytes.TrimSuffix(b[:i], []byte("\r")), i + 1
}
