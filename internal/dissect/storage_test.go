package dissect

import (
	"strings"
	"testing"
)

// xdr is a text as XDR has it (RFC 4506 section 4.10).
func xdr(text string) string { return counted(4, text) + strings.Repeat("\x00", (4-len(text)%4)%4) }

// rpcTest builds a call with the credentials of a machine and a user.
func rpcTest(program, version, procedure int, arguments string) string {
	credentials := u32be(1) + xdr("client7") + u32be(1001) + u32be(100) + u32be(0)
	return u32be(77) + u32be(0) + u32be(2) + u32be(program) + u32be(version) + u32be(procedure) + u32be(1) + xdr(credentials) + u32be(0) + u32be(0) + arguments
}

// marked puts a record mark in front of a message.
func marked(message string) string { return u32be(1<<31|len(message)) + message }

func TestNFS(t *testing.T) {
	handle := xdr("0123456789")
	compound := func(minor int, ops ...string) string {
		return xdr("tag") + u32be(minor) + u32be(len(ops)) + strings.Join(ops, "")
	}
	bitmap := u32be(2) + u32be(0x18) + u32be(0x30a23a)
	open := u32be(18) + u32be(0) + u32be(2) + u32be(0) + u64be(9) + xdr("owner") + u32be(1) + u32be(1) + u32be(0) + xdr("") + u32be(0) + xdr("opened.txt")
	wireSession(t, 2049, func(t *testing.T, s *Session) {
		t.Helper()
		wantStrings(t, s, "protocol", "rpc", "nfs")
		wantStrings(t, s, "rpc.program", "nfs", "mountd", "portmapper")
		wantStrings(t, s, "rpc.machine", "client7")
		wantStrings(t, s, "nfs.version", "3", "4.1", "2")
		wantStrings(t, s, "nfs.procedure", "lookup", "rename", "write", "sequence", "putfh", "open", "getfh", "getattr", "remove", "mnt", "create")
		wantStrings(t, s, "nfs.filename", "a.txt", "old", "new", "opened.txt", "gone", "two")
		wantStrings(t, s, "nfs.path", "/export/home")
	}, marked(rpcTest(100003, 3, 3, handle+xdr("a.txt")))+marked(rpcTest(100003, 3, 14, handle+xdr("old")+handle+xdr("new")))+
		marked(rpcTest(100003, 3, 7, handle+u64be(0)+u32be(1)+u32be(2)+xdr(strings.Repeat("d", 100000))))+
		marked(rpcTest(100003, 4, 1, compound(1, u32be(53)+strings.Repeat("s", 32), u32be(22)+handle, open, u32be(10), u32be(9)+bitmap, u32be(28)+xdr("gone"))))+
		marked(rpcTest(100005, 3, 1, xdr("/export/home")))+marked(rpcTest(100003, 2, 9, strings.Repeat("h", 32)+xdr("two")))+marked(rpcTest(100000, 2, 3, strings.Repeat("\x00", 16))))
	s := datagrams(111, rpcTest(100000, 2, 3, strings.Repeat("\x00", 16)))
	wantStrings(t, s, "rpc.program", "portmapper")
	if got := intsOf(s, "rpc.uid"); len(got) != 1 || got[0] != 1001 {
		t.Errorf("user id: got %d", got)
	}
}

// TestNFSCompound walks operations of version 4.2 (RFC 7862) and files opened by handle (RFC 8881 section 18.16).
func TestNFSCompound(t *testing.T) {
	state := strings.Repeat("s", 16)
	open := func(claim string) string {
		return u32be(18) + u32be(0) + u32be(2) + u32be(0) + u64be(9) + xdr("owner") + u32be(0) + claim
	}
	for _, tt := range []struct {
		name       string
		operations []string
		want       []string
	}{
		{"clone", []string{u32be(71) + state + state + u64be(0) + u64be(0) + u64be(4096)}, []string{"clone"}},
		{"allocate", []string{u32be(59) + state + u64be(0) + u64be(4096)}, []string{"allocate"}},
		{"deallocate", []string{u32be(62) + state + u64be(0) + u64be(4096)}, []string{"deallocate"}},
		{"seek", []string{u32be(69) + state + u64be(0) + u32be(1)}, []string{"seek"}},
		{"read_plus", []string{u32be(68) + state + u64be(0) + u32be(4096)}, []string{"read_plus"}},
		{"write", []string{u32be(38) + state + u64be(0) + u32be(2) + xdr("contents")}, []string{"write"}},
		{"opened by handle", []string{open(u32be(4))}, []string{"open"}},
		{"opened by handle with a delegation", []string{open(u32be(5) + state)}, []string{"open"}},
		{"opened by handle with an earlier delegation", []string{open(u32be(6))}, []string{"open"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			ops := append(tt.operations, u32be(28)+xdr("behind"))
			s := newTestSession(allProtocols(), TCP, 40000, 2049)
			s.Stream(Client, []byte(marked(rpcTest(100003, 4, 1, xdr("tag")+u32be(2)+u32be(len(ops))+strings.Join(ops, "")))))
			s.End(true)
			wantStrings(t, s, "nfs.version", "4.2")
			wantStrings(t, s, "nfs.procedure", append(tt.want, "remove")...)
			wantStrings(t, s, "nfs.filename", "behind")
		})
	}
}

