#!/usr/bin/env bash
# All rings of tests that run on every change: units, plugins in the fake host, calls with real phones, each fuzzer briefly.
# tests/run.sh [PATTERN]: only what matches (units by name, calls by pytest -k). Every ring runs even when an earlier one failed.
set -uo pipefail
cd "$(dirname "$0")/.."
pattern=${1:-}
jobs=$(nproc)
side_by_side=$((jobs * 2)) # most of a unit test is waiting; phones listen for gaps, and get more of the machine
failed=()

ring() {
	local name=$1 started=$SECONDS
	shift
	printf '\n==== %s\n' "$name"
	"$@" || failed+=("$name")
	printf '==== %s: %d s\n' "$name" $((SECONDS - started))
}

build() {
	[ -f build-asan/build.ninja ] || meson setup build-asan -Db_sanitize=address,undefined -Db_lundef=false > /dev/null || return 1
	ninja -C build-asan -j "$jobs" --quiet
}

units() {
	local names=()
	if [ -n "$pattern" ]; then
		mapfile -t names < <(meson test -C build-asan --list 2>/dev/null | sed 's/.* \/ //; s/.*:: *//' | grep -- "$pattern")
		[ ${#names[@]} -gt 0 ] || { echo "no unit test matches $pattern"; return 0; }
	fi
	meson test -C build-asan --no-rebuild --print-errorlogs --num-processes "$side_by_side" "${names[@]}"
}

calls() {
	/usr/bin/python3 -m pytest tests/e2e tests/outside -q -n $((jobs + 1)) --dist load ${pattern:+-k "$pattern"}
	local code=$?
	[ $code -eq 5 ] && [ -n "$pattern" ] && return 0
	return $code
}

ring "build" build
if [ ${#failed[@]} -eq 0 ]; then
	ring "units" units
	ring "calls" calls
	[ -n "$pattern" ] || ring "fuzzers" tests/fuzz/run.sh "${FUZZ_SECONDS:-8}"
fi

if [ ${#failed[@]} -gt 0 ]; then
	printf '\nFAILED: %s\n' "${failed[*]}"
	exit 1
fi
printf '\nAll rings passed in %d s.\n' "$SECONDS"
