package dissect

import (
	"bytes"
	"encoding/base64"
	"encoding/binary"
	"strings"
	"testing"

	"github.com/klauspost/compress/s2"
	"github.com/klauspost/compress/zlib"
	"github.com/klauspost/compress/zstd"
)

// TestCassandraSegments reads version 5 with LZ4, as DataStax' client and server for Go spoke it; also from the middle on.
func TestCassandraSegments(t *testing.T) {
	client := string(fromHex(t, "0500000101000000490003000b43514c5f56455253494f4e0005332e302e30000b434f4d5052455353494f4e00034c5a34000b4452495645525f4e414d450012446174615374"+
		"617820476f20636c69656e741e00000004e4ee75050000020f00000015000000110063617373616e6472610067656865696dd156659f1c000000049569710500000307000000"+
		"1300000009555345206c6164656e0000000000000a9c19804b0000000493d10105000004070000004200000038435245415445205441424c45204946204e4f54204558495354"+
		"53206b732e75736572732028696420696e74207072696d617279206b65792900000000000029fd30733e0144d505117b32ff2d05000005070000ea990000ea8f494e53455254"+
		"20494e544f206b732e6b756e64656e202869642c206e616d65292056414c5545532028312c202778780200ffffffffffffffffffffffffffffffffffffffffffffffffffffff"+
		"ffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff"+
		"ffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff"+
		"ffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff2c00"+
		"0200e0787878787878272900000000000006054957"))
	server := string(fromHex(t, "85010001030000003700000031f022002f6f72672e6170616368652e63617373616e6472612e617574682e50617373776f726441757468656e74696361746f721200000004c2"+
		"fd6e8501000210000000090000000440ffffffffef6b9f1219000000044a83b18501000308000000100000000bb00000000300056c6164656e3fe2e9a71200000004c2fd6e85"+
		"0100040800000009000000044000000001328d32cc"))
	wireSession(t, 9042, func(t *testing.T, s *Session) {
		t.Helper()
		wantStrings(t, s, "cassandra.driver", "DataStax Go client")
		wantStrings(t, s, "cassandra.user", "cassandra")
		wantStrings(t, s, "cassandra.keyspace", "laden")
		wantStrings(t, s, "cassandra.statement", "USE", "CREATE", "INSERT")
		wantStrings(t, s, "cassandra.table", "ks.users", "ks.kunden")
		wantStrings(t, s, "cassandra.authenticator", "PasswordAuthenticator")
	}, client, server)
	const startup = 9 + 0x49
	s := newTestSession(allProtocols(), TCP, 40000, 9042)
	s.Stream(Client, []byte(client[startup:]))
	s.End(true)
	wantStrings(t, s, "cassandra.statement", "USE", "CREATE", "INSERT")
	// Plain segments: two messages in one, and one in two; behind missing bytes they are found again.
	message := func(text string) string {
		return "\x05\x00\x00\x01\x07" + counted(4, counted(4, text)+"\x00\x00")
	}
	segment := func(payload string, whole int) string {
		header := binary.LittleEndian.AppendUint32(nil, uint32(len(payload)|whole<<17))[:3]
		return string(header) + string(binary.LittleEndian.AppendUint32(nil, cassandraCRC(header))[:3]) + payload + "CRC4"
	}
	long := message("INSERT INTO a.long (x) VALUES ('" + strings.Repeat("x", 150000) + "')")
	s = newTestSession(allProtocols(), TCP, 40000, 9042)
	s.Stream(Client, []byte(segment(message("USE a")+message("SELECT x FROM a.b"), 1)))
	s.Stream(Client, []byte(segment(long[:131071], 0)))
	s.Stream(Client, []byte(segment(long[131071:], 0)+segment(message("DELETE FROM a.c"), 1)))
	s.Gap(Client, 500)
	s.Stream(Client, []byte("of another segment"))
	s.Stream(Client, []byte(segment(message("UPDATE a.d SET x = 1"), 1)))
	s.End(true)
	wantStrings(t, s, "cassandra.statement", "USE", "SELECT", "INSERT", "DELETE", "UPDATE")
	wantStrings(t, s, "cassandra.table", "a.b", "a.long", "a.c", "a.d")
}

