#!/usr/bin/env bash
# All rings of tests that run on every change: units, plugins in the fake host, calls with real phones, each fuzzer briefly.
# tests/run.sh [PATTERN]: only what matches (units by name, calls by pytest -k). Every ring runs even when an earlier one failed.
set -uo pipefail
cd "$(dirname "$0")/.."
pattern=${1:-}
jobs=$(nproc)
units_at_once=$((jobs * 4)) # most of a unit test is waiting
calls_at_once=$((jobs * 2)) # and half of a call, but five at once on two cores were heard: gaps while a plugin is exchanged
[ "$calls_at_once" -le 8 ] || calls_at_once=8 # windows of tests/e2e/ports.py
failed=()
calls_log=build-asan/calls.log fuzz_log=build-asan/fuzz.log # what rings have said, for who is named at the end
export CK_TIMEOUT_MULTIPLIER=4 # Check's own, as meson's below: who hangs is found, who is slow is waited for
# Freed memory is watched until 64 MB more have been freed, and reports name ten callers: a hashed password costs half of what it did.
export ASAN_OPTIONS=halt_on_error=1:abort_on_error=1:print_summary=1:quarantine_size_mb=64:malloc_context_size=10

# " (who, and, who)" of a ring that has failed, as far as its logs name them.
culprits() {
	local all
	case $1 in
	units) mapfile -t all < <(sed -nE 's/^\{"name": "([^"]+)".*"result": "(FAIL|TIMEOUT|ERROR|INTERRUPT|UNEXPECTEDPASS)".*/\1/p' build-asan/meson-logs/testlog.json) ;;
	calls) mapfile -t all < <(sed -nE 's/^(FAILED|ERROR) ([^ ]*\/)?([^ /]+)\.py(::.*)?$/\3\4/p' "$calls_log" | sed 's/ - .*//') ;;
	fuzzers) mapfile -t all < <(sed -nE 's/^(fuzz_[a-z0-9_]+): FAILED$/\1/p' "$fuzz_log") ;;
	*) all=() ;;
	esac
	[ ${#all[@]} -gt 0 ] || return 0
	local named=$(printf ', %s' "${all[@]:0:20}")
	[ ${#all[@]} -le 20 ] || named+=", and $((${#all[@]} - 20)) more"
	printf ' (%s)' "${named:2}"
}

ring() {
	local name=$1 started=$SECONDS
	shift
	printf '\n==== %s\n' "$name"
	"$@" || failed+=("$name$(culprits "$name")")
	printf '==== %s: %d s\n' "$name" $((SECONDS - started))
}

build() {
	make --no-print-directory build-asan/build.ninja && ninja -C build-asan -j "$jobs" --quiet
}

units() {
	local names=()
	if [ -n "$pattern" ]; then
		mapfile -t names < <(meson test -C build-asan --list 2>/dev/null | sed 's/.* \/ //; s/.*:: *//' | grep -- "$pattern")
		[ ${#names[@]} -gt 0 ] || { echo "no unit test matches $pattern"; return 0; }
	fi
	rm -f build-asan/meson-logs/testlog.json
	meson test -C build-asan --no-rebuild --print-errorlogs --num-processes "$units_at_once" --timeout-multiplier 4 "${names[@]}"
}

# Tests that are marked `alone` want a core for themselves: beside others they would be heard.
pytest_calls() {
	/usr/bin/python3 -m pytest tests/e2e tests/outside tests/api -q "$@" ${pattern:+-k "$pattern"} | tee -a "$calls_log"
	local code=${PIPESTATUS[0]}
	[ $code -eq 5 ] && [ -n "$pattern" ] && return 0
	return $code
}

calls() {
	local code=0
	: > "$calls_log"
	pytest_calls -m "not alone" -n "$calls_at_once" --dist load || code=1
	pytest_calls -m alone || code=1
	return $code
}

fuzzers() {
	tests/fuzz/run.sh "${FUZZ_SECONDS:-4}" | tee "$fuzz_log"
}

ring "build" build
if [ ${#failed[@]} -eq 0 ]; then
	ring "units" units
	if [ -z "$pattern" ]; then # what calls leave of the machine builds the fuzzers
		nice -n 19 tests/fuzz/run.sh 0 > build-asan/fuzz-build.log 2>&1 &
	fi
	ring "calls" calls
	wait
	[ -n "$pattern" ] || ring "fuzzers" fuzzers
fi

if [ ${#failed[@]} -gt 0 ]; then
	named=$(printf ', %s' "${failed[@]}")
	printf '\nFAILED: %s\n' "${named:2}"
	exit 1
fi
printf '\nAll rings passed in %d s.\n' "$SECONDS"
