package dissect

import (
	"encoding/binary"
	"strings"
	"testing"
)

func u32le(n int) string { return string(binary.LittleEndian.AppendUint32(nil, uint32(n))) }
func u64le(n int) string { return string(binary.LittleEndian.AppendUint64(nil, uint64(n))) }

const (
	smb2TestID  = "persistVOLATILE!"
	smb2Related = "\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff"
)

// smb2Test builds a message with a MessageId, in tree 5 (MS-SMB2 2.2.1.2).
func smb2Test(command, status, message int, answer bool, body string) string {
	flags := 0
	if answer {
		flags = 1
	}
	return "\xfeSMB" + u16le(64) + u16le(0) + u32le(status) + u16le(command) + u16le(1) + u32le(flags) + u32le(0) +
		u64le(message) + u32le(0) + u32le(5) + u64le(1) + strings.Repeat("\x00", 16) + body
}

// chained sets NextCommand of all but the last message, padded to 8 bytes.
func chained(messages ...string) string {
	var out strings.Builder
	for i, m := range messages {
		if i+1 < len(messages) {
			m += strings.Repeat("\x00", (8-len(m)%8)%8)
			m = m[:20] + u32le(len(m)) + m[24:]
		}
		out.WriteString(m)
	}
	return smbFrame(out.String())
}

func smb2CreateBody(name string) string {
	return u16le(57) + strings.Repeat("\x00", 42) + u16le(64+56) + u16le(len(wide(name))) + strings.Repeat("\x00", 8) + wide(name)
}

func smb2Created(size int) string {
	return u16le(89) + strings.Repeat("\x00", 46) + u64le(size) + strings.Repeat("\x00", 8) + smb2TestID + strings.Repeat("\x00", 8)
}

func smb2ReadBody(offset, n int, id string) string {
	return u16le(49) + "\x00\x00" + u32le(n) + u64le(offset) + id + strings.Repeat("\x00", 17)
}

func smb2ReadData(data string) string {
	return u16le(17) + "\x50\x00" + u32le(len(data)) + strings.Repeat("\x00", 8) + data
}

func smb2WriteBody(offset int, data string) string {
	return u16le(49) + u16le(112) + u32le(len(data)) + u64le(offset) + smb2TestID + strings.Repeat("\x00", 16) + data
}

func smb2CloseBody(id string) string { return u16le(24) + strings.Repeat("\x00", 6) + id }

func smb2Closed(size int) string {
	return u16le(60) + u16le(1) + strings.Repeat("\x00", 44) + u64le(size) + strings.Repeat("\x00", 4)
}

// exchange feeds requests and answers in turn, in parts of n bytes.
func exchange(n int, texts ...string) *Session {
	s := newTestSession(allProtocols(), TCP, 40000, 445)
	for i, text := range texts {
		for len(text) > 0 {
			m := min(n, len(text))
			s.Stream(Dir(i%2), []byte(text[:m]))
			text = text[m:]
		}
	}
	s.End(true)
	return s
}