// TestLZ4Block decodes blocks (LZ4 Block Format Description): literals, a match that runs into itself, lengths of many bytes.
func TestLZ4Block(t *testing.T) {
	for _, tt := range []struct {
		name, block, want string
		limit             int
	}{
		{"literals", "\x50hello", "hello", 100},
		{"a match", "\x32abc\x03\x00\x10x", "abcabcabcx", 100},
		{"long literals", "\xf0\x05" + strings.Repeat("y", 20), strings.Repeat("y", 20), 100},
		{"to the limit", "\x1fa\x01\x00\xff\xff\x00", strings.Repeat("a", 50), 50},
		{"cut off", "\x50hel", "hel", 100},
		{"an offset before the beginning", "\x10a\x05\x00", "a", 100},
		{"nothing", "", "", 100},
	} {
		if got := string(lz4Block(nil, []byte(tt.block), tt.limit)); got != tt.want {
			t.Errorf("%s: got %q, want %q", tt.name, got, tt.want)
		}
	}
}

func FuzzLZ4Block(f *testing.F) {
	f.Add([]byte("\x32abc\x03\x00\x10x"))
	f.Add([]byte("\x1fa\x01\x00\xff\xff\x00"))
	f.Fuzz(func(t *testing.T, b []byte) {
		if got := lz4Block(nil, b, 4096); len(got) > 4096 {
			t.Fatalf("%d bytes of %d", len(got), 4096)
		}
	})
}

func TestMongoPacked(t *testing.T) {
	name := func(s string) string { return s + "\x00" }
	le := func(n int) string { return string(binary.LittleEndian.AppendUint32(nil, uint32(n))) }
	text := func(key, value string) string { return "\x02" + name(key) + le(len(value)+1) + name(value) }
	message := func(elements string) []byte {
		return []byte("\x00\x00\x00\x00\x00" + le(len(elements)+5) + elements + "\x00")
	}
	find := text("find", "users") + text("$db", "shop")
	plain := message(find + text("filler", strings.Repeat("abcdefgh", 20000)))
	short := message(find)
	var zipped bytes.Buffer
	w := zlib.NewWriter(&zipped)
	if _, err := w.Write(plain); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	z, err := zstd.NewWriter(nil)
	if err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		name string
		id   byte
		body []byte
		size int
	}{
		{"none", 0, plain, len(plain)},
		{"Snappy", 1, s2.EncodeSnappy(nil, short), len(short)},
		{"zlib", 2, zipped.Bytes(), len(plain)},
		{"Zstandard", 3, z.EncodeAll(plain, nil), len(plain)},
	} {
		packed := le(16+9+len(tt.body)) + le(1) + le(0) + le(mongoPacked) + le(mongoMsg) + le(tt.size) + string([]byte{tt.id}) + string(tt.body)
		t.Run(tt.name, func(t *testing.T) {
			wireSession(t, 27017, func(t *testing.T, s *Session) {
				t.Helper()
				wantStrings(t, s, "protocol", "mongo")
				wantStrings(t, s, "mongo.command", "find")
				wantStrings(t, s, "mongo.collection", "users")
			}, packed, "")
		})
	}
}

