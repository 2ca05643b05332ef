package exprtest

import "strings"

// Expressions returns the expressions on which engines must agree. All are valid for [Registry].
func Expressions() []string {
	var out []string
	for _, line := range strings.Split(expressions, "\n") {
		if line = strings.TrimSpace(line); line != "" && !strings.HasPrefix(line, "# ") {
			out = append(out, line)
		}
	}
	// What cannot stand on a line of its own.
	return append(out, "", "tags == \"new\nline\"", "  tags\t==\n tcp ")
}

// expressions has one a line; lines that begin with "# " say what follows.
const expressions = `
# addresses
ip.src == 10.0.0.1
ip.src != 10.0.0.1
ip.src == 10
ip.src == 10.
ip.src == 10.1
ip.src == 10.0.0
ip.src == 10.0.0.0/8
ip.src == 10.0.0.77/24
ip.src == 192.168.1.64/26
ip.src == 0.0.0.0
ip.src == 0.0.0.0/0
ip.src == 255.255.255.255
ip.src == ::1
ip.src == ::
ip.src == ::/0
ip.src == ::/1
ip.src == 2001:db8::/32
ip.src == 2001:0DB8:0:0::1
ip.src == ::ffff:1.2.3.4
ip.src == "::ffff:0:0/96"
ip.src == ipv4
ip.src == ipv6
ip.src != ipv6
ip.src > 10.0.0.1
ip.src >= 10.0.0.1
ip.src < 10.1
ip.src <= 10.1
ip.src > 2001:db8::1
ip.src < 2001:db8::1
ip.src <= ::1
ip.src >= ffff::1
ip.src < 0.0.0.0
ip.src > 255.255.255.255
ip.src > 10.0.0.1 && ip.src < 192.168.0.0
ip.src == [10.0.0.1,10.0.0.2]
ip.src == [10.0.0.1, 192.168, 2001:db8::/32]
ip.src != [10.0.0.1,10.0.0.2]
ip.src == ]10,10.0[
ip == 10.0.0.1
ip != 10.0.0.1
ip == 8.8.8.8
ip == ]10.0.0.1,8.8.8.8[
ip == EXISTS!
ip.dst == 1.2.3.4:443
ip.dst == 10.0.0.0/8:443
ip.dst == 10:80
ip.dst == :53
ip.dst != :53
ip.dst == 2001:db8::1.443
ip.dst == [1.2.3.4:443,10,8.8.8.8:53]
ip.dst != [1.2.3.4:443,10]
ip == :1000
ip == 10.0.0.1:80
ip.xff == 10
ip.xff == EXISTS!
ip.xff != EXISTS!
ip.dns == 10.0.0.0/8
ip.dns != 10.0.0.0/8
ip.dns == ]10,192.168[
outerip.src == 1.2.3.4
db:source.ip == 10.0.0.1
db:dns.answers.ip == 8.8.8.8
dns.answer.ip == ]8.8.8.8,10[
dns.answer.ip != EXISTS!
# numbers
port == 80
port != 80
port.dst == 443
port.dst == [53,443]
port.dst != [53,443]
port.dst == 50-100
port.dst == [50-100,443]
port.dst != 50-100
port == [1-3,5,1000-2000]
port.dst > 80
port.dst >= 80
port.dst < 80
port.dst <= 80
port.dst == 65535
port.dst == 99999
port.dst == -1
bytes > 4294967296
bytes == 0-1000
bytes < 9223372036854775807
bytes >= -9223372036854775808
bytes > 9223372036854775807
bytes.dst >= 1000 && bytes.src < 100
packets == ]10,20[
packets.src == 0
databytes == 0
session.length == 0
session.length > 300000
vlan == 100
vlan != 100
vlan == ]100,200[
vlan == [100,200]
vlan > 200
vlan == EXISTS!
vlan != EXISTS!
http.statuscode == 200
http.statuscode == [200,404]
http.statuscode == ]200,404[
http.statuscode != 200
http.statuscode >= 400
http.statuscode == 400-499
dns.answer.ttl > 100
dns.answer.ttl == 0
dns.answer.ttl != 0
initRTT < 100
initRTT == EXISTS!
asn.src.number == 15169
ip.protocol == tcp
ip.protocol == UDP
ip.protocol == [tcp,17]
ip.protocol != tcp
ip.protocol == icmp6
ip.protocol == 6
ip.protocol > 6
# times
starttime > "2024/03/01 12:00:00"
starttime >= 2024-03-01T12:00:00Z
starttime < "2024-03-01T12:00:00+02:00"
starttime <= "2024-03-01 12:00"
starttime == "2024/03/01"
starttime != "2024/03/01"
starttime == "2024-03"
starttime == ["2024/02/29","2024/03/02"]
starttime == "2024/03/01 12"
starttime > 1709294400
starttime > 1709294400000
starttime > -1d
starttime > -1d@d
starttime < -36h && stoptime > -2d
starttime >= @w1
stoptime > now
stoptime < -0s
cert.notafter < 2024
cert.notafter == 2025
cert.notafter > +1y
cert.notafter == EXISTS!
# text as it is
protocols == tcp
protocols != tcp
protocols == [tcp,dns]
protocols == ]tcp,http[
protocols != ]tcp,http[
protocols != [tcp,dns]
protocols == TCP
tags == "two words"
tags == two*
tags == *words
tags == *o*w*
tags == "qu?stion"
tags == qu?stion
tags == *u?st*
tags == "?????????*"
tags == "??*"
tags == st*r
tags == *code
tags == "Ünïcode"
tags == "?n?code*"
tags == "quo\"ted"
tags == "back\slash"
tags == "back\\*"
tags == ""
tags == [no-syn-ack,""]
tags == [comma\,inside]
tags == ["comma,inside",two words]
tags == [br\[ack\]et]
tags == EXISTS!
tags != EXISTS!
tags == [out*,/.*words/,"Ünïcode"]
tags == ]*o*,*u*[
tags == nothing
tags != nothing
node == import
node == sensor-*
id == 24022*
id == "240229-00000000000000000000000007"
id == [240229-00000000000000000000000007,nothing]
id != "240229-00000000000000000000000007"
id == /2403.*[05]/
communityId == "1:LQU9qZlK+B5F3KDmev6m5PMibrg="
communityId == 1:fZG4*
file == "/data/a.pcap"
file == /data/a.pcap
file == */a.pcap
file == /data/*
file == "C:\data\a.pcap"
file == "C:*\\a.pcap"
file == /.*\/[ab]\.pcap/
http.method == GET
http.method == get
http.method != GET
http.uri == www.example.org/
http.uri == "http://www.example.org/"
http.uri == "HTTPS://www.example.org/index.html"
http.uri == *login*
http.uri == *LOGIN*
http.uri == "*LogIn?user=a*"i
http.uri == "WWW.EXAMPLE.ORG/"i
http.uri == "w*/index.HTML"i
http.uri == "WWW.*"i
http.uri != "*LOGIN*"i
http.uri == ["*LOGIN*"i,"*/C.php","shop.*"]
http.uri == ]"*LOGIN*"i,"*.ORG*"i[
tags == "ST*R"i
tags == "A?"i
tags == "Ä*"i
http.uri == "*b=%20"
http.uri == "www.*.html"
http.uri == *long/long*
http.uri != *index*
http.uri == "[2001:db8::1]/x"
http.user-agent == Mozilla*
http.user-agent == "mOZILLA/*"i
http.user-agent == "CURL/8.1"i
host == "WWW.Example.*"i
http.user-agent == *ozilla*
http.user-agent == curl/8.1
db:http.useragent == curl/8.1
# text whose case is folded
user == root
user == ROOT
user == "ärger"
user == "Ä*"
user == A*
host == example.org
host.dns == EXAMPLE.org
host.dns == *.Example.com
host.dns != example.org
host.dns == "münchen.example"
host.http == "http://www.example.org/index.html"
host == [www.example.org,*.com]
host == ]www.example.org,example.org[
host == EXISTS!
host != *example*
dns.query.type == a
dns.query.type == [AAAA,MX]
dns.query.type == m*
cert.subject.cn == "*.example.org"
cert.subject.cn == "example ca"
country == us
country == [US,de]
country.src == D*
country.src != EXISTS!
mac.src == 00-19-06-E6-82-C4
mac == 00:12:1e*
mac.src == /00:1.*/
tls.ja3 == 4D7A28D6F2263ED61DE88CA66EB011E3
tls.ja3 == 4d7a*
asn == "AS15169*"
asn == 15169
asn.src == "AS3320 Deutsche Telekom AG"
# payload
payload8 == "GET *"
payload8.src == "PRI "
payload8.src.hex == 1603*
payload8.hex == ff
payload8.src == "G?T*"
payload8.src.hex == /[0-9a-f]{2}/
payload8 == EXISTS!
# words
http.note == quick
http.note == "QUICK brown"
http.note == "brown quick"
http.note == *uick*
http.note == "größe"
http.note != quick
# regular expressions
protocols == /t.*/
protocols == /TCP/
protocols == /(tcp|udp)/
protocols == /tcp|udp/
protocols == /[^t]../
protocols == /[t-u].p/
protocols == /t.?(cp|ls)/
protocols == /.{3}/
protocols == /.{4,}/
protocols == /.{1,3}/
protocols == /"tcp"/
protocols == /@p/
protocols == /#/
protocols == /a+?tcp/
protocols == /(tc)*?p|dns/
protocols == [/t.*/,udp]
protocols != /t.*/
tags == /\w+ \w+/
tags == /.*\d.*/
tags == /.*\".*/
tags == /.*\\.*/
tags == /.*\n.*/
tags == /new.line/
tags == /()/
tags == /[\w*?]+/
user == /R.*T/
user == /[A-F].*/
host.dns == /(.+\.)?example\.(org|com)/
http.uri == /[^\/]+\/[^\/]*/
http.uri == /.*\?user=a\&b=.*/
country == /[UD].*/
# all together
ip.src == 10 && port.dst == 443
ip.src == 10 & port.dst == 443
ip.src == 10 || port.dst == 443
ip.src = 10 | port.dst = 443
!ip.src == 10
!(ip.src == 10 || port.dst == 443)
!!ip.src == 10
ip.src == 10 && port.dst == 443 || vlan == 100
ip.src == 10 && (port.dst == 443 || vlan == 100)
ip.src == 10 && !vlan == 100 && protocols == tcp
!vlan == 100 || !tags == EXISTS!
(ip.src==10||ip.dst==10)&&(port==443||port==80)&&!(tags==*o*)
((((protocols == tcp))))
ip.src == 10.0.0.1 && ip.dst == 10.0.0.1
starttime > "2024/03/01" && bytes > 1000 && (host == *example* || http.uri == *example*) && tags != "two words"
`
