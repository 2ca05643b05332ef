#!/usr/bin/env bash
# Makes sample.pcap.gz: real programs talk in network namespaces, and tcpdump listens at the switch between them.
#
#   testenv/setup.sh sample && testenv/sample/make.sh
#
# Linux, as root. It takes some minutes. The namespaces are joined to each other only: no packet leaves the machine,
# whatever the addresses look like. They look like the Internet's so that countries are found; the names end in
# .example and the people are invented.
set -euo pipefail
cd "$(dirname "$0")"
here=$PWD
PATH=$PATH:/usr/sbin:/sbin
[ "$(id -u)" = 0 ] || { echo "make.sh needs root for network namespaces" >&2; exit 1; }

tmp=$(mktemp -d)
chmod 755 "$tmp"
ns=wlsample-
hosts_ns=(sw net gw dns desk1 desk2 desk3 desk4 laptop app db cam)

cleanup() {
	local h
	for h in "${hosts_ns[@]}"; do
		ip netns pids "$ns$h" 2>/dev/null | xargs -r kill -KILL 2>/dev/null || true
		ip netns del "$ns$h" 2>/dev/null || true
		rm -rf "/etc/netns/$ns$h"
	done
	rm -rf "$tmp"
}
trap cleanup EXIT

on() { local h=$1; shift; ip netns exec "$ns$h" "$@"; }
# background HOST COMMAND...: a server, until the namespace is cleaned up.
background() { local h=$1; shift; ip netns exec "$ns$h" "$@" & disown; }
say() { printf 'sample: %s\n' "$*" >&2; }

# ---------------------------------------------------------------- the network

go build -o "$tmp/" ./switch ./spread

for h in "${hosts_ns[@]}"; do
	ip netns add "$ns$h"
	on "$h" ip link set lo up
done

# wire HOST INTERFACE PORT MAC: a cable from a host to a port of the switch. Offloads are off: what is captured must be
# what a wire carries, with checksums.
wire() {
	ip -n "$ns$1" link add "$2" address "$4" type veth peer name "$3" netns "${ns}sw"
	on "$1" ethtool -K "$2" tx off rx off tso off gso off gro off >/dev/null
	on sw ethtool -K "$3" tx off rx off tso off gso off gro off >/dev/null
	on sw sysctl -qw "net.ipv6.conf.$3.disable_ipv6=1"
	on "$1" sysctl -qw "net.ipv6.conf.$2.accept_dad=0" "net.ipv6.conf.$2.router_solicitations=0"
	on sw ip link set "$3" up
	on "$1" ip link set "$2" up
}

# address HOST INTERFACE CIDR...
address() {
	local h=$1 i=$2 a
	shift 2
	for a; do on "$h" ip addr add "$a" dev "$i" $([[ $a == *:* ]] && echo nodad); done
}

# The office is untagged, servers are VLAN 30, cameras VLAN 40.
office6=2a02:2450:1020:10
server6=2a02:2450:1020:30
wire gw office gw1 00:1b:54:aa:10:01
wire gw servers gw30 00:1b:54:aa:30:01
wire gw cameras gw40 00:1b:54:aa:40:01
wire gw wan gwwan 00:1b:54:aa:99:01
wire net eth0 net 84:78:ac:00:99:02
address gw office 10.20.10.1/24 $office6::1/64
address gw servers 10.20.30.1/24 $server6::1/64
address gw cameras 10.20.40.1/24
address gw wan 203.0.113.2/30 2001:db8:99::2/64
address net eth0 203.0.113.1/30 2001:db8:99::1/64
on gw sysctl -qw net.ipv4.ip_forward=1 net.ipv6.conf.all.forwarding=1
on gw ip route add default via 203.0.113.1
on gw ip -6 route add default via 2001:db8:99::1
on net ip route add 10.20.0.0/16 via 203.0.113.2
on net ip -6 route add 2a02:2450:1020::/48 via 2001:db8:99::2
# What no server has is unreachable, as a far router would say, not silent.
on net ip route add unreachable default metric 9000
on net sysctl -qw net.ipv4.conf.all.forwarding=1

