#!/bin/sh
# Could a plugin of the last release still be loaded? abi.sh MIRROR.so [--record VERSION]
# Compares the public types with the newest packaging/abi/*.abi. Without one (no release yet) it says so and passes.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
folder=$here/../../packaging/abi
mirror=$1

command -v abidw > /dev/null || { echo "abidw is not installed (abigail-tools)"; exit 77; }
if [ "${2:-}" = --record ]; then
	abidw --no-corpus-path --no-comp-dir-path --out-file "$folder/${3:?a version}.abi" "$mirror"
	echo "recorded packaging/abi/$3.abi"
	exit 0
fi

baseline=$(find "$folder" -name '*.abi' | sort -V | tail -n 1)
if [ -z "$baseline" ]; then
	echo "no baseline in packaging/abi: nothing has been released yet"
	exit 0
fi
# Members behind the old ones are what the ABI is made for. Anything else about a structure is a broken promise.
report=$(abidiff --leaf-changes-only --no-show-locs "$baseline" "$mirror") && code=0 || code=$?
[ $((code & 3)) = 0 ] || { echo "abidiff could not compare" >&2; exit 1; }
if printf '%s\n' "$report" | grep -q -e 'data member changes' -e 'data member deletion'; then
	printf '%s\n' "$report"
	echo "a plugin built for $(basename "$baseline" .abi) would break" >&2
	exit 1
fi
echo "a plugin built for $(basename "$baseline" .abi) can be loaded"
