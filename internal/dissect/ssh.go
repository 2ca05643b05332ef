package dissect

import (
	"bytes"
	"encoding/base64"
	"encoding/binary"

	"wirelake/internal/spi"
)

// ssh reads the clear beginning of SSH (RFC 4253): the banners, HASSH of both
// sides, and the server's host key.
type ssh struct {
	version, hassh, hasshServer, key spi.FieldID
}

const (
	maxSSHBanner = 8 << 10 // honest ones end after 255 bytes (RFC 4253 section 4.2)
	maxSSHPacket = 64 << 10
	sshKexInit   = 20
	sshNewKeys   = 21
	sshRSAKey    = 30 // KEXRSA_PUBKEY, RFC 4432 section 4; in other methods the client's first
	sshDHReply   = 31 // KEXDH_REPLY and KEX_ECDH_REPLY, RFC 4253 section 8, RFC 5656 section 4
	sshGEXReply  = 33 // KEX_DH_GEX_REPLY, RFC 4419 section 3; GSSAPI's host key, RFC 4462 section 2.1
	sshGEXAsk    = 34 // KEX_DH_GEX_REQUEST
)

func newSSH(r *spi.Registry) Protocol {
	field := func(path string, t spi.Type, hot bool, expr, name, help string) spi.FieldID {
		return r.Declare(spi.Field{Path: path, Type: t, List: true, Exprs: []string{expr}, Hot: hot, Name: name, Help: help, Group: "ssh"})
	}
	f := &ssh{
		version:     field("ssh.version", spi.LoTerm, true, "ssh.ver", "Version", "software banners"),
		hassh:       field("ssh.hassh", spi.LoTerm, true, "ssh.hassh", "HASSH", "HASSH of the client"),
		hasshServer: field("ssh.hasshServer", spi.LoTerm, true, "ssh.hasshServer", "HASSH server", "HASSH of the server"),
		key:         field("ssh.key", spi.Term, false, "ssh.key", "Key", "host key, base64"),
	}
	return Protocol{
		Name:     "ssh",
		Matchers: OnPrefixes(TCP, "SSH-"),
		// The reference takes the session's source for the client.
		New: func(s *Session) Parser { return &sshParser{ssh: f, known: s.Reference} },
	}
}

type sshParser struct {
	*ssh
	Base
	greeted [2]bool
	known   bool // it is known who is the client
	client  Dir
	offers  [2][2]string // HASSH of each direction, as if it were the client's and the server's, until that is known
}

// Parse implements Parser.
func (p *sshParser) Parse(s *Session, dir Dir, b []byte) (int, Status) {
	n := 0
	for !p.greeted[dir] {
		end := bytes.IndexByte(b[n:], '\n')
		if end < 0 {
			if len(b)-n > maxSSHBanner {
				return n, DirDone
			}
			return n, More
		}
		line := bytes.TrimRight(b[n:n+end], "\r\n")
		n += end + 1
		if bytes.HasPrefix(line, []byte("SSH-")) {
			p.greeted[dir] = true
			s.Doc.AddBytes(p.version, bytes.ToLower(line))
		} else {
			p.learn(s, dir, Server) // only servers send lines before it (RFC 4253 section 4.2)
		}
	}
	for len(b)-n >= 6 {
		size := int(binary.BigEndian.Uint32(b[n:]))
		padding := int(b[n+4])
		if size < padding+2 || size > maxSSHPacket {
			return n, DirDone // encrypted already, or not SSH
		}
		if len(b)-n < 4+size {
			break
		}
		if p.message(s, dir, b[n+5:n+4+size-padding]) == DirDone {
			return n, DirDone
		}
		n += 4 + size
	}
	return n, More
}