join() { # join HOST PORT MAC PREFIX4 GATEWAY4 PREFIX6 LAST
	wire "$1" eth0 "$2" "$3"
	address "$1" eth0 "$4.$7/24"
	on "$1" ip route add default via "$4.1"
	if [ -n "$6" ]; then
		address "$1" eth0 "$6::$7/64"
		on "$1" ip -6 route add default via "$6::1"
	fi
}
join dns p-dns f8:bc:12:10:00:53 10.20.10 - $office6 53
join desk1 p-desk1 f8:bc:12:10:00:11 10.20.10 - $office6 11
join desk2 p-desk2 a4:83:e7:10:00:12 10.20.10 - $office6 12
join desk3 p-desk3 3c:52:82:10:00:13 10.20.10 - $office6 13
join desk4 p-desk4 dc:a6:32:10:00:14 10.20.10 - "" 14
join app p-app 00:50:56:30:00:21 10.20.30 - $server6 21
join db p-db 00:50:56:30:00:22 10.20.30 - $server6 22
join cam p-cam 00:40:8c:40:00:31 10.20.40 - "" 31
# The resolver has a leg in each VLAN: a question that a router passed on would be on the wire twice.
wire dns eth1 p-dns30 f8:bc:12:30:00:53
wire dns eth2 p-dns40 f8:bc:12:40:00:53
address dns eth1 10.20.30.53/24
address dns eth2 10.20.40.53/24
wire laptop eth0 p-laptop a4:83:e7:10:00:77
wire sw tap0 mirror 02:00:00:00:00:01 # both ends in sw: the switch writes to mirror, tcpdump reads tap0
on sw sysctl -qw net.ipv6.conf.tap0.disable_ipv6=1

for h in "${hosts_ns[@]}"; do
	mkdir -p "/etc/netns/$ns$h"
	case $h in app | db) vlan=30 ;; cam) vlan=40 ;; *) vlan=10 ;; esac
	echo "nameserver 10.20.$vlan.53" >"/etc/netns/$ns$h/resolv.conf"
done

background sw "$tmp/switch" -mirror mirror -wan gwwan,net gw1=1 p-dns=1 p-desk1=1 p-desk2=1 p-desk3=1 p-desk4=1 \
	p-laptop=1 gw30=30 p-dns30=30 p-app=30 p-db=30 gw40=40 p-dns40=40 p-cam=40

# ---------------------------------------------------------------- the servers

# name, IPv4, IPv6 (or -), certificate: ec or rsa (12, 13: only that TLS version), expired, self (or -)
servers='
www.nordlicht.example       88.198.64.21    2a01:4f8:151:34::21   ec
cdn.nordlicht.example       88.198.64.22    -                     ec
shop.lutece.example         212.27.48.30    2a01:e0c:1::30        rsa12
news.thamesside.example     212.58.233.44   -                     ec13
api.sakura-weather.example  133.242.17.8    2001:200:0:8::17      rsa
mirror.openpkg.example      145.100.190.80  2001:610:188:1::80    -
downloads.prairie.example   204.152.184.110 2001:4f8:3:36::110    -
forum.ipanema.example       200.160.2.80    2001:12ff:0:2::80     rsa12
login.southerncross.example 139.130.4.90    -                     ec13
media.ganges.example        14.139.58.22    -                     ec
portal.karoo.example        196.25.1.60     -                     expired
files.maple.example         206.167.244.12  -                     rsa
git.fjord.example           129.240.2.60    2001:700:100:2::60    ec13
track.adlens.example        192.36.148.99   -                     self
'
others='
mx1.alpenpost.example       130.59.31.25    2001:620:0:31::25
mx2.alpenpost.example       130.59.31.26    -
time.metrology.example      192.53.103.108  2001:638:610:be01::108
shell.fjord.example         129.240.2.61    2001:700:100:2::61
'
# Each address is a /32 of the far host, and a name of the resolver.
: >"$tmp/hosts"
while read -r name v4 v6 _; do
	[ -n "$name" ] || continue
	address net lo "$v4/32"
	echo "$v4 $name" >>"$tmp/hosts"
	[ "$v6" = - ] || { address net lo "$v6/128"; echo "$v6 $name" >>"$tmp/hosts"; }
done <<<"$servers$others"

