#!/usr/bin/env bash
# Transfers that are cut go on where they stopped: a mirror's, when the line
# goes, when its own peciad does; a client's, at the next server.
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

RATE=20 # Mbit/s
net_origin
net_site a 1
ip netns exec "$NET-a-router" tc qdisc add dev wan root tbf rate ${RATE}mbit burst 64kb latency 100ms 2>/dev/null ||
	skip "no tc tbf here"
ip netns exec "$NET-origin" tc qdisc add dev eth0 root tbf rate ${RATE}mbit burst 64kb latency 100ms

tree=$T/tree
mkdir -p "$tree" "$T/alone"
seq 100 >"$tree/small"
origin_init --address 10.77.0.1
in_host origin
listen=10.77.0.1:7440
origin_up
in_host
publish "machine=$tree:/" --exact --message one
mirror_on_a() {
	in_host a-mirror
	listen=10.77.1.10:7440
	alone mirror_up m "$origin"
	in_host
}
mirror_on_a
mirror_at m 1

line() { # up or down
	ip -n "$NET-wan" link set site-a "$1"
}
# crossed BYTES WORD: waits until so many came over the line since $before
crossed() {
	[ $(($(wan_bytes a) - before)) -ge "$1" ]
}
# at_most FACTOR_PERCENT SIZE WHAT
at_most() {
	local bytes=$(($(wan_bytes a) - before))
	echo "$3: $bytes bytes over the line for $2"
	check "$3: it goes on where it stopped" test "$bytes" -lt $(($2 * $1 / 100))
}

# ---- a large object: it comes as itself, for there is no release before ----

# While the line is down, so that the whole is ahead of the mirror.
line down
head -c 12000000 /dev/urandom >"$T/alone/large"
publish "other=$T/alone:/other" --channel testing --message "large object"
before=$(wan_bytes a)
line up
check "a third of it crosses" wait_for 60 crossed 4000000
line down
sleep 1 # longer than what is on its way takes
check "it is not complete" test -z "$(serial_of "$T/mirror-m" testing)"
line up
check "it gets there" wait_for 120 at_serial "$T/mirror-m" 1 testing
at_most 150 12000000 "a large object, the line cut"

# ---- a data transcript ----

seq 200 >"$tree/small"
publish "machine=$tree:/" --exact --message two
wait_for 60 at_serial "$T/mirror-m" 2 || not_so "release 2"
for part in one two three; do
	head -c 4000000 /dev/urandom >"$tree/part-$part"
done
line down
publish "machine=$tree:/" --exact --message three
before=$(wan_bytes a)
line up
check "a third of it crosses" wait_for 60 crossed 4000000
line down
sleep 1
check "the old release is served" at_serial "$T/mirror-m" 2
line up
check "it gets there" wait_for 120 at_serial "$T/mirror-m" 3
at_most 150 12000000 "a data transcript, the line cut"

# ---- the same with peciad's end in the middle ----

for part in one two three; do
	head -c 4000000 /dev/urandom >"$tree/part-$part"
done
before=$(wan_bytes a)
publish "machine=$tree:/" --exact --message four
check "a third of it crosses" wait_for 60 crossed 4000000
end_group "${mirror_pid[m]}" KILL
mirror_on_a
check "it gets there" wait_for 120 at_serial "$T/mirror-m" 4
at_most 150 12000000 "a data transcript, peciad killed"
head -c 12000000 /dev/urandom >"$T/alone/large"
before=$(wan_bytes a)
publish "third=$T/alone:/third" --channel third --message "large object"
check "a third of it crosses" wait_for 60 crossed 4000000
stop "${mirror_pid[m]}"
mirror_on_a
check "it gets there" wait_for 120 at_serial "$T/mirror-m" 1 third
at_most 150 12000000 "a large object, peciad restarted"
check "all of it is right" peciactl --repo "$T/mirror-m" verify --anchor "$anchor"

# ---- a client whose server dies in the middle ----

# From the origin over the line; then from its own site's mirror.
printf '[main]\nsrv = no\nfallback = 10.77.0.1 10.77.1.10\n' >"$T/client.conf"
printf 'nameserver 127.0.0.1\n' >"/etc/netns/$NET-a-client/resolv.conf"
in_host a-client
client_init c
before=$(wan_bytes a)
client c run >"$T/c.out" 2>&1 &
run=$!
running+=("$run")
check "a third of it crosses" wait_for 60 crossed 4000000
stop "$origin_pid" KILL
wait "$run"
status=$?
cp "$T/c.out" "$T/out"
check "the client goes on at the next one" test "$status" = 0
cp "$T/c.out" "$T/out"
told 'server passed over.*10.77.0.1' 'release 4'
check "is release 4" same_tree "$tree" "$T/root-c"
done_checks