// message reads one unencrypted message, from its number on.
func (p *sshParser) message(s *Session, dir Dir, b []byte) Status {
	switch kind := b[0]; kind {
	case sshKexInit:
		lists, ok := sshLists(b[1:])
		if !ok {
			break
		}
		switch {
		case sshListed(lists[0], "ext-info-c", "kex-strict-c-v00@openssh.com"):
			p.learn(s, dir, Client)
		case sshListed(lists[0], "ext-info-s", "kex-strict-s-v00@openssh.com"):
			p.learn(s, dir, Server)
		}
		p.offers[dir] = [2]string{md5Hex(hasshText(&lists, Client)), md5Hex(hasshText(&lists, Server))}
		if p.known {
			p.file(s, dir)
		}
	case sshRSAKey, sshDHReply, sshGEXReply:
		// What has the host key in front is the server's. In a group exchange 31 is the group instead, which is no key.
		key, _, ok := sshString(b[1:])
		name, _, named := sshString(key)
		if ok = ok && named && sshKeyName(name); ok && (kind != sshRSAKey || !s.Reference) {
			p.learn(s, dir, Server)
			if dir != p.client {
				s.Doc.AddString(p.key, base64.StdEncoding.EncodeToString(key))
			}
		} else if kind == sshRSAKey {
			p.learn(s, dir, Client)
		}
	case sshGEXAsk:
		p.learn(s, dir, Client)
	case sshNewKeys:
		return DirDone
	}
	return More
}

// learn notes that the side sends in the direction, unless it is known already who is who: what came before is filed then.
func (p *sshParser) learn(s *Session, dir, side Dir) {
	if p.known {
		return
	}
	p.known, p.client = true, dir^side
	p.file(s, Client)
	p.file(s, Server)
}

// file files the HASSH of a direction, if it has come.
func (p *sshParser) file(s *Session, dir Dir) {
	side := dir ^ p.client
	if text := p.offers[dir][side]; text != "" {
		s.Doc.AddString([2]spi.FieldID{p.hassh, p.hasshServer}[side], text)
	}
	p.offers[dir] = [2]string{}
}

// End implements Parser: where no message told who is the client, it is who began, else who is not on SSH's port.
func (p *sshParser) End(s *Session, _ bool) {
	if p.offers == [2][2]string{} {
		return
	}
	side := Client
	if !s.Began[Client] && !s.Began[Server] {
		side = s.sideOf(Client, 22)
	}
	p.learn(s, Client, side)
}

// sshLists returns what the sender of b, a KEXINIT behind its number, offers: the lists of RFC 4253 section 7.1, up to
// those of compression.
func sshLists(b []byte) (lists [8][]byte, ok bool) {
	if len(b) < 16 {
		return lists, false
	}
	b = b[16:] // cookie
	for i := range lists {
		if lists[i], b, ok = sshString(b); !ok {
			return lists, false
		}
	}
	return lists, true
}

// sshListed reports whether the list has one of two names, which say of its sender what it is: RFC 8308 section 2.1, and
// PROTOCOL of OpenSSH, section 1.10.
func sshListed(list []byte, one, other string) bool {
	for name := range bytes.SplitSeq(list, []byte(",")) {
		if string(name) == one || string(name) == other {
			return true
		}
	}
	return false
}

// hasshText returns what HASSH is the MD5 of (https://github.com/salesforce/hassh):
// key exchange, encryption, MAC and compression offered by the side.
func hasshText(lists *[8][]byte, side Dir) string {
	// Lists alternate between the directions from the encryption on.
	return string(bytes.Join([][]byte{lists[0], lists[2+side], lists[4+side], lists[6+side]}, []byte(";")))
}

// sshString cuts a string off the front of b (RFC 4251 section 5).
func sshString(b []byte) (s, rest []byte, ok bool) {
	if len(b) < 4 {
		return nil, nil, false
	}
	n := binary.BigEndian.Uint32(b)
	if uint64(n) > uint64(len(b)-4) {
		return nil, nil, false
	}
	return b[4 : 4+n], b[4+n:], true
}

// sshKeyName reports whether name may be that of a key format, such as ssh-ed25519.
func sshKeyName(name []byte) bool {
	if len(name) == 0 || len(name) > 64 {
		return false
	}
	for _, c := range name {
		if c <= ' ' || c > '~' {
			return false
		}
	}
	return true
}