# Certificates of an authority of our own, some weeks old.
pki=$tmp/pki
mkdir -p "$pki"
quiet() { "$@" 2>"$tmp/quiet" || { cat "$tmp/quiet" >&2; return 1; }; }
day() { date -u -d "$1 days" +%Y%m%d000000Z; }
cat >"$pki/ca.cnf" <<CNF
[ca]
default_ca = own
[own]
database = $pki/index
new_certs_dir = $pki
serial = $pki/serial
default_md = sha256
policy = any
unique_subject = no
x509_extensions = leaf
[any]
countryName = optional
stateOrProvinceName = optional
localityName = optional
organizationName = optional
commonName = supplied
[leaf]
basicConstraints = CA:FALSE
CNF
: >"$pki/index"
echo 5C0A31F2E7D4 >"$pki/serial"
quiet openssl ecparam -name prime256v1 -genkey -noout -out "$pki/ca.key"
quiet openssl req -x509 -new -key "$pki/ca.key" -days 3650 -subj "/C=DE/O=Nordlicht Trust GmbH/CN=Nordlicht Root R1" -out "$pki/ca.crt"
certificate() { # certificate NAME KIND
	local end=+338 issuer=(-cert "$pki/ca.crt" -keyfile "$pki/ca.key")
	case $2 in
	ec*) quiet openssl ecparam -name prime256v1 -genkey -noout -out "$pki/$1.key" ;;
	*) quiet openssl genrsa -out "$pki/$1.key" 2048 ;;
	esac
	quiet openssl req -new -key "$pki/$1.key" -subj "/C=SE/ST=Uppland/L=Stockholm/O=${1#*.} AB/CN=$1" -out "$pki/$1.csr"
	[ "$2" = expired ] && end=-9
	[ "$2" = self ] && issuer=(-selfsign -keyfile "$pki/$1.key")
	quiet openssl ca -batch -notext -config "$pki/ca.cnf" "${issuer[@]}" -in "$pki/$1.csr" -startdate "$(day -60)" -enddate "$(day $end)" \
		-extfile <(echo "subjectAltName=DNS:$1,DNS:${1#*.}") -out "$pki/$1.crt"
	[ "$2" = self ] || cat "$pki/ca.crt" >>"$pki/$1.crt"
}

# Things to serve.
www=$tmp/www
mkdir -p "$www/css" "$www/js" "$www/img" "$www/files" "$www/api" "$www/private"
/usr/bin/python3 - "$www" <<'PY'
import json, random, struct, sys, zipfile, zlib, gzip
root = sys.argv[1]
r = random.Random(1)
words = "packet archive river north light harbour session window garden paper signal bridge market winter coffee letter engine".split()
para = lambda n: " ".join(r.choice(words) for _ in range(n)).capitalize() + "."
page = lambda title: f"""<!doctype html><html lang="en"><head><meta charset="utf-8"><title>{title}</title>
<link rel="stylesheet" href="/css/site.css"><script src="/js/app.js" defer></script></head>
<body><h1>{title}</h1><img src="/img/logo.png" alt="">{''.join(f'<p>{para(60)}</p>' for _ in range(12))}</body></html>"""
for name in ["index", "about", "products", "contact", "archive"]:
    open(f"{root}/{name}.html", "w").write(page(name.title()))
