package dissect

import (
	"bytes"
	"encoding/base64"
	"encoding/binary"
	"strings"

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
	sshDHReply   = 31 // KEXDH_REPLY and KEX_ECDH_REPLY, RFC 4253 section 8, RFC 5656 section 4
	sshGEXReply  = 33 // KEX_DH_GEX_REPLY, RFC 4419 section 3
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
		New:      func(*Session) Parser { return &sshParser{ssh: f} },
	}
}

type sshParser struct {
	*ssh
	Base
	greeted [2]bool
}

// Parse implements Parser.
func (p *sshParser) Parse(s *Session, dir Dir, b []byte) (int, Status) {
	dir = s.sideOf(dir, 22)
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
	switch b[0] {
	case sshKexInit:
		if text, ok := hasshText(b[1:], dir); ok {
			f := p.hassh
			if dir == Server {
				f = p.hasshServer
			}
			s.Doc.AddString(f, md5Hex(text))
		}
	case sshDHReply, sshGEXReply:
		// In a group exchange 31 is the group instead, which is no key.
		if key, _, ok := sshString(b[1:]); ok && dir == Server {
			if name, _, ok := sshString(key); ok && sshKeyName(name) {
				s.Doc.AddString(p.key, base64.StdEncoding.EncodeToString(key))
			}
		}
	case sshNewKeys:
		return DirDone
	}
	return More
}

// hasshText returns what HASSH is the MD5 of (https://github.com/salesforce/hassh):
// key exchange, encryption, MAC and compression offered by the side that sent b,
// a KEXINIT behind its number (RFC 4253 section 7.1).
func hasshText(b []byte, dir Dir) (string, bool) {
	if len(b) < 16 {
		return "", false
	}
	b = b[16:] // cookie
	var lists [8]string
	for i := range lists {
		list, rest, ok := sshString(b)
		if !ok {
			return "", false
		}
		lists[i], b = string(list), rest
	}
	// Lists alternate between the directions from the encryption on.
	side := int(dir)
	return strings.Join([]string{lists[0], lists[2+side], lists[4+side], lists[6+side]}, ";"), true
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