// TestWebSocketWithin reads MQTT in binary messages, masked and in pieces, as browsers speak it.
func TestWebSocketWithin(t *testing.T) {
	mask := func(b string) string {
		out := []byte(b)
		for i := range out {
			out[i] ^= "\x01\x02\x03\x04"[i%4]
		}
		return string(out)
	}
	connect := "\x10\x0e\x00\x04MQTT\x04\x02\x00\x3c\x00\x02ws"
	publish := "\x30\x08\x00\x03a/bxyz"
	client := "\x82\x90\x01\x02\x03\x04" + mask(connect) + "\x02\x84\x01\x02\x03\x04" + mask(publish[:4]) + "\x80\x86\x01\x02\x03\x04" + mask(publish[4:])
	upgrade := "GET /mqtt HTTP/1.1\r\nHost: h\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n"
	accept := "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n"
	for _, n := range []int{1000, 3} {
		s := httpSession(n, upgrade, accept, client, "\x82\x04\x20\x02\x00\x00")
		s.End(true)
		wantStrings(t, s, "protocol", "http", "websocket", "mqtt")
		wantStrings(t, s, "mqtt.clientId", "ws")
		wantStrings(t, s, "mqtt.topic", "a/b")
		wantStrings(t, s, "tags")
	}
}

// TestWebSocketCompressed holds that no part of a compressed message is taken for text, as the library websockets for Python
// sends it: the first frame alone has the mark (RFC 7692 section 6).
func TestWebSocketCompressed(t *testing.T) {
	upgrade := "GET /chat HTTP/1.1\r\nHost: h\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n"
	accept := "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n"
	s := httpSession(1000, upgrade, accept, "", "\x41\x04\x2a\x49\xcd\x2c\x00\x02\x46\x00\x80\x01\x00\x01\x02no\x80\x01w")
	s.End(true)
	wantStrings(t, s, "websocket.opcode", "Text")
	wantStrings(t, s, "websocket.textSample", "no", "w")
}

// TestNTLMVersion holds that a version is told where there is one: curl sets the flag and sends none.
func TestNTLMVersion(t *testing.T) {
	for name, tt := range map[string]struct {
		version string
		want    []string
	}{
		"a version":          {"\x0a\x00\x63\x45\x00\x00\x00\x0f", []string{"10.0.17763"}},
		"the answer instead": {"\xf8\x7a\xbc\x74\x01\x02\x03\x04", nil},
	} {
		header := func(n, at int) string {
			return string(binary.LittleEndian.AppendUint32(binary.LittleEndian.AppendUint16(binary.LittleEndian.AppendUint16(nil, uint16(n)), uint16(n)), uint32(at)))
		}
		message := ntlmSignature + "\x03\x00\x00\x00" + header(24, 64) + header(0, 64) + header(6, 88) + header(8, 94) + header(0, 64) + header(0, 64) +
			"\x01\x02\x00\x02" + tt.version + string(make([]byte, 16)) + "D\x00O\x00M\x00h\x00a\x00n\x00s\x00"
		s := httpSession(1000, "GET / HTTP/1.1\r\nHost: h\r\nAuthorization: NTLM "+base64.StdEncoding.EncodeToString([]byte(message))+"\r\n\r\n", "")
		s.End(true)
		t.Run(name, func(t *testing.T) {
			wantStrings(t, s, "ntlm.version", tt.want...)
			wantStrings(t, s, "ntlm.domain", "DOM")
			wantStrings(t, s, "user", "hans")
		})
	}
}

func TestDNSAnywhere(t *testing.T) {
	query := "\x12\x34\x01\x00\x00\x01\x00\x00\x00\x00\x00\x00\x03www\x07example\x03org\x00\x00\x01\x00\x01"
	answer := "\x12\x34\x85\x80\x00\x01\x00\x01\x00\x00\x00\x00\x03www\x07example\x03org\x00\x00\x01\x00\x01\xc0\x0c\x00\x01\x00\x01\x00\x00\x01\x2c\x00\x04\xc0\x00\x02\x0a"
	for name, tt := range map[string]struct {
		b    string
		want bool
	}{
		"a query":                {query, true},
		"an answer":              {answer, true},
		"a byte too many":        {query + "x", false},
		"a record cut off":       {answer[:len(answer)-1], false},
		"a query with an answer": {strings.Replace(answer, "\x85\x80", "\x01\x00", 1), false},
		"a type nobody asks for": {strings.Replace(query, "\x00\x00\x01\x00\x01", "\x00\x00\x7f\x00\x01", 1), false},
		"zeros":                  {string(make([]byte, 60)), false},
	} {
		s := newTestSession(allProtocols(), UDP, 40000, 5300)
		s.Datagram(Client, 0, []byte(tt.b))
		s.End(true)
		if got := s.HasProtocol("dns"); got != tt.want {
			t.Errorf("%s: dns is %v", name, got)
		}
		s = newTestSession(allProtocols(), TCP, 40000, 5300)
		s.Stream(Client, []byte(counted(2, tt.b)))
		s.End(true)
		if got := s.HasProtocol("dns"); got != tt.want {
			t.Errorf("%s over TCP: dns is %v", name, got)
		}
	}
}

