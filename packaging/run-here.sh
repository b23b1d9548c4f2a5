#!/bin/sh
# A PBX in ./run on this machine, as this user: run-here.sh BUILD [--manual]. Settings, database and keys are made on the first start and kept.
set -eu
build=$(cd "$1" && pwd)
root=$(cd "$(dirname "$0")/.." && pwd)
home=${PBX_HOME:-$root/run}
address=${PBX_ADDRESS:-127.0.0.1}
mkdir -p "$home"
chmod 0750 "$home"
config=$home/pbx.yml
ctl="$build/api/pbxctl --socket $home/run/pbxd.sock"

if [ ! -e "$config" ]; then
	cat > "$config" <<END
# Settings of the PBX started by \`make run\`. \`pbxctl config show\` lists every setting with its meaning.
server:
  data_dir: $home/data
  run_dir: $home/run
sip:
  listen: ["udp:$address:5060", "tcp:$address:5060"]
media:
  bind: $address
api:
  listen: 127.0.0.1:9000
  user_scopes: ["extensions:read", "extensions:forward", "cdr:read", "parking:read"]
plugins:
  path: [$(mkdir -p "$home/plugins"; for folder in "$build"/plugins/*/; do [ -d "$folder" ] && printf '%s, ' "${folder%/}"; done)$home/plugins]
music_on_hold:
  directory: $build/etc/music
prompts:
  folders: [$home/data/sounds, $build/etc/prompts]
END
fi

# Who has the ports that our settings name.
tell_ports() {
	for port in $(sed -n '/listen:/ s/.*listen://p' "$config" | grep -o ':[0-9][0-9]*' | tr -d : | sort -u); do
		holder=$(ss -Hlnptu "sport = :$port" 2> /dev/null | sed 's/  */ /g')
		[ -z "$holder" ] || printf 'Port %s is taken:\n%s\nStop that, or change sip.listen or api.listen in %s.\n' "$port" "$holder" "$config"
	done
}

# A member of the status that is a list of texts, one a line: listeners sip.
status_list() {
	$ctl --json status | sed -n "/\"$2\":/,/}/ s/.*\"$1\":[[:space:]]*\[\(.*\)\].*/\1/p" | tr -d '"' | sed 's/, */\n/g'
}

if $ctl status > /dev/null 2>&1; then
	printf 'A PBX with these settings is running already: %s status\nStop it with Ctrl-C where it was started, or: kill %s\n' "$ctl" \
		"$(cat "$home/data/pbxd.lock" 2> /dev/null)" >&2
	exit 1
fi
[ ! -s "$home/pbxd.log" ] || mv "$home/pbxd.log" "$home/pbxd.log.1" # why it stopped the last time may be in there
"$build/pbxd" --config "$config" > "$home/pbxd.log" 2>&1 &
pbxd=$!
trap 'kill $pbxd 2>/dev/null || true; wait $pbxd 2>/dev/null || true; exit 0' INT TERM
tries=0
until [ -n "$(status_list listeners sip 2> /dev/null)" ]; do
	if ! kill -0 $pbxd 2> /dev/null; then
		echo "pbxd did not start:" >&2
		tail -n 5 "$home/pbxd.log" >&2
		tell_ports >&2
		exit 1
	fi
	tries=$((tries + 1))
	[ $tries -lt 150 ] || { echo "pbxd is not ready after 30 s; see $home/pbxd.log" >&2; exit 1; }
	sleep 0.2
done

if [ "${2-}" = --manual ]; then
	$ctl config manual
	kill $pbxd
	wait $pbxd
	exit 0
fi

echo
echo "Warden PBX is running. Log: $home/pbxd.log. Stop it with Ctrl-C."
echo
echo "  Control socket  $home/run/pbxd.sock"
echo "                  $ctl status"
echo "  REST            $(status_list listeners api)/api/v1/openapi.json (its certificate is its own)"
if [ -e "$home/data/first-login" ]; then
	echo "  Log in          user admin, one-time password $(cat "$home/data/first-login")"
else
	echo "  Log in          as before; forgotten? $ctl user passwd admin"
fi
echo
label="  Phones          server"
for listener in $(status_list listeners sip); do
	echo "$label ${listener#*:}, transport ${listener%%:*}"
	label="                  or    "
done
for number in 1001 1002; do
	if secret=$($ctl --json extension add $number name="Phone $number" 2> /dev/null | sed -n 's/.*"sip_secret":[[:space:]]*"\([^"]*\)".*/\1/p') && [ -n "$secret" ]; then
		echo "                  user $number, password $secret"
	else
		echo "                  user $number, password as before; a new one: $ctl extension secret $number"
	fi
done
failed=$($ctl plugin list | awk '$3 == "failed" { print $1 }')
for name in $failed; do
	echo
	echo "  Without $name: $($ctl --json plugin show "$name" | sed -n 's/.*"reason":[[:space:]]*"\(.*\)".*/\1/p')"
done
echo
echo "  Dial 1002 from 1001. *74 parks, 70-79 fetch. README.md has the tour."
wait $pbxd
