#!/usr/bin/env bash
# The packages on a Debian of their own, from install to purge: test_deb.sh [FOLDER with packages; built when not said]
#
# mmdebstrap makes the Debian, systemd-nspawn boots it with a network of its own, so the unit runs as it will run for an operator: same user,
# same sandbox, same system call filter. Needs root. DEBIAN_MIRROR names another mirror; KEEP=1 leaves the folder behind.
set -uo pipefail
here=$(cd "$(dirname "$0")" && pwd)
top=$(cd "$here/../.." && pwd)
work=$(mktemp -d "${TMPDIR:-/tmp}/warden-pbx-test.XXXXXX")
root=$work/root
shell_pid=
nspawn=
passed=0
failures=()

clean() {
	if [ -n "$nspawn" ]; then
		machine systemctl poweroff --force --force > /dev/null 2>&1
		for _ in $(seq 50); do kill -0 "$nspawn" 2> /dev/null || break; sleep 0.2; done
		kill -KILL "$nspawn" 2> /dev/null
		wait "$nspawn" 2> /dev/null
	fi
	[ -n "${KEEP:-}" ] && echo "kept: $work" || rm -rf "$work"
}
trap clean EXIT

# No `grep -q` behind a pipe: it leaves early, and pipefail blames who was still writing.
# ok SENTENCE COMMAND…: the command's output is shown when it fails.
ok() {
	local sentence=$1
	shift
	if "$@" > "$work/output" 2>&1; then
		echo "ok      $sentence"
		passed=$((passed + 1))
	else
		echo "FAILED  $sentence"
		sed 's/^/        /' "$work/output" | tail -n 30
		failures+=("$sentence")
	fi
}

give_up() {
	echo "test_deb.sh: $1" >&2
	exit 1
}

machine() {
	nsenter --all --root --target "$shell_pid" --wd=/ -- env -i PATH=/usr/sbin:/usr/bin:/sbin:/bin LC_ALL=C.UTF-8 DEBIAN_FRONTEND=noninteractive "$@"
}

[ "$(id -u)" = 0 ] || give_up "it makes a root of its own, so it must be run by root"

# ---- the packages as files ------------------------------------------------------------------------------------------------------------

debs=${1:-$work/dist}
[ -n "${1:-}" ] || JOBS=${JOBS:-2} "$top/packaging/build-deb.sh" "$debs" || exit 1
cd "$debs" || exit 1
files=$work/files
for deb in warden-pbx_*.deb warden-pbx-plugins_*.deb warden-pbx-codec-g729_*.deb warden-pbx-nftables_*.deb warden-pbx-dev_*.deb; do
	dpkg-deb -x "$deb" "$files" || give_up "$deb cannot be unpacked"
done
plugins=$(find "$files" -path '*/pbx/plugins/*.so')
binaries="$files/usr/sbin/pbxd $files/usr/bin/pbxctl $(find "$files" -name '*.so' -o -name pbx-bans -o -name pbx-plugin-probe)"

depends_are_for_running() {
	local depends
	depends=$(dpkg-deb -f "$(echo warden-pbx_*.deb)" Depends)$(dpkg-deb -f "$(echo warden-pbx-plugins_*.deb)" Depends)
	echo "$depends"
	[[ $depends == *libuv1* && $depends == *libssl3* && $depends == *libsofia-sip-ua0* && $depends != *-dev* ]]
}

paths_are_private() {
	local binary found
	for binary in $binaries; do
		found=$(readelf -d "$binary" | sed -n 's/.*\(RPATH\|RUNPATH\|runpath\|rpath\).*\[\(.*\)\]/\2/p')
		case ${binary##*/}:$found in
		pbxd:/usr/lib/*-linux-*/pbx) ;;
		*:) ;;
		*) echo "$binary searches $found" && return 1 ;;
		esac
	done
}

binaries_are_hardened() {
	local binary
	for binary in $binaries; do
		readelf -lW "$binary" | grep GNU_RELRO > /dev/null || { echo "$binary: no RELRO" && return 1; }
		readelf -dW "$binary" | grep -e BIND_NOW -e 'Flags:.* NOW' > /dev/null || { echo "$binary: no BIND_NOW" && return 1; }
		readelf -lW "$binary" | grep GNU_STACK | grep 'RWE' > /dev/null && { echo "$binary: executable stack" && return 1; }
	done
	for binary in "$files/usr/sbin/pbxd" "$files/usr/bin/pbxctl"; do
		readelf -hW "$binary" | grep 'Type:.*DYN' > /dev/null || { echo "$binary: not position independent" && return 1; }
		readelf --dyn-syms -W "$binary" | grep __stack_chk_fail > /dev/null || { echo "$binary: no stack protector" && return 1; }
		readelf --dyn-syms -W "$binary" | grep '_chk@' > /dev/null || { echo "$binary: not fortified" && return 1; }
	done
}

