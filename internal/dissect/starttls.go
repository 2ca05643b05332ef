package dissect

// tlsStarter is a parser that hands over to TLS and whose protocol goes on within, in a state of its own: nothing there tells
// of it by its first bytes. Others are recognized in the plaintext as in a session in clear.
type tlsStarter interface {
	Parser
	// afterTLS returns the parser of the plaintext.
	afterTLS() Parser
}

// tlsLeaver is a parser of a protocol that may leave TLS again, and go on in clear on the same connection.
type tlsLeaver interface {
	Parser
	// behindTLS returns the parser of what follows. Beside TLS's own it is given all bytes from the first record on.
	behindTLS() Parser
}

// startsTLS keeps what goes on in the plaintext, if that may be had.
func (s *Session) startsTLS(a *attached) {
	if p, ok := a.parser.(tlsStarter); ok && s.Keys != nil {
		s.within = &attached{proto: a.proto, parser: p.afterTLS()}
	}
}

// resume attaches a parser that was kept by startsTLS, in place of those that the first bytes would be recognized as.
func (n *nested) resume(s *Session, a attached) {
	n.begin(s)
	n.s.add(a.proto, a.parser)
}

// afterTLS implements tlsStarter: the server does not greet again (RFC 3207 section 4.2).
func (p *smtpParser) afterTLS() Parser { return &smtpParser{smtp: p.smtp, greeted: true} }

// afterTLS implements tlsStarter (RFC 9051 section 6.2.1).
func (p *imap) afterTLS() Parser {
	q := *p
	q.startTLS, q.dirs, q.parts, q.held, q.partial = false, [2]imapDir{}, nil, 0, imapPartial{}
	return &q
}

// afterTLS implements tlsStarter (RFC 2595 section 4).
func (p *pop3) afterTLS() Parser {
	q := *p
	q.pending, q.auth, q.lines, q.within, q.message = nil, false, false, false, nil
	return &q
}

// afterTLS implements tlsStarter: the client sends its HandshakeResponse anew, the server has greeted.
func (p *mysqlParser) afterTLS() Parser {
	q := *p
	return &q
}

// plainPort returns the port on which a service is without TLS, for one of a service that begins with TLS (IANA "Service Name
// and Transport Protocol Port Number Registry"), and others as they are: what is recognized by its port in clear is so
// within TLS.
func plainPort(port uint16) uint16 {
	switch port {
	case 443, 8443:
		return 80
	case 465: // message submission (RFC 8314 section 7.3)
		return 587
	case 563:
		return 119 // NNTP
	case 636:
		return 389 // LDAP
	case 853:
		return 53 // DNS (RFC 7858)
	case 990:
		return 21 // FTP
	case 993:
		return 143 // IMAP
	case 995:
		return 110 // POP3
	case 3269:
		return 3268 // global catalogue
	case 5061:
		return 5060 // SIP
	case 5671:
		return 5672 // AMQP
	case 6514:
		return 601 // syslog (RFC 5425): counted, as over TCP
	case 6697:
		return 6667 // IRC (RFC 7194)
	case 8883:
		return 1883 // MQTT
	}
	return port
}
