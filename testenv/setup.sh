#!/usr/bin/env bash
# Installs what tests and linters need and what is missing; takes a second when all is there.
#
#   testenv/setup.sh                  everything below except sample
#   testenv/setup.sh GROUP...         only these
#
#   packages        Debian packages: Chromium, tshark, tcpdump, tcpreplay, zstd, …, Java and Maven; what talks in
#                   the tests of captures: nginx, iperf3, dnsmasq, sshd, …
#   minio           the MinIO server, built by go install      -> .cache/bin/minio
#   elasticsearch   the server's jars from Maven Central       -> .cache/elasticsearch/
#   venv            DuckDB and pyarrow in a Python environment -> .cache/venv/
#   lint            golangci-lint, built by go install         -> .cache/bin/golangci-lint
#   web             the node modules of the GUI                -> web/node_modules/
#   sample          what testenv/sample/make.sh runs: nginx, dnsmasq, sshd, an SMTP server, …
#
# All but the Debian packages and the node modules stays in .cache/, which may be deleted at any time.
set -euo pipefail

cd "$(dirname "$0")/.."
cache=$PWD/.cache
mkdir -p "$cache/bin"

minio_version=v0.0.0-20260212201848-7aac2a2c5b7c
golangci_version=v2.15.0
duckdb_version=2.0.0

say() { printf 'setup: %s\n' "$*" >&2; }

# retry runs a command up to three times: mirrors have bad moments.
retry() {
	local try
	for try in 1 2 3; do
		"$@" && return 0
		say "$1 did not succeed (try $try of 3)"
		sleep $((try * 3))
	done
	return 1
}

# apt_install takes COMMAND=PACKAGE words and installs the packages whose command is missing.
apt_install() {
	local word missing=()
	for word in "$@"; do
		PATH=$PATH:/usr/sbin:/sbin command -v "${word%%=*}" >/dev/null || missing+=("${word#*=}")
	done
	[ ${#missing[@]} -gt 0 ] || return 0
	if ! command -v apt-get >/dev/null; then
		say "this is no Debian: install these yourself: ${missing[*]}"
		return 1
	fi
	local root=()
	[ "$(id -u)" = 0 ] || root=(sudo)
	say "apt-get install ${missing[*]}"
	retry "${root[@]}" apt-get update -qq -o DPkg::Lock::Timeout=300
	retry "${root[@]}" env DEBIAN_FRONTEND=noninteractive \
		apt-get install -y -qq -o DPkg::Lock::Timeout=300 --no-install-recommends "${missing[@]}" >/dev/null
}

# go_install MODULE@VERSION builds a command into .cache/bin, unless that version is there.
go_install() {
	local name
	name=$(basename "${1%@*}")
	[ -x "$cache/bin/$name" ] && [ "$(cat "$cache/bin/$name.version" 2>/dev/null)" = "$1" ] && return 0
	say "go install $1 (some minutes)"
	# Outside the module: the command brings its own dependencies. GOFLAGS may hold -mod=…, which then fails.
	(cd / && GOFLAGS='' GOBIN=$cache/bin retry nice go install "$1")
	echo "$1" >"$cache/bin/$name.version"
}

setup_packages() {
	apt_install chromium=chromium tshark=tshark capinfos=wireshark-common tcpdump=tcpdump tcpreplay=tcpreplay \
		zstd=zstd xz=xz-utils curl=curl openssl=openssl ip=iproute2 javac=default-jdk-headless mvn=maven \
		nginx=nginx-light iperf3=iperf3 dnsmasq=dnsmasq-base dig=bind9-dnsutils sshd=openssh-server ssh=openssh-client \
		ping=iputils-ping nsenter=util-linux
	PATH=$PATH:/usr/sbin:/sbin ldconfig -p | grep -q 'libpcap\.so\.' || apt_install none=libpcap0.8
}

setup_minio() { go_install "github.com/minio/minio@$minio_version"; }

setup_lint() { go_install "github.com/golangci/golangci-lint/v2/cmd/golangci-lint@$golangci_version"; }

setup_elasticsearch() {
	local src=testenv/elasticsearch home=$cache/elasticsearch stamp
	stamp=$(cat "$src/pom.xml" "$src/EsNode.java" <(declare -f setup_elasticsearch) | sha256sum)
	[ "$(cat "$home/stamp" 2>/dev/null)" = "$stamp" ] && return 0
	say "Elasticsearch: the server's jars from Maven Central"
	rm -rf "$home"
	mkdir -p "$home/lib" "$home/classes" "$home/modules/transport-netty4"
	retry mvn -q -B -f "$src/pom.xml" dependency:copy-dependencies \
		-DincludeScope=runtime -DoutputDirectory="$home/lib"
	# The HTTP and transport layer is a module with a class loader of its own: its jars and their
	# descriptor stand beside the class path, under a descriptor without a Java module's name.
	local netty=$home/modules/transport-netty4
	(cd "$netty" && jar xf "$home"/lib/transport-netty4-*.jar META-INF/es-plugins/transport-netty4/plugin-descriptor.properties)
	grep -v '^modulename' "$netty/META-INF/es-plugins/transport-netty4/plugin-descriptor.properties" \
		>"$netty/plugin-descriptor.properties"
	rm -r "$netty/META-INF"
	mv "$home"/lib/*netty*.jar "$netty/"
	javac -d "$home/classes" -cp "$home/lib/*" "$src/EsNode.java"
	echo "$stamp" >"$home/stamp"
}

setup_venv() {
	[ "$(cat "$cache/venv/stamp" 2>/dev/null)" = "duckdb $duckdb_version pyarrow" ] && return 0
	python3 -c 'import ensurepip' 2>/dev/null || apt_install none=python3-venv
	say "Python environment with DuckDB and pyarrow"
	[ -x "$cache/venv/bin/pip" ] || python3 -m venv "$cache/venv"
	retry "$cache/venv/bin/pip" install -q "duckdb==$duckdb_version" pyarrow
	echo "duckdb $duckdb_version pyarrow" >"$cache/venv/stamp"
}

setup_web() {
	[ -f web/package-lock.json ] || return 0
	if ! command -v npm >/dev/null; then
		say "npm is missing: install Node.js 20 or newer"
		return 1
	fi
	[ "$(cat web/node_modules/.setup 2>/dev/null)" = "$(sha256sum <web/package-lock.json)" ] && return 0
	say "npm ci in web"
	(cd web && retry npm ci --no-audit --no-fund --loglevel=error)
	sha256sum <web/package-lock.json >web/node_modules/.setup
}

setup_sample() {
	apt_install nginx=nginx-light dnsmasq=dnsmasq-base sshd=openssh-server ssh=openssh-client dig=bind9-dnsutils \
		ping=iputils-ping tcpdump=tcpdump ip=iproute2 curl=curl wget=wget openssl=openssl swaks=swaks \
		ethtool=ethtool udhcpc=udhcpc chronyd=chrony aiosmtpd=python3-aiosmtpd
	# What swaks loads at run time for TLS and IPv6.
	perl -MNet::SSLeay -MIO::Socket::INET6 -e1 2>/dev/null || apt_install none=libnet-ssleay-perl none=libio-socket-inet6-perl
}

[ $# -gt 0 ] || set -- packages minio elasticsearch venv lint web
for group; do
	declare -F "setup_$group" >/dev/null || { say "no group $group; see the head of testenv/setup.sh"; exit 2; }
	# Each group once at a time: two would write the same files.
	exec 9>"$cache/setup-$group.lock"
	flock 9
	"setup_$group"
done