open(f"{root}/css/site.css", "w").write("\n".join(f".c{i} {{ color: #{r.randrange(1<<24):06x}; margin: {i}px }}" for i in range(150)))
open(f"{root}/js/app.js", "w").write("\n".join(f"function f{i}() {{ return {r.random()} }}" for i in range(200)))
def png(path, w, h):
    raw = b"".join(b"\0" + bytes(v for x in range(w) for v in (x * 255 // w, y * 255 // h, r.randrange(64))) for y in range(h))
    chunk = lambda k, d: struct.pack(">I", len(d)) + k + d + struct.pack(">I", zlib.crc32(k + d))
    open(path, "wb").write(b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", struct.pack(">IIBBBBB", w, h, 8, 2, 0, 0, 0)) + chunk(b"IDAT", zlib.compress(raw)) + chunk(b"IEND", b""))
png(f"{root}/img/logo.png", 48, 48)
png(f"{root}/img/banner.png", 160, 90)
png(f"{root}/favicon.ico", 16, 16)
json.dump({"city": "Kyoto", "days": [{"day": i, "high": r.randrange(10, 30), "sky": r.choice(["rain", "sun", "cloud"])} for i in range(10)]}, open(f"{root}/api/forecast.json", "w"))
open(f"{root}/files/report.pdf", "wb").write(b"%PDF-1.4\n1 0 obj<</Type/Catalog/Pages 2 0 R>>endobj\n2 0 obj<</Type/Pages/Kids[]/Count 0>>endobj\ntrailer<</Root 1 0 R>>\n" + para(300).encode() + b"\n%%EOF\n")
with zipfile.ZipFile(f"{root}/files/photos.zip", "w") as z:
    z.write(f"{root}/img/banner.png", "banner.png"); z.write(f"{root}/img/logo.png", "logo.png")
open(f"{root}/files/setup.exe", "wb").write(b"MZ" + bytes(58) + struct.pack("<I", 64) + b"PE\0\0" + r.randbytes(30000))
open(f"{root}/files/data.csv", "w").write("time,value\n" + "".join(f"{i},{r.random():.4f}\n" for i in range(900)))
with gzip.open(f"{root}/files/Packages.gz", "wt") as z:
    for i in range(300): z.write(f"Package: {r.choice(words)}-{i}\nVersion: {i}.{r.randrange(20)}\nDescription: {para(8)}\n\n")
open(f"{root}/robots.txt", "w").write("User-agent: *\nDisallow: /private/\n")
open(f"{root}/private/index.html", "w").write(page("Private"))
PY
printf 'karin:%s\n' "$(openssl passwd -apr1 spring-tide)" >"$www/../htpasswd"

# nginx_conf NAME begins a configuration file: what is common to all servers.
nginx_conf() {
	cat <<NGINX
user root;
worker_processes 1;
pid $tmp/$1.pid;
error_log $tmp/$1.log;
events { worker_connections 512; }
http {
  types { text/html html; text/css css; application/javascript js; image/png png; image/x-icon ico; application/json json;
    application/pdf pdf; application/zip zip; application/vnd.microsoft.portable-executable exe; text/csv csv;
    application/gzip gz; text/plain txt; }
  access_log off;
  gzip on; gzip_types text/css application/javascript application/json text/csv; gzip_min_length 200;
  keepalive_timeout 3s;
  client_max_body_size 4m;
  client_body_temp_path $tmp/body; proxy_temp_path $tmp/proxy; fastcgi_temp_path $tmp/fcgi; uwsgi_temp_path $tmp/uwsgi; scgi_temp_path $tmp/scgi;
  ssl_session_cache off;
NGINX
}

# One nginx serves all names, each on its own addresses: the TLS versions of an address are those of its first server.
{
	nginx_conf nginx
	while read -r name v4 v6 kind; do
		[ -n "$name" ] || continue
		echo "  server { server_name $name; root $www; listen $v4:80;"
		[ "$v6" = - ] || echo "    listen [$v6]:80;"
		if [ "$kind" != - ]; then
			certificate "$name" "$kind"
			echo "    listen $v4:443 ssl http2;"
			[ "$v6" = - ] || echo "    listen [$v6]:443 ssl http2;"
			case $kind in *12) versions=TLSv1.2 ;; *13) versions=TLSv1.3 ;; *) versions="TLSv1.2 TLSv1.3" ;; esac
			echo "    ssl_protocols $versions; ssl_certificate $pki/$name.crt; ssl_certificate_key $pki/$name.key;"
		fi
		cat <<NGINX
    add_header Set-Cookie "sid=\$request_id; Path=/; HttpOnly";
    location = /old { return 301 http://\$host/about.html; }
    location /private/ { auth_basic "members"; auth_basic_user_file $tmp/htpasswd; }
    location = /login { return 302 /index.html; }
    location = /api/orders { default_type application/json; return 201 '{"order":4711,"state":"accepted"}'; }
    location = /api/broken { return 500 "out of order"; }
    location = /collect { return 204; }
    location /upload/ { root $tmp/dav; dav_methods PUT DELETE; create_full_put_path on; }
  }
NGINX
	done <<<"$servers"
	echo "}"
} >"$tmp/nginx.conf"
mkdir -p "$tmp/dav"
on net nginx -q -c "$tmp/nginx.conf"

# The intranet's, in VLAN 30.
{
	nginx_conf intranet
	echo "  server { listen 80; listen [::]:80; root $www; } }"
} >"$tmp/intranet.conf"
on app nginx -q -c "$tmp/intranet.conf"

# Names, and addresses for the laptop.
background dns dnsmasq --keep-in-foreground --no-daemon --log-facility="$tmp/dnsmasq.log" --user=root --pid-file= --no-resolv --no-hosts \
	--addn-hosts="$tmp/hosts" --local-ttl=300 --bind-interfaces --no-ping \
	--host-record=intranet.corp.example,10.20.30.21,$server6::21 --host-record=db.corp.example,10.20.30.22 \
	--cname=static.nordlicht.example,cdn.nordlicht.example --cname=weather.example,api.sakura-weather.example \
	--mx-host=alpenpost.example,mx1.alpenpost.example,10 --mx-host=alpenpost.example,mx2.alpenpost.example,20 \
	--txt-record=alpenpost.example,"v=spf1 mx -all" --txt-record=_dmarc.alpenpost.example,"v=DMARC1; p=reject" \
	--srv-host=_ldap._tcp.corp.example,db.corp.example,389,10,5 --srv-host=_xmpp-client._tcp.corp.example,intranet.corp.example,5222 \
	--caa-record=nordlicht.example,0,issue,nordlicht-trust.example --naptr-record=corp.example,100,10,U,E2U+sip,'!^.*$!sip:info@corp.example!' \
	--ptr-record=21.64.198.88.in-addr.arpa,www.nordlicht.example \
	--dhcp-range=10.20.10.100,10.20.10.150,2h --dhcp-option=3,10.20.10.1 --dhcp-option=6,10.20.10.53 --dhcp-option=15,corp.example \
	--dhcp-leasefile="$tmp/leases" --dhcp-authoritative --enable-tftp --tftp-root="$www" 2>"$tmp/dnsmasq.err"

mkdir -p /run/sshd
ssh-keygen -q -t ed25519 -N '' -f "$tmp/hostkey"
ssh-keygen -q -t rsa -b 3072 -N '' -f "$tmp/hostkey-rsa"
ssh-keygen -q -t ed25519 -N '' -C karin@desk1 -f "$tmp/id"
cp "$tmp/id.pub" "$tmp/authorized"
for h in app db net; do
	on "$h" /usr/sbin/sshd -f /dev/null -h "$tmp/hostkey" -h "$tmp/hostkey-rsa" -o AuthorizedKeysFile="$tmp/authorized" -o StrictModes=no \
		-o PermitRootLogin=yes -o UsePAM=no -o PidFile=none -o Subsystem="sftp internal-sftp" -E "$tmp/sshd.log"
done

certificate mx1.alpenpost.example rsa
background net /usr/bin/python3 smtpd.py "$pki/mx1.alpenpost.example.crt" "$pki/mx1.alpenpost.example.key" \
	130.59.31.25 130.59.31.26 2001:620:0:31::25 2>"$tmp/smtpd.log"

printf 'local stratum 2\nallow all\nport 123\ncmdport 0\nmakestep 0 0\n' >"$tmp/chrony-server.conf"
background net chronyd -x -d -U -u root -f "$tmp/chrony-server.conf" >"$tmp/chronyd.log" 2>&1

cat >"$tmp/udhcpc.sh" <<'SH'
#!/bin/sh
case $1 in
bound | renew)
	ip addr flush dev "$interface" scope global
	ip addr add "$ip/24" dev "$interface"
	ip route replace default via "$router"
	;;
esac
SH
chmod +x "$tmp/udhcpc.sh"

sleep 3
on desk1 dig +short +timeout=2 www.nordlicht.example | grep -q 88.198.64.21 || { cat "$tmp"/dnsmasq.* >&2; say "the resolver does not answer"; exit 1; }
on desk1 curl -sS --max-time 5 -o /dev/null --cacert "$pki/ca.crt" https://www.nordlicht.example/

# ---------------------------------------------------------------- the traffic

ip netns exec "${ns}sw" tcpdump -q -n -i tap0 -s 262144 --time-stamp-precision=nano --immediate-mode -U -w "$tmp/raw.pcap" 2>"$tmp/tcpdump.log" &
dump=$!
sleep 2

marks=$tmp/marks
RANDOM=20260317
# episode: what follows happens together; the breaks between episodes become long.
episode() { sleep 0.4; date +%s.%N >>"$marks"; }
pick() { local -n of=$1; echo "${of[RANDOM % ${#of[@]}]}"; }

agents=(
	'Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/134.0.0.0 Safari/537.36'
	'Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/18.3 Safari/605.1.15'
	'Mozilla/5.0 (X11; Linux x86_64; rv:136.0) Gecko/20100101 Firefox/136.0'
	'Mozilla/5.0 (iPhone; CPU iPhone OS 18_3 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/18.3 Mobile/15E148 Safari/604.1'
	'Mozilla/5.0 (Windows NT 10.0; Win64; x64; rv:128.0) Gecko/20100101 Firefox/128.0'
)
desks=(desk1 desk2 desk3 desk4 laptop)
sites=(www.nordlicht.example shop.lutece.example news.thamesside.example forum.ipanema.example portal.karoo.example media.ganges.example)
secure=(www.nordlicht.example shop.lutece.example news.thamesside.example forum.ipanema.example login.southerncross.example media.ganges.example git.fjord.example files.maple.example)

# What a client sees of an answer is not of interest here, and some answers are meant to be errors.
web() { local h=$1; shift; on "$h" curl -sS --max-time 10 --cacert "$pki/ca.crt" -o /dev/null "$@" 2>>"$tmp/clients.log" || true; }
all() { local h=$1 agent=$2 base=$3 path args=(); shift 3; for path; do args+=(-o /dev/null "$base$path"); done
	on "$h" curl -sS --max-time 15 --cacert "$pki/ca.crt" -A "$agent" -e "$base/" -H 'Accept-Language: en-GB,en;q=0.8' --compressed "${args[@]}" 2>>"$tmp/clients.log" || true; }

visit() { # a page with what belongs to it, on one connection, and a pixel elsewhere
	local h=$1 agent page
	agent=$(pick agents)
	pages=(/ /about.html /products.html /contact.html /archive.html "/products.html?id=$((RANDOM % 900))&lang=de")
	page=$(pick pages)
	all "$h" "$agent" "$2" "$page" /css/site.css /js/app.js /img/logo.png
	[ $((RANDOM % 3)) = 0 ] && web "$h" -A "$agent" -e "$2$page" "http://track.adlens.example/collect?u=$RANDOM&p=$page"
	return 0
}
names() { local h=$1; shift; on "$h" dig +timeout=1 +tries=1 "$@" >/dev/null 2>&1 || true; }
mail() { local h=$1; shift; on "$h" swaks --timeout 10 --server mx1.alpenpost.example --helo "$h.corp.example" "$@" >>"$tmp/clients.log" 2>&1 || true; }
remote() { local h=$1; shift; on "$h" timeout 120 ssh -q -i "$tmp/id" -o BatchMode=yes -o StrictHostKeyChecking=no -o UserKnownHostsFile=/dev/null "$@" >/dev/null 2>&1 || true; }
copy() { local h=$1; shift; on "$h" timeout 60 scp -q -i "$tmp/id" -o BatchMode=yes -o StrictHostKeyChecking=no -o UserKnownHostsFile=/dev/null "$@" >/dev/null 2>&1 || true; }

say "traffic: the morning"
episode
on laptop udhcpc -i eth0 -n -q -f -x hostname:laptop7 -F laptop7.corp.example -V "MSFT 5.0" -s "$tmp/udhcpc.sh" >>"$tmp/clients.log" 2>&1
for h in desk1 desk2 desk3; do
	episode
	on "$h" chronyd -x -d -U -u root -Q -t 6 "server time.metrology.example iburst" "port 0" "cmdport 0" >>"$tmp/clients.log" 2>&1 || true
done
# Sessions that last while others come and go.
episode
remote desk1 -4 root@shell.fjord.example 'for i in $(seq 40); do date; sleep 2; done' &
long1=$!
episode
remote app root@db.corp.example 'for i in $(seq 90); do uptime; sleep 1; done' &
long2=$!

say "traffic: the web"
for round in $(seq 9); do
	for h in "${desks[@]}"; do
		episode
		visit "$h" "http://$(pick sites)"
		[ $((RANDOM % 2)) = 0 ] && visit "$h" "https://$(pick secure)"
		names "$h" "$(pick secure)" AAAA
	done
	episode
	h=$(pick desks)
	case $round in
	1) web "$h" -L "http://shop.lutece.example/old"; web "$h" "http://shop.lutece.example/missing/page.php?id=1%27%20or%201=1" -A 'sqlmap/1.8.2#stable (https://sqlmap.org)' ;;
	2) web desk2 -d 'user=karin&password=spring-tide' -A "$(pick agents)" -c "$tmp/jar" "http://login.southerncross.example/login"; web desk2 -b "$tmp/jar" "http://login.southerncross.example/index.html" ;;
	3) web desk3 -H 'Content-Type: application/json' -d '{"item":"lamp","count":2}' http://shop.lutece.example/api/orders; web desk3 -X DELETE http://shop.lutece.example/api/orders ;;
	4) web desk1 -u karin:spring-tide http://portal.karoo.example/private/; web desk1 http://portal.karoo.example/private/ ;;
	5) web desk4 -r 1000-9999 http://downloads.prairie.example/files/setup.exe; web desk4 -I http://downloads.prairie.example/files/setup.exe -A 'Wget/1.21.3' ;;
	6) web "$h" -6 http://mirror.openpkg.example/files/Packages.gz -A 'Debian APT-HTTP/1.3 (2.6.1)'; web "$h" http://downloads.prairie.example/files/photos.zip ;;
	7) web desk3 -T "$www/files/data.csv" http://mirror.openpkg.example/upload/data.csv; web desk3 -H 'Transfer-Encoding: chunked' -T "$www/files/report.pdf" http://mirror.openpkg.example/upload/report.pdf ;;
	8) web desk2 http://api.sakura-weather.example/api/broken; web desk2 -F 'file=@'"$www/img/banner.png" -F comment=banner http://api.sakura-weather.example/api/orders ;;
	9) on desk1 /usr/bin/python3 -c 'import urllib.request; urllib.request.urlopen("http://api.sakura-weather.example/api/forecast.json?city=Kyoto").read()'
		on desk4 wget -q -O /dev/null http://mirror.openpkg.example/robots.txt ;;
	esac
