#!/bin/sh
# make bench: tests/bench/run.sh BUILD [run.py's options]
set -eu
build=$1
shift
ninja -C "$build" --quiet tests/bench/relay_bench tests/bench/sip_floor tests/bench/transcode_bench
/usr/bin/python3 "$(dirname "$0")/run.py" --build "$build" "$@"
[ $# -gt 0 ] || exec /usr/bin/python3 "$(dirname "$0")/records.py" --build "$build"
