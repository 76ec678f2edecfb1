#!/usr/bin/env bash
# Clocks that step back a year, or forward a year, at a mirror and at the origin,
# while all runs: nothing wrong is served or applied, what was complete is served
# on, and when the clock is right again all goes on by itself.
# run: parallel
# shellcheck disable=SC2317 # functions that check and wait_for call
set -uo pipefail
# shellcheck source=tests/faults.sh
. "$(dirname "$0")/faults.sh"
need python3 rsync
faults_begin
YEAR=$((365 * 86400))

shim=$T/clock.so
"${CC:-gcc}" -shared -fPIC -O2 -D_GNU_SOURCE -o "$shim" tests/clock/shim.c || fail "shim.c"
# set_clock NAME SECONDS: off by so much from now on; written in one piece
set_clock() {
	python3 -c 'import os, struct, sys
fd = os.open(sys.argv[1], os.O_RDWR | os.O_CREAT, 0o644)
os.pwrite(fd, struct.pack("=q", int(sys.argv[2])), 0)' "$T/clock-$1" "$2"
}
# with_clock NAME COMMAND...: what it starts has that clock
with_clock() {
	export LD_PRELOAD=$shim PECIA_CLOCK=$T/clock-$1
	"${@:2}"
	local status=$?
	unset LD_PRELOAD PECIA_CLOCK
	return "$status"
}
set_clock origin 0
set_clock mirror 0

tree=$T/tree
mkdir -p "$tree"
release=0
next_release() { # by the origin's clock
	release=$((release + 1))
	head -c 20000 /dev/urandom >"$tree/file"
	echo "$release" >"$tree/release"
	with_clock origin publish "machine=$tree:/" --exact --message "$release"
	rm -rf "$T/tree-$release"
	cp -a "$tree" "$T/tree-$release"
}
# The client's own clock is right.
client_has() { # RELEASE WHAT
	check "a client runs: $2" client c run --server "${mirror[m]}"
	check "it has release $1: $2" same_tree "$T/tree-$1" "$T/root-c"
}
is_whole() {
	check "all is whole: $1" peciactl --repo "$T/mirror-m" verify --anchor "$anchor"
}
health() { # LINE: the mirror's /healthz has it
	python3 -c '
import http.client, ssl, sys
context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
server = http.client.HTTPSConnection(sys.argv[1], context=context, timeout=20)
server.request("GET", "/healthz")
sys.exit(sys.argv[2] not in server.getresponse().read().decode())' "${mirror[m]}" "$1"
}

origin_init --address 127.0.0.1
next_release
# Its keeper collects all the time: what a clock says must not cost a release.
printf '[main]\nkeeper_delay = 0\nscrub_interval = 30\ncollect_interval = 1\nkeep_age = 30d\nlook_around = 1\n' \
	>"$T/none.conf"
with_clock origin origin_up
with_clock mirror mirror_up m "$origin" --workers 1
mirror_at m 1
client_init c
client_has 1 "all clocks are right"

# ---- the mirror's ----

set_clock mirror -$YEAR
next_release
mirror_at m 2
is_whole "the mirror's clock stepped back"
client_has 2 "the mirror's clock stepped back"
set_clock mirror $YEAR
check "heads are past their time for it" wait_for 20 health "fresh no"
next_release
sleep 2 # in which it would take it
check "it takes nothing that has expired for it" serial_is "$T/mirror-m" 2
is_whole "the mirror's clock stepped forward"
client_has 2 "the mirror's clock stepped forward"
set_clock mirror 0
mirror_at m 3
check "it is healthy again" wait_for 20 health "fresh yes"
client_has 3 "the mirror's clock is right again"
is_whole "the mirror's clock is right again"

# ---- the origin's ----

set_clock origin -$YEAR
next_release
sleep 2 # in which it would be taken
check "a head that has expired is not taken" serial_is "$T/mirror-m" 3
client_has 3 "the origin's clock stepped back"
set_clock origin 0
# The refresher sees that its head is old within half a minute.
check "signed again, it is" wait_for 60 serial_is "$T/mirror-m" 4
client_has 4 "the origin's clock is right again"
set_clock origin $YEAR
next_release
mirror_at m 5
check "a client runs under a head from the future" client c run --server "${mirror[m]}"
says "clock"
check "it has release 5" same_tree "$T/tree-5" "$T/root-c"
set_clock origin 0
next_release
mirror_at m 6
client_has 6 "the origin's clock came back from the future"
is_whole "in the end"
check "of the origin, too" peciactl verify
done_checks
