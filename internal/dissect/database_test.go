package dissect

import (
	"encoding/binary"
	"strings"
	"sync"
	"testing"
)

// allProtocols is the set of all protocols, made once: it does not change.
var allProtocols = sync.OnceValue(New)

// wireSession feeds client and server in turn, whole and in small parts, and calls check on each session. The first
// payload of a direction comes whole: classification sees it so.
func wireSession(t *testing.T, port uint16, check func(t *testing.T, s *Session), texts ...string) {
	t.Helper()
	for _, n := range []int{1 << 20, 5, 1} {
		s := newTestSession(allProtocols(), TCP, 40000, port)
		var seen [2]bool
		for i, text := range texts {
			if !seen[i%2] && len(text) > 0 {
				seen[i%2] = true
				m := min(len(text), 128)
				s.Stream(Dir(i%2), []byte(text[:m]))
				text = text[m:]
			}
			for len(text) > 0 {
				m := min(n, len(text))
				s.Stream(Dir(i%2), []byte(text[:m]))
				text = text[m:]
			}
		}
		s.End(true)
		for _, tag := range stringsOf(s, "tags") {
			if strings.HasPrefix(tag, "dissector-") {
				t.Errorf("in parts of %d: tag %s", n, tag)
			}
		}
		check(t, s)
	}
}

// intsOf returns all values of a numeric field.
func intsOf(s *Session, path string) (out []int64) {
	f, ok := s.Doc.Registry().ByPath(path)
	if !ok {
		return []int64{-1}
	}
	for v := range s.Doc.Each(f.ID) {
		out = append(out, v.Int)
	}
	return out
}

func u16be(n int) string { return string(binary.BigEndian.AppendUint16(nil, uint16(n))) }
func u32be(n int) string { return string(binary.BigEndian.AppendUint32(nil, uint32(n))) }
func u64be(n int) string { return string(binary.BigEndian.AppendUint64(nil, uint64(n))) }

// counted puts the length of n bytes, network byte order, in front of a text.
func counted(n int, text string) string {
	return u64be(len(text))[8-n:] + text
}

func TestAMQP(t *testing.T) {
	frame := func(typ byte, payload string) string {
		return string([]byte{typ}) + "\x00\x00" + counted(4, payload) + "\xce"
	}
	method := func(class, method int, args string) string { return frame(1, u16be(class)+u16be(method)+args) }
	properties := counted(4, counted(1, "capabilities")+"F"+counted(4, counted(1, "x")+"t\x01")+counted(1, "product")+"S"+counted(4, "RabbitMQ")+counted(1, "version")+"S"+counted(4, "3.12.1"))
	wireSession(t, 5672, func(t *testing.T, s *Session) {
		t.Helper()
		wantStrings(t, s, "protocol", "amqp")
		wantStrings(t, s, "amqp.version", "0-9-1")
		wantStrings(t, s, "amqp.method", "connection.start-ok", "connection.open", "queue.declare", "queue.bind", "basic.publish", "connection.close", "connection.start", "basic.deliver")
		wantStrings(t, s, "amqp.user", "guest")
		wantStrings(t, s, "user", "guest")
		wantStrings(t, s, "amqp.mechanism", "PLAIN")
		wantStrings(t, s, "amqp.product", "RabbitMQ 3.12.1")
		wantStrings(t, s, "amqp.vhost", "/prod")
		wantStrings(t, s, "amqp.queue", "jobs")
		wantStrings(t, s, "amqp.exchange", "ex", "events", "replies")
		wantStrings(t, s, "amqp.routingKey", "key.*", "user.created", "r1")
	}, "AMQP\x00\x00\x09\x01"+method(10, 11, properties+counted(1, "PLAIN")+counted(4, "\x00guest\x00secret")+counted(1, "en_US"))+
		method(10, 40, counted(1, "/prod")+"\x00\x00")+method(50, 10, "\x00\x00"+counted(1, "jobs")+"\x00\x00\x00\x00\x00")+
		method(50, 20, "\x00\x00"+counted(1, "jobs")+counted(1, "ex")+counted(1, "key.*")+"\x00\x00\x00\x00\x00")+
		method(60, 40, "\x00\x00"+counted(1, "events")+counted(1, "user.created")+"\x00")+frame(2, strings.Repeat("h", 14))+frame(3, strings.Repeat("body", 30000))+
		method(10, 50, u16be(200)+counted(1, "bye")+"\x00\x00\x00\x00"),
		method(10, 10, "\x00\x09"+properties+counted(4, "PLAIN AMQPLAIN")+counted(4, "en_US"))+
			method(60, 60, counted(1, "tag")+strings.Repeat("\x00", 9)+counted(1, "replies")+counted(1, "r1")))
	table := counted(1, "LOGIN") + "S" + counted(4, "bob") + counted(1, "PASSWORD") + "S" + counted(4, "secret")
	wireSession(t, 5672, func(t *testing.T, s *Session) {
		t.Helper()
		wantStrings(t, s, "amqp.user", "bob")
	}, "AMQP\x00\x00\x09\x01"+method(10, 11, counted(4, "")+counted(1, "AMQPLAIN")+counted(4, table)+counted(1, "en_US")))
	wireSession(t, 5672, func(t *testing.T, s *Session) {
		t.Helper()
		wantStrings(t, s, "amqp.version", "1.0")
	}, "AMQP\x03\x01\x00\x00")
}