only_debians_libraries() {
	local binary missing
	for binary in $binaries; do
		missing=$(ldd "$binary" | awk '$3 ~ /^\// && $3 !~ /^\/(usr\/)?lib/ { print $1, $3 }')
		[ -z "$missing" ] || { echo "$binary: $missing"; return 1; }
	done
}

# shellcheck disable=SC2086
ok "plugins export their descriptor and nothing else" env INSTALLED=yes "$here/check_symbols.sh" $plugins
ok "dependencies are Debian's packages for running, none for building" depends_are_for_running
ok "no library is searched outside the system, but by pbxd in its private folder" paths_are_private
ok "libraries come from the distribution" only_debians_libraries
g729_is_apart() {
	! dpkg-deb -c "$(echo warden-pbx-plugins_*.deb)" | grep codec_g729 && dpkg-deb -f "$(echo warden-pbx-codec-g729_*.deb)" Depends | grep libbcg729
}
rights_are_apart() {
	! dpkg-deb -c "$(echo warden-pbx-plugins_*.deb)" | grep pbx-bans || return 1
	! grep -rl CAP_NET_ADMIN "$files/usr/lib/systemd" "$files/lib/systemd" 2> /dev/null | grep -v pbx-bans.service
}
ok "the right to change the kernel's rules is in a package and a unit of its own" rights_are_apart
ok "G.729, made with a GPL library, is in a package of its own" g729_is_apart
ok "programs and plugins are hardened" binaries_are_hardened
ok "lintian finds no error" lintian --fail-on error --allow-root ./*.changes
unit=$(find "$files" -name pbxd.service)
ok "the unit's exposure is at most 2.5" systemd-analyze security --no-pager --offline=yes --threshold=25 "$unit"
systemd-analyze security --no-pager --offline=yes "$unit" | tail -n 1
ok "the exposure of the unit that may change the kernel's rules is at most 2.5" systemd-analyze security --no-pager --offline=yes --threshold=25 \
	"$(find "$files" -name pbx-bans.service)"

# ---- a Debian ------------------------------------------------------------------------------------------------------------------------

# shellcheck source=/dev/null
codename=$(. /etc/os-release && echo "$VERSION_CODENAME")
depends=$(dpkg-deb -f "$(echo warden-pbx_*.deb)" Depends)
depends="$depends, $(dpkg-deb -f "$(echo warden-pbx-plugins_*.deb)" Depends | sed 's/, warden-pbx (= [^)]*)//')"
mmdebstrap --quiet --mode=root --variant=minbase \
	--include=systemd,systemd-sysv,dbus,curl,python3-minimal,libpython3-stdlib,procps,logrotate,fail2ban,python3-systemd,bash-completion,iproute2,gcc,libc6-dev,pkg-config \
	--customize-hook="chroot \"\$1\" apt-get satisfy -y -qq --no-install-recommends '$depends'" \
	--customize-hook='chroot "$1" systemctl disable fail2ban apt-daily.timer apt-daily-upgrade.timer' \
	"$codename" "$root" ${DEBIAN_MIRROR:+"$DEBIAN_MIRROR"} > "$work/mmdebstrap.log" 2>&1 || { tail "$work/mmdebstrap.log"; give_up "no Debian to test on"; }
mkdir "$root/debs" "$root/next"
cp ./*.deb "$here/register.py" "$top/tests/outside/milliwatt.c" "$root/debs/"

# The same packages, one version later.
for deb in warden-pbx_*.deb warden-pbx-plugins_*.deb; do
	version=$(dpkg-deb -f "$deb" Version)
	rm -rf "$work/next"
	dpkg-deb -R "$deb" "$work/next"
	sed -i "s/$version/$version+1/" "$work/next/DEBIAN/control"
	dpkg-deb -b --root-owner-group "$work/next" "$root/next/${deb%%_*}.deb" > /dev/null
done

systemd-nspawn --register=no --keep-unit --private-network --quiet --directory "$root" --boot < /dev/null > "$work/console" 2>&1 &
nspawn=$!
for _ in $(seq 150); do
	shell_pid=$(pgrep -P "$nspawn" | head -n 1)
	[ -n "$shell_pid" ] && machine systemctl is-system-running 2> /dev/null | grep -e running -e degraded > /dev/null && break
	kill -0 "$nspawn" 2> /dev/null || { cat "$work/console"; give_up "systemd does not boot"; }
	sleep 0.2
done
machine ip link set lo up
files_now() {
	machine find / -xdev \( -path /proc -o -path /sys -o -path /dev -o -path /run -o -path /tmp -o -path /debs -o -path /next -o -path /var/log/journal \
		-o -path /var/lib/dpkg -o -path /var/cache -o -path /root \) -prune -o -print | sort
	machine find /run/pbx 2> /dev/null
}
files_now > "$work/before"

# ---- install -------------------------------------------------------------------------------------------------------------------------

install_all() {
	machine sh -c 'dpkg -i /debs/warden-pbx_*.deb /debs/warden-pbx-plugins_*.deb /debs/warden-pbx-dev_*.deb' | tee "$work/install"
}
main_pid() { machine systemctl show -p MainPID --value pbxd; }
runs_as_pbx() { [ "$(machine ps -o user= -p "$(main_pid)")" = pbx ]; }
is_active() { machine systemctl is-active pbxd && [ "$(machine systemctl show -p NRestarts --value pbxd)" = 0 ]; }
plugins_run() {
	machine pbxctl plugin list
	! machine pbxctl --json plugin list | grep -e '"state":[[:space:]]*"\(failed\|disabled\|found\)"' &&
		[ "$(machine pbxctl --json plugin list | grep -c '"state":[[:space:]]*"running"')" -gt "$(machine sh -c 'ls /usr/lib/*/pbx/plugins/*.so' | wc -l)" ]
}
settings_are_private() { [ "$(machine stat -c %U:%G:%a /etc/pbx/pbx.yml)" = root:pbx:640 ]; }
password_is_told() { grep -q "cat /var/lib/pbx/first-login" "$work/install" && machine test -s /var/lib/pbx/first-login; }

ok "dpkg -i installs" install_all
ok "pbxd has told systemd that it is ready, and runs" is_active
ok "it runs as pbx" runs_as_pbx
ok "pbxctl finds its socket by itself" machine pbxctl status
ok "every plugin of the package runs" plugins_run
ok "the installation tells where the one-time password is" password_is_told
ok "only root and pbx read the settings" settings_are_private
ok "systemd-analyze verify has nothing to say" machine systemd-analyze verify --man=no "${unit#"$files"}"
ok "the manual pages are there" machine test -e /usr/share/man/man1/pbxctl.1.gz -a -e /usr/share/man/man8/pbxd.8.gz
ok "bash completes pbxctl" machine bash -c '. /usr/share/bash-completion/completions/pbxctl && complete -p pbxctl && COMP_WORDS=(pbxctl plu) COMP_CWORD=1 && _pbxctl && [ "${COMPREPLY[0]}" = plugin ]'
ok "logrotate accepts its file" machine logrotate --debug /etc/logrotate.d/pbx

# ---- use -----------------------------------------------------------------------------------------------------------------------------

api=https://127.0.0.1:9000/api/v1
call() { # call METHOD PATH JSON [TOKEN]. Retries: right after the first start the first user is still being made, which is a 503 with Retry-After
	machine curl --silent --show-error --insecure --fail-with-body --retry 10 -X "$1" -H 'Content-Type: application/json' ${4:+-H "Authorization: Bearer $4"} -d "$3" "$api$2"
}
member() { sed -n "s/.*\"$1\":[[:space:]]*\"\([^\"]*\)\".*/\1/p"; }
secret=
add_account() {
	local answer
	answer=$(machine pbxctl --json extension add 1001 name=Ann) || { echo "$answer"; return 1; }
	secret=$(echo "$answer" | member sip_secret)
	[ -n "$secret" ]
}
registers() { [ "$(machine python3 /debs/register.py 127.0.0.1 1001 "$1")" = "$2" ]; }
login_with_one_time_password() {
	local once answer token
	once=$(machine cat /var/lib/pbx/first-login)
	answer=$(call POST /auth/login "{\"user\": \"admin\", \"password\": \"$once\"}")
	token=$(echo "$answer" | member token)
	[ -n "$token" ] || { echo "$answer"; return 1; }
	call POST /auth/password "{\"password\": \"$once\", \"new_password\": \"a horse in a stable\"}" "$token"
}
login() { call POST /auth/login '{"user": "admin", "password": "a horse in a stable"}' | grep '"token"' > /dev/null; }
first_login_is_gone() { ! machine test -e /var/lib/pbx/first-login; }
change_settings() {
	machine pbxctl config set extensions.secret_length 24 || machine pbxctl config set calls.limit 77 || return 1
	machine sh -c 'printf "\nserver:\n  name: Edited by hand\n" >> /etc/pbx/pbx.yml && printf "calls:\n  ring_s: 41\n" > /etc/pbx/conf.d/mine.yml'
	machine systemctl reload pbxd
}
name_is() { machine pbxctl --json config get server.name | grep "$1" > /dev/null && machine pbxctl --json config get calls.ring_s | grep 41 > /dev/null; }
fail2ban_sees() {
	registers "not the secret" 401 || return 1
	call POST /auth/login '{"user": "x\" address=192.0.2.9", "password": "no"}'
	machine journalctl -u pbxd -o short --no-pager > "$root/debs/journal"
	grep auth_failed "$root/debs/journal" && grep login_refused "$root/debs/journal" || return 1
	machine fail2ban-regex --print-all-matched /debs/journal /etc/fail2ban/filter.d/pbx.conf > "$work/regex"
	cat "$work/regex"
	[ "$(grep -c -e 'auth_failed' -e 'login_refused' "$root/debs/journal")" = "$(sed -n 's/^Failregex: \([0-9]*\) total/\1/p' "$work/regex")" ] &&
		! machine fail2ban-regex --out ip /debs/journal /etc/fail2ban/filter.d/pbx.conf | grep 192.0.2.9 > /dev/null
}

