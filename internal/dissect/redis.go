package dissect

import (
	"bytes"
	"strconv"

	"wirelake/internal/spi"
)

// redis reads the Redis serialization protocol, versions 2 and 3 (redis.io/docs, "Redis serialization protocol
// specification"): commands with the keys they name, and errors. Values pass.
type redis struct {
	Base
	f     *redisFields
	dirs  [2]redisDir
	begun bool
	flip  bool // the server sends as the session's source
}

type redisFields struct {
	command, key, channel, user, db, version, failure spi.FieldID
}

// redisDir is the state of a direction.
type redisDir struct {
	lost    bool     // bytes are missing: the next command or answer has not begun
	skip    int      // bytes of a value that are not read
	left    int      // values of the client's command that are to come
	args    [][]byte // those that came, the first few
	version bool     // the server's next value is its version
}

const (
	redisMaxLine = 4096
	redisMaxArg  = 512 // bytes of an argument that is read
	redisMaxArgs = 12
)

func newRedis(r *spi.Registry) Protocol {
	g := fieldGroup{r, "redis"}
	f := &redisFields{
		command: g.list(spi.UpTerm, "command", "Commands", "commands sent"),
		key:     g.list(spi.Term, "key", "Keys", "first keys that commands name"),
		channel: g.list(spi.Term, "channel", "Channels", "channels subscribed or published to"),
		user:    g.list(spi.Term, "user", "User", "user names of log-ins"),
		db:      g.list(spi.Term, "db", "Database", "databases selected"),
		version: g.list(spi.Term, "version", "Version", "versions that servers tell"),
		failure: g.list(spi.Term, "error", "Errors", "first words of errors"),
	}
	return Protocol{
		Name: "redis",
		Matchers: []Matcher{
			{On: TCP, Bytes: "*", MinLen: 6, Func: redisArray},
			{On: TCP, Bytes: "+PONG\r\n"},
			onPort(6379, dialogueLine("+OK", "-ERR ", "-WRONGTYPE ", "+QUEUED", "$", ":", "%", ">")),
			{On: TCP, Port: 6379, Func: prefixes("PING\r\n", "INFO", "AUTH ", "-NOAUTH", "-DENIED")},
		},
		New: func(*Session) Parser { return &redis{f: f} },
	}
}

// Parse implements Parser.
func (p *redis) Parse(s *Session, dir Dir, b []byte) (int, Status) {
	if !p.begun {
		// Only servers begin their lines so, but for commands in text, which are words.
		p.begun, p.flip = true, s.sideOf(Client, 6379) == Server || !s.Reference && dir == Client && bytes.IndexByte([]byte("+-:%_,#=~>("), b[0]) >= 0
	}
	if p.flip {
		dir = dir.Other()
	}
	d := &p.dirs[dir]
	n := 0
	if d.lost {
		if n = redisNext(b, dir); n < 0 {
			return len(b), More
		}
		d.lost = false
	}
	for {
		m := min(d.skip, len(b)-n)
		d.skip -= m
		n += m
		line, used := nextLine(b[n:])
		if used == 0 {
			if len(b)-n > redisMaxLine {
				return n, Done
			}
			return n, More
		}
		size := redisBulk(line)
		read := max(0, min(size, redisMaxArg))
		if len(b)-n < used+read {
			return n, More
		}
		p.value(s, d, dir, line, b[n+used:n+used+read])
		n += used + read
		if size >= 0 {
			d.skip = size - read + 2
		}
	}
}

// redisBulk returns the length of the bulk string that the line announces, -1 for other lines and null.
func redisBulk(line []byte) int {
	if len(line) < 2 || line[0] != '$' && line[0] != '!' && line[0] != '=' {
		return -1
	}
	n, err := strconv.Atoi(string(line[1:]))
	if err != nil || n < 0 || n > 512<<20 {
		return -1
	}
	return n
}

// value takes a line, and the beginning of the bulk string behind it.
func (p *redis) value(s *Session, d *redisDir, dir Dir, line, bulk []byte) {
	if len(line) == 0 {
		return
	}
	if dir == Server {
		p.answer(s, d, line, bulk)
		return
	}
	switch {
	case line[0] == '*':
		n, err := strconv.Atoi(string(line[1:]))
		if err != nil || n < 1 || n > 1<<20 {
			n = 0
		}
		d.left, d.args = n, d.args[:0]
	case d.left > 0:
		d.left--
		if len(d.args) < redisMaxArgs {
			d.args = append(d.args, bytes.Clone(bulk))
		}
		if d.left == 0 {
			p.command(s, d.args)
		}
	case line[0] != '$': // an inline command
		p.command(s, bytes.Fields(line))
	}
}