func TestRedis(t *testing.T) {
	wireSession(t, 6379, func(t *testing.T, s *Session) {
		t.Helper()
		wantStrings(t, s, "protocol", "redis")
		wantStrings(t, s, "redis.command", "HELLO", "SELECT", "SET", "GET", "PUBLISH", "PING", "INFO")
		wantStrings(t, s, "redis.key", "user:1", "user:2")
		wantStrings(t, s, "redis.channel", "news")
		wantStrings(t, s, "redis.db", "3")
		wantStrings(t, s, "redis.user", "alice")
		wantStrings(t, s, "user", "alice")
		wantStrings(t, s, "redis.version", "7.2.0", "7.2.1")
		wantStrings(t, s, "redis.error", "WRONGTYPE")
	}, "*5\r\n$5\r\nHELLO\r\n$1\r\n3\r\n$4\r\nAUTH\r\n$5\r\nalice\r\n$6\r\nsecret\r\n*2\r\n$6\r\nSELECT\r\n$1\r\n3\r\n*3\r\n$3\r\nSET\r\n$6\r\nuser:1\r\n$3000\r\n"+
		strings.Repeat("*1\r\n", 750)+"\r\n*2\r\n$3\r\nget\r\n$6\r\nuser:2\r\n*3\r\n$7\r\nPUBLISH\r\n$4\r\nnews\r\n$2\r\nhi\r\nPING\r\nINFO\r\n",
		"%2\r\n$6\r\nserver\r\n$5\r\nredis\r\n$7\r\nversion\r\n$5\r\n7.2.0\r\n+OK\r\n+OK\r\n-WRONGTYPE Operation\r\n:1\r\n$-1\r\n$1000\r\n# Server\r\nredis_version:7.2.1\r\n"+strings.Repeat("-", 969)+"\r\n+PONG\r\n")
}

// bsonDoc builds a document of elements.
func bsonDoc(elements ...string) string {
	body := strings.Join(elements, "")
	return u32le(len(body)+5) + body + "\x00"
}

func bsonStr(name, value string) string {
	return "\x02" + name + "\x00" + u32le(len(value)+1) + value + "\x00"
}
func bsonSub(name, doc string) string { return "\x03" + name + "\x00" + doc }
func bsonInt(name string) string      { return "\x10" + name + "\x00\x01\x00\x00\x00" }
func bsonBin(name, value string) string {
	return "\x05" + name + "\x00" + u32le(len(value)) + "\x00" + value
}

