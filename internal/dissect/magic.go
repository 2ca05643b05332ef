package dissect

import "bytes"

// magicBytes is how much of a file's start magic looks at.
const magicBytes = 512

// signatureOf returns the media type of a format known by bytes at an offset, from
// the formats' specifications, "" for others.
func signatureOf(b []byte) string {
	at := func(offset int, s string) bool {
		return len(b) >= offset+len(s) && string(b[offset:offset+len(s)]) == s
	}
	switch {
	case at(0, "\x1f\x8b"):
		return "application/x-gzip"
	case at(0, "PK\x03\x04"), at(0, "PK\x05\x06"):
		return "application/zip"
	case at(0, "%PDF-"):
		return "application/pdf"
	case at(0, "GIF87a"), at(0, "GIF89a"):
		return "image/gif"
	case at(0, "\x89PNG\r\n\x1a\n"):
		return "image/png"
	case at(0, "\xff\xd8\xff"):
		return "image/jpeg"
	case at(8, "WEBP"):
		return "image/webp"
	case at(0, "\x00\x00\x01\x00"):
		return "image/vnd.microsoft.icon"
	case at(0, "MZ"):
		return "application/x-dosexec"
	case at(0, "\x7fELF"):
		return "application/x-executable"
	case at(0, "\xcf\xfa\xed\xfe"), at(0, "\xfe\xed\xfa\xcf"):
		return "application/x-mach-binary"
	case at(0, "\xca\xfe\xba\xbe"):
		return "application/java-vm"
	case at(0, "Rar!\x1a\x07"):
		return "application/x-rar"
	case at(0, "7z\xbc\xaf\x27\x1c"):
		return "application/x-7z-compressed"
	case at(0, "BZh"):
		return "application/x-bzip2"
	case at(0, "\xfd7zXZ\x00"):
		return "application/x-xz"
	case at(0, "\x28\xb5\x2f\xfd"):
		return "application/zstd"
	case at(257, "ustar"):
		return "application/x-tar"
	case at(0, "MSCF"):
		return "application/vnd.ms-cab-compressed"
	case at(0, "\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1"):
		return "application/x-ole-storage"
	case at(0, "{\\rtf"):
		return "text/rtf"
	case at(0, "ITSF"):
		return "application/vnd.ms-htmlhelp"
	case at(0, "L\x00\x00\x00\x01\x14\x02\x00"):
		return "application/x-ms-shortcut"
	case at(0, "CWS"), at(0, "FWS"):
		return "application/x-shockwave-flash"
	case at(0, "ID3"):
		return "audio/mpeg"
	case at(0, "OggS"):
		return "application/ogg"
	case at(0, "fLaC"):
		return "audio/flac"
	case at(4, "ftyp"):
		return "video/mp4"
	case at(0, "\x1a\x45\xdf\xa3"):
		return "video/webm"
	case at(0, "FLV\x01"):
		return "video/x-flv"
	case at(0, "wOFF"):
		return "font/woff"
	case at(0, "wOF2"):
		return "font/woff2"
	case at(0, "\x00asm"):
		return "application/wasm"
	case at(0, "SQLite format 3\x00"):
		return "application/x-sqlite3"
	case at(0, "#!"):
		return "text/x-script"
	case at(0, "<?xml"):
		return "text/xml"
	case at(0, "-----BEGIN CERTIFICATE"):
		return "application/x-x509-ca-cert"
	}
	return ""
}

// isHTML reports whether a text begins as HTML documents do (WHATWG MIME Sniffing, section 7.1).
func isHTML(text []byte) bool {
	for _, tag := range [...]string{"<!doctype html", "<html", "<head", "<script", "<iframe", "<body", "<title", "<table", "<style", "<h1", "<div", "<br", "<p>", "<!--"} {
		if hasPrefixFold(text, tag) {
			return true
		}
	}
	return false
}

// magic returns the media type of a file by its first bytes, or "" when it is none of those known.
func magic(b []byte) string {
	if kind := signatureOf(b); kind != "" {
		return kind
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
		if isHTML(text) {
			return "text/html"
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
