package main

import (
	"fmt"
	"strings"
)

func buildHTTP(f *flow, size int64) {
	r := f.rng
	f.ep[1].port = 80
	if r.IntN(12) == 0 {
		f.ep[1].port = 8080
	}
	if r.IntN(40) == 0 {
		f.dead = 3
	}
	ua := f.w.agents[r.IntN(len(f.w.agents))]
	if strings.Contains(ua, "%") {
		ua = fmt.Sprintf(ua, 90+r.IntN(45))
	}
	n := 1 + int(r.ExpFloat64()*2)
	for i := range n {
		part := size / int64(n)
		think := int64(0)
		if i > 0 {
			think = f.think(300)
		}
		x := f.w.files[r.IntN(len(f.w.files))]
		if size > 1<<20 {
			x = f.w.files[5+r.IntN(4)]
		}
		switch r.IntN(10) {
		case 0: // a JSON API
			var q, a strings.Builder
			fmt.Fprintf(&q, `{"user":%d,"action":"%s","token":"%016x"}`, r.IntN(1e6), strings.TrimSpace(f.w.words[r.IntN(len(f.w.words))]), r.Uint64())
			a.WriteString(`{"items":[`)
			for j := range 1 + r.IntN(20) {
				if j > 0 {
					a.WriteByte(',')
				}
				fmt.Fprintf(&a, `{"id":%d,"name":"%s","score":%.3f}`, r.IntN(1e6), strings.TrimSpace(f.w.words[r.IntN(len(f.w.words))]), r.Float64())
			}
			a.WriteString(`]}`)
			f.say(c2s, think, fmt.Appendf(nil, "POST /api/v%d%s HTTP/1.1\r\nHost: %s\r\nUser-Agent: %s\r\nContent-Type: application/json\r\nContent-Length: %d\r\nAccept: application/json\r\nAuthorization: Bearer %016x%016x\r\n\r\n%s", 1+r.IntN(3), f.path(""), f.host().name, ua, q.Len(), r.Uint64(), r.Uint64(), q.String()))
			f.say(s2c, f.think(15), fmt.Appendf(nil, "HTTP/1.1 200 OK\r\nServer: nginx/1.2%d.0\r\nContent-Type: application/json\r\nContent-Length: %d\r\nX-Request-Id: %016x\r\n\r\n%s", r.IntN(8), a.Len(), r.Uint64(), a.String()))
			continue
		case 1: // nothing there, or elsewhere
			f.say(c2s, think, fmt.Appendf(nil, "GET %s HTTP/1.1\r\nHost: %s\r\nUser-Agent: %s\r\nAccept: */*\r\n\r\n", f.path(x.ext), f.host().name, ua))
			st, loc := "404 Not Found", ""
			if r.IntN(2) == 0 {
				st, loc = "301 Moved Permanently", "Location: https://"+f.host().name+"/\r\n"
			}
			b := "<html><head><title>" + st + "</title></head><body><h1>" + st + "</h1></body></html>\n"
			f.say(s2c, f.think(5), fmt.Appendf(nil, "HTTP/1.1 %s\r\nServer: nginx\r\n%sContent-Type: text/html\r\nContent-Length: %d\r\n\r\n%s", st, loc, len(b), b))
			continue
		}
		cookie := ""
		if r.IntN(2) == 0 {
			cookie = fmt.Sprintf("Cookie: sid=%016x; theme=dark\r\n", r.Uint64())
		}
		f.say(c2s, think, fmt.Appendf(nil, "GET %s HTTP/1.1\r\nHost: %s\r\nUser-Agent: %s\r\nAccept: */*\r\nAccept-Language: en-US,en;q=0.9\r\nAccept-Encoding: identity\r\n%sConnection: keep-alive\r\n\r\n", f.path(x.ext), f.host().name, ua, cookie))
		f.body(s2c, f.think(8), fmt.Appendf(nil, "HTTP/1.1 200 OK\r\nDate: Tue, 03 Mar 2026 10:%02d:%02d GMT\r\nServer: Apache/2.4.%d (Debian)\r\nContent-Type: %s\r\nContent-Length: %d\r\nETag: \"%x-%x\"\r\nCache-Control: max-age=%d\r\nConnection: keep-alive\r\n\r\n", r.IntN(60), r.IntN(60), 40+r.IntN(25), x.ctype, part, part, r.Uint32(), r.IntN(86400)), x.kind, part)
	}
}