func TestMongo(t *testing.T) {
	message := func(answer int, op int, body string) string {
		return u32le(16+len(body)) + u32le(7) + u32le(answer) + u32le(op) + body
	}
	msg := func(answer int, doc string) string { return message(answer, 2013, u32le(0)+"\x00"+doc) }
	sequence := counted(0, "") + "\x01" + u32le(4+10+5) + "documents\x00" + bsonDoc()
	wireSession(t, 27017, func(t *testing.T, s *Session) {
		t.Helper()
		wantStrings(t, s, "protocol", "mongo")
		wantStrings(t, s, "mongo.command", "isMaster", "saslStart", "find", "insert", "buildInfo", "query")
		wantStrings(t, s, "mongo.db", "admin", "shop", "old")
		wantStrings(t, s, "mongo.collection", "orders", "items", "things")
		wantStrings(t, s, "mongo.user", "carol,x")
		wantStrings(t, s, "mongo.mechanism", "SCRAM-SHA-256")
		wantStrings(t, s, "mongo.app", "billing")
		wantStrings(t, s, "mongo.driver", "nodejs 6.3.0")
		wantStrings(t, s, "mongo.version", "7.0.4")
		wantStrings(t, s, "mongo.error", "Unauthorized")
	}, message(0, 2004, u32le(0)+"admin.$cmd\x00"+u32le(0)+u32le(1)+bsonDoc(bsonInt("isMaster"), bsonSub("client", bsonDoc(bsonSub("application", bsonDoc(bsonStr("name", "billing"))), bsonSub("driver", bsonDoc(bsonStr("name", "nodejs"), bsonStr("version", "6.3.0")))))))+
		msg(0, bsonDoc(bsonInt("saslStart"), bsonStr("mechanism", "SCRAM-SHA-256"), bsonBin("payload", "n,,n=carol=2Cx,r=abc"), bsonStr("$db", "admin")))+
		msg(0, bsonDoc(bsonStr("find", "orders"), bsonSub("filter", bsonDoc(bsonStr("mechanism", "not one"))), bsonStr("$db", "shop")))+
		message(0, 2013, u32le(0)+sequence+"\x00"+bsonDoc(bsonStr("insert", "items"), bsonStr("$db", "shop"), bsonStr("pad", strings.Repeat("x", 40000))))+
		msg(0, bsonDoc(bsonInt("buildInfo"), bsonStr("$db", "admin")))+
		message(0, 2004, u32le(0)+"old.things\x00"+u32le(0)+u32le(1)+bsonDoc()),
		message(7, 1, strings.Repeat("\x00", 20)+bsonDoc(bsonInt("ok")))+msg(8, bsonDoc(bsonStr("codeName", "Unauthorized")))+
			msg(9, bsonDoc(bsonStr("version", "7.0.4"), bsonSub("buildEnvironment", bsonDoc()))))
}

func TestCassandra(t *testing.T) {
	message := func(version, op byte, body string) string {
		if version&0x7f < 3 {
			return string([]byte{version, 0, 1, op}) + counted(4, body)
		}
		return string([]byte{version, 0, 0, 1, op}) + counted(4, body)
	}
	text := func(s string) string { return counted(2, s) }
	options := "\x00\x03" + text("CQL_VERSION") + text("3.4.5") + text("DRIVER_NAME") + text("DataStax Python Driver") + text("DRIVER_VERSION") + text("3.28")
	check := func(t *testing.T, s *Session) {
		t.Helper()
		wantStrings(t, s, "protocol", "cassandra")
		wantStrings(t, s, "cassandra.opcode", "STARTUP", "AUTH_RESPONSE", "QUERY", "PREPARE", "AUTHENTICATE", "RESULT", "ERROR")
		wantStrings(t, s, "cassandra.cqlVersion", "3.4.5")
		wantStrings(t, s, "cassandra.driver", "DataStax Python Driver 3.28")
		wantStrings(t, s, "cassandra.user", "dave")
		wantStrings(t, s, "cassandra.keyspace", "shop", "other")
		wantStrings(t, s, "cassandra.statement", "USE", "SELECT", "INSERT", "CREATE")
		wantStrings(t, s, "cassandra.table", "shop.orders", "items", "new")
		wantStrings(t, s, "cassandra.authenticator", "PasswordAuthenticator")
		if got := intsOf(s, "cassandra.error"); len(got) != 1 || got[0] != 0x2200 {
			t.Errorf("errors: got %x", got)
		}
	}
	client := message(4, 1, options) + message(4, 15, counted(4, "\x00dave\x00secret")) + message(4, 7, counted(4, `USE "shop"`)+"\x00\x01\x00") +
		message(4, 7, counted(4, "SELECT a, b FROM shop.orders WHERE a = 1;")+"\x00\x01\x00") + message(4, 9, counted(4, "INSERT INTO items(a) VALUES (?)")) +
		message(4, 7, counted(4, "CREATE TABLE IF NOT EXISTS new (a int)")+"\x00\x01\x00") + message(4, 7, counted(4, strings.Repeat("x", 20000)))
	wireSession(t, 9042, check, client, message(0x84, 3, text("org.apache.cassandra.auth.PasswordAuthenticator"))+message(0x84, 8, u32be(3)+text("other"))+message(0x84, 0, u32be(0x2200)+text("no")))
	wireSession(t, 9999, func(t *testing.T, s *Session) {
		t.Helper()
		wantStrings(t, s, "protocol", "cassandra")
		wantStrings(t, s, "cassandra.opcode", "OPTIONS", "SUPPORTED")
	}, message(5, 5, ""), message(0x85, 6, "\x00\x00"))
	wireSession(t, 9042, func(t *testing.T, s *Session) {
		t.Helper()
		wantStrings(t, s, "cassandra.user", "old")
	}, message(1, 4, "\x00\x02"+text("username")+text("old")+text("password")+text("secret")))
}

