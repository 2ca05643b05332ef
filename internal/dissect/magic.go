package dissect

import "bytes"

// magicBytes is how much of a file's start magic looks at.
const magicBytes = 512

// signature is a file format known by bytes at an offset.
type signature struct {
	offset int
	bytes  string
	kind   string
}

// signatures are those of common formats, from their specifications.
var signatures = [...]signature{
	{0, "\x1f\x8b", "application/x-gzip"},
	{0, "PK\x03\x04", "application/zip"},
	{0, "PK\x05\x06", "application/zip"},
	{0, "%PDF-", "application/pdf"},
	{0, "GIF87a", "image/gif"},
	{0, "GIF89a", "image/gif"},
	{0, "\x89PNG\r\n\x1a\n", "image/png"},
	{0, "\xff\xd8\xff", "image/jpeg"},
	{8, "WEBP", "image/webp"},
	{0, "\x00\x00\x01\x00", "image/vnd.microsoft.icon"},
	{0, "MZ", "application/x-dosexec"},
	{0, "\x7fELF", "application/x-executable"},
	{0, "\xcf\xfa\xed\xfe", "application/x-mach-binary"},
	{0, "\xfe\xed\xfa\xcf", "application/x-mach-binary"},
	{0, "\xca\xfe\xba\xbe", "application/java-vm"},
	{0, "Rar!\x1a\x07", "application/x-rar"},
	{0, "7z\xbc\xaf\x27\x1c", "application/x-7z-compressed"},
	{0, "BZh", "application/x-bzip2"},
	{0, "\xfd7zXZ\x00", "application/x-xz"},
	{0, "\x28\xb5\x2f\xfd", "application/zstd"},
	{257, "ustar", "application/x-tar"},
	{0, "MSCF", "application/vnd.ms-cab-compressed"},
	{0, "\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", "application/x-ole-storage"},
	{0, "{\\rtf", "text/rtf"},
	{0, "ITSF", "application/vnd.ms-htmlhelp"},
	{0, "L\x00\x00\x00\x01\x14\x02\x00", "application/x-ms-shortcut"},
	{0, "CWS", "application/x-shockwave-flash"},
	{0, "FWS", "application/x-shockwave-flash"},
	{0, "ID3", "audio/mpeg"},
	{0, "OggS", "application/ogg"},
	{0, "fLaC", "audio/flac"},
	{4, "ftyp", "video/mp4"},
	{0, "\x1a\x45\xdf\xa3", "video/webm"},
	{0, "FLV\x01", "video/x-flv"},
	{0, "wOFF", "font/woff"},
	{0, "wOF2", "font/woff2"},
	{0, "\x00asm", "application/wasm"},
	{0, "SQLite format 3\x00", "application/x-sqlite3"},
	{0, "#!", "text/x-script"},
	{0, "<?xml", "text/xml"},
	{0, "-----BEGIN CERTIFICATE", "application/x-x509-ca-cert"},
}

// htmlStarts begin HTML documents, in lower case (WHATWG MIME Sniffing, section 7.1).
var htmlStarts = [...]string{"<!doctype html", "<html", "<head", "<script", "<iframe", "<body", "<title", "<table", "<style", "<h1", "<div", "<br", "<p>", "<!--"}

// magic returns the media type of a file by its first bytes, or "" when it is none of those known.
func magic(b []byte) string {
	for i := range signatures {
		s := &signatures[i]
		if len(b) >= s.offset+len(s.bytes) && string(b[s.offset:s.offset+len(s.bytes)]) == s.bytes {
			return s.kind
		}
	}
	if isTransportStream(b) {
		return "video/mp2t"
	}
	text := bytes.TrimLeft(bytes.TrimPrefix(b[:min(len(b), magicBytes)], []byte("\xef\xbb\xbf")), " \t\r\n")
	if len(text) == 0 {
		return ""
	}
	switch text[0] {
	case '<':
		for _, tag := range htmlStarts {
			if hasPrefixFold(text, tag) {
				return "text/html"
			}
		}
	case '{':
		// JSON: an object's first key, or its end.
		if rest := bytes.TrimLeft(text[1:], " \t\r\n"); len(rest) > 0 && (rest[0] == '"' || rest[0] == '}') {
			return "application/json"
		}
	case '[':
		if rest := bytes.TrimLeft(text[1:], " \t\r\n"); len(rest) > 0 && (rest[0] == '"' || rest[0] == '{' || rest[0] == ']') {
			return "application/json"
		}
	}
	return ""
}

// isTransportStream reports whether b is an MPEG transport stream: a sync byte
// each 188 bytes (ISO/IEC 13818-1 section 2.4.3.2).
func isTransportStream(b []byte) bool {
	const packet, sync = 188, 0x47
	return len(b) > packet && b[0] == sync && b[packet] == sync
}
