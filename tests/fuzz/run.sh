#!/usr/bin/env bash
# Every libFuzzer harness over its corpus for so many seconds each: run.sh SECONDS [NAME]. 0 only builds them. A crash is written to
# build-fuzz/crashes.
set -uo pipefail
cd "$(dirname "$0")/../.."
seconds=${1:-60}
only=${2:-}
[ -f build-fuzz/build.ninja ] || CC=clang-14 meson setup build-fuzz -Doptimization=1 -Dfuzz=true -Dtests=false -Db_sanitize=address,undefined -Db_lundef=false > /dev/null || exit 1
mapfile -t targets < <(ninja -C build-fuzz -t targets all | sed -n 's/^\(tests\/fuzz\/fuzz_[a-z0-9_]*\): .*LINKER$/\1/p')
[ ${#targets[@]} -gt 0 ] || { echo "no fuzzer is built: is clang-14 with libclang-rt-14-dev there?"; exit 1; }
ninja -C build-fuzz --quiet "${targets[@]}" || exit 1
[ "$seconds" -gt 0 ] || exit 0
mkdir -p build-fuzz/crashes

fuzz() {
	local name=$1 seconds=$2
	mkdir -p "build-fuzz/corpus/$name" "tests/fuzz/corpus/$name"
	if "build-fuzz/tests/fuzz/$name" -max_total_time="$seconds" -timeout=10 -rss_limit_mb=2048 -artifact_prefix="build-fuzz/crashes/$name-" \
		-print_final_stats=1 "build-fuzz/corpus/$name" "tests/fuzz/corpus/$name" > "build-fuzz/$name.log" 2>&1; then
		echo "$name: $(sed -n 's/^stat::number_of_executed_units: *//p' "build-fuzz/$name.log") inputs, no finding"
	else
		echo "$name: FAILED"
		tail -n 30 "build-fuzz/$name.log"
		return 1
	fi
}
export -f fuzz

# One on each core.
printf '%s\n' "${targets[@]##*/}" | grep -x -- "${only:-.*}" | xargs -P "$(nproc)" -I NAME bash -c 'fuzz NAME '"$seconds"
