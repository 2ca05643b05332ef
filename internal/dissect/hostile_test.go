package dissect

import (
	"bytes"
	"compress/gzip"
	"fmt"
	"io"
	"runtime"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"wirelake/internal/spi"
)

// hostile is a session that wants to cost as much as it can.
type hostile struct {
	name   string
	on     Transport
	port   uint16
	attach string    // parser; "": as recognized
	server string    // what the server says first
	head   string    // what the client begins with
	repeat string    // what follows it, again and again
	size   int       // to this size, in bytes
	tail   string    // and last
	whole  io.Reader // or all of it
}

// zeros is a reader of n zero bytes.
func zeros(n int64) io.Reader { return io.LimitReader(zeroReader{}, n) }

type zeroReader struct{}

func (zeroReader) Read(p []byte) (int, error) {
	clear(p)
	return len(p), nil
}

// bomb is n zero bytes compressed.
func bomb(t *testing.T, n int64) string {
	t.Helper()
	var b bytes.Buffer
	w, err := gzip.NewWriterLevel(&b, gzip.BestCompression)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := io.Copy(w, zeros(n)); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

// nestedBER is as many BER elements within one another, with lengths of four bytes.
func nestedBER(tag byte, depth int) string {
	const element = 6
	var b strings.Builder
	for i := range depth {
		b.WriteString(string([]byte{tag, 0x84}) + u32be((depth-i-1)*element))
	}
	return b.String()
}

func hostileSessions(t *testing.T) []hostile {
	t.Helper()
	packed := bomb(t, 32<<20)
	response := fmt.Sprintf("HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Disposition: attachment; filename=b\r\nContent-Length: %d\r\n\r\n%s", len(packed), packed)
	var parts strings.Builder
	for i := range 5000 {
		fmt.Fprintf(&parts, "Content-Type: multipart/mixed; boundary=b%d\r\n\r\n--b%d\r\n", i, i)
	}
	var document strings.Builder
	for i := range 5000 {
		document.WriteString(u32le(5+7*(5000-i)) + "\x03a\x00")
	}
	dns := "\x00\x01\x01\x00\x00\x01\x00\x00\x00\x00\x00\x00"
	return []hostile{
		{name: "a compression bomb", on: TCP, port: 80, server: response, head: "GET / HTTP/1.1\r\nHost: a\r\n\r\n"},
		{name: "many compression bombs", on: TCP, port: 80, head: "GET / HTTP/1.1\r\nHost: a\r\n\r\n", server: strings.Repeat(response, 10)},
		{name: "a million headers", on: TCP, port: 80, head: "GET / HTTP/1.1\r\n", repeat: "X-Header: value\r\n", size: 16 << 20, tail: "\r\n"},
		{name: "a million different headers", on: TCP, port: 80, whole: counting("GET / HTTP/1.1\r\n", "X-%d: v%d\r\n", 1e6)},
		{name: "a header that never ends", on: TCP, port: 80, head: "GET / HTTP/1.1\r\nX: ", repeat: "aaaaaaaaaaaaaaaa", size: 8 << 20},
		{name: "a header folded forever", on: TCP, port: 80, head: "GET / HTTP/1.1\r\nX: a\r\n", repeat: " bbbbbbbbbbbbbb\r\n", size: 8 << 20},
		{name: "chunks of one byte", on: TCP, port: 80, head: "POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n", repeat: "1\r\nx\r\n", size: 8 << 20},
		{name: "requests without end", on: TCP, port: 80, whole: counting("", "GET /%d HTTP/1.1\r\nHost: h%d\r\n\r\n", 1<<13)},
		{name: "a TLS record that never ends", on: TCP, port: 443, head: "\x16\x03\x01\xff\xff\x01\x00\xff\xff\x03\x03", repeat: "x", size: 4 << 20},
		{name: "a handshake message that never ends", on: TCP, port: 443, head: "\x16\x03\x01\x00\x04\x01\xff\xff\xff", repeat: "\x16\x03\x01\x00\x01x", size: 4 << 20},
		{name: "empty TLS records", on: TCP, port: 443, head: "\x16\x03\x01\x00\x04\x01\x00\x02\x00", repeat: "\x16\x03\x01\x00\x00", size: 4 << 20},
		{name: "a DNS name that points to itself", on: UDP, port: 53, head: dns + "\xc0\x0c\x00\x01\x00\x01"},
		{name: "DNS names that point to each other", on: UDP, port: 53, head: dns + "\x01a\xc0\x10\x01b\xc0\x0c\x00\x01\x00\x01"},
		{name: "a DNS name of pointers", on: UDP, port: 53, head: dns + strings.Repeat("\xc0\x0c", 30000)},
		{name: "DNS answers that all point back", on: TCP, port: 53, attach: "dns", head: u16be(12+6*10000) + "\x00\x01\x81\x80\x00\x00\x27\x10\x00\x00\x00\x00", repeat: "\xc0\x0c\x00\x01\x00\x01", size: 60000},
		{name: "multiparts in multiparts", on: TCP, port: 25, server: "220 ESMTP\r\n250 a\r\n354 go\r\n", head: "EHLO a\r\nDATA\r\n" + parts.String(), repeat: "X: y\r\n", size: 4 << 20, tail: ".\r\n"},
		{name: "messages in messages", on: TCP, port: 25, server: "220 ESMTP\r\n250 a\r\n354 go\r\n", head: "EHLO a\r\nDATA\r\n", repeat: "Content-Type: message/rfc822\r\n\r\n", size: 4 << 20, tail: ".\r\n"},
		{name: "a mail of a million headers", on: TCP, port: 25, server: "220 ESMTP\r\n250 a\r\n354 go\r\n", whole: counting("EHLO a\r\nDATA\r\n", "X-%d: v%d\r\n", 1<<18)},
		{name: "a million attachments", on: TCP, port: 25, server: "220 ESMTP\r\n250 a\r\n354 go\r\n", whole: counting("EHLO a\r\nDATA\r\nContent-Type: multipart/mixed; boundary=b\r\n\r\n", "--b\r\nContent-Disposition: attachment; filename=f%d\r\n\r\n%d\r\n", 1<<16)},
		{name: "a mail line that never ends", on: TCP, port: 25, server: "220 ESMTP\r\n250 a\r\n354 go\r\n", head: "EHLO a\r\nDATA\r\nSubject: ", repeat: "aaaaaaaaaaaaaaaa", size: 8 << 20},
		{name: "a body structure in parentheses", on: TCP, port: 143, attach: "imap", server: "* OK IMAP\r\n* 1 FETCH (BODYSTRUCTURE " + strings.Repeat("(", 15000) + "\r\n", head: "a FETCH 1 BODYSTRUCTURE\r\n"},
		{name: "deep ASN.1 in LDAP", on: TCP, port: 389, attach: "ldap", head: nestedBER(0x30, 10000)},
		{name: "deep ASN.1 in SNMP", on: UDP, port: 161, attach: "snmp", head: nestedBER(0x30, 10000)},
		{name: "deep ASN.1 in Kerberos", on: UDP, port: 88, attach: "krb5", head: nestedBER(0x6a, 10000)},
		{name: "an ASN.1 length that never comes", on: TCP, port: 389, attach: "ldap", head: "\x30\x84\x7f\xff\xff\xff\x02\x01\x01", repeat: "xxxxxxxx", size: 4 << 20},
		{name: "deep BSON", on: TCP, port: 27017, attach: "mongo", head: u32le(16+5+document.Len()) + strings.Repeat("\x00", 8) + u32le(2013) + u32le(0) + "\x00" + document.String()},
		{name: "deep bencoding", on: UDP, port: 6881, attach: "bittorrent", head: "d1:a" + strings.Repeat("l", 60000)},
		{name: "a Redis array without end", on: TCP, port: 6379, head: "*1000000000\r\n", repeat: "$3\r\nabc\r\n", size: 4 << 20},
		{name: "a compound of NFS without end", on: TCP, port: 2049, attach: "rpc", head: marked(rpcTest(100003, 4, 1, xdr("")+u32be(0)+u32be(1<<32-1)+strings.Repeat(u32be(10), 10000)))},
		{name: "FTP that announces without end", on: TCP, port: 21, server: "220 FTP\r\n", whole: counting("", "PORT 10,0,0,1,%[1]d,1\r\nRETR %[1]d\r\n", 1<<13)},
		{name: "files of SMB that stay open", on: TCP, port: 445, attach: "smb", head: "", repeat: smbFrame(smb2Test(5, 0, 1, false, smb2CreateBody("name"))), size: 4 << 20},
	}
}

// counting is a text of head and n lines that their number is written into.
func counting(head, line string, n int) io.Reader {
	r, w := io.Pipe()
	go func() {
		var b bytes.Buffer
		b.WriteString(head)
		for i := range n {
			fmt.Fprintf(&b, line, i, i)
			if b.Len() > 64<<10 {
				if _, err := w.Write(b.Bytes()); err != nil {
					return
				}
				b.Reset()
			}
		}
		if _, err := w.Write(b.Bytes()); err == nil {
			w.Close() //nolint:errcheck,gosec // it never fails
		}
	}()
	return r
}

// reader is all that the client sends.
func (h *hostile) reader() io.Reader {
	if h.whole != nil {
		return h.whole
	}
	n := 0
	if h.repeat != "" {
		n = h.size / len(h.repeat)
	}
	repeated := strings.Repeat(h.repeat, max(1, min(n, 4096)))
	readers := []io.Reader{strings.NewReader(h.head)}
	for ; n > 0; n -= 4096 {
		readers = append(readers, strings.NewReader(repeated))
	}
	return io.MultiReader(append(readers, strings.NewReader(h.tail))...)
}

// processorTime is what this process has used of processors.
func processorTime(t *testing.T) time.Duration {
	t.Helper()
	var u unix.Rusage
	if err := unix.Getrusage(unix.RUSAGE_SELF, &u); err != nil {
		t.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// TestHostile holds that what a session sends cannot make it cost more than its limits: bytes held back, memory, and time.
func TestHostile(t *testing.T) {
	const (
		segment = 1460
		maxHeap = 24 << 20    // a document of a mebibyte of text takes some, as do bodies that are decoded
		maxTime = time.Minute // of a processor: other work of the machine counts for nothing
	)
	set := New()
	for _, h := range hostileSessions(t) {
		t.Run(h.name, func(t *testing.T) {
			s := newTestSession(set, h.on, 40000, h.port)
			s.Expected = new(Expected)
			if h.attach != "" {
				s.Attach(h.attach)
			}
			runtime.GC()
			var before, after runtime.MemStats
			runtime.ReadMemStats(&before)
			begun := processorTime(t)
			most := 0
			feed := func(dir Dir, r io.Reader) {
				if h.on == UDP {
					b, err := io.ReadAll(r)
					if err != nil {
						t.Fatal(err)
					}
					s.Datagram(dir, 0, b)
					return
				}
				b := make([]byte, segment)
				for {
					n, err := io.ReadFull(r, b)
					if n > 0 {
						s.Stream(dir, b[:n])
						most = max(most, s.Buffered())
					}
					if err != nil {
						return
					}
				}
			}
			if h.server != "" && h.on == TCP && !strings.HasPrefix(h.server, "HTTP/") {
				feed(Server, strings.NewReader(h.server))
			}
			feed(Client, h.reader())
			if strings.HasPrefix(h.server, "HTTP/") {
				feed(Server, strings.NewReader(h.server))
			}
			runtime.GC()
			runtime.ReadMemStats(&after)
			s.End(true)
			if most > DefaultLimits().Buffer {
				t.Errorf("%d bytes were held, the limit is %d", most, DefaultLimits().Buffer)
			}
			if grown := int64(after.HeapAlloc) - int64(before.HeapAlloc); grown > maxHeap {
				t.Errorf("the session holds %d bytes of memory", grown)
			}
			if took := processorTime(t) - begun; took > maxTime {
				t.Errorf("it took %v", took)
			}
			text := 0
			for _, v := range s.Doc.Values() {
				text += len(v.Str)
			}
			if text > spi.MaxDocumentBytes+64<<10 {
				t.Errorf("the document has %d bytes of text", text)
			}
			for _, tag := range stringsOf(s, "tags") {
				if strings.HasPrefix(tag, "dissector-panic") {
					t.Error(tag)
				}
			}
		})
	}
}
