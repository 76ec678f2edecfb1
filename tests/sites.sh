#!/usr/bin/env bash
# An origin and three sites behind lines of 50 ms, 20 Mbit/s and 1 % loss:
# publish, converge, lose the origin, lose a site, heal, feed a mirror from a
# mirror, hold a rate, lose the origin for good, promote a mirror, publish again;
# all that crosses each line is counted.
# run: parallel
# run: limit 400
# shellcheck disable=SC2317 # functions that check and wait_for call
set -uo pipefail
# shellcheck source=tests/net.sh
. "$(dirname "$0")/net.sh"
cd "$(dirname "$0")/.." || exit 1
net_begin "$@"
# shellcheck source=tests/faults.sh
. tests/faults.sh
need python3 rsync
faults_begin
# Here names are looked up, and other sites' mirrors taken from the roster.
printf '[main]\nsrv = no\nmax_delete = none\n' >"$T/client.conf"

net_origin
net_line --delay 25000 --rate 20000000 --loss 10000
net_site a 1
net_site b 2
net_site c 3
echo "lines: 50 ms, 20 Mbit/s, 1 % loss, $(on a-mirror cat /proc/sys/net/ipv4/tcp_congestion_control)"

# ---- what is counted ----

declare -A crossed_before=()
mark() {
	local site
	for site in a b c; do
		crossed_before[$site]=$(wan_bytes $site)
	done
}
crossed() { # SITE
	echo $(($(wan_bytes "$1") - crossed_before[$1]))
}
# at_most BYTES SITE WHAT
at_most() {
	local bytes
	bytes=$(crossed "$2")
	echo "site $2: $bytes bytes crossed its line: $3"
	check "site $2, at most $1 bytes, not $bytes: $3" test "$bytes" -le "$1"
}
at_least() {
	local bytes
	bytes=$(crossed "$2")
	check "site $2, at least $1 bytes, not $bytes: $3" test "$bytes" -ge "$1"
}

# ---- the hosts ----

mirror_at_site() { # SITE NUMBER UPSTREAM...
	in_host "$1-mirror"
	listen=10.77.$2.10:7440
	mirror_up "$1" "${@:3}"
	in_host
}
# The client of a site, which knows nothing but the short name.
run_at() { # SITE OPTION...
	in_host "$1-client"
	client "$1" run "${@:2}"
	local status=$?
	in_host
	return "$status"
}
applied() { # SITE TREE
	same_tree "$T/$2" "$T/root-$1"
}
# Each client on its own site's mirror, and no byte of it on any line but what
# keeps the mirrors' polls alive.
QUIET=6000
clients_get() { # TREE SITE...
	local site tree=$1
	shift
	mark
	for site; do
		check "client of $site runs" run_at "$site"
		matches "site site-$site:"
		check "client of $site has $tree" applied "$site" "$tree"
	done
	for site; do
		at_most $QUIET "$site" "a client with a mirror of its own site"
	done
}
next_tree() { # FROM TO: 1 % edited, some new that does not compress
	cp -a "$T/$1" "$T/$2"
	seq 40 >>"$T/$2/etc/f7"
	head -c "$CHANGE" /dev/urandom >"$T/$2/etc/new-$2"
}

# ---- from nothing ----

WHOLE=3000000
CHANGE=300000
mkdir -p "$T/one/etc"
for i in $(seq 60); do
	seq -f "%g of $i" 400 >"$T/one/etc/f$i"
done
head -c $WHOLE /dev/urandom >"$T/one/etc/image"
origin_init --address 10.77.0.1
in_host origin
listen=10.77.0.1:7440
origin_up
in_host
publish "machine=$T/one:/" --exact --message one
mark
mirror_at_site a 1 "$origin"
mirror_at_site b 2 "$origin" 10.77.1.10:7440
mirror_at_site c 3 10.77.1.10:7440 "$origin"
for site in a b c; do
	mirror_at $site 1
done
# Site a's line carries it twice: to a, and from a to c.
at_most $((WHOLE * 13 / 10)) b "the first release"
at_most $((WHOLE * 13 / 10)) c "the first release, from site a"
at_most $((WHOLE * 26 / 10)) a "the first release, and to site c"
for site in a b c; do
	in_host $site-client
	client_init $site
	in_host
