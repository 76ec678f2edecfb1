#!/usr/bin/env bash
# A server's first address swallows packets: that costs a run less than a second.
# run: limit 120
# shellcheck disable=SC2317 # functions that check and wait_for call
set -uo pipefail
# shellcheck source=tests/net.sh
. "$(dirname "$0")/net.sh"
cd "$(dirname "$0")/.." || exit 1
net_begin "$@"
# shellcheck source=tests/faults.sh
. tests/faults.sh
need python3
faults_begin
net_origin
net_site a 1

# Addresses that nobody has and that the client believes to know the way to.
client_ns=$NET-a-client
for hole in 66 67; do
	ip -n "$client_ns" neigh add 10.77.1.$hole lladdr 02:00:00:00:00:$hole dev eth0 nud permanent
done
ip -n "$client_ns" addr add fd77::100/64 dev eth0 nodad
ip -n "$client_ns" -6 neigh add fd77::66 lladdr 02:00:00:00:00:66 dev eth0 nud permanent

# Names of our own; the order of the addresses is the client's choice.
cat >"$T/names" <<-'RULES'
	good.site-a.example A a=10.77.1.10
	one.site-a.example A a=10.77.1.66 a=10.77.1.10
	last.site-a.example A a=10.77.1.10 a=10.77.1.66
	two.site-a.example A a=10.77.1.66 a=10.77.1.67 a=10.77.1.10
	six.site-a.example A a=10.77.1.10
	six.site-a.example AAAA aaaa=fd77::66
	*.site-a.example * nodata
RULES
mkfifo "$T/alive"
exec 8<>"$T/alive"
ip netns exec "$client_ns" python3 tests/dnsd.py --address 127.0.0.1 --port 53 "$T/names" \
	"$T/names.log" <"$T/alive" >"$T/names.out" 2>&1 &
running+=($!)
wait_for 10 grep -q ready "$T/names.out" || fail "dnsd.py"
printf 'search site-a.example\nnameserver 127.0.0.1\n' >"/etc/netns/$client_ns/resolv.conf"

mkdir "$T/tree"
seq 1000 >"$T/tree/file"
in_host a-mirror
listen=10.77.1.10:7440
origin_init --address 10.77.1.10
origin_up
publish "machine=$T/tree:/" --exact
in_host a-client
client_init c
client_run c 10.77.1.10

# run_by NAME: milliseconds of a whole run that finds its server by that name.
run_by() {
	local begun=$EPOCHREALTIME
	printf '[main]\nsrv = no\nname = %s\nwan_fallback = never\n' "$1" >"$T/client.conf"
	client c run >"$T/out" 2>&1 || { echo 999999 && return; }
	echo $(((${EPOCHREALTIME/./} - ${begun/./}) / 1000))
}
median() {
	sort -n | sed -n 3p
}
declare -A took=()
for _ in 1 2 3 4 5; do
	for name in good one last two six; do
		took[$name]+="$(run_by $name)"$'\n'
	done
done
good=$(median <<<"${took[good]::-1}")
echo "good: $good ms"
for name in one last two six; do
	ms=$(median <<<"${took[$name]::-1}")
	echo "$name: $ms ms"
	check "$name: a second at most" test $((ms - good)) -lt 1000
done
# A look at what was tried: one of these runs met the hole.
most=$(printf '%s\n' "${took[@]}" | sort -n | tail -n 1)
check "some run met a black hole" test "$most" -ge $((good + 150))

# With no address that answers it ends soon, and says so.
cat >"$T/client.conf" <<-'CONF'
	[main]
	srv = no
	server = 10.77.1.66
CONF
begun=$SECONDS
refuses 1 '10.77.1.66' client c run
check "and soon" test $((SECONDS - begun)) -lt 10
done_checks