done

say "traffic: TLS in all its versions"
for site in "${secure[@]}" portal.karoo.example track.adlens.example api.sakura-weather.example; do
	episode
	h=$(pick desks)
	web "$h" --tls-max 1.2 "https://$site/"
	web "$h" --tlsv1.3 "https://$site/api/forecast.json"
	web "$h" --http1.1 -4 -k "https://$site/products.html"
	web "$h" -6 -k "https://$site/index.html"
	on "$h" timeout 5 openssl s_client -connect "$site:443" -servername "$site" -tls1_2 -cipher 'ECDHE+AESGCM:AESGCM' -alpn http/1.1 </dev/null >>"$tmp/clients.log" 2>&1 || true
	on "$h" timeout 5 wget -q --no-check-certificate -O /dev/null "https://$site/about.html" || true
	on "$h" timeout 5 /usr/bin/python3 -c 'import ssl, sys, urllib.request as u; c = ssl._create_unverified_context(); u.urlopen("https://%s/robots.txt" % sys.argv[1], context=c).read()' "$site" || true
done

say "traffic: names"
for q in 'alpenpost.example MX' 'alpenpost.example TXT' '_dmarc.alpenpost.example TXT' '_ldap._tcp.corp.example SRV' 'nordlicht.example CAA' \
	'corp.example NAPTR' '-x 88.198.64.21' '-x 10.20.10.99' 'static.nordlicht.example A' 'weather.example A' 'no-such-host.nordlicht.example A' \
	'wpad.corp.example A' '+tcp www.nordlicht.example A' '+tcp alpenpost.example MX' '+dnssec git.fjord.example AAAA' 'www.nordlicht.example HTTPS' \
	'nordlicht.example SOA' 'nordlicht.example NS' 'version.bind CH TXT' 'www.nordlicht.example ANY'; do
	episode
	h=$(pick desks)
	read -ra query <<<"$q"
	names "$h" "${query[@]}"
	names "$h" "$(pick sites)" A
	[ "$h" = desk4 ] || [ "$h" = laptop ] || names "$h" @$office6::53 "$(pick secure)" AAAA
