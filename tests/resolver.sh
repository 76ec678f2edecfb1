#!/usr/bin/env bash
# run: parallel
# run: limit 120
# Whom a host of site1 ends up with, for each thing that site1's name service
# may do, on the system's own files: /etc/resolv.conf, /etc/hosts, port 53.
set -uo pipefail
cd "$(dirname "$0")/.." || exit 1

inside() {
	ip link set lo up &&
		ip link add hole0 type veth peer name hole1 &&
		ip address add 10.1.0.1/24 dev hole0 &&
		ip address add 10.1.0.6/32 dev lo &&
		ip link set hole0 up && ip link set hole1 up &&
		ip neighbour add 10.1.0.5 lladdr 02:00:00:00:00:05 dev hole0 &&
		mount --bind "$work/resolv.conf" /etc/resolv.conf &&
		mount --bind "$work/hosts" /etc/hosts &&
		mount --bind "$work/nsswitch.conf" /etc/nsswitch.conf
}

if [ -z "${work-}" ]; then
	command -v tool_resolve >/dev/null || { echo "tool_resolve is not built" && exit 77; }
	user=(-Ur)
	[ "$(id -u)" != 0 ] || user=()
	for file in resolv.conf hosts nsswitch.conf; do
		[ -e /etc/$file ] || { echo "no /etc/$file to mount over" && exit 77; }
	done
	unshare "${user[@]}" -nm ip link set lo up 2>/dev/null ||
		{ echo "no network namespace to be had here" && exit 77; }
	work=$(mktemp -d "${TMPDIR:-/tmp}/resolver.XXXXXX") || exit 1
	export work
	unshare "${user[@]}" -nm "$0"
	status=$?
	rm -rf "$work"
	exit $status
fi

