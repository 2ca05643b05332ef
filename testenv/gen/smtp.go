package main

import (
	"fmt"
	"strings"
)

func buildSMTP(f *flow, size int64) {
	r := f.rng
	f.ep[1].port = []uint16{25, 25, 587}[r.IntN(3)]
	d := f.host().name
	w := func() string { return strings.TrimSpace(f.w.words[r.IntN(len(f.w.words))]) }
	from, to := w()+"@"+d, w()+"@"+f.w.hosts[r.IntN(len(f.w.hosts))].name
	f.say(s2c, f.think(10), fmt.Appendf(nil, "220 %s ESMTP Postfix\r\n", d))
	f.say(c2s, 0, fmt.Appendf(nil, "EHLO client%d.example.org\r\n", r.IntN(500)))
	f.say(s2c, 0, fmt.Appendf(nil, "250-%s\r\n250-PIPELINING\r\n250-SIZE 10240000\r\n250-8BITMIME\r\n250 SMTPUTF8\r\n", d))
	f.say(c2s, 0, []byte("MAIL FROM:<"+from+">\r\n"))
	f.say(s2c, 0, []byte("250 2.1.0 Ok\r\n"))
	f.say(c2s, 0, []byte("RCPT TO:<"+to+">\r\n"))
	f.say(s2c, 0, []byte("250 2.1.5 Ok\r\n"))
	f.say(c2s, 0, []byte("DATA\r\n"))
	f.say(s2c, 0, []byte("354 End data with <CR><LF>.<CR><LF>\r\n"))
	h := fmt.Appendf(nil, "From: <%s>\r\nTo: <%s>\r\nSubject: %s %s %s\r\nMessage-ID: <%x@%s>\r\nDate: Tue, 3 Mar 2026 10:%02d:00 +0000\r\nMIME-Version: 1.0\r\nX-Mailer: mailer/%d\r\n", from, to, w(), w(), w(), r.Uint64(), d, r.IntN(60), r.IntN(9))
	h = append(h, "Content-Type: application/octet-stream; name=\"a.bin\"\r\nContent-Transfer-Encoding: base64\r\n\r\n"...)
	f.body(c2s, 0, h, bodyBase64, size/78*78+76)
	f.say(c2s, 0, []byte("\r\n.\r\n"))
	f.say(s2c, f.think(20), fmt.Appendf(nil, "250 2.0.0 Ok: queued as %010X\r\n", r.Uint64()>>24))
	f.say(c2s, 0, []byte("QUIT\r\n"))
	f.say(s2c, 0, []byte("221 2.0.0 Bye\r\n"))
}
