package dissect

import (
	"encoding/base64"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// TestAMQP1 reads what Qpid Proton 0.37 and RabbitMQ 3.10 said to one another: a message sent and received.
func TestAMQP1(t *testing.T) {
	client := string(fromHex(t, "414d5150030100000000002302010000005341c01602a305504c41494ea00c006775657374006775657374414d5150000100000000004702000000005310c03a04a1"+
		"2435363232633234302d663135362d343231352d626539382d656635653731643564326134a10931302e38382e302e317000008000607fff0000001f020000000053"+
		"11c012054043707fffffff707fffffff707fffffff0000007602000000005312c0690ba13535363232633234302d663135362d343231352d626539382d6566356537"+
		"316435643261342d2f71756575652f65696e732d6e756c6c434250025000005328c006054043404342005329c01705a1102f71756575652f65696e732d6e756c6c43"+
		"404342404043440000003f02000000005314c007044343a001314300537045005373c00704404040a10173005374d10000000900000002a1016b5501005377a10568"+
		"616c6c6f0000007702000000005312c06a0ba13535363232633234302d663135362d343231352d626539382d6566356537316435643261342d2f71756575652f6569"+
		"6e732d6e756c6c52014150025000005328c01705a1102f71756575652f65696e732d6e756c6c43404342005329c00605404340434240404344000000220200000000"+
		"5313c0150943707fffffff5201707fffffff520143520140420000001602000000005315c0090541434041005324450000000c0200000000531845"))
	server := string(fromHex(t, "414d5150030100000000003402010000005340c02701e02403b300000009414e4f4e594d4f555300000005504c41494e00000008414d51504c41494e000000110201"+
		"0000005344c00402500040414d5150000100000000011a02000000005310d00000010a0000000aa109724072616262697461407000008000607fff700000ea604040"+
		"4040c1e70ca30c636c75737465725f6e616d65a109724072616262697461a309636f70797269676874a137436f707972696768742028632920323030372d32303232"+
		"20564d776172652c20496e632e206f722069747320616666696c69617465732ea30b696e666f726d6174696f6ea1394c6963656e73656420756e6465722074686520"+
		"4d504c20322e302e20576562736974653a2068747470733a2f2f7261626269746d712e636f6da308706c6174666f726da11145726c616e672f4f54502032352e322e"+
		"33a30770726f64756374a1085261626269744d51a30776657273696f6ea106332e31302e380000002402000000005311c0170860000043700000ffff700000ffff70"+
		"7fffffff4040400000008102000000005312c0740ea13535363232633234302d663135362d343231352d626539382d6566356537316435643261342d2f7175657565"+
		"2f65696e732d6e756c6c434150025000005328c00c0b4043404342404040404040005329c01907a1102f71756575652f65696e732d6e756c6c434043424040404040"+
		"404040400000002502000000005313c0180b43700000ffff43700000ffff43407000010000404242400000001702000000005315c00a064143434100532445400000"+
		"00be02000000005312c0b10ea13535363232633234302d663135362d343231352d626539382d6566356537316435643261342d2f71756575652f65696e732d6e756c"+
		"6c52014250005000005328c0650ba1102f71756575652f65696e732d6e756c6c4340434240404000532645e04403b300000012616d71703a61636365707465643a6c"+
		"69737400000012616d71703a72656a65637465643a6c69737400000012616d71703a72656c65617365643a6c69737440404040434040404000000025020000000053"+
		"13c0180b5201700000fffe43700000ffff520143520152014240400000005502000000005314c0160b520143a00800000000000000014342424040424242005370c0"+
		"06054240404140005373c00704404040a10173005374d10000000900000002a1016b5501005377a10568616c6c6f0000000f02000000005318c0020140"))
	wireSession(t, 5672, func(t *testing.T, s *Session) {
		t.Helper()
		wantStrings(t, s, "protocol", "amqp")
		wantStrings(t, s, "amqp.version", "1.0")
		wantStrings(t, s, "amqp.method", "sasl-init", "open", "begin", "attach", "transfer", "flow", "disposition", "close", "sasl-mechanisms", "sasl-outcome")
		wantStrings(t, s, "amqp.mechanism", "PLAIN")
		wantStrings(t, s, "amqp.user", "guest")
		wantStrings(t, s, "user", "guest")
		wantStrings(t, s, "amqp.vhost", "10.88.0.1")
		wantStrings(t, s, "amqp.container", "5622c240-f156-4215-be98-ef5e71d5d2a4", "r@rabbita")
		wantStrings(t, s, "amqp.address", "/queue/eins-null")
		wantStrings(t, s, "amqp.product", "RabbitMQ 3.10.8")
	}, client, server)
	// An error ends a link, and the connection: detach and close (OASIS AMQP 1.0, part 2, section 2.7).
	failure := "\x00\x53\x1d\xc0\x11\x01\xa3\x0eamqp:not-found"
	body := "\x02\x00\x00\x00\x00\x53\x16" + "\xc0" + string(byte(3+len(failure))) + "\x03\x43\x41" + failure
	frame := u32be(4+len(body)) + body
	wireSession(t, 5672, func(t *testing.T, s *Session) {
		t.Helper()
		wantStrings(t, s, "amqp.method", "detach")
		wantStrings(t, s, "amqp.error", "amqp:not-found")
	}, frame+frame, "")
}

// TestAMQPResync holds that methods are found where a capture begins in the middle, and behind what is missing.
func TestAMQPResync(t *testing.T) {
	frame := func(typ byte, payload string) string {
		return string([]byte{typ}) + "\x00\x01" + counted(4, payload) + "\xce"
	}
	publish := func(key string) string {
		return frame(1, u16be(60)+u16be(40)+"\x00\x00"+counted(1, "ex")+counted(1, key)+"\x00")
	}
	s := newTestSession(allProtocols(), TCP, 40000, 9999)
	s.Stream(Client, []byte(publish("first")))
	s.Stream(Client, []byte(frame(3, "body")[:9]))
	s.Gap(Client, 1000)
	s.Stream(Client, []byte("a segment in the middle of a message"))
	s.Stream(Client, []byte(publish("second")))
	s.End(true)
	wantStrings(t, s, "protocol", "amqp")
	wantStrings(t, s, "amqp.routingKey", "first", "second")
}

func TestRedisKeys(t *testing.T) {
	for _, tt := range []struct {
		command []string
		path    string
		want    []string
	}{
		{[]string{"XREAD", "COUNT", "2", "STREAMS", "mystream", "0"}, "redis.key", []string{"mystream"}},
		{[]string{"XREADGROUP", "GROUP", "g", "c", "STREAMS", "s", ">"}, "redis.key", []string{"s"}},
		{[]string{"EVAL", "return 1", "1", "k", "v"}, "redis.key", []string{"k"}},
		{[]string{"EVAL", "return 1", "0", "v"}, "redis.key", nil},
		{[]string{"ZUNION", "2", "z1", "z2"}, "redis.key", []string{"z1"}},
		{[]string{"KEYS", "*"}, "redis.key", nil},
		{[]string{"MEMORY", "USAGE", "k"}, "redis.key", []string{"k"}},
		{[]string{"MIGRATE", "10.0.0.9", "6379", "", "0", "5000", "KEYS", "k1", "k2"}, "redis.key", []string{"k1"}},
		{[]string{"SUBSCRIBE", "news", "sport"}, "redis.channel", []string{"news", "sport"}},
		{[]string{"UNSUBSCRIBE", "news"}, "redis.channel", []string{"news"}},
		{[]string{"UNSUBSCRIBE", "news"}, "redis.key", nil},
	} {
		text := "*" + strconv.Itoa(len(tt.command)) + "\r\n"
		for _, arg := range tt.command {
			text += "$" + strconv.Itoa(len(arg)) + "\r\n" + arg + "\r\n"
		}
		s := newTestSession(allProtocols(), TCP, 40000, 7777)
		s.Stream(Client, []byte(text))
		s.End(true)
		if got := stringsOf(s, tt.path); !slices.Equal(got, tt.want) {
			t.Errorf("%q: %s is %q, want %q", tt.command, tt.path, got, tt.want)
		}
	}
	s := newTestSession(allProtocols(), TCP, 40000, 7777)
	s.Stream(Client, []byte("*2\r\n$3\r\nGET\r\n$1\r\na\r\n*3\r\n$3\r\nSET\r\n"))
	s.Gap(Client, 100)
	s.Stream(Client, []byte("of a value\r\n*2\r\n$3\r\nGET\r\n$1\r\nb\r\n"))
	s.End(true)
	wantStrings(t, s, "redis.key", "a", "b")
}

func TestMemcachedElsewhere(t *testing.T) {
	get := "\x80\x00\x00\x03" + "\x00\x00\x00\x00" + u32be(3) + "\x00\x00\x00\x00" + u64be(0) + "abc"
	for name, tt := range map[string]struct{ client, server, want string }{
		"a version":          {"version\r\n", "VERSION 1.6.18\r\n", "memcached"},
		"a value":            {"get a\r\n", "VALUE a 0 3\r\nabc\r\nEND\r\n", "memcached"},
		"a binary message":   {get, "", "memcached"},
		"not adding up":      {get[:11] + "\x02" + get[12:], "", ""},
		"another's VALUE":    {"", "VALUE of nothing\r\n", ""},
		"another's VERSION ": {"", "VERSION unknown\r\n", ""},
	} {
		s := newTestSession(allProtocols(), TCP, 40000, 7777)
		s.Stream(Client, []byte(tt.client))
		s.Stream(Server, []byte(tt.server))
		s.End(true)
		if got := s.HasProtocol("memcached"); got != (tt.want != "") {
			t.Errorf("%s: memcached is %v", name, got)
		}
	}
}

func TestPostgreSQLCancel(t *testing.T) {
	s := newTestSession(allProtocols(), TCP, 40000, 5432)
	s.Stream(Client, []byte("\x00\x00\x00\x10\x04\xd2\x16\x2e\x00\x00\x01\x02\x03\x04\x05\x06"))
	s.End(true)
	wantStrings(t, s, "protocol", "postgresql")
	wantStrings(t, s, "tags", "postgresql:cancel")
}

// TestMySQLLoginEnds reads how a log-in ends, behind a change of the plugin.
func TestMySQLLoginEnds(t *testing.T) {
	packet := func(number byte, body string) string {
		return string([]byte{byte(len(body)), byte(len(body) >> 8), 0, number}) + body
	}
	greeting := packet(0, "\x0a8.0.36\x00\x08\x00\x00\x00abcdefgh\x00\xff\xff\x21\x02\x00\xff\xff\x15"+"\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00abcdefghijkl\x00")
	login := packet(1, "\x05\xa2\x08\x00\x00\x00\x00\x01\x21"+string(fromHex(t, "0000000000000000000000000000000000000000000000"))+"alice\x00\x00mysql_native_password\x00")
	for name, tt := range map[string]struct {
		server string
		plugin string
		errors []int64
	}{
		"taken":               {packet(2, "\x00\x00\x00\x02\x00\x00\x00"), "mysql_native_password", nil},
		"refused":             {packet(2, "\xff\x15\x04#28000Access denied"), "mysql_native_password", []int64{1045}},
		"changed":             {packet(2, "\xfecaching_sha2_password\x00abcdefghijklmnopqrst\x00") + packet(4, "\x01\x04") + packet(6, "\xff\x15\x04#28000x"), "caching_sha2_password", []int64{1045}},
		"an error afterwards": {packet(2, "\x00\x00\x00\x02\x00\x00\x00") + packet(1, "\xff\x7a\x04#42S02no table"), "mysql_native_password", nil},
	} {
		s := newTestSession(allProtocols(), TCP, 40000, 3333)
		s.Stream(Server, []byte(greeting))
		s.Stream(Client, []byte(login))
		for i := range len(tt.server) {
			s.Stream(Server, []byte(tt.server[i:i+1]))
		}
		s.End(true)
		wantStrings(t, s, "user", "alice")
		wantStrings(t, s, "mysql.authPlugin", tt.plugin)
		if got := intsOf(s, "mysql.error"); !slices.Equal(got, tt.errors) {
			t.Errorf("%s: mysql.error is %v, want %v", name, got, tt.errors)
		}
	}
}

func TestTFTPData(t *testing.T) {
	file := make([]byte, 1024+100)
	for i := range file {
		file[i] = byte(i)
	}
	block := func(n int, b []byte) []byte { return append([]byte{0, 3, byte(n >> 8), byte(n)}, b...) }
	for _, tt := range []struct {
		name   string
		blocks [][]byte
		whole  bool
	}{
		{"in order", [][]byte{block(1, file[:512]), block(2, file[512:1024]), block(3, file[1024:])}, true},
		{"one again", [][]byte{block(1, file[:512]), block(1, file[:512]), block(2, file[512:1024]), block(3, file[1024:])}, true},
		{"longer blocks", [][]byte{[]byte("\x00\x06blksize\x001000\x00"), block(1, file[:1000]), block(2, file[1000:])}, true},
		{"one missing", [][]byte{block(1, file[:512]), block(3, file[1024:])}, false},
		{"the end missing", [][]byte{block(1, file[:512]), block(2, file[512:1024])}, false},
	} {
		set, lane := allProtocols(), new(Expected)
		control := linkedSession(set, lane, UDP, "10.0.0.1:40000", "10.0.0.2:6969")
		control.Datagram(Client, 0, []byte("\x00\x01dir/a.bin\x00octet\x00blksize\x001000\x00"))
		data := linkedSession(set, lane, UDP, "10.0.0.2:5000", "10.0.0.1:40000")
		size := 0
		for i, b := range tt.blocks {
			data.Datagram(Client, 0, b)
			data.Datagram(Server, 0, []byte{0, 4, 0, byte(i)})
			if i == 0 || string(b) != string(tt.blocks[i-1]) {
				size += len(b) - 4
			}
		}
		data.End(true)
		control.End(true)
		wantStrings(t, control, "protocol", "tftp")
		wantStrings(t, data, "protocol", "tftp")
		wantStrings(t, data, "tftp.filename", "dir/a.bin")
		if tt.whole {
			wantFiles(t, data, wholeFile("tftp", "dir/a.bin", "application/octet-stream", string(file)))
		} else if sums := stringsOf(data, "files.md5"); len(sums) > 0 {
			t.Errorf("%s: hash %q", tt.name, sums)
		}
	}
}

func TestIRCElsewhere(t *testing.T) {
	for name, tt := range map[string]struct {
		port   uint16
		client []string
		server string
		want   string
	}{
		"a password first":    {6667, []string{"PASS x\r\n", "NICK a\r\n", "JOIN #a,#b key\r\n"}, "", "#a #b "},
		"in the middle":       {6667, []string{"JOIN #c\r\n"}, "", "#c "},
		"a user says":         {7777, nil, ":nick!user@host PRIVMSG #d :hello\r\n", ""},
		"another's password":  {7777, []string{"PASS x\r\n"}, "", "none"},
		"a message by a user": {7777, []string{"PRIVMSG #e :hello\r\n", "JOIN :#f\r\n"}, "", "#f "},
	} {
		s := newTestSession(allProtocols(), TCP, 40000, tt.port)
		for _, line := range tt.client {
			s.Stream(Client, []byte(line))
		}
		s.Stream(Server, []byte(tt.server))
		s.End(true)
		got := ""
		if !s.HasProtocol("irc") {
			got = "none"
		}
		for _, channel := range stringsOf(s, "irc.channel") {
			got += channel + " "
		}
		if got != tt.want {
			t.Errorf("%s: got %q, want %q", name, got, tt.want)
		}
	}
}

func TestSASLUsers(t *testing.T) {
	in := func(text string) string { return base64.StdEncoding.EncodeToString([]byte(text)) }
	plain := in("\x00alice\x00secret")
	for name, tt := range map[string]struct {
		port uint16
		said []string // server first
	}{
		"IMAP, with the command":   {143, []string{"* OK ready\r\n", "a AUTHENTICATE PLAIN " + plain + "\r\n"}},
		"IMAP, asked for":          {143, []string{"* OK ready\r\n", "a authenticate plain\r\n", "+ \r\n", plain + "\r\n", "a OK done\r\n"}},
		"IMAP, LOGIN":              {143, []string{"* OK ready\r\n", "a AUTHENTICATE LOGIN\r\n", "+ x\r\n", in("alice") + "\r\n", "+ y\r\n", in("secret") + "\r\n", "a OK done\r\n"}},
		"IMAP, CRAM-MD5":           {143, []string{"* OK ready\r\n", "a AUTHENTICATE CRAM-MD5\r\n", "+ PDE+\r\n", in("alice 0123456789abcdef") + "\r\n"}},
		"POP3, with the command":   {110, []string{"+OK POP3 ready\r\n", "AUTH PLAIN " + plain + "\r\n"}},
		"POP3, asked for":          {110, []string{"+OK POP3 ready\r\n", "AUTH SCRAM-SHA-1\r\n", "+ \r\n", in("n,,n=alice,r=abc") + "\r\n"}},
		"SMTP, CRAM-MD5":           {25, []string{"220 mx SMTP\r\n", "EHLO a\r\n", "250 mx\r\n", "AUTH CRAM-MD5\r\n", "334 PDE+\r\n", in("alice 0123456789abcdef") + "\r\n"}},
		"SMTP, XOAUTH2":            {25, []string{"220 mx SMTP\r\n", "EHLO a\r\n", "250 mx\r\n", "AUTH XOAUTH2 " + in("user=alice\x01auth=Bearer x\x01\x01") + "\r\n"}},
		"SMTP, a user's own LOGIN": {25, []string{"220 mx SMTP\r\n", "EHLO a\r\n", "250 mx\r\n", "AUTH LOGIN " + in("alice") + "\r\n"}},
	} {
		s := newTestSession(allProtocols(), TCP, 40000, tt.port)
		for i, line := range tt.said {
			s.Stream(Dir(1-i%2), []byte(line))
		}
		s.End(true)
		if got := stringsOf(s, "user"); len(got) != 1 || got[0] != "alice" {
			t.Errorf("%s: user is %q", name, got)
		}
	}
}

func TestLDAPSearch(t *testing.T) {
	ber := func(tag byte, parts ...string) string { // of up to 64 KiB
		body := strings.Join(parts, "")
		if len(body) < 0x80 {
			return string([]byte{tag, byte(len(body))}) + body
		}
		return string([]byte{tag, 0x82}) + u16be(len(body)) + body
	}
	text := func(tag byte, s string) string { return ber(tag, s) }
	filter := ber(0xa0,
		ber(0xa3, text(4, "objectClass"), text(4, "user")),
		ber(0xa2, ber(0xa4, text(4, "cn"), ber(0x30, text(0x80, "a"), text(0x81, "b("), text(0x82, "c")))),
		ber(0xa1, text(0x87, "servicePrincipalName"), ber(0xa5, text(4, "x"), text(4, "1")), ber(0xa6, text(4, "y"), text(4, "2"))),
		ber(0xa4, text(4, "cn"), ber(0x30, text(0x81, "z"))),
		ber(0xa9, text(0x81, "1.2.840.113556.1.4.803"), text(0x82, "userAccountControl"), text(0x83, "2")))
	request := ber(0x30, text(2, "\x01"), ber(0x63, text(4, "dc=example"), text(10, "\x02"), text(10, "\x00"), text(2, "\x00"), text(2, "\x00"), text(1, "\x00"),
		filter, ber(0x30, text(4, "cn"), text(4, "mail"))))
	refused := ber(0x30, text(2, "\x02"), ber(0x61, text(10, "\x31"), text(4, ""), text(4, "")))
	wireSession(t, 3890, func(t *testing.T, s *Session) {
		t.Helper()
		wantStrings(t, s, "ldap.operation", "search")
		wantStrings(t, s, "ldap.dn", "dc=example")
		wantStrings(t, s, "ldap.filter", `(&(objectClass=user)(!(cn=a*b\28*c))(|(servicePrincipalName=*)(x>=1)(y<=2))(cn=*z*)(userAccountControl:1.2.840.113556.1.4.803:=2))`)
		wantStrings(t, s, "ldap.attribute", "cn", "mail")
		wantStrings(t, s, "ldap.result", "invalidCredentials")
	}, request, refused)
}

func TestKRB5Elsewhere(t *testing.T) {
	name := ber(0x30, ber(0xa0, ber(2, "\x01")), ber(0xa1, ber(0x30, ber(0x1b, "alice"))))
	request := ber(0x6a, ber(0x30, ber(0xa1, ber(2, "\x05")), ber(0xa2, ber(2, "\x0a")), ber(0xa4, ber(0x30, ber(0xa1, name), ber(0xa2, ber(0x1b, "EXAMPLE.ORG"))))))
	s := newTestSession(allProtocols(), UDP, 40000, 8888)
	s.Datagram(Client, 0, []byte(request))
	s.End(true)
	wantStrings(t, s, "protocol", "krb5")
	wantStrings(t, s, "krb5.cname", "alice")
	wireSession(t, 8888, func(t *testing.T, s *Session) {
		t.Helper()
		wantStrings(t, s, "protocol", "krb5")
		wantStrings(t, s, "krb5.realm", "EXAMPLE.ORG")
	}, u32be(len(request))+request, "")
}

// TestSMBNetBIOS reads SMB behind a session request of NetBIOS, as smbclient and Samba spoke on port 139.
func TestSMBNetBIOS(t *testing.T) {
	wireSession(t, 139, func(t *testing.T, s *Session) {
		t.Helper()
		wantStrings(t, s, "protocol", "smb")
		wantStrings(t, s, "smb.dialect", "SMB 3.1.1")
	}, string(fromHex(t, "810000442044424441434f44494449434f4441434f4442434143414341434143414341434100204643454245434543454a4645434e45424341434143414341434143414341414100")),
		string(fromHex(t, "82000000"))+"\x00\x00\x00\x80\xfeSMB\x40\x00\x00\x00\x00\x00\x00\x00\x00\x00\x01\x00\x01\x00\x00\x00"+string(make([]byte, 44))+
			"\x41\x00\x01\x00\x11\x03\x00\x00"+string(make([]byte, 56)))
}