servers=()
stop() {
	[ ${#servers[@]} -eq 0 ] || kill "${servers[@]}" 2>/dev/null
	wait
}
trap stop EXIT

printf 'search site1.test site2.test\nnameserver 127.0.0.1\n' >"$work/resolv.conf"
printf '127.0.0.1 localhost\n' >"$work/hosts"
printf 'hosts: files dns\n' >"$work/nsswitch.conf"
inside || { echo "no veth or bind mount to be had here" && exit 77; }

: >"$work/log"
mkfifo "$work/stdin" "$work/ready"
exec 8<>"$work/stdin" 9<>"$work/ready"

# await WORD: until a server says that it is ready.
await() {
	local line
	read -r -t 20 -u 9 line && [[ $line == "$1"* ]]
}

# name_service RULE...: a name server with these rules and those of site2.
name_service() {
	[ -z "${dnsd-}" ] || { kill "$dnsd" && wait "$dnsd"; } 2>/dev/null
	: >"$work/log"
	{
		printf '%s\n' "$@"
		echo '*.site1.test * nxdomain'
		echo 'pecia.site2.test A a=10.2.0.5'
		echo 'pecia.site2.test AAAA nodata'
		echo '*.site2.test * nxdomain'
	} >"$work/rules"
	python3 tests/dnsd.py --port 53 "$work/rules" "$work/log" <&8 >&9 &
	dnsd=$!
	servers=("$dnsd" ${listener:+"$listener"})
	await ready
}

passed=0
failed=0
# expect NAME WANTED COMMAND...: the command prints that, its trace left out.
expect() {
	local name=$1 wanted=$2 got
	shift 2
	got=$("$@" 2>&1 | tee "$work/out" | grep -v '^#')
	if [ "$got" = "$wanted" ]; then
		passed=$((passed + 1))
	else
		printf '%s: wanted\n%s\ngot\n%s\n' "$name" "$wanted" "$(cat "$work/out")"
		cat "$work/log"
		failed=$((failed + 1))
	fi
}

# check NAME COMMAND...: the command succeeds.
check() {
	local name=$1
	shift
	if "$@"; then
		passed=$((passed + 1))
	else
		echo "$name: not so"
		cat "$work/out" "$work/log"
		failed=$((failed + 1))
	fi
}

site2='pecia -> pecia.site2.test (search) -> 10.2.0.5'
fallback='192.0.2.1 (fallback) -> 192.0.2.1'
only_site1() { ! grep -q site2 "$work/log"; }
# Each name that was asked for is a whole one, below a search domain.
no_leak() { ! grep -vqE '^(udp|tcp) (_pecia\._tcp|pecia|mirror|_?[a-z]+)\.site[12]\.test ' "$work/log"; }

name_service 'pecia.site1.test A a=10.1.0.5' 'pecia.site1.test AAAA nodata'
expect "site1 has a mirror" "pecia -> pecia.site1.test (search) -> 10.1.0.5
$site2
$fallback" tool_resolve 192.0.2.1
check "no name but the two" no_leak

name_service
expect "site1 says NXDOMAIN" "$site2
$fallback" tool_resolve 192.0.2.1
check "no name but the two" no_leak

name_service 'pecia.site1.test * nodata'
expect "site1 has the name without address" "$site2" tool_resolve

for what in servfail refused drop lame rcode=4 garbage "tc mute"; do
	name_service "pecia.site1.test * $what"
	expect "site1 says $what" "$fallback" tool_resolve 192.0.2.1
	check "$what: site2 is not asked" only_site1
	check "$what: no other name" no_leak
	check "$what: it is said" grep -q '^# search stopped' "$work/out"
done

kill "$dnsd" && wait "$dnsd" 2>/dev/null
expect "no name server" "$fallback" tool_resolve 192.0.2.1
check "it is said" grep -q '^# pecia.site1.test: name server unreachable' "$work/out"

name_service '_pecia._tcp.site1.test SRV srv=2,0,7441,b.site1.test srv=1,0,7442,a.site1.test' \
	'a.site1.test A a=10.1.0.7' 'b.site1.test A a=10.1.0.8' '*.site1.test AAAA nodata'
expect "site1 has SRV records" "_pecia._tcp.site1.test -> a.site1.test:7442 (srv) -> 10.1.0.7
_pecia._tcp.site1.test -> b.site1.test:7441 (srv) -> 10.1.0.8
$site2" tool_resolve --srv
check "no name but those" no_leak

printf '127.0.0.1 localhost\n10.1.0.9 pecia.site1.test\n' >"$work/hosts"
name_service
expect "/etc/hosts counts when DNS says NXDOMAIN" "pecia -> pecia.site1.test (search) -> 10.1.0.9
$site2" tool_resolve
kill "$dnsd" && wait "$dnsd" 2>/dev/null
expect "/etc/hosts counts without a name server" \
	"pecia -> pecia.site1.test (search) -> 10.1.0.9" tool_resolve
printf '127.0.0.1 localhost\n' >"$work/hosts"

name_service 'mirror.site1.test A a=10.1.0.7' 'mirror.site1.test AAAA nodata'
expect "a server without dot is searched" "mirror -> mirror.site1.test (server) -> 10.1.0.7
$site2" tool_resolve --server mirror
expect "a server with a dot is not" "mirror.site1.test (server) -> 10.1.0.7
$site2" tool_resolve --server mirror.site1.test
export LOCALDOMAIN=site2.test RES_OPTIONS=ndots:9 HOSTALIASES=$work/aliases
echo 'mirror pecia.site2.test' >"$work/aliases"
expect "the environment changes nothing" "mirror -> mirror.site1.test (server) -> 10.1.0.7
$site2" tool_resolve --server mirror
unset LOCALDOMAIN RES_OPTIONS HOSTALIASES
check "no name but those" no_leak

# The first address of site1 swallows everything, the second one listens.
python3 -c '
import socket, sys
s = socket.create_server(("10.1.0.6", 7440), backlog=8)
print("listening", flush=True)
sys.stdin.read()' <&8 >&9 &
listener=$!
servers=("$dnsd" "$listener")
await listening
name_service 'pecia.site1.test A a=10.1.0.5 a=10.1.0.6' 'pecia.site1.test AAAA nodata'
expect "a black hole is passed" 10.1.0.6 \
	bash -c 'tool_resolve --dial | sed -n "s/.*search) -> //p"'
tool_resolve --dial >"$work/out"
took=$(sed -n 's/connected in \([0-9]*\) ms/\1/p' "$work/out")
check "within a second: ${took:-not} ms" test "${took:-9999}" -lt 1000

echo "$passed passed, $failed failed"
[ $failed -eq 0 ]
