#!/usr/bin/env bash
# Makes the captures of mail over TLS with their key logs that tests of decryption read:
#
#   testenv/mail-captures.sh [DIR]       (default: cmd/wirelake/testdata/mail)
#
# Python's smtplib, imaplib and poplib and openssl talk to aiosmtpd and Dovecot in a network namespace of their own, as root. Each case
# is NAME.pcap and NAME.keys; the message and the names are in the tests. Packages: dovecot-imapd, dovecot-pop3d, python3-aiosmtpd.
set -euo pipefail
cd "$(dirname "$0")/.."
out=$(realpath -m "${1:-cmd/wirelake/testdata/mail}")
python=/usr/bin/python3
PATH=$PATH:/usr/sbin:/sbin
for tool in ip dovecot openssl tcpdump $python; do
	command -v "$tool" >/dev/null || { echo "mail-captures: $tool is missing" >&2; exit 1; }
done
mkdir -p "$out"
work=$(mktemp -d)
chmod 755 "$work"
ns="wirelake-mail-$$"
servers=
dump=
finish() {
	for p in $servers $dump; do kill "$p" 2>/dev/null || true; done
	ip netns delete "$ns" 2>/dev/null || true
	rm -rf "$work"
}
trap finish EXIT

openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 3650 -subj /CN=mail.example.org \
	-addext subjectAltName=DNS:mail.example.org -keyout "$work/key" -out "$work/crt" 2>/dev/null
mkdir -m 777 "$work/mail"
cat >"$work/dovecot.conf" <<END
base_dir = $work/run
log_path = $work/dovecot.log
protocols = imap pop3
listen = 10.77.0.1
ssl = yes
ssl_cert = <$work/crt
ssl_key = <$work/key
ssl_min_protocol = TLSv1.2
disable_plaintext_auth = no
mail_location = maildir:$work/mail/%u
first_valid_uid = 1
passdb {
	driver = static
	args = password=hidden-word
}
userdb {
	driver = static
	args = uid=mail gid=mail home=$work/mail
}
END
ip netns add "$ns"
ip -n "$ns" link set lo up
ip -n "$ns" addr add 10.77.0.1/32 dev lo
ip -n "$ns" addr add 10.77.0.2/32 dev lo
ip netns exec "$ns" dovecot -F -c "$work/dovecot.conf" &
servers=$!
ip netns exec "$ns" $python -m aiosmtpd -n -c aiosmtpd.handlers.Sink -l 10.77.0.1:25 --tlscert "$work/crt" --tlskey "$work/key" --no-requiretls 2>"$work/smtp" &
servers="$servers $!"
ip netns exec "$ns" $python -m aiosmtpd -n -c aiosmtpd.handlers.Sink -l 10.77.0.1:465 --smtpscert "$work/crt" --smtpskey "$work/key" 2>"$work/smtps" &
servers="$servers $!"

cat >"$work/client.py" <<'END'
import imaplib, poplib, smtplib, ssl, sys
from email.message import EmailMessage

how, version = sys.argv[1:]
tls = ssl.create_default_context()  # logs its keys where SSLKEYLOGFILE says
tls.check_hostname, tls.verify_mode = False, ssl.CERT_NONE
tls.minimum_version = tls.maximum_version = getattr(ssl.TLSVersion, version)
server, here = "10.77.0.1", ("10.77.0.2", 0)
mail = EmailMessage()
mail["From"], mail["To"], mail["Subject"] = "alice@example.com", "bob@example.org", "Hidden files"
mail.set_content("see the file\n")
mail.add_attachment(b"%PDF-1.7\nhidden contents\n" * 20, maintype="application", subtype="pdf", filename="hidden.pdf")
if how in ("smtp", "smtps"):
    c = smtplib.SMTP(server, source_address=here) if how == "smtp" else smtplib.SMTP_SSL(server, context=tls, source_address=here)
    if how == "smtp":
        c.starttls(context=tls)
    c.send_message(mail)
    c.quit()
elif how in ("imap", "imaps"):
    c = imaplib.IMAP4(server) if how == "imap" else imaplib.IMAP4_SSL(server, ssl_context=tls)
    if how == "imap":
        c.starttls(tls)
    c.login("alice", "hidden-word")
    c.append("INBOX", None, None, mail.as_bytes().replace(b"\n", b"\r\n"))
    c.select("INBOX")
    c.fetch("1", "(RFC822)")
    c.logout()
else:
    c = poplib.POP3(server) if how == "pop3" else poplib.POP3_SSL(server, context=tls)
    if how == "pop3":
        c.stls(tls)
    c.user("alice")
    c.pass_("hidden-word")
    c.retr(1)
    c.quit()
END
for port in 25 465 143 995; do
	for _ in $(seq 100); do
		ip netns exec "$ns" bash -c "exec 3<>/dev/tcp/10.77.0.1/$port" 2>/dev/null && break
		sleep 0.1
	done
done

# capture NAME COMMAND...: the packets of the command, and what it logs of its keys
capture() {
	local name=$1
	shift
	rm -f "$out/$name.pcap" "$out/$name.keys" "$work/tcpdump"
	ip netns exec "$ns" tcpdump -Z root --immediate-mode -U -q -s 0 -i lo -w "$out/$name.pcap" tcp 2>"$work/tcpdump" &
	dump=$!
	until grep -qs 'listening on' "$work/tcpdump"; do sleep 0.05; done
	SSLKEYLOGFILE="$out/$name.keys" ip netns exec "$ns" timeout 20 "$@" </dev/null >"$work/said" 2>&1 || { echo "mail-captures: $name: $*" >&2; cat "$work/said" "$work/dovecot.log" >&2; exit 1; }
	sleep 0.3
	kill "$dump"
	wait "$dump" || true
	dump=
}
capture smtp-starttls-tls13 $python "$work/client.py" smtp TLSv1_3
capture smtps-tls12 $python "$work/client.py" smtps TLSv1_2
capture imap-starttls-tls12 $python "$work/client.py" imap TLSv1_2
capture imaps-tls13 $python "$work/client.py" imaps TLSv1_3
capture pop3-stls-tls13 $python "$work/client.py" pop3 TLSv1_3
capture pop3s-tls12 $python "$work/client.py" pop3s TLSv1_2
capture imap-starttls-openssl sh -c "{ for line in 'a LOGIN alice hidden-word' 'b SELECT INBOX' 'c FETCH 1 (BODY[])' 'd LOGOUT'; do sleep 0.3; printf '%s\\r\\n' \"\$line\"; done; sleep 0.5; } |
	openssl s_client -quiet -starttls imap -connect 10.77.0.1:143 -keylogfile $out/imap-starttls-openssl.keys"
chmod 644 "$out"/*
ls -l "$out"