func TestSMB2Files(t *testing.T) {
	content := "%PDF-1.7 " + strings.Repeat("contents of a file ", 9000)
	cut := 100 << 10
	tree := []string{
		smbFrame(smb2Test(3, 0, 1, false, u16le(9)+u16le(0)+u16le(72)+u16le(len(wide(`\\s\d`)))+wide(`\\s\d`))),
		smbFrame(smb2Test(3, 0, 1, true, u16le(16)+"\x01\x00"+strings.Repeat("\x00", 12))),
	}
	pipe := []string{tree[0], strings.Replace(tree[1], u16le(16)+"\x01", u16le(16)+"\x02", 1)}
	create := func(size int) []string {
		return []string{smbFrame(smb2Test(5, 0, 2, false, smb2CreateBody(`dir\a.pdf`))), smbFrame(smb2Test(5, 0, 2, true, smb2Created(size)))}
	}
	read := func(message, offset int, data string) []string {
		return []string{smbFrame(smb2Test(8, 0, message, false, smb2ReadBody(offset, len(data), smb2TestID))), smbFrame(smb2Test(8, 0x103, message, true, smb2ReadData(""))) + smbFrame(smb2Test(8, 0, message, true, smb2ReadData(data)))}
	}
	write := func(message, offset int, data string) []string {
		return []string{smbFrame(smb2Test(9, 0, message, false, smb2WriteBody(offset, data))), smbFrame(smb2Test(9, 0, message, true, u16le(17)+strings.Repeat("\x00", 14)))}
	}
	closing := func(size int) []string {
		return []string{smbFrame(smb2Test(6, 0, 90, false, smb2CloseBody(smb2TestID))), smbFrame(smb2Test(6, 0, 90, true, smb2Closed(size)))}
	}
	whole, part := wholeFile("smb", `dir\a.pdf`, "application/pdf", content), "smb dir\\a.pdf 102400 application/pdf - -"
	parallel := []string{"", ""} // answered in another order than asked
	for _, i := range []int{0, 1, 2, 3} {
		parallel[0] += read(20+i, 50_000*i, content[50_000*i:min(len(content), 50_000*(i+1))])[0]
	}
	for _, i := range []int{1, 0, 3, 2} {
		parallel[1] += read(20+i, 50_000*i, content[50_000*i:min(len(content), 50_000*(i+1))])[1]
	}
	for _, tt := range []struct {
		name  string
		parts [][]string
		want  []string
	}{
		{"read", [][]string{tree, create(len(content)), read(3, 0, content[:cut]), read(4, cut, content[cut:]), closing(len(content))}, []string{whole}},
		{"read and not closed", [][]string{tree, create(len(content)), read(3, 0, content[:cut]), read(4, cut, content[cut:])}, []string{whole}},
		{"read from the beginning again", [][]string{tree, create(len(content)), read(3, 0, content[:64]), read(4, 0, content), closing(len(content))}, []string{whole}},
		{"read with overlap", [][]string{tree, create(len(content)), read(3, 0, content[:cut]), read(4, cut-100, content[cut-100:]), closing(len(content))}, []string{whole}},
		{"read in part", [][]string{tree, create(len(content)), read(3, 0, content[:cut]), closing(len(content))}, []string{part}},
		{"written", [][]string{tree, create(0), write(3, 0, content[:cut]), write(4, cut, content[cut:]), closing(len(content))}, []string{whole}},
		{"written in part", [][]string{tree, create(len(content)), write(3, 0, content[:cut]), closing(len(content))}, []string{part}},
		{"written out of order", [][]string{tree, create(0), write(3, cut, content[cut:]), write(4, 0, content[:cut]), closing(len(content))}, []string{whole}},
		{"read out of order", [][]string{tree, create(len(content)), read(3, 50_000, content[50_000:cut]), read(4, cut, content[cut:]), read(5, 0, content[:60_000]), closing(len(content))}, []string{whole}},
		{"read by parallel requests", [][]string{tree, create(len(content)), parallel, closing(len(content))}, []string{whole}},
		{"read from the end, more than may wait", [][]string{tree, create(4 * cut), read(3, 3*cut, content[:cut]), read(4, 2*cut, content[:cut]), read(5, 0, content[:cut]), read(6, cut, content[:cut]), closing(4 * cut)}, []string{"smb dir\\a.pdf 409600 application/pdf - -"}},
		{"a piece never comes", [][]string{tree, create(len(content)), read(3, 0, content[:cut]), read(4, cut+10, content[cut+10:]), closing(len(content))}, []string{"smb dir\\a.pdf 170999 application/pdf - -"}},
		{"written over", [][]string{tree, create(0), write(3, 0, content[:cut]), write(4, 10, "new"), write(5, cut, content[cut:]), closing(len(content))}, []string{"smb dir\\a.pdf 171009 application/pdf - -"}},
		{"written anew", [][]string{tree, create(0), write(3, 0, "draft"), write(4, 0, content[:cut]), write(5, cut, content[cut:]), closing(len(content))}, []string{whole}},
		{"read whole, and its head again", [][]string{tree, create(len(content)), read(3, 0, content), read(4, 0, content[:9]), closing(len(content))}, []string{whole}},
		{"read, closed and gone on with", [][]string{tree, create(len(content)), read(3, 0, content[:cut]), closing(len(content)), create(len(content)), read(4, cut, content[cut:]), closing(len(content))}, []string{part, whole}},
		{"written, closed and gone on with", [][]string{tree, create(0), write(3, 0, content[:cut]), closing(cut), create(cut), write(4, cut, content[cut:]), closing(len(content))}, []string{wholeFile("smb", `dir\a.pdf`, "application/pdf", content[:cut]), whole}},
		{"gone on with after a change", [][]string{tree, create(len(content)), read(3, 0, content[:cut]), closing(len(content)), create(len(content) + 1), read(4, cut, content[cut:]), closing(len(content) + 1)}, []string{part, "smb dir\\a.pdf 68609 - - -"}},
		{"a pipe is no file", [][]string{pipe, create(0), write(3, 0, "request"), closing(0)}, nil},
	} {
		t.Run(tt.name, func(t *testing.T) {
			var texts []string
			for _, p := range tt.parts {
				texts = append(texts, p...)
			}
			for _, n := range []int{1 << 20, 1000, 13} {
				s := exchange(n, texts...)
				wantFiles(t, s, tt.want...)
				wantStrings(t, s, "smb.filename", `dir\a.pdf`)
				wantStrings(t, s, "tags")
				if s.Buffered() != 0 {
					t.Errorf("%d bytes are held behind the end", s.Buffered())
				}
			}
		})
	}
}

