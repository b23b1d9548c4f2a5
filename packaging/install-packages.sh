#!/bin/sh
# Installs the Debian packages that a purpose needs and the machine lacks: install-packages.sh build run …
# Purposes are the lines of packages.txt beside this file. Does nothing, and needs no root, when all are there.
set -eu
here=$(dirname "$0")
missing=
for purpose in "$@"; do
	packages=$(sed -n "s/^$purpose: *//p" "$here/packages.txt")
	[ -n "$packages" ] || { echo "install-packages.sh: no purpose '$purpose' in packages.txt" >&2; exit 64; }
	for package in $packages; do
		case $package in
		*=*)
			if command -v "${package%%=*}" >/dev/null; then continue; fi
			package=${package#*=}
			;;
		esac
		status=$(dpkg-query -W -f '${db:Status-Status}' "$package" 2>/dev/null || true)
		[ "$status" = installed ] || missing="$missing $package"
	done
done
[ -n "$missing" ] || exit 0
echo "Installing:$missing"
sudo=
[ "$(id -u)" = 0 ] || sudo=sudo
export DEBIAN_FRONTEND=noninteractive
# A PostgreSQL server that starts by itself would only sit there: tests start their own.
if [ ! -e /etc/postgresql-common/createcluster.conf ]; then
	$sudo mkdir -p /etc/postgresql-common
	echo 'create_main_cluster = false' | $sudo tee /etc/postgresql-common/createcluster.conf >/dev/null
fi
# shellcheck disable=SC2086
$sudo apt-get install -y -qq --no-install-recommends $missing >/dev/null 2>&1 || {
	$sudo apt-get update -qq
	# shellcheck disable=SC2086
	$sudo apt-get install -y -qq --no-install-recommends $missing
}
