package dissect

import (
	"bytes"
	"encoding/base64"
)

// saslUser returns who logs in by a client's message of a SASL mechanism, nil when it does not say: PLAIN (RFC 4616),
// CRAM-MD5 (RFC 2195), SCRAM (RFC 5802), DIGEST-MD5 (RFC 2831), OAUTHBEARER (RFC 7628), and what came without RFC, LOGIN
// and XOAUTH2.
func saslUser(mechanism string, b []byte) []byte {
	switch {
	case mechanism == "PLAIN":
		if parts := bytes.Split(b, []byte{0}); len(parts) == 3 {
			return parts[1]
		}
	case mechanism == "LOGIN":
		return b
	case mechanism == "CRAM-MD5":
		if i := bytes.LastIndexByte(b, ' '); i > 0 {
			return b[:i]
		}
	case mechanism == "DIGEST-MD5":
		return between(b, `username="`, `"`)
	case mechanism == "XOAUTH2":
		return between(b, "user=", "\x01")
	case mechanism == "OAUTHBEARER":
		return between(b, "a=", ",")
	case len(mechanism) > 6 && mechanism[:6] == "SCRAM-":
		return scramUser(b)
	}
	return nil
}

// between returns what stands between two texts, nil when they do not.
func between(b []byte, before, behind string) []byte {
	_, rest, ok := bytes.Cut(b, []byte(before))
	if !ok {
		return nil
	}
	out, _, ok := bytes.Cut(rest, []byte(behind))
	if !ok {
		return nil
	}
	return out
}

// saslLine notes who logs in by a line of a dialogue that is a message of the mechanism in base64. It returns false when
// the next line may tell.
func saslLine(s *Session, mechanism string, line []byte) bool {
	const longest = 4096
	if len(line) == 0 || len(line) > longest {
		return false
	}
	message, err := base64.StdEncoding.DecodeString(string(bytes.TrimSpace(line)))
	if err != nil {
		return true // "*" gives up
	}
	user := saslUser(mechanism, message)
	if len(user) > 256 {
		return true
	}
	s.addOwnUser(user)
	return len(user) > 0
}