// TestMiddle holds what is told of connections that are captured from their middle on, or of which one side is missing. The
// session's source may be the server then.
func TestMiddle(t *testing.T) {
	greeting := "\x2f\x00\x00\x00\x0a8.0.36\x00" + strings.Repeat("z", 39)
	login := "\x27\x00\x00\x01\x05\xa2\x00\x00\x00\x00\x00\x01\x21" + string(make([]byte, 23)) + "alice\x00\x00"
	for _, tt := range []struct {
		name          string
		src, dst      uint16
		first, second string // what the session's source sends, and the other side
		path          string
		want          []string
	}{
		{"Redis, an answer first", 6379, 40000, "-WRONGTYPE Operation\r\n$3\r\nfoo\r\n", "*2\r\n$3\r\nGET\r\n$1\r\nk\r\n", "redis.command", []string{"GET"}},
		{"Redis, errors of the answer", 6379, 40000, "-WRONGTYPE Operation\r\n", "", "redis.error", []string{"WRONGTYPE"}},
		{"MySQL, a greeting first", 3306, 40000, greeting, login, "mysql.user", []string{"alice"}},
		{"MySQL, no greeting", 40000, 3306, login, "", "mysql.user", []string{"alice"}},
		{"MySQL, the version", 3306, 40000, greeting, login, "mysql.version", []string{"8.0.36"}},
		{"PostgreSQL, the server alone", 5432, 40000, "R\x00\x00\x00\x0c\x00\x00\x00\x05saltE\x00\x00\x00\x0cC28P01\x00\x00", "", "postgresql.error", []string{"28P01"}},
		{"SMTP, an envelope", 40000, 25, "MAIL FROM:<a@b.example>\r\nRCPT TO:<c@d.example>\r\n", "", "email.src", []string{"a@b.example"}},
		{"SMTP, a reply first", 25, 40000, "250 2.1.0 Ok\r\n", "RCPT TO:<c@d.example>\r\n", "email.dst", []string{"c@d.example"}},
		{"IMAP, the client alone", 40000, 143, "a1 LOGIN alice secret\r\na2 SELECT Archive\r\n", "", "email.folder", []string{"Archive"}},
		{"IMAP, an answer first", 143, 40000, "a1 OK Logged in\r\n", "a2 SELECT Archive\r\n", "email.folder", []string{"Archive"}},
		{"POP3, the client alone", 40000, 110, "USER alice\r\nPASS secret\r\n", "", "user", []string{"alice"}},
		{"MQTT, a message first", 40000, 1883, "\x30\x08\x00\x03a/bxyz", "", "mqtt.topic", []string{"a/b"}},
		{"MQTT, a subscription of version 5", 40000, 1883, "\x82\x0b\x00\x01\x02\x0b\x07\x00\x03a/b\x01", "", "mqtt.topic", []string{"a/b"}},
		{"LDAP, an end", 40000, 389, "0\x05\x02\x01\x02B\x00", "", "ldap.operation", []string{"unbind"}},
		{"TDS, a statement", 40000, 1433, "\x01\x01\x00\x0c\x00\x00\x01\x00xxxx", "", "protocol", []string{"tds"}},
	} {
		s := newTestSession(allProtocols(), TCP, tt.src, tt.dst)
		s.Stream(Client, []byte(tt.first))
		s.Stream(Server, []byte(tt.second))
		s.End(true)
		t.Run(tt.name, func(t *testing.T) { wantStrings(t, s, tt.path, tt.want...) })
	}
}