ok "pbxctl makes an account" add_account
ok "a phone registers with its secret" registers "$secret" 200
ok "the one-time password opens REST over HTTPS, once" login_with_one_time_password
ok "the new password opens it" login
ok "the file with the one-time password is gone" first_login_is_gone
ok "systemctl reload takes edited settings" change_settings
ok "and they hold" name_is "Edited by hand"
ok "fail2ban's filter sees wrong passwords, and no name fools it" fail2ban_sees

# ---- a plugin of somebody else's, with what warden-pbx-dev brings ----------------------------------------------------------------------

stranger_is_built() {
	machine sh -c 'cc -O2 -Wall -Werror $(pkg-config --cflags pbx-plugin) -shared -fPIC -fvisibility=hidden /debs/milliwatt.c -o /debs/milliwatt.so -lm &&
		cp /debs/milliwatt.so $(pkg-config --variable=plugindir pbx-plugin)/ && dpkg-trigger --no-await "$(pkg-config --variable=plugindir pbx-plugin)" &&
		dpkg --triggers-only -a && pbxctl plugin show milliwatt'
}
stranger_is_removed() { machine sh -c 'pbxctl plugin unload milliwatt && rm $(pkg-config --variable=plugindir pbx-plugin)/milliwatt.so'; }
pid=$(main_pid)
same_process() { [ "$(main_pid)" = "$pid" ]; }
others_were_left_alone() { machine pbxctl --json plugin show webhooks > "$work/webhooks" && cmp "$work/webhooks" "$work/webhooks.before"; }
machine pbxctl --json plugin show webhooks > "$work/webhooks.before"
ok "a plugin built from warden-pbx-dev is taken while pbxd runs" stranger_is_built
ok "pbxd was not restarted for it" same_process
ok "the other plugins were left alone" others_were_left_alone
ok "and it goes again" stranger_is_removed

