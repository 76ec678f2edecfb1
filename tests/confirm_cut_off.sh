#!/usr/bin/env bash
# A release that takes the machine's network away is undone by itself: the file
# that says so, and by postrun_command what it did.
# run: limit 240
# shellcheck disable=SC2317 # functions that check and wait_for call
set -uo pipefail
# shellcheck source=tests/net.sh
. "$(dirname "$0")/net.sh"
cd "$(dirname "$0")/.." || exit 1
net_begin "$@"
# shellcheck source=tests/faults.sh
. tests/faults.sh
need python3 rsync pgrep
faults_begin
net_origin
net_site a 1

S=$T/tree R=$T/root-c
mkdir -p "$S/etc"
release() { # WORD: what the interface is to be
	echo "$1" >"$S/etc/eth0"
	publish "machine=$S:/" --exact
}
in_host a-mirror
listen=10.77.1.10:7440
origin_init --address 10.77.1.10
release up
origin_up
in_host a-client
client_init c

# A /dev of its own, with a log that we read.
mkdir "$T/dev"
for device in null urandom; do
	cp -a /dev/$device "$T/dev/"
done
start a-client "$T/syslog" python3 -c '
import socket, sys
log = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
log.bind(sys.argv[1])
print("open", flush=True)
while True: print(log.recv(9000).decode(), flush=True)' "$T/dev/log"
wait_for 10 grep -q open "$T/syslog" || fail "no log"
# shellcheck disable=SC2016 # for the inner shell
host_prefix+=(unshare -m sh -c 'mount --bind "$0" /dev && exec "$@"' "$T/dev")
cat >"$T/client.conf" <<-CONF
	[main]
	srv = no
	confirm = 3
	postrun_command = /bin/sh -c 'ip link set eth0 "\$(cat "\$PECIA_ROOT/etc/eth0")"'
CONF
run() {
	client c run --server 10.77.1.10 "$@"
}
is_reached() {
	on a-mirror timeout 2 bash -c 'exec 3<>/dev/tcp/10.77.1.100/2222'
}
is_cut_off() {
	! is_reached
}
state_is() {
	grep -q "\"state\": \"$1\"" < <(client c status --json)
}

# Whoever would say `pecia confirm` comes in here.
start a-client "$T/door.out" python3 -c 'import socket
door = socket.create_server(("10.77.1.100", 2222))
print("open", flush=True)
while True: door.accept()[0].close()'
wait_for 10 grep -q open "$T/door.out" || fail "no door"

check "a first run" run
check "is confirmed" client c confirm
check "it is reached" is_reached
release down
# From a terminal of its own that is gone at once.
check "the run that cuts it off" setsid "${host_prefix[@]}" pecia --config "$T/client.conf" \
	--root "$R" --state "$T/state-c" run --server 10.77.1.10
says "rolled back in 3 s unless"
check "the file says so" grep -qx down "$R/etc/eth0"
check "it is not reached" is_cut_off
check "it comes back by itself" wait_for 60 is_reached
check "the file is as before" grep -qx up "$R/etc/eth0"
check "it says why" wait_for 20 state_is undone
check "syslog has it" grep -E '^<28>.* pecia\[[0-9]+\]: not confirmed: rolled back .*serial=2 to=1' "$T/syslog"
check_exit 1 "status" client c status
matches '^wrong +release 2 was not confirmed until .*: rolled back$'
check "the next run does not do it again" run
says "release 2 was rolled back on this machine"
check "it is reached" is_reached
release up
echo mended >"$S/etc/motd"
publish "machine=$S:/" --exact
check "a newer release is applied" run
check "is confirmed" client c confirm
check "nothing differs" same_tree "$S" "$R"
check "it is reached" is_reached

# Without anybody: what still reaches a server confirms itself.
echo "confirm_by = server" >>"$T/client.conf"
release up
echo "mended again" >"$S/etc/motd"
publish "machine=$S:/" --exact
is_confirmed() {
	[ ! -e "$T/state-c/confirm" ]
}
check "a run that does not cut it off" run
check "is confirmed by itself" wait_for 20 is_confirmed
refuses 8 "nothing waits" client c confirm
check "nothing differs" same_tree "$S" "$R"
release down
check "one that does" run
check "it is not reached" is_cut_off
check "it comes back by itself" wait_for 60 is_reached
check "it says why" wait_for 20 state_is undone

nobody_watches() {
	! pgrep -f -- "--state $T/state-c run"
}
check "the watchers end" wait_for 20 nobody_watches

# Nobody is left to watch: the first command that may change something, without
# any network.
release down
check "cut off again" run --confirm 3
kill -9 "$(pgrep -f -- "--state $T/state-c run")"
overdue() {
	grep -q '"seconds_left": 0' < <(client c status --json)
}
check "its time goes by" wait_for 20 overdue
check "it is not reached" is_cut_off
check "the next run" run
check "it is reached" is_reached
check "the file is as before" grep -qx up "$R/etc/eth0"
done_checks