// TestTDSHandshake reads the TLS that stands in packets of the pre-login.
func TestTDSHandshake(t *testing.T) {
	packet := func(body string) string { return "\x12\x01" + u16be(8+len(body)) + "\x00\x00\x01\x00" + body }
	wireSession(t, 14330, func(t *testing.T, s *Session) {
		t.Helper()
		wantStrings(t, s, "protocol", "tds", "tls")
		if len(stringsOf(s, "tls.ja3")) != 1 {
			t.Error("no JA3 of the handshake")
		}
	}, packet("\x00\x00\x1a\x00\x06\xff")+packet(tlsHelloBytes[:20])+packet(tlsHelloBytes[20:])+"\x17\x03\x03\x00\x10"+strings.Repeat("e", 16), "")
}

// TestDatabasesFromTheMiddle recognizes what clients and servers say behind the log-in, on the ports that are theirs.
func TestDatabasesFromTheMiddle(t *testing.T) {
	mysql := func(number byte, body string) string {
		return string([]byte{byte(len(body)), byte(len(body) >> 8), byte(len(body) >> 16), number}) + body
	}
	pg := func(kind, body string) string {
		return kind + string(binary.BigEndian.AppendUint32(nil, uint32(4+len(body)))) + body
	}
	for _, tt := range []struct {
		name, want string
		port       uint16
		payload    string
	}{
		{"query", "mysql", 3306, mysql(0, "\x03select * from t")},
		{"query that goes on", "mysql", 3306, mysql(0, "\x03\n  insert into t values ("+strings.Repeat("1, ", 500))[:1000]},
		{"query with attributes", "mysql", 3306, mysql(0, "\x03\x00\x01select 1")},
		{"ping", "mysql", 3306, mysql(0, "\x0e")},
		{"execute", "mysql", 3306, mysql(0, "\x17\x01\x00\x00\x00\x00\x01\x00\x00\x00")},
		{"answer", "mysql", 3306, mysql(1, "\x01") + mysql(2, "\x03def\x04test")},
		{"OK", "mysql", 3306, mysql(1, "\x00\x01\x00\x02\x00\x00\x00")},
		{"error", "mysql", 3306, mysql(1, "\xff\x16\x04#3D000No database selected")},
		{"error without SQLSTATE", "", 3306, mysql(1, "\xff\x16\x04No database selected")},
		{"another port", "", 3316, mysql(0, "\x03select * from t")},
		{"no command", "", 3306, mysql(0, "\x55select * from t")},
		{"numbers that do not go on", "", 3306, mysql(1, "\x01") + mysql(5, "\x03def\x04test")},
		{"query", "postgresql", 5432, pg("Q", "select * from t;\x00")},
		{"query that goes on", "postgresql", 5432, pg("Q", "\n insert into t values ("+strings.Repeat("1, ", 500)+"\x00")[:1000]},
		{"extended query", "postgresql", 5432, pg("P", "\x00select 1\x00\x00\x00") + pg("B", "\x00\x00\x00\x00\x00\x00\x00\x00") + pg("S", "")},
		{"answer", "postgresql", 5432, pg("C", "INSERT 0 1\x00") + pg("Z", "I")},
		{"no kind", "", 5432, pg("q", "select * from t;\x00")},
		{"another port", "", 5439, pg("Q", "select * from t;\x00")},
	} {
		for _, reference := range []bool{false, true} {
			s := newTestSession(allProtocols(), TCP, 40000, tt.port)
			s.Reference = reference
			s.Stream(Client, []byte(tt.payload))
			s.End(true)
			want := []string{tt.want}
			if reference || tt.want == "" {
				want = nil
			}
			t.Run(tt.name, func(t *testing.T) { wantStrings(t, s, "protocol", want...) })
		}
	}
}