done

say "traffic: mail"
for i in 1 2 3 4 5 6; do
	episode
	h=desk$((i % 4 + 1))
	names "$h" alpenpost.example MX
	case $i in
	1) mail "$h" -f karin@corp.example -t bruno@alpenpost.example --h-Subject 'Offer for the harbour lights' --h-User-Agent 'Mozilla Thunderbird' --body "Dear Bruno, the report is attached." --attach-type application/pdf --attach "@$www/files/report.pdf" ;;
	2) mail "$h" -f ivo@corp.example -t bruno@alpenpost.example,lena@alpenpost.example --h-Subject '=?UTF-8?B?R3LDvMOfZSBhdXMgS2llbA==?=' --h-X-Mailer 'swaks v20201014' --body "Grüße aus Kiel" ;;
	3) mail "$h" -tls -f karin@corp.example -t lena@alpenpost.example --h-Subject 'Encrypted on the way' ;;
	4) mail "$h" -a LOGIN -au karin -ap spring-tide -f karin@corp.example -t bruno@alpenpost.example --h-Subject 'Photos' --attach-type image/png --attach "@$www/img/banner.png" --attach-type application/zip --attach "@$www/files/photos.zip" ;;
	5) mail "$h" -a PLAIN -au ivo -ap low-tide -f ivo@corp.example -t all@alpenpost.example --h-Subject 'Invoice 2026-0317' --attach-type application/octet-stream --attach-name invoice.exe --attach "@$www/files/setup.exe" ;;
	6) on desk1 swaks --timeout 10 -6 --server mx1.alpenpost.example -f noreply@corp.example -t lena@alpenpost.example --h-Subject 'Over IPv6' >>"$tmp/clients.log" 2>&1 || true ;;
	esac
