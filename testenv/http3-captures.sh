#!/usr/bin/env bash
# Makes the captures of HTTP/3 with their key logs that tests of decryption read:
#
#   testenv/http3-captures.sh [DIR]       (default: cmd/wirelake/testdata/quic)
#
# aioquic's client and server talk on the loopback of a network namespace of their own, as root. Each case is NAME.pcap and NAME.keys;
# what they say is in the tests. $PYTHON (default python3) has aioquic, which PyPI has.
set -euo pipefail
cd "$(dirname "$0")/.."
out=$(realpath -m "${1:-cmd/wirelake/testdata/quic}")
python=${PYTHON:-python3}
PATH=$PATH:/usr/sbin:/sbin
for tool in ip openssl tcpdump "$python"; do
	command -v "$tool" >/dev/null || { echo "http3-captures: $tool is missing" >&2; exit 1; }
done
mkdir -p "$out"
work=$(mktemp -d)
ns="wirelake-http3-$$"
dump=
finish() {
	[ -z "$dump" ] || kill "$dump" 2>/dev/null || true
	ip netns delete "$ns" 2>/dev/null || true
	rm -rf "$work"
}
trap finish EXIT

openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 3650 -subj /CN=secret.example.org \
	-addext subjectAltName=DNS:secret.example.org -keyout "$work/key" -out "$work/crt" 2>/dev/null
ip netns add "$ns"
ip -n "$ns" link set lo up

cat >"$work/talk.py" <<'END'
import asyncio, ssl, sys
from aioquic.asyncio import QuicConnectionProtocol, connect, serve
from aioquic.h3.connection import H3Connection
from aioquic.h3.events import HeadersReceived
from aioquic.quic.configuration import QuicConfiguration
from aioquic.quic.events import ProtocolNegotiated
from aioquic.tls import CipherSuite

work, keys, suite, update = sys.argv[1:]
suites = [CipherSuite[suite]]


class Peer(QuicConnectionProtocol):
    h3 = None

    def quic_event_received(self, event):
        if isinstance(event, ProtocolNegotiated):
            self.h3 = H3Connection(self._quic)
        for e in self.h3.handle_event(event) if self.h3 else []:
            self.heard(e)


class Server(Peer):
    def heard(self, e):
        if isinstance(e, HeadersReceived):
            self.path = dict(e.headers)[b":path"]
        if e.stream_ended:
            code = b"404" if self.path == b"/missing" else b"200"
            head = [(b":status", code), (b"server", b"hidden server"), (b"content-type", b"text/html"), (b"x-path", self.path)]
            self.h3.send_headers(e.stream_id, head)
            self.h3.send_data(e.stream_id, b"<html>" + b"a" * 3000, True)
            self.transmit()


class Client(Peer):
    waits = 0

    def heard(self, e):
        if e.stream_ended:
            self.waits -= 1
            if not self.waits:
                self.done.set_result(None)

    def ask(self, method, path, body=b""):
        stream = self._quic.get_next_available_stream_id()
        self.waits += 1
        head = [(b":method", method), (b":scheme", b"https"), (b":authority", b"secret.example.org"), (b":path", path), (b"user-agent", b"hidden agent/3")]
        self.h3.send_headers(stream, head, not body)
        if body:
            self.h3.send_data(stream, body, True)

    async def answers(self):
        self.done = asyncio.get_running_loop().create_future()
        self.transmit()
        await self.done


async def main():
    at_server = QuicConfiguration(is_client=False, alpn_protocols=["h3"], cipher_suites=suites)
    at_server.load_cert_chain(work + "/crt", work + "/key")
    server = await serve("127.0.0.1", 443, configuration=at_server, create_protocol=Server)
    at_client = QuicConfiguration(is_client=True, alpn_protocols=["h3"], verify_mode=ssl.CERT_NONE, cipher_suites=suites,
                                  server_name="secret.example.org", secrets_log_file=open(keys, "w"))
    async with connect("127.0.0.1", 443, configuration=at_client, create_protocol=Client) as client:
        await asyncio.sleep(0.1)  # the settings come, and with them the tables of QPACK
        client.ask(b"GET", b"/page.html?q=1")
        await client.answers()
        client.ask(b"POST", b"/form", b"user=me&word=hidden")
        await client.answers()
        if update == "update":
            client._quic.request_key_update()
        for i in range(3):
            client.ask(b"GET", b"/many/%d" % i)
        client.ask(b"GET", b"/missing")
        await client.answers()
    server.close()


asyncio.run(main())
END

# Suite, name, and whether the keys are updated on the way.
for case in "AES_128_GCM_SHA256 h3-aes128 no" "AES_256_GCM_SHA384 h3-aes256-update update" "CHACHA20_POLY1305_SHA256 h3-chacha no"; do
	read -r suite name update <<<"$case"
	ip netns exec "$ns" tcpdump -i lo -U -Z root -w "$out/$name.pcap" udp 2>"$work/dump" &
	dump=$!
	until grep -q listening "$work/dump"; do sleep 0.1; done
	ip netns exec "$ns" "$python" "$work/talk.py" "$work" "$out/$name.keys" "$suite" "$update"
	sleep 0.5
	kill -INT $dump
	wait $dump
	dump=
	echo "$name: $(stat -c %s "$out/$name.pcap") bytes"
done
