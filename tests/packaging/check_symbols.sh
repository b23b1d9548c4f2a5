#!/bin/sh
# What a plugin may show the world: check_symbols.sh FILE.so…
# Each exports pbx_plugin and nothing else, and asks only libraries it names for symbols: all else comes from the host.
set -eu
failed=0

# Names that a sanitizer's compiler adds are not the plugin's.
is_plugins_own() {
	grep -v -e '^__asan_' -e '^__odr_asan' -e '^__ubsan_' -e '^__tsan_' -e '^__sanitizer_' -e '^__gcov_' -e '^mangled_path$' || true
}

for file in "$@"; do
	exported=$(nm -D --defined-only "$file" | awk '{ print $NF }' | is_plugins_own)
	if [ "$exported" != pbx_plugin ]; then
		echo "$file exports: $(echo "$exported" | tr '\n' ' ')(pbx_plugin, and only that, is right)" >&2
		failed=1
	fi
	missing=$(ldd -r "$file" 2>&1 | sed -n 's/^undefined symbol: *\([^[:space:]]*\).*/\1/p' | is_plugins_own)
	if [ -n "$missing" ]; then
		echo "$file needs what none of its libraries has: $(echo "$missing" | tr '\n' ' ')" >&2
		failed=1
	fi
	if readelf -d "$file" | grep -q -e RPATH -e RUNPATH && [ "${INSTALLED:-no}" = yes ]; then
		echo "$file searches folders of its own for libraries" >&2
		failed=1
	fi
done
[ $failed = 0 ] && echo "$# plugins export pbx_plugin alone"
exit $failed