done

say "traffic: shells, cameras, pings and the rest"
episode
copy app "$www/files/data.csv" root@db.corp.example:/dev/null
episode
remote desk2 -6 root@shell.fjord.example 'head -c 20000 /dev/zero | od | head -c 40000'
episode
remote desk3 -o HostKeyAlgorithms=rsa-sha2-512 -c aes128-ctr -m hmac-sha2-256 root@shell.fjord.example id
episode
on desk4 timeout 10 ssh -q -o BatchMode=yes -o PreferredAuthentications=password -o StrictHostKeyChecking=no -o UserKnownHostsFile=/dev/null admin@shell.fjord.example true >/dev/null 2>&1 || true
for i in 1 2 3; do
	episode
	web cam -A 'AXIS M3046-V/9.80' -T "$www/img/banner.png" "http://media.ganges.example/upload/cam31-$i.png"
	on db curl -s -o /dev/null -A 'curl/7.88.1' http://intranet.corp.example/api/forecast.json
	episode
	web app -A 'Prometheus/2.53.0' http://files.maple.example/files/data.csv
	web db -A 'Go-http-client/1.1' https://git.fjord.example/files/report.pdf
	on cam ping -q -c 3 -i 0.3 192.53.103.108 >/dev/null || true
done
for h in desk1 desk2 desk3; do
	episode
	on "$h" ping -q -c 4 -i 0.4 -s 120 www.nordlicht.example >/dev/null || true
	on "$h" ping -q -6 -c 3 -i 0.4 git.fjord.example >/dev/null || true
	on "$h" ping -q -c 1 -W 1 -t 1 200.160.2.80 >/dev/null || true # time exceeded at the gateway
	on "$h" ping -q -c 2 -i 0.3 -s 3200 88.198.64.22 >/dev/null || true # in fragments