func TestISCSI(t *testing.T) {
	message := func(op, flags byte, cdb, data string) string {
		n := len(data)
		return string([]byte{op, flags, 0, 0, 0, byte(n >> 16), byte(n >> 8), byte(n)}) + strings.Repeat("\x00", 24) + cdb + strings.Repeat("\x00", 16-len(cdb)) + data + strings.Repeat("\x00", (4-n%4)%4)
	}
	login := "InitiatorName=iqn.1993-08.org.debian:01:abc\x00TargetName=iqn.2003-01.org.example:disk1\x00SessionType=Normal\x00AuthMethod=CHAP,None\x00CHAP_N=gina\x00CHAP_R=0xsecret\x00HeaderDigest=CRC32C\x00"
	wireSession(t, 3260, func(t *testing.T, s *Session) {
		t.Helper()
		wantStrings(t, s, "protocol", "iscsi")
		wantStrings(t, s, "iscsi.initiator", "iqn.1993-08.org.debian:01:abc")
		wantStrings(t, s, "iscsi.target", "iqn.2003-01.org.example:disk1")
		wantStrings(t, s, "iscsi.user", "gina")
		wantStrings(t, s, "iscsi.auth", "CHAP", "None")
		wantStrings(t, s, "iscsi.alias", "disk")
		wantStrings(t, s, "iscsi.address", "192.0.2.3:3260,1")
		wantStrings(t, s, "iscsi.operation", "login-request", "login-response", "scsi-command", "data-out", "nop-in")
		wantStrings(t, s, "iscsi.command", "WRITE(10)", "0xff")
	}, message(0x43, 0x87, "", login), message(0x23, 0x87, "\x00\x00\x00\x00\x00\x00", "TargetAlias=disk\x00TargetAddress=192.0.2.3:3260,1\x00HeaderDigest=CRC32C\x00"),
		strings.Replace(message(0x01, 0xa0, "\x2a", ""), "\x2a"+strings.Repeat("\x00", 15), "\x2a"+strings.Repeat("\x00", 15)+"hdig", 1)+
			"\x05\x80\x00\x00\x00\x00\x80\x01"+strings.Repeat("\x00", 40)+"hdig"+strings.Repeat("d", 0x8004)+
			message(0x01, 0xa0, "\xff", "")+"hdig", message(0x20, 0x80, "", "")+"hdig")
}

func TestTDSLogin(t *testing.T) {
	texts := []string{"WS7", "sa", "", "app", "db1.example", "", "ODBC", "", "master"}
	table, data := "", ""
	at := 36 + 4*len(texts) + 22
	for _, text := range texts {
		table += u16le(at+len(data)) + u16le(len(text))
		data += wide(text)
	}
	login := u32le(at+len(data)) + "\x04\x00\x00\x74" + strings.Repeat("\x00", 28) + table + strings.Repeat("\x00", 22) + data
	packet := func(typ byte, body string) string {
		return string([]byte{typ, 1}) + u16be(8+len(body)) + "\x00\x00\x01\x00" + body
	}
	environment := "\x01\x06" + wide("master") + "\x05" + wide("model")
	ack := "\x01\x74\x00\x00\x04\x14" + wide("Microsoft SQL Server") + "\x10\x00\x03\xe8"
	wireSession(t, 1433, func(t *testing.T, s *Session) {
		t.Helper()
		wantStrings(t, s, "tds.user", "sa")
		wantStrings(t, s, "user", "sa")
		wantStrings(t, s, "tds.host", "ws7")
		wantStrings(t, s, "tds.app", "app")
		wantStrings(t, s, "tds.server", "db1.example")
		wantStrings(t, s, "tds.library", "ODBC")
		wantStrings(t, s, "tds.db", "master")
		wantStrings(t, s, "tds.version", "7.4")
		wantStrings(t, s, "tds.serverVersion", "Microsoft SQL Server 16.0.1000")
	}, packet(0x10, login), packet(0x04, "\xe3"+u16le(len(environment))+environment+"\xad"+u16le(len(ack))+ack))
}

func TestMySQLLogin(t *testing.T) {
	greeting := "8.0.32\x00" + strings.Repeat("\x00", 50)
	attribute := func(k, v string) string { return counted(1, k) + counted(1, v) }
	attributes := attribute("_client_name", "libmysql") + attribute("_client_version", "8.0.32") + attribute("program_name", "mysqldump") + attribute("_pid", strings.Repeat("9", 100))
	login := u32le(0x200|0x8|0x8000|0x80000|0x100000) + strings.Repeat("\x00", 28) + "dbadmin\x00" + counted(1, "hashhashhash") + "shop\x00" + "caching_sha2_password\x00" + counted(1, attributes)
	packet := func(number byte, body string) string {
		return string([]byte{byte(len(body)), byte(len(body) >> 8), 0, number}) + body
	}
	wireSession(t, 3306, func(t *testing.T, s *Session) {
		t.Helper()
		wantStrings(t, s, "mysql.user", "dbadmin")
		wantStrings(t, s, "mysql.db", "shop")
		wantStrings(t, s, "mysql.authPlugin", "caching_sha2_password")
		wantStrings(t, s, "mysql.app", "mysqldump")
		wantStrings(t, s, "mysql.client", "libmysql 8.0.32")
	}, "", packet(0, "\x0a"+greeting), packet(1, login))
}

