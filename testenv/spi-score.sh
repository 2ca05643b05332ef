#!/usr/bin/env bash
# Scores the session documents of `wirelake spi` against a reference corpus:
#
#   testenv/spi-score.sh [OPTIONS OF spi-score]
#
# SHARED names the folder with corpus/ (X.pcap and X.test) and tools/spi-score; it is no part of this repository.
set -euo pipefail
cd "$(dirname "$0")/.."
shared=${SHARED:-../shared}

if [ ! -d "$shared/corpus" ] || [ ! -x "$shared/tools/spi-score" ]; then
	echo "spi-score: $shared/corpus or $shared/tools/spi-score is missing." >&2
	echo "The reference corpus is no part of this repository: set SHARED to the folder that holds it." >&2
	exit 1
fi

out=$(mktemp -d)
trap 'rm -rf "$out"' EXIT

# A capture that stops the program costs its own score and is named.
export out
one() {
	local name
	name=$(basename "${1%.*}")
	if ! bin/wirelake spi --reference "$1" >"$out/$name.json" 2>"$out/$name.err"; then
		echo "spi-score: wirelake spi $1: $(tail -n 1 "$out/$name.err")" >&2
		echo '[]' >"$out/$name.json"
	fi
}
export -f one
find "$shared/corpus" -name '*.pcap*' -print0 | xargs -0 -n 1 -P "$(nproc)" bash -c 'one "$1"' one

"$shared/tools/spi-score" "$shared/corpus" "$out" "$@"