func TestMemcached(t *testing.T) {
	wireSession(t, 11211, func(t *testing.T, s *Session) {
		t.Helper()
		wantStrings(t, s, "protocol", "memcached")
		wantStrings(t, s, "memcached.command", "set", "get", "version", "mg")
		wantStrings(t, s, "memcached.key", "k1", "k2", "k3", "k4")
		wantStrings(t, s, "memcached.version", "1.6.21")
		wantStrings(t, s, "memcached.error", "ERROR")
	}, "set k1 0 60 12\r\nget not me\r\n\r\nget k2 k3\r\nversion\r\nmg k4 v\r\n", "STORED\r\nVALUE k2 0 15\r\nVERSION not me\n\r\nEND\r\nVERSION 1.6.21\r\nERROR\r\n")
	packet := func(magic, op byte, status int, extras, key, value string) string {
		return string([]byte{magic, op}) + u16be(len(key)) + string([]byte{byte(len(extras)), 0}) + u16be(status) + u32be(len(extras)+len(key)+len(value)) + strings.Repeat("\x00", 12) + extras + key + value
	}
	wireSession(t, 11211, func(t *testing.T, s *Session) {
		t.Helper()
		wantStrings(t, s, "memcached.command", "sasl-auth", "set", "version")
		wantStrings(t, s, "memcached.key", "k")
		wantStrings(t, s, "memcached.user", "erin")
		wantStrings(t, s, "memcached.version", "1.6.21")
		wantStrings(t, s, "memcached.error", "32")
	}, packet(0x80, 0x21, 0, "", "PLAIN", "\x00erin\x00secret")+packet(0x80, 1, 0, "12345678", "k", strings.Repeat("v", 5000))+packet(0x80, 0x0b, 0, "", "", ""),
		packet(0x81, 0x21, 0x20, "", "", "")+packet(0x81, 0x0b, 0, "", "", "1.6.21"))
	wireSession(t, 2222, func(t *testing.T, s *Session) {
		t.Helper()
		wantStrings(t, s, "memcached.command", "set")
	}, "set k1 0 60 12\r\nget not me\r\n\r\n")
	s := newTestSession(New(), UDP, 40000, 11211)
	s.Datagram(Client, 0, []byte("\x00\x01\x00\x00\x00\x01\x00\x00stats\r\n"))
	wantStrings(t, s, "memcached.command", "stats")
}

