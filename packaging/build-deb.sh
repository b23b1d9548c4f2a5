#!/bin/sh
# Debian packages of what is committed: build-deb.sh [FOLDER], ./dist when not said. Version and changes come from CHANGELOG.md.
# Nothing of the working tree gets in: the build runs in a copy made by git archive. JOBS says how many compilers run (2).
set -eu
root=$(cd "$(dirname "$0")/.." && pwd)
out=${1:-$root/dist}
work=$(mktemp -d "${TMPDIR:-/tmp}/warden-pbx-deb.XXXXXX")
trap 'rm -rf "$work"' EXIT
trap 'exit 1' INT TERM
tree=$work/warden-pbx

mkdir "$tree"
git -C "$root" archive HEAD | tar -x -C "$tree"
cp -R "$tree/packaging/debian" "$tree/debian"

# The newest section of CHANGELOG.md: "## 0.1.0 (unreleased)". Before its release a version sorts below it, and later commits above earlier ones.
section=$(sed -n 's/^## //p' "$tree/CHANGELOG.md" | head -n 1)
version=${section%% *}
meson_version=$(sed -n "s/^project(.* version: '\([^']*\)'.*/\1/p" "$tree/meson.build" | head -n 1)
if [ "$version" != "$meson_version" ]; then
	echo "build-deb.sh: CHANGELOG.md speaks of $version, meson.build of $meson_version" >&2
	exit 1
fi
case $section in
*unreleased*) version="$version~$(TZ=UTC git -C "$root" log -1 --format=%cd-g%h --date=format-local:%Y%m%d%H%M%S | tr - .)" ;;
esac
SOURCE_DATE_EPOCH=$(git -C "$root" log -1 --format=%ct)
export SOURCE_DATE_EPOCH

{
	printf 'warden-pbx (%s) unstable; urgency=medium\n\n' "$version"
	# A bullet of several lines becomes one, then lines of Debian's width.
	awk '/^## / { if (seen++) exit; next } !seen || /^$/ { next } /^[^ ]/ { sub(/^- /, ""); printf "\n  * %s", $0; next } { sub(/^ */, ""); printf " %s", $0 }
		END { print "" }' "$tree/CHANGELOG.md" | sed 1d | fold -s -w 74 | sed 's/^\([^ ]\)/    \1/; s/ *$//'
	printf '\n -- %s  %s\n' "$(sed -n 's/^Maintainer: //p' "$tree/debian/control")" "$(date -u -R -d "@$SOURCE_DATE_EPOCH")"
} > "$tree/debian/changelog"

(cd "$tree" && DEB_BUILD_OPTIONS="parallel=${JOBS:-2} ${DEB_BUILD_OPTIONS:-}" dpkg-buildpackage -b -us -uc) > "$work/log" 2>&1 || {
	tail -n 60 "$work/log" >&2
	echo "build-deb.sh: the build has failed" >&2
	exit 1
}
grep -n 'warning:' "$work/log" >&2 || true
mkdir -p "$out"
rm -f "$out"/warden-pbx*
cp "$work"/*.deb "$work"/*.changes "$work"/*.buildinfo "$out"
echo "$version: $(cd "$out" && echo warden-pbx*.deb)"