done
episode
on desk4 ping -q -c 2 -W 1 -i 0.3 198.51.100.77 >/dev/null || true # net unreachable
on desk4 curl -s --max-time 3 -o /dev/null tftp://10.20.10.53/robots.txt || true
episode
for i in 1 2 3 4; do on app logger -n 192.53.103.108 -P 514 -d -p auth.info -t sshd "Failed password for root from 10.20.10.14 port 4$i" || true; done
episode
for port in 21 22 23 25 80 110 135 139 143 443 445 1433 3306 3389 5432 5900 6379 8080 8443 9200; do
	on desk4 timeout 0.3 bash -c "exec 3<>/dev/tcp/88.198.64.21/$port" 2>/dev/null || true
done
episode
on desk2 timeout 1 bash -c 'exec 3<>/dev/tcp/10.20.10.200/445' 2>/dev/null || true # nobody there: only ARP
for h in "${desks[@]}"; do
	episode
	web "$h" "http://downloads.prairie.example/files/setup.exe" -A "$(pick agents)"
	visit "$h" "https://$(pick secure)"
	visit "$h" "http://$(pick sites)"
done
wait "$long1" "$long2"
sleep 5
kill -INT "$dump"
wait "$dump" || true

# ---------------------------------------------------------------- the file

"$tmp/spread" -marks "$marks" -start "$(date -u +%FT06:10:00Z)" -span 6h30m "$tmp/raw.pcap" "$tmp/sample.pcap"
gzip -9n <"$tmp/sample.pcap" >"$here/sample.pcap.gz"
if [ -n "${KEEP:-}" ]; then cp "$tmp/clients.log" "$tmp/raw.pcap" "$tmp/marks" "$KEEP/"; fi
tail -n 3 "$tmp/tcpdump.log" >&2
say "$(wc -l <"$marks") episodes, $(stat -c %s "$here/sample.pcap.gz") bytes"
