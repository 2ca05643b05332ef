#!/usr/bin/env bash
# Runs each fuzz target of the module for FUZZTIME (default 30s). Ends with an error when one finds something.
set -euo pipefail
cd "$(dirname "$0")/.."
fuzztime=${FUZZTIME:-30s}

found=0
while IFS=: read -r file line; do
	target=${line#func }
	target=${target%%(*}
	found=$((found + 1))
	echo "== $(dirname "$file") $target"
	go test -run='^$' -fuzz="^$target\$" -fuzztime="$fuzztime" -fuzzminimizetime=1s "./$(dirname "$file")"
done < <(git ls-files -co --exclude-standard '*_test.go' | xargs grep -H '^func Fuzz[A-Z0-9]')

if [ "$found" = 0 ]; then
	echo "no fuzz target found" >&2
	exit 1
fi
echo "$found fuzz targets, nothing found in $fuzztime each"