// TestMySQLClientAlone tells the plugin that a server changed to by what the client answers, where only the client was seen
// ("MySQL Internals", Authentication Method Switch).
func TestMySQLClientAlone(t *testing.T) {
	login := func(number byte, plugin string) string {
		body := u32le(0x200|0x8000|0x80000) + u32le(1<<24) + "\x2d" + strings.Repeat("\x00", 23) + "root\x00" + counted(1, strings.Repeat("p", 20)) + plugin + "\x00"
		return string([]byte{byte(len(body)), 0, 0, number}) + body
	}
	packet := func(number byte, n int) string {
		return string([]byte{byte(n), 0, 0, number}) + strings.Repeat("x", n)
	}
	for _, tt := range []struct{ name, begun, next, want string }{
		{"taken at once", "mysql_native_password", packet(0, 10), "mysql_native_password"},
		{"nothing more", "caching_sha2_password", "", "caching_sha2_password"},
		{"changed to the old one", "caching_sha2_password", packet(3, 20), "mysql_native_password"},
		{"changed to the new one", "mysql_native_password", packet(3, 32), "caching_sha2_password"},
		{"changed to MariaDB's", "mysql_native_password", packet(3, 64), "client_ed25519"},
		{"asks for the key", "caching_sha2_password", packet(3, 1), "caching_sha2_password"},
		{"changed to something", "mysql_native_password", packet(3, 77), ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			for _, n := range []int{1, 7, 1 << 10} {
				s := newTestSession(allProtocols(), TCP, 40000, 3306)
				text := login(1, tt.begun) + tt.next
				for m := len(login(1, tt.begun)); len(text) > 0; m = n { // a log-in is known when it is whole
					m = min(m+n/1024*1024, len(text))
					s.Stream(Client, []byte(text[:m]))
					text = text[m:]
				}
				s.End(true)
				wantStrings(t, s, "mysql.user", "root")
				want := []string{tt.want}
				if tt.want == "" {
					want = nil
				}
				wantStrings(t, s, "mysql.authPlugin", want...)
			}
		})
	}
}

// TestMySQLServerFirst holds that a greeting by the session's source is no log-in.
func TestMySQLServerFirst(t *testing.T) {
	body := "\x0a8.0.12\x00\x08\x00\x00\x00abcdefgh\x00" + strings.Repeat("x", 11)
	for _, reference := range []bool{false, true} {
		s := newTestSession(allProtocols(), TCP, 3306, 40000)
		s.Reference = reference
		s.Stream(Client, []byte(string([]byte{byte(len(body)), 0, 0, 0})+body))
		s.End(true)
		want := []string{"8.0.12"}
		if reference {
			want = nil
		}
		wantStrings(t, s, "mysql.version", want...)
		wantStrings(t, s, "mysql.user")
	}
}

// TestMemcachedDatagrams reads both protocols over UDP, of whose header some clients leave the last bytes as they were.
func TestMemcachedDatagrams(t *testing.T) {
	s := newTestSession(allProtocols(), UDP, 40000, 11211)
	s.Datagram(Client, 0, []byte("\x00\x01\x00\x00\x00\x01\xf4\x00set k3 0 0 10 noreply\r\ncccccccccc\r\nget k4\r\n"))
	s.Datagram(Client, 0, []byte("\x00\x01\x00\x01\x00\x02\x00\x00get within-a-value\r\n"))
	s.End(true)
	wantStrings(t, s, "protocol", "memcached")
	wantStrings(t, s, "memcached.command", "set", "get")
	wantStrings(t, s, "memcached.key", "k3", "k4")
	s = newTestSession(allProtocols(), UDP, 40000, 11211)
	s.Datagram(Client, 0, []byte("\x00\x01\x00\x00\x00\x01\x00\x00\x80\x11\x00\x03\x08\x00\x00\x00\x00\x00\x00\x0e"+strings.Repeat("\x00", 12+8)+"keyabc"))
	s.End(true)
	wantStrings(t, s, "memcached.command", "setq")
	wantStrings(t, s, "memcached.key", "key")
}