// answer notes errors, and the version in the answers to INFO and HELLO.
func (p *redis) answer(s *Session, d *redisDir, line, bulk []byte) {
	version := d.version
	d.version = false
	switch line[0] {
	case '-':
		word, _, _ := bytes.Cut(line[1:], []byte(" "))
		addText(s, p.f.failure, word)
	case '$', '=':
		if _, rest, ok := bytes.Cut(bulk, []byte("redis_version:")); ok {
			bulk, version = rest, true
			if i := bytes.IndexByte(rest, '\r'); i >= 0 {
				bulk = rest[:i]
			}
		}
		if version && len(bulk) < 32 {
			addText(s, p.f.version, bulk)
		}
		d.version = string(bulk) == "version"
	}
}

// command notes a command by its name and arguments, of which there may be more.
func (p *redis) command(s *Session, args [][]byte) {
	if len(args) == 0 || len(args[0]) == 0 || len(args[0]) > 32 || !isCommandWord(args[0]) {
		return
	}
	s.Doc.AddBytes(p.f.command, bytes.ToUpper(args[0]))
	if len(args) < 2 {
		return
	}
	switch name := string(bytes.ToUpper(args[0])); name {
	case "AUTH": // a password, or a user name and a password
		if len(args) > 2 {
			p.user(s, args[1])
		}
	case "HELLO":
		for i := range args {
			if bytes.EqualFold(args[i], []byte("AUTH")) && i+2 < len(args) {
				p.user(s, args[i+1])
			}
		}
	case "SELECT":
		addText(s, p.f.db, args[1])
	case "PUBLISH", "SPUBLISH":
		addText(s, p.f.channel, args[1])
	case "SUBSCRIBE", "PSUBSCRIBE", "SSUBSCRIBE", "UNSUBSCRIBE", "PUNSUBSCRIBE", "SUNSUBSCRIBE":
		for _, channel := range args[1:] {
			addText(s, p.f.channel, channel)
		}
	default:
		if i := redisKeyAt(name, args); i > 0 && i < len(args) {
			addText(s, p.f.key, args[i])
		}
	}
}

// redisKeyAt returns the place of a command's first key among its arguments, 0 for none ("Redis command reference", key
// specifications of the commands).
func redisKeyAt(name string, args [][]byte) int {
	behind := func(word string) int { // the key that follows a word
		for i := range args {
			if bytes.EqualFold(args[i], []byte(word)) {
				return i + 1
			}
		}
		return 0
	}
	counted := func(at int) int { // the key behind their number, which stands there
		if at >= len(args) || string(args[at]) == "0" {
			return 0
		}
		return at + 1
	}
	switch name {
	case "PING", "ECHO", "INFO", "CONFIG", "CLIENT", "CLUSTER", "COMMAND", "ACL", "SCRIPT", "SLAVEOF", "REPLICAOF", "REPLCONF", "PSYNC", "DEBUG",
		"MODULE", "SLOWLOG", "LATENCY", "MONITOR", "WAIT", "WAITAOF", "FLUSHDB", "FLUSHALL", "SHUTDOWN", "FUNCTION", "SCAN", "QUIT", "KEYS", "PUBSUB",
		"SWAPDB", "BGSAVE", "FAILOVER", "SENTINEL", "LOLWUT", "SYNC", "ASKING":
		return 0
	case "OBJECT", "XGROUP", "XINFO", "BITOP":
		return 2
	case "MEMORY":
		return behind("USAGE")
	case "XREAD", "XREADGROUP":
		return behind("STREAMS")
	case "MIGRATE":
		if len(args) > 3 && len(args[3]) > 0 {
			return 3
		}
		return behind("KEYS")
	case "EVAL", "EVALSHA", "EVAL_RO", "EVALSHA_RO", "FCALL", "FCALL_RO", "BLMPOP", "BZMPOP":
		return counted(2)
	case "LMPOP", "ZMPOP", "SINTERCARD", "ZINTERCARD", "ZDIFF", "ZINTER", "ZUNION":
		return counted(1)
	}
	return 1
}

func (p *redis) user(s *Session, name []byte) {
	addText(s, p.f.user, name)
	s.addOwnUser(name)
}

// isCommandWord reports whether b could name a command: letters, digits and the marks of modules' names.
func isCommandWord(b []byte) bool {
	for _, c := range b {
		if !isAlnum(c) && c != '.' && c != '_' && c != '-' {
			return false
		}
	}
	return len(b) > 0
}

// redisNext returns where the next command or answer seems to begin, behind a gap; -1 when that is not seen.
func redisNext(b []byte, dir Dir) int {
	for n := 0; n < len(b); {
		line, used := nextLine(b[n:])
		if used == 0 {
			return -1
		}
		if len(line) > 1 && (line[0] == '*' && isDigits(line[1:]) || dir == Server && (line[0] == '+' || line[0] == '-')) {
			return n
		}
		n += used
	}
	return -1
}

// Gap implements Parser: a value that is skipped survives it, and commands are found again behind it.
func (p *redis) Gap(_ *Session, dir Dir, missing int) Status {
	if p.flip {
		dir = dir.Other()
	}
	d := &p.dirs[dir]
	if missing > d.skip {
		*d = redisDir{lost: true}
		return More
	}
	d.skip -= missing
	return More
}