func TestSMB2Chain(t *testing.T) {
	requests := chained(smb2Test(5, 0, 1, false, smb2CreateBody("small.txt")), smb2Test(8, 0, 2, false, smb2ReadBody(0, 4096, smb2Related)), smb2Test(6, 0, 3, false, smb2CloseBody(smb2Related)))
	answers := chained(smb2Test(5, 0, 1, true, smb2Created(5)), smb2Test(8, 0, 2, true, smb2ReadData("hello")), smb2Test(6, 0, 3, true, smb2Closed(5)))
	rename := "\x00" + strings.Repeat("\x00", 15) + u32le(len(wide("new.txt"))) + wide("new.txt")
	info := smbFrame(smb2Test(17, 0, 4, false, u16le(33)+"\x01\x0a"+u32le(len(rename))+u16le(96)+strings.Repeat("\x00", 6)+smb2TestID+rename))
	for _, n := range []int{1 << 20, 13} {
		s := exchange(n, requests, answers, info)
		wantFiles(t, s, wholeFile("smb", "small.txt", "text/plain", "hello"))
		wantStrings(t, s, "smb.filename", "small.txt", "new.txt")
	}
}

func TestSMB1Files(t *testing.T) {
	const content = "hello, file of the first version"
	words := func(parts ...string) string { return strings.Join(parts, "") }
	andx := "\xff\x00\x00\x00"
	create := smb1Message(0xa2, 0, false, strings.Repeat("\x00", 48), "\\b.txt\x00")
	created := smb1Message(0xa2, 0x80, false, words(andx, "\x00", u16le(7), strings.Repeat("\x00", 48), u64le(len(content)), strings.Repeat("\x00", 5)), "")
	read := smb1Message(0x2e, 0, false, words(andx, u16le(7), u32le(0), u16le(4096), strings.Repeat("\x00", 12)), "")
	answer := smb1Message(0x2e, 0x80, false, words(andx, strings.Repeat("\x00", 6), u16le(len(content)), u16le(32+1+24+2+1), strings.Repeat("\x00", 10)), "\x00"+content)
	write := smb1Message(0x2f, 0, false, words(andx, u16le(7), u32le(0), strings.Repeat("\x00", 10), u16le(len(content)), u16le(32+1+28+2+1), u32le(0)), "\x00"+content)
	closing := smb1Message(0x04, 0, false, u16le(7)+u32le(0), "")
	closed := smb1Message(0x04, 0x80, false, "", "")
	for _, n := range []int{1 << 20, 11} {
		want := wholeFile("smb", "b.txt", "text/plain", content)
		wantFiles(t, exchange(n, create, created, read, answer, closing, closed), want)
		wantFiles(t, exchange(n, create, created, write, smb1Message(0x2f, 0x80, false, strings.Repeat("\x00", 12), ""), closing, closed), want)
		wantFiles(t, exchange(n, create, created, read, answer), want)
	}
}

// TestSMBBounded holds that requests without answers and files that stay open cost no memory without bound.
func TestSMBBounded(t *testing.T) {
	s := newTestSession(New(), TCP, 40000, 445)
	name := strings.Repeat("n", 500)
	for i := range 3 * smbMaxPending {
		id := smb2TestID[:8] + u64le(i)
		s.Stream(Client, []byte(smbFrame(smb2Test(5, 0, 2*i, false, smb2CreateBody(name)))+smbFrame(smb2Test(5, 0, 2*i+1, false, smb2CreateBody(name)))))
		s.Stream(Server, []byte(smbFrame(smb2Test(5, 0, 2*i, true, strings.Replace(smb2Created(9), smb2TestID, id, 1)))))
		s.Stream(Client, []byte(smbFrame(smb2Test(9, 0, 0, false, strings.Replace(smb2WriteBody(0, "hello"), smb2TestID, id, 1)))))
	}
	if s.Buffered() > DefaultLimits().Buffer {
		t.Errorf("%d bytes are held", s.Buffered())
	}
	wantStrings(t, s, "tags")
	s.End(true)
}