func TestPostgreSQLServer(t *testing.T) {
	message := func(typ, body string) string { return typ + u32be(4+len(body)) + body }
	startup := u32be(8+len("user\x00me\x00database\x00d\x00\x00")) + u32be(0x30000) + "user\x00me\x00database\x00d\x00\x00"
	wireSession(t, 5432, func(t *testing.T, s *Session) {
		t.Helper()
		wantStrings(t, s, "postgresql.user", "me")
		wantStrings(t, s, "postgresql.db", "d")
		wantStrings(t, s, "postgresql.version", "16.1 (Debian)")
		wantStrings(t, s, "postgresql.auth", "sasl")
		wantStrings(t, s, "postgresql.error", "28P01")
	}, u32be(8)+u32be(80877103), "N", startup, message("R", u32be(10)+"SCRAM-SHA-256\x00\x00")+message("E", "SFATAL\x00C28P01\x00Mno\x00\x00")+
		message("S", "TimeZone\x00UTC\x00")+message("S", "server_version\x0016.1 (Debian)\x00")+message("Z", "I")+message("T", strings.Repeat("row", 5000)))
}

func TestRDPCookie(t *testing.T) {
	cookie := "Cookie: mstshash=helen\r\n"
	request := "\x03\x00" + u16be(11+len(cookie)+8) + string([]byte{byte(6 + len(cookie) + 8)}) + "\xe0\x00\x00\x00\x00\x00" + cookie + "\x01\x00\x08\x00\x03\x00\x00\x00"
	wireSession(t, 3389, func(t *testing.T, s *Session) {
		t.Helper()
		wantStrings(t, s, "rdp.cookie", "mstshash=helen")
		wantStrings(t, s, "user", "helen")
	}, request)
}

// TestTicket holds that the ticket in a session setup of SMB is read: service and realm stand there in clear.
func TestTicket(t *testing.T) {
	name := ber(0xa2, ber(0x30, ber(0xa0, ber(2, "\x02")), ber(0xa1, ber(0x30, ber(0x1b, "cifs"), ber(0x1b, "files.example.com")))))
	ticket := ber(0x61, ber(0x30, ber(0xa0, ber(2, "\x05")), ber(0xa1, ber(0x1b, "EXAMPLE.COM")), name, ber(0xa3, ber(0x30, "encrypted"))))
	request := ber(0x6e, ber(0x30, ber(0xa0, ber(2, "\x05")), ber(0xa1, ber(2, "\x0e")), ber(0xa2, ber(3, "\x00\x00\x00\x00\x00")), ber(0xa3, ticket)))
	blob := ber(0x60, krb5Mechanism+request)
	s := exchange(1<<20, smbFrame(smb2Test(1, 0, 1, false, u16le(25)+strings.Repeat("\x00", 10)+u16le(64+24)+u16le(len(blob))+strings.Repeat("\x00", 8)+blob)))
	wantStrings(t, s, "krb5.sname", "cifs/files.example.com")
	wantStrings(t, s, "krb5.realm", "EXAMPLE.COM")
	wantStrings(t, s, "protocol", "smb", "krb5")
}

func FuzzRPC(f *testing.F) {
	fuzzParser(f, "rpc", marked(rpcTest(100003, 3, 3, xdr("handle")+xdr("a.txt"))), marked(rpcTest(100003, 4, 1, xdr("")+u32be(0)+u32be(1)+u32be(15)+xdr("a"))))
}
func FuzzISCSI(f *testing.F) {
	fuzzParser(f, "iscsi", "\x43\x87\x00\x00\x00\x00\x00\x10"+strings.Repeat("\x00", 40)+"InitiatorName=a\x00")
}
func FuzzTDS(f *testing.F) {
	fuzzParser(f, "tds", "\x04\x01\x00\x10\x00\x00\x01\x00\xe3\x05\x00\x01\x01a\x00\x00")
}
func FuzzMySQL(f *testing.F) {
	fuzzParser(f, "mysql", "\x2c\x00\x00\x01\x08\x82\x18\x00"+strings.Repeat("\x00", 28)+"me\x00\x01xdb\x00")
}
func FuzzPostgreSQL(f *testing.F) {
	fuzzParser(f, "postgresql", "\x00\x00\x00\x10\x00\x03\x00\x00user\x00me\x00R\x00\x00\x00\x08\x00\x00\x00\x0a")
}