done
clients_get one a b c

# ---- a change: each line carries it once a site ----

next_tree one two
mark
publish "machine=$T/two:/" --exact --message two
for site in a b c; do
	mirror_at $site 2
done
at_least $CHANGE b "a change"
at_most $((CHANGE * 13 / 10)) b "a change"
at_most $((CHANGE * 13 / 10)) c "a change, from site a"
at_most $((CHANGE * 26 / 10)) a "a change, and to site c"
clients_get two a b c

# ---- the origin is cut off: sites go on, and a new one opens ----

ip -n "$NET-wan" link set origin down
clients_get two a b c
stop "${mirror_pid[b]}"
rm -rf "$T/mirror-b"
mirror_at_site b 2 "$origin" 10.77.1.10:7440
mirror_at b 2
check "an empty mirror is complete without the origin" \
	peciactl verify --repo "$T/mirror-b"
ip -n "$NET-wan" link set origin up

# ---- a site is cut off ----

cut_line b
next_tree two three
mark
publish "machine=$T/three:/" --exact --message three
mirror_at a 3
mirror_at c 3
check "the site that is cut off is where it was" serial_is "$T/mirror-b" 2
clients_get three a c
check "its client runs" run_at b
check "its client has what it had" applied b two
join_line b
mirror_at b 3
at_most $((CHANGE * 14 / 10)) b "what it missed"
clients_get three b

# ---- its mirror is gone: the client goes to another site, and home again ----

stop "${mirror_pid[b]}"
next_tree three four
publish "machine=$T/four:/" --exact --message four
mirror_at a 4
check "client of b runs without its mirror" run_at b
matches "site (origin|site-[ac]):"
check "client of b has release 4" applied b four
mirror_at_site b 2 "$origin" 10.77.1.10:7440
mirror_at b 4
clients_get four a b c

# ---- a line that is not to be filled ----

RATE=4 # Mbit/s
stop "${mirror_pid[b]}"
printf '[main]\nmax_rate = %dMbit\n' $RATE >"$T/none.conf"
mirror_at_site b 2 "$origin" 10.77.1.10:7440
: >"$T/none.conf"
has_crossed() { # BYTES SITE
	[ "$(crossed "$2")" -ge "$1" ]
}
cp -a "$T/four" "$T/five"
head -c $WHOLE /dev/urandom >"$T/five/etc/image"
mark
publish "machine=$T/five:/" --exact --message five
wait_for 30 has_crossed $((WHOLE / 10)) b || fail "nothing crosses the line of b"
begun=$EPOCHREALTIME
bytes=$(crossed b)
wait_for 60 has_crossed $((WHOLE * 9 / 10)) b || fail "too little crosses the line of b"
percent=$(awk -v a="$begun" -v b="$EPOCHREALTIME" -v n=$(($(crossed b) - bytes)) -v rate=$RATE \
	'BEGIN { printf "%.0f", 100 * n * 8 / (b - a) / (rate * 1e6) }')
check "max_rate holds within 10 %, not $percent % of it" test "$percent" -le 110 -a "$percent" -ge 85
for site in a b c; do
	mirror_at $site 5
done
at_most $((WHOLE * 13 / 10)) b "at a held rate"
clients_get five a b c

# ---- the origin is lost for good: a mirror is promoted ----

stop "$origin_pid"
stop "${mirror_pid[a]}"
check "a mirror is promoted" peciactl --repo "$T/mirror-a" --keys "$T/keys" promote
in_host a-mirror
listen=10.77.1.10:7440
serve "$T/promoted.log" --repo "$T/mirror-a" --identity "$T/id-a" --keys "$T/keys"
in_host
cp -a "$T/five" "$T/six"
head -c $CHANGE /dev/urandom >"$T/six/etc/new-six"
mark
check "it publishes" on a-mirror peciactl --repo "$T/mirror-a" --keys "$T/keys" \
	publish "machine=$T/six:/" --exact --message six --identity "$T/id-a"
serial=$(serial_of "$T/mirror-a")
check "serials go on upward" test "$serial" -gt 5
for site in b c; do
	mirror_at $site "$serial"
done
for site in b c; do
	at_most $((CHANGE * 13 / 10)) $site "a change, from the promoted mirror"
done
clients_get six a b c
done_checks