# ---- upgrade -------------------------------------------------------------------------------------------------------------------------

was_restarted() { is_active && [ "$(main_pid)" != "$pid" ]; }
account_is_there() { machine pbxctl extension show 1001 | grep Ann; }
hand_made_settings() { machine grep -q "Edited by hand" /etc/pbx/pbx.yml && machine test -e /etc/pbx/conf.d/mine.yml; }
ok "an upgrade asks nothing" machine dpkg -i /next/warden-pbx.deb /next/warden-pbx-plugins.deb
ok "the new version runs" was_restarted
ok "the account is kept" account_is_there
ok "its secret is kept" registers "$secret" 200
ok "passwords are kept" login
ok "settings made by hand are kept" hand_made_settings
ok "and hold" name_is "Edited by hand"
ok "the settings are still private" settings_are_private
ok "every plugin runs again" plugins_run

# ---- remove, purge -------------------------------------------------------------------------------------------------------------------

nothing_runs() { ! machine pgrep -x pbxd && ! machine test -e /run/pbx/pbxd.sock; }
data_is_kept() { machine test -s /var/lib/pbx/pbx.db -a -e /etc/pbx/pbx.yml; }
nothing_is_left() {
	files_now > "$work/after"
	comm -13 "$work/before" "$work/after" | grep -v -e '^/etc/\(passwd\|group\|shadow\|gshadow\)-\?$' -e '^/var/lib/systemd/' -e '^/var/log/' | tee "$work/left"
	comm -13 "$work/before" "$work/after" | grep pbx && return 1
	[ ! -s "$work/left" ]
}
ok "remove removes" machine dpkg -r warden-pbx-dev warden-pbx-plugins warden-pbx
ok "nothing is left running" nothing_runs
ok "remove keeps data and settings" data_is_kept
ok "purge purges" machine dpkg -P warden-pbx-plugins warden-pbx
ok "no file is left" nothing_is_left

echo
if [ ${#failures[@]} -gt 0 ]; then
	printf '%d passed, %d failed:\n' "$passed" ${#failures[@]}
	printf '  %s\n' "${failures[@]}"
	exit 1
fi
echo "$passed passed"
