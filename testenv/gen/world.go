package main

import (
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"strings"
)

// world is what all flows of a run share: the hosts they talk to and what they say there.
type world struct {
	hosts  []host
	words  []string // common ones first, each with a space behind it
	tags   []string // HTML between the words
	subs   []string // first labels of host names
	agents []string // user agents; %d stands for a version
	files  []fileType
	ca     *authority
}

// fileType is a kind of file that web servers have.
type fileType struct {
	ext, ctype string
	kind       bodyKind
}

// newWorld makes the world of a seed.
func newWorld(seed uint64) (*world, error) {
	w := &world{
		tags: []string{"</p>\n<p>", "<a href=\"/", "\">", "</a>", "<div class=\"", "</div>\n", "<span>", "</span>", "<li>", "</li>\n", "<h2>", "</h2>\n", "<br>\n", "&nbsp;", ". ", ", "},
		subs: []string{"www", "www", "api", "cdn", "static", "img", "mail", "assets", "edge", "app", "login", "s3", "news", "m"},
		agents: []string{
			"Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/%d.0.0.0 Safari/537.36",
			"Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/%d.1 Safari/605.1.15",
			"Mozilla/5.0 (X11; Linux x86_64; rv:%d.0) Gecko/20100101 Firefox/%[1]d.0",
			"curl/8.%d.0",
			"python-requests/2.%d.0",
			"Debian APT-HTTP/1.3 (2.%d.1)",
			"Go-http-client/1.1",
			"Microsoft-CryptoAPI/10.%d",
		},
		files: []fileType{
			{".html", "text/html; charset=utf-8", bodyText},
			{".html", "text/html; charset=utf-8", bodyText},
			{".js", "application/javascript", bodyText},
			{".css", "text/css", bodyText},
			{".webp", "image/webp", bodyRandom},
			{".woff2", "font/woff2", bodyRandom},
			{".webm", "video/webm", bodyRandom},
			{".bin", "application/octet-stream", bodyRandom},
			{".deb", "application/vnd.debian.binary-package", bodyRandom},
		},
	}
	tlds := []string{"com", "com", "com", "net", "org", "io", "de", "co.uk", "fr", "dev"}
	r := rand.New(rand.NewPCG(seed, 0x776f7264))
	syl := []string{"an", "be", "co", "da", "el", "fi", "go", "ha", "in", "jo", "ka", "lu", "mi", "no", "or", "pa", "qui", "re", "sta", "ter", "un", "ver", "wi", "xa", "yo", "zen", "tion", "ment", "ing", "er"}
	word := func(n int) string {
		var b strings.Builder
		for range n {
			b.WriteString(syl[r.IntN(len(syl))])
		}
		return b.String()
	}
	for i := range 4096 {
		w.words = append(w.words, word(1+i*3/4096+r.IntN(2))+" ")
	}
	public := []byte{13, 17, 18, 23, 34, 35, 52, 54, 77, 80, 93, 104, 142, 151, 172 - 20, 185, 199, 212}
	for i := range 600 {
		h := host{name: fmt.Sprintf("%s.%s.%s", w.subs[r.IntN(len(w.subs))], word(2+r.IntN(2)), tlds[r.IntN(len(tlds))])}
		if i%7 == 0 {
			h.name = word(1) + "-" + word(1) + "." + h.name
		}
		binary.BigEndian.PutUint32(h.v4[:], r.Uint32())
		h.v4[0] = public[r.IntN(len(public))]
		h.v6 = [16]byte{0x2a, 0x00, 0x14, byte(r.IntN(256)), 0x40, byte(r.IntN(256))}
		binary.BigEndian.PutUint32(h.v6[12:], r.Uint32())
		w.hosts = append(w.hosts, h)
	}
	var err error
	w.ca, err = newAuthority(w, seed)
	return w, err
}

type host struct {
	name string
	v4   [4]byte
	v6   [16]byte
}
