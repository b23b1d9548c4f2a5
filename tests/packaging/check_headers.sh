#!/bin/sh
# Every public header compiles alone, as C11 and as C++17, without a warning: check_headers.sh INCLUDE MADE CC CXX. MADE: where pbx/build.h is.
set -eu
include=$1 made=$2 cc=$3 cxx=$4
failed=0
count=0

for header in "$include"/pbx/*.h; do
	name=pbx/$(basename "$header")
	count=$((count + 1))
	# Twice: a second include changes nothing.
	text=$(printf '#include <%s>\n#include <%s>\n' "$name" "$name")
	printf '%s\n' "$text" | $cc -x c -std=c11 -Wall -Wextra -Werror -I"$include" -I"$made" -fsyntax-only - || { echo "$name does not compile alone as C11" >&2; failed=1; }
	printf '%s\n' "$text" | $cxx -x c++ -std=c++17 -Wall -Wextra -Werror -I"$include" -I"$made" -fsyntax-only - || { echo "$name does not compile alone as C++17" >&2; failed=1; }
done
[ $count -gt 0 ] || { echo "no headers in $include/pbx" >&2; exit 1; }
[ $failed = 0 ] && echo "$count headers compile alone"
exit $failed
