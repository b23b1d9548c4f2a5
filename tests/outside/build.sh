#!/bin/sh
# Builds NAME.so as a stranger would, from what `meson install` puts on a machine: build.sh BUILD STAGE FOLDER NAME [FLAG…]
# BUILD: a build of the PBX; STAGE: an empty folder that stands for /; FOLDER: where the plugin goes.
set -eu
build=$1 stage=$2 folder=$3 name=$4
shift 4
here=$(cd "$(dirname "$0")" && pwd)

if [ ! -d "$stage" ]; then
	meson install -C "$build" --destdir "$stage" --no-rebuild --tags devel > /dev/null
fi
PKG_CONFIG_PATH=$(dirname "$(find "$stage" -name pbx-plugin.pc)")
PKG_CONFIG_SYSROOT_DIR=$stage
export PKG_CONFIG_PATH PKG_CONFIG_SYSROOT_DIR
flags=$(pkg-config --cflags pbx-plugin)
case $flags in
*"$stage"*) ;;
*) echo "pkg-config answers $flags: nothing of it is in $stage" >&2; exit 1 ;;
esac
mkdir -p "$folder"
# Into place by a rename: a file that is being loaded is never half a file. Only the stage's headers, never the tree's: run from /.
cd /
# shellcheck disable=SC2086
${CC:-cc} -std=gnu17 -O2 -Wall -Wextra -Werror $flags "$@" -shared -fPIC "$here/$name.c" -o "$folder/$name.so.new" $(pkg-config --libs pbx-plugin)
mv "$folder/$name.so.new" "$folder/$name.so"