func TestVNC(t *testing.T) {
	desktop := u16be(1024) + u16be(768) + strings.Repeat("\x00", 16) + counted(4, "office PC")
	check := func(security string, offered ...string) func(t *testing.T, s *Session) {
		return func(t *testing.T, s *Session) {
			t.Helper()
			wantStrings(t, s, "protocol", "vnc")
			wantStrings(t, s, "vnc.security", security)
			wantStrings(t, s, "vnc.securityOffered", offered...)
			wantStrings(t, s, "vnc.name", "office PC")
			if got := intsOf(s, "vnc.width"); len(got) != 1 || got[0] != 1024 {
				t.Errorf("width: got %d", got)
			}
		}
	}
	challenge := strings.Repeat("c", 16)
	wireSession(t, 5900, check("vnc", "none", "vnc"), "", "RFB 003.008\n", "RFB 003.008\n", "\x02\x01\x02", "\x02", challenge, challenge, "\x00\x00\x00\x00"+desktop)
	wireSession(t, 5900, check("none", "none"), "", "RFB 003.007\n", "RFB 003.007\n", "\x01\x01", "\x01", desktop)
	wireSession(t, 5900, check("vnc"), "", "RFB 003.008\n", "RFB 003.003\n", "\x00\x00\x00\x02"+challenge, challenge, "\x00\x00\x00\x00"+desktop)
	wireSession(t, 5900, func(t *testing.T, s *Session) {
		t.Helper()
		wantStrings(t, s, "vnc.result", "failed")
		wantStrings(t, s, "vnc.version", "3.8")
	}, "", "RFB 003.008\n", "RFB 003.008\n", "\x01\x02", "\x02", challenge, challenge, "\x00\x00\x00\x01\x00\x00\x00\x02no")
	// VeNCrypt: versions, subtypes, the choice, and TLS; its own names of types, and a password in clear.
	inside := func(subtype string, protocols ...string) func(t *testing.T, s *Session) {
		return func(t *testing.T, s *Session) {
			t.Helper()
			wantStrings(t, s, "protocol", protocols...)
			wantStrings(t, s, "vnc.security", "vencrypt")
			wantStrings(t, s, "vnc.securitySubtype", subtype)
			wantStrings(t, s, "vnc.securityOffered", "vencrypt", "vnc")
		}
	}
	wireSession(t, 5905, inside("x509-vnc", "vnc", "tls"), "", "RFB 003.008\n", "RFB 003.008\n", "\x02\x13\x02", "\x13", "\x00\x02", "\x00\x02", "\x00\x02"+u32be(257)+u32be(261), u32be(261), "\x01", tlsHelloBytes)
	wireSession(t, 5905, inside("plain", "vnc"), "", "RFB 003.008\n", "RFB 003.008\n", "\x02\x13\x02", "\x13", "\x00\x02", "\x00\x02", "\x00\x01"+u32be(256), u32be(256)+u32be(3)+u32be(2)+"joepw")
	wireSession(t, 5905, func(t *testing.T, s *Session) {
		t.Helper()
		wantStrings(t, s, "protocol", "vnc", "tls")
		wantStrings(t, s, "vnc.security", "tls")
	}, "", "RFB 003.008\n", "RFB 003.008\n", "\x01\x12", "\x12"+tlsHelloBytes)
}

func FuzzAMQP(f *testing.F) {
	fuzzParser(f, "amqp", "AMQP\x00\x00\x09\x01\x01\x00\x00\x00\x00\x00\x0c\x00\x0a\x00\x28\x05/prod\x00\x00\xce")
}

func FuzzRedis(f *testing.F) {
	fuzzParser(f, "redis", "*2\r\n$3\r\nGET\r\n$1\r\nk\r\nPING\r\n$20\r\nredis_version:7.2.1\r\n")
}

func FuzzMongo(f *testing.F) {
	fuzzParser(f, "mongo", u32le(16+5+len(bsonDoc(bsonStr("find", "a"))))+u32le(0)+u32le(0)+u32le(2013)+u32le(0)+"\x00"+bsonDoc(bsonStr("find", "a")))
}

func FuzzCassandra(f *testing.F) {
	fuzzParser(f, "cassandra", "\x04\x00\x00\x01\x07\x00\x00\x00\x10\x00\x00\x00\x09USE \"a\";x\x00\x01\x00")
}
func FuzzMemcached(f *testing.F) { fuzzParser(f, "memcached", "set k 0 0 3\r\nabc\r\nget k\r\n") }
func FuzzVNC(f *testing.F)       { fuzzParser(f, "vnc", "RFB 003.008\n\x01\x02") }
