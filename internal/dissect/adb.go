package dissect

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"strconv"

	"wirelake/internal/spi"
)

// adb reads the Android Debug Bridge (AOSP, packages/modules/adb: protocol.txt, SERVICES.TXT,
// SYNC.TXT, shell_protocol.h): who connects, and what is opened on the device.
type adb struct {
	command, version, maxPayload, systemType, serial, authType spi.FieldID
	service, streamID                                          spi.FieldID
	direction, local, remote                                   spi.FieldID
	exitCode, syncOperation, syncPath                          spi.FieldID
}

const (
	adbHeader     = 24      // six numbers of 4 bytes, little endian
	adbLongest    = 4 << 10 // bytes of a payload that are looked at
	adbMaxStreams = 64      // streams of a session that are followed into
	adbShellExit  = 3       // id of the shell packet that holds the exit code
)

func newADB(r *spi.Registry) Protocol {
	g := fieldGroup{r, "adb"}
	p := &adb{
		command:       g.list(spi.LoTerm, "command", "Command", "message commands"),
		version:       g.list(spi.Term, "version", "Version", "protocol versions at connect"),
		maxPayload:    g.list(spi.Term, "maxpayload", "Max payload", "largest payloads announced at connect"),
		systemType:    g.list(spi.LoTerm, "systemtype", "System type", "kinds of system in the connect banners"),
		serial:        g.list(spi.LoTerm, "serial", "Serial", "serial numbers of devices"),
		authType:      g.list(spi.LoTerm, "authtype", "Authentication", "kinds of authentication messages"),
		service:       g.list(spi.LoTerm, "service", "Service", "services opened on streams"),
		streamID:      g.list(spi.Term, "streamid", "Stream", "local and remote stream numbers, joined by a dash"),
		direction:     g.list(spi.LoTerm, "forward.direction", "Forward direction", "forward or reverse"),
		local:         g.list(spi.LoTerm, "forward.local", "Forward local", "local ends of port forwards"),
		remote:        g.list(spi.LoTerm, "forward.remote", "Forward remote", "remote ends of port forwards"),
		exitCode:      g.list(spi.Term, "shell.exitcode", "Exit code", "exit codes of shell commands"),
		syncOperation: g.list(spi.LoTerm, "sync.operation", "Sync operation", "file sync operations"),
		syncPath:      g.list(spi.LoTerm, "sync.path", "Sync path", "paths in file sync operations"),
	}
	matcher := func(command string) Matcher {
		return Matcher{On: TCP, Bytes: command, MinLen: adbHeader, Func: func(_ *Session, _ Dir, b []byte) bool { return adbMagic(b) }}
	}
	return Protocol{
		Name: "adb",
		Matchers: []Matcher{
			matcher("CNXN"), matcher("AUTH"), matcher("OPEN"), matcher("OKAY"), matcher("WRTE"), matcher("CLSE"), matcher("STLS"), matcher("SYNC"),
			{On: TCP, Bytes: "0", MinLen: adbHostHeader + 5, Func: adbHostRequest}, // of less than 4096 bytes
		},
		New: func(*Session) Parser { return &adbParser{adb: p} },
	}
}

// adbMagic reports whether a header's last number is the complement of its first.
func adbMagic(b []byte) bool {
	return binary.LittleEndian.Uint32(b) == ^binary.LittleEndian.Uint32(b[20:])
}

// adbCommand returns a command in lower case, "" for none of the protocol.
func adbCommand(b []byte) string {
	for _, name := range [...]string{"cnxn", "auth", "open", "okay", "wrte", "clse", "sync", "stls"} {
		if hasPrefixFold(b, name) {
			return name
		}
	}
	return ""
}

type adbParser struct {
	Base
	*adb
	toHost  bool   // requests to the local server, not messages with a device
	known   bool   // which of the two it is
	skip    [2]int // bytes of a payload still to come
	streams map[adbStream]*adbService
}

// adbStream names a stream by who opened it, and the number that side gave it.
type adbStream struct {
	opener Dir
	id     uint32
}

// adbService is a stream whose payload is read.
type adbService struct {
	sync bool   // file sync, or else the shell protocol with packets
	left [2]int // bytes of the stream's packet at hand that are still to come
}

// Parse implements Parser.
func (p *adbParser) Parse(s *Session, dir Dir, b []byte) (int, Status) {
	if !p.known && len(b) >= adbHostHeader {
		p.toHost, p.known = adbCommand(b[:adbHostHeader]) == "", true
	}
	if p.toHost {
		return p.host(s, dir, b)
	}
	n := min(p.skip[dir], len(b))
	p.skip[dir] -= n
	for len(b)-n >= adbHeader {
		m := b[n:]
		if !adbMagic(m) {
			return n, Done
		}
		p.header(s, m)
		size := int(binary.LittleEndian.Uint32(m[12:]))
		look := min(size, adbLongest)
		if len(m) < adbHeader+look {
			return n, More
		}
		if string(m[:4]) == "STLS" && dir == Server {
			s.Handover("")
			return n + adbHeader + look, Done
		}
		p.payload(s, dir, m, m[adbHeader:adbHeader+look])
		rest := min(size, len(m)-adbHeader)
		p.skip[dir] = size - rest
		n += adbHeader + rest
	}
	return n, More
}

