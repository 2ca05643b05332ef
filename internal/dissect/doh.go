package dissect

// DNS within other protocols: over HTTPS (RFC 8484), TLS (RFC 7858) and QUIC
// (RFC 9250). Sessions that carry it are marked; the queries are read where they are in clear.

const dotPort = 853

// noteDoH marks a session whose header names the media type of DNS over HTTPS,
// or that of its JSON form. The reference marks none.
func noteDoH(s *Session, name, value []byte) {
	switch string(name) {
	case "content-type", "accept":
		if !s.Reference && (hasPrefixFold(value, "application/dns-message") || hasPrefixFold(value, "application/dns-json")) {
			s.AddProtocol("doh")
		}
	}
}

// noteEncryptedDNS marks DNS over TLS or QUIC, by what the client offers or the
// port that is kept for it.
func noteEncryptedDNS(s *Session, alpn []string, offer, mark string) {
	if s.Reference {
		return
	}
	if len(alpn) == 0 && s.OnPort(dotPort) {
		s.AddProtocol(mark)
	}
	for _, a := range alpn {
		if a == offer {
			s.AddProtocol(mark)
		}
	}
}
