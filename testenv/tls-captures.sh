#!/usr/bin/env bash
# Makes the captures of TLS with their key logs that tests of decryption read:
#
#   testenv/tls-captures.sh [DIR]       (default: cmd/wirelake/testdata/tls)
#
# curl and openssl talk to nginx in a network namespace of their own, as root.
# Each case is NAME.pcap and NAME.keys. The page, the form and the names are in
# the tests.
set -euo pipefail
cd "$(dirname "$0")/.."
out=$(realpath -m "${1:-cmd/wirelake/testdata/tls}")
for tool in ip nginx curl openssl tcpdump; do
	command -v "$tool" >/dev/null || { echo "tls-captures: $tool is missing" >&2; exit 1; }
done
mkdir -p "$out"
work=$(mktemp -d)
ns="wirelake-tls-$$"
nginx=
dump=
finish() {
	for p in $nginx $dump; do kill "$p" 2>/dev/null || true; done
	ip netns delete "$ns" 2>/dev/null || true
	rm -rf "$work"
}
trap finish EXIT

openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 3650 -subj /CN=secret.example.org \
	-addext subjectAltName=DNS:secret.example.org -keyout "$work/ec.key" -out "$work/ec.crt" 2>/dev/null
openssl req -x509 -newkey rsa:2048 -nodes -days 3650 -subj /CN=rsa.example.org \
	-addext subjectAltName=DNS:rsa.example.org -keyout "$work/rsa.key" -out "$work/rsa.crt" 2>/dev/null
mkdir "$work/www" "$work/logs"
echo '<html><title>hidden page</title></html>' >"$work/www/page.html"
cat >"$work/nginx.conf" <<EOF
daemon off;
master_process off;
pid $work/nginx.pid;
error_log $work/logs/error.log;
events {}
http {
	access_log off;
	client_body_temp_path $work/logs;
	types { text/html html; }
	root $work/www;
	server {
		listen 10.77.0.1:443 ssl http2;
		server_name secret.example.org;
		ssl_certificate $work/ec.crt;
		ssl_certificate_key $work/ec.key;
		ssl_certificate $work/rsa.crt;
		ssl_certificate_key $work/rsa.key;
		ssl_protocols TLSv1.2 TLSv1.3;
		ssl_ciphers ALL:@SECLEVEL=0;
		location /form { return 200 "taken\n"; }
	}
}
EOF
ip netns add "$ns"
ip -n "$ns" link set lo up
ip -n "$ns" addr add 10.77.0.1/32 dev lo
ip -n "$ns" addr add 10.77.0.2/32 dev lo
ip netns exec "$ns" nginx -p "$work" -c "$work/nginx.conf" &
nginx=$!
for _ in $(seq 50); do
	ip netns exec "$ns" curl -sko /dev/null https://10.77.0.1/ && break
	sleep 0.1
done

# capture NAME COMMAND...: the packets of the command, and what it logs of its keys
capture() {
	local name=$1
	shift
	rm -f "$out/$name.pcap" "$out/$name.keys"
	ip netns exec "$ns" tcpdump -Z root --immediate-mode -U -q -s 0 -i lo -w "$out/$name.pcap" 'tcp port 443' 2>"$work/tcpdump" &
	dump=$!
	until grep -qs 'listening on' "$work/tcpdump"; do sleep 0.05; done
	SSLKEYLOGFILE="$out/$name.keys" ip netns exec "$ns" timeout 20 "$@" </dev/null >"$work/said" 2>&1 || { echo "tls-captures: $name: $*" >&2; cat "$work/said" >&2; exit 1; }
	sleep 0.3
	kill "$dump"
	wait "$dump" || true
	dump=
}
get=(curl -sk --interface 10.77.0.2 --resolve secret.example.org:443:10.77.0.1 -A wirelake-test)
both=(https://secret.example.org/page.html -: -sk --interface 10.77.0.2 --resolve secret.example.org:443:10.77.0.1 -A wirelake-test -d 'user=me&word=hidden' https://secret.example.org/form)

capture tls13-aes256-h2 "${get[@]}" --tls13-ciphers TLS_AES_256_GCM_SHA384 --http2 "${both[@]}" --http2
capture tls13-aes128-http1 "${get[@]}" --tls13-ciphers TLS_AES_128_GCM_SHA256 --http1.1 "${both[@]}" --http1.1
capture tls13-chacha-h2 "${get[@]}" --tls13-ciphers TLS_CHACHA20_POLY1305_SHA256 --http2 "${both[@]}" --http2
capture tls12-aes128-h2 "${get[@]}" --tls-max 1.2 --ciphers ECDHE-ECDSA-AES128-GCM-SHA256 --http2 "${both[@]}" --http2
capture tls12-aes256-http1 "${get[@]}" --tls-max 1.2 --ciphers ECDHE-RSA-AES256-GCM-SHA384 --http1.1 "${both[@]}" --http1.1
capture tls12-chacha-http1 "${get[@]}" --tls-max 1.2 --ciphers ECDHE-ECDSA-CHACHA20-POLY1305 --http1.1 "${both[@]}" --http1.1
# RSA key exchange, and a master secret that is not extended (RFC 7627).
cat >"$work/openssl.cnf" <<EOF
openssl_conf = init
[init]
ssl_conf = ssl
[ssl]
system_default = defaults
[defaults]
Options = -ExtendedMasterSecret
EOF
printf 'GET /page.html HTTP/1.1\r\nHost: secret.example.org\r\nUser-Agent: wirelake-test\r\nConnection: close\r\n\r\n' >"$work/request"
capture tls12-rsa-no-ems sh -c "OPENSSL_CONF=$work/openssl.cnf openssl s_client -quiet -connect 10.77.0.1:443 -servername secret.example.org \
	-tls1_2 -cipher AES128-GCM-SHA256:@SECLEVEL=0 -keylogfile $out/tls12-rsa-no-ems.keys <$work/request"
ls -l "$out"