// header notes what the fixed part of a message says.
func (p *adbParser) header(s *Session, m []byte) {
	if name := adbCommand(m[:4]); name != "" {
		s.Doc.AddString(p.command, name)
	}
	arg0, arg1 := binary.LittleEndian.Uint32(m[4:]), binary.LittleEndian.Uint32(m[8:])
	switch string(m[:4]) {
	case "CNXN":
		s.Doc.AddString(p.version, fmt.Sprintf("0x%08x", arg0))
		s.Doc.AddString(p.maxPayload, strconv.FormatUint(uint64(arg1), 10))
	case "AUTH":
		if name := nameOf([]string{1: "token", 2: "signature", 3: "rsapublickey"}, arg0); name != "" {
			s.Doc.AddString(p.authType, name)
		}
	case "OPEN", "OKAY", "WRTE", "CLSE":
		var room [24]byte
		id := strconv.AppendUint(room[:0], uint64(arg0), 10)
		if arg1 != 0 {
			id = strconv.AppendUint(append(id, '-'), uint64(arg1), 10)
		}
		s.Doc.AddBytes(p.streamID, id)
	}
}

func (p *adbParser) payload(s *Session, dir Dir, m, data []byte) {
	arg0, arg1 := binary.LittleEndian.Uint32(m[4:]), binary.LittleEndian.Uint32(m[8:])
	switch string(m[:4]) {
	case "CNXN":
		p.banner(s, data)
	case "OPEN":
		p.open(s, adbStream{dir, arg0}, bytes.TrimRight(data, "\x00"))
	case "WRTE":
		if service := p.streams[adbStream{dir, arg0}]; service != nil {
			p.write(s, service, dir, true, data)
		} else if service := p.streams[adbStream{dir.Other(), arg1}]; service != nil {
			p.write(s, service, dir, false, data)
		}
	case "CLSE":
		delete(p.streams, adbStream{dir, arg0})
		delete(p.streams, adbStream{dir.Other(), arg1})
	}
}

// banner reads "<systemtype>:<serialno>:<banner>".
func (p *adbParser) banner(s *Session, data []byte) {
	system, rest, ok := bytes.Cut(bytes.TrimRight(data, "\x00"), []byte(":"))
	if len(system) > 0 {
		s.Doc.AddBytes(p.systemType, bytes.ToLower(system))
	}
	if serial, _, _ := bytes.Cut(rest, []byte(":")); ok && len(serial) > 0 {
		s.Doc.AddBytes(p.serial, bytes.ToLower(serial))
	}
}

// open reads the destination of a stream (SERVICES.TXT).
func (p *adbParser) open(s *Session, stream adbStream, destination []byte) {
	name, rest, _ := bytes.Cut(destination, []byte(":"))
	kind, flags, _ := bytes.Cut(name, []byte(",")) // "shell,v2,TERM=xterm-256color"
	if len(kind) > 0 {
		s.Doc.AddBytes(p.service, bytes.ToLower(kind))
	}
	follow := &adbService{sync: string(kind) == "sync"}
	if follow.sync || string(kind) == "shell" && bytes.HasPrefix(flags, []byte("v2")) {
		if p.streams == nil {
			p.streams = make(map[adbStream]*adbService)
		}
		if len(p.streams) < adbMaxStreams {
			p.streams[stream] = follow
		}
	}
	switch string(kind) {
	case "reverse":
		p.forward(s, "reverse", rest)
	case "host":
		p.forward(s, "forward", rest)
	case "forward":
		p.forward(s, "forward", destination)
	}
}

// forward reads "forward:[norebind:]<local>;<remote>".
func (p *adbParser) forward(s *Session, direction string, request []byte) {
	ends, ok := bytes.CutPrefix(request, []byte("forward:"))
	if !ok {
		return
	}
	local, remote, ok := bytes.Cut(bytes.TrimPrefix(ends, []byte("norebind:")), []byte(";"))
	if !ok {
		return
	}
	s.Doc.AddString(p.direction, direction)
	s.Doc.AddBytes(p.local, bytes.ToLower(local))
	s.Doc.AddBytes(p.remote, bytes.ToLower(remote))
}

// write reads the packets within a stream: file sync's are an id of 4 letters, a length and that many bytes, the
// shell's an id of 1 byte, a length and that many bytes.
func (p *adbParser) write(s *Session, service *adbService, dir Dir, fromOpener bool, data []byte) {
	head := 5
	if service.sync {
		if !fromOpener {
			return // answers hold what is on the device, not what was asked for
		}
		head = 8
	}
	for {
		n := min(service.left[dir], len(data))
		service.left[dir] -= n
		data = data[n:]
		if len(data) < head {
			return
		}
		size := int(min(binary.LittleEndian.Uint32(data[head-4:]), 1<<30))
		body := data[head:]
		service.left[dir] = size
		if service.sync {
			service.left[dir] = p.sync(s, string(data[:4]), body[:min(size, len(body))], size)
		} else if data[0] == adbShellExit && size == 1 && len(body) > 0 {
			s.Doc.AddString(p.exitCode, strconv.Itoa(int(body[0])))
		}
		data = body
	}
}

// sync notes a request of file sync and returns how many bytes follow its head.
func (p *adbParser) sync(s *Session, id string, body []byte, size int) int {
	switch id {
	case "STAT", "LIST", "RECV", "SEND", "STA2", "LST2", "LIS2", "SND2", "RCV2":
		s.Doc.AddString(p.syncOperation, id)
		if id == "SEND" { // "<path>,<mode>"
			if i := bytes.LastIndexByte(body, ','); i >= 0 {
				body = body[:i]
			}
		}
		if len(body) > 0 {
			s.Doc.AddBytes(p.syncPath, bytes.ToLower(body))
		}
	case "QUIT":
		s.Doc.AddString(p.syncOperation, id)
		return 0
	case "DONE": // its number is a time
		return 0
	}
	return size
}