func FuzzSMB(f *testing.F) {
	f.Add([]byte(smbFrame(smb2Test(5, 0, 1, false, smb2CreateBody("a")))+smbFrame(smb2Test(9, 0, 2, false, smb2WriteBody(0, "data")))+smbFrame(smb2Test(8, 0, 3, false, smb2ReadBody(0, 9, smb2TestID)))),
		[]byte(smbFrame(smb2Test(5, 0, 1, true, smb2Created(4)))+smbFrame(smb2Test(8, 0, 3, true, smb2ReadData("data")))))
	f.Add([]byte(smb1Message(0x2e, 0, false, strings.Repeat("\x00", 24), "")), []byte(smb1Message(0x2e, 0x80, false, strings.Repeat("\x00", 24), "data")))
	set := New()
	f.Fuzz(func(t *testing.T, client, server []byte) {
		s := newTestSession(set, TCP, 40000, 445)
		s.Attach("smb")
		s.classified = [2]bool{true, true}
		for i := range 2 {
			s.Stream(Client, client[i*len(client)/2:(i+1)*len(client)/2])
			s.Stream(Server, server[i*len(server)/2:(i+1)*len(server)/2])
		}
		s.Gap(Server, 10)
		s.Stream(Server, server)
		s.End(true)
		for _, tag := range stringsOf(s, "tags") {
			if strings.HasPrefix(tag, "dissector-panic") {
				t.Fatal(tag)
			}
		}
	})
}

// TestSMB2LargePieces answers requests for a file in another order than they were made, in pieces as large as servers send.
func TestSMB2LargePieces(t *testing.T) {
	const piece, pieces = 1 << 20, 6
	content := strings.Repeat("0123456789abcdef", piece/16*pieces)
	ask := smbFrame(smb2Test(5, 0, 2, false, smb2CreateBody("a.iso")))
	open := smbFrame(smb2Test(5, 0, 2, true, smb2Created(len(content))))
	part := "smb a.iso 6291456 text/plain - -"
	for _, tt := range []struct {
		name  string
		order []int
		lane  int // bytes that may wait
		want  string
	}{
		{"in order", []int{0, 1, 2, 3, 4, 5}, 0, wholeFile("smb", "a.iso", "text/plain", content)},
		{"the first one last", []int{1, 2, 3, 4, 5, 0}, 16 << 20, wholeFile("smb", "a.iso", "text/plain", content)},
		{"from the end", []int{5, 4, 3, 2, 1, 0}, 5 << 20, wholeFile("smb", "a.iso", "text/plain", content)},
		{"more than the lane has room for", []int{5, 4, 3, 2, 1, 0}, 5<<20 - 1, part},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s := newTestSession(allProtocols(), TCP, 40000, 445)
			s.Early = &EarlyBytes{Max: tt.lane}
			s.Stream(Client, []byte(ask))
			s.Stream(Server, []byte(open))
			for i := range pieces {
				s.Stream(Client, []byte(smbFrame(smb2Test(8, 0, 10+i, false, smb2ReadBody(piece*i, piece, smb2TestID)))))
			}
			for _, i := range tt.order {
				answer := []byte(smbFrame(smb2Test(8, 0, 10+i, true, smb2ReadData(content[piece*i:piece*(i+1)]))))
				for len(answer) > 0 {
					m := min(len(answer), 1460)
					s.Stream(Server, answer[:m])
					answer = answer[m:]
					if s.Early.held > tt.lane || s.Buffered() < s.Early.held {
						t.Fatalf("%d bytes wait, %d are counted; the lane has room for %d", s.Early.held, s.Buffered(), tt.lane)
					}
				}
			}
			s.End(true)
			wantFiles(t, s, tt.want)
			if s.Early.held != 0 || s.Buffered() != 0 {
				t.Errorf("%d bytes wait behind the end, %d are held", s.Early.held, s.Buffered())
			}
		})
	}
	t.Run("announced and never sent", func(t *testing.T) {
		s := newTestSession(allProtocols(), TCP, 40000, 445)
		s.Early = &EarlyBytes{Max: 64 << 20}
		s.Stream(Client, []byte(ask))
		s.Stream(Server, []byte(open))
		for i := 1; i < pieces; i++ {
			s.Stream(Client, []byte(smbFrame(smb2Test(9, 0, 10+i, false, smb2WriteBody(piece*i, "")[:4]+u32le(piece)+smb2WriteBody(piece*i, "")[8:]+strings.Repeat("x", piece))[:300])))
		}
		if held := s.Early.held; held > 5*earlyBlockBytes {
			t.Errorf("%d bytes wait of what was only announced", held)
		}
		s.End(true)
		if s.Early.held != 0 {
			t.Errorf("%d bytes wait behind the end", s.Early.held)
		}
	})
}
