#!/usr/bin/env bash
# run: parallel
# run: limit 120
# pecia daemon: when it runs, what signals do, and what ends a run.
# shellcheck disable=SC2317 # check and wait_for call functions
set -uo pipefail
cd "$(dirname "$0")/.." || exit 1
# shellcheck source=tests/e2e.sh
. tests/e2e.sh
need python3 rsync flock pgrep
e2e_begin

S=$T/tree
R=$T/root-a/data
mkdir -p "$S"
echo one >"$S/motd"
origin_init --org test
publish "tree=$S:/data" --exact
origin_up
client_init a

configure() {
	{ echo "[main]" && printf '%s\n' "server = $origin" "max_delete = none" "$@"; } \
		>"$T/client.conf"
}
daemon() { # OPTION...: another log each time
	log=$T/daemon-$((++daemons)).log
	launch "$log" pecia --config "$T/client.conf" --root "$T/root-a" \
		--state "$T/state-a" daemon "$@"
	pid=$started
	wait_for 20 logged "daemon started" || fail "daemon: $(cat "$log")"
}
daemons=0
logged() { # TEXT [TIMES]: at least so often
	[ "$(grep -c -- "$1" "$log")" -ge "${2:-1}" ]
}
exactly() { # TIMES TEXT
	[ "$(grep -c -- "$2" "$log")" = "$1" ]
}
signal() {
	kill "-$1" "$pid"
}
ends() { # the daemon, with status 0
	local status
	wait "$pid"
	status=$?
	[ "$status" = 0 ] || cat "$log"
	return "$status"
}
gone() {
	! kill -0 "$1"
}
childless() { # neither a run nor a zombie
	! pgrep -P "$pid"
}
is() { # FILE TEXT
	[ "$(cat "$1" 2>/dev/null)" = "$2" ]
}

# ---- what makes no sense ----

refuses 64 "--runinterval 0" client a daemon --runinterval 0
refuses 64 "--runinterval belongs to daemon" client a run --runinterval 5
configure "splay = x"
refuses 64 "client.conf:4: splay" client a daemon

# ---- at start, and on USR1 ----

configure "runinterval = 1h"
daemon
check "runs at start" wait_for 20 logged "run ended result=changed"
check "applied" is "$R/motd" one
echo two >"$S/motd"
publish "tree=$S:/data" --exact
signal USR1
check "runs on USR1" wait_for 20 logged "run ended result=changed" 2
check "applied again" is "$R/motd" two
signal USR1
check "nothing to change" wait_for 20 logged 'run ended result="nothing to change"'
check "three runs, three lines" exactly 3 "run ended"
check "no zombie" childless

# ---- configuration ----

configure "runinterval = never"
signal HUP
check "a bad one is told" wait_for 20 logged "the old one stays error=.*client.conf:4: runinterval"
signal USR1
check "and the old one used" wait_for 20 logged "run ended" 4
check "without failing" exactly 0 "result=failed"
configure "runinterval = 1h" "channel = testing"
signal HUP
check "a good one is taken" wait_for 20 logged "configuration reloaded"
signal USR1
check "and used" wait_for 20 logged "result=failed"
configure "runinterval = 1s"
signal HUP
check "a shorter interval counts at once" wait_for 20 logged "nothing to change" 5
check "disable" client a disable "disk is being replaced"
check "is skipped and told" wait_for 20 logged "run skipped why=disabled" 2
check "with the reason" logged "disk is being replaced"
check "enable" client a enable
had=$(grep -c "run ended" "$log")
check "goes on" wait_for 20 logged "run ended" $((had + 1))
exec 8>"$T/state-a/lock"
flock 8
check "another run is told" wait_for 20 logged 'run skipped why="another is under way"'
flock -u 8
exec 8>&-
signal TERM
check "ends on TERM" ends
check "says so" logged "daemon ended"

# ---- a run under way ----

# A prerun_command is before anything is changed, a postrun_command after.
hold='/bin/sh -c "echo >>'$T'/at; while test -e '$T'/hold; do sleep 0.02; done"'
touch "$T/hold"
configure "prerun_command = $hold"
daemon --runinterval 1h
check "is held" wait_for 20 test -s "$T/at"
signal USR1
signal USR1
signal USR1
check "one at a time" test "$(pgrep -c -P "$pid")" = 1
rm "$T/hold"
check "many requests are one more run" wait_for 20 logged "run ended" 2
check "and no third" test "$(wc -l <"$T/at")" = 2

touch "$T/hold"
: >"$T/at"
signal USR1
check "is held" wait_for 20 test -s "$T/at"
kill -KILL "$(pgrep -P "$pid")"
check "a killed run is told" wait_for 20 logged "run ended result=killed signal=Killed"
rm "$T/hold"
signal USR1
check "and the daemon goes on" wait_for 20 logged "run ended" 4
check "no zombie" childless

touch "$T/hold"
: >"$T/at"
signal USR1
check "is held" wait_for 20 test -s "$T/at"
signal TERM
check "before the change it is cut short" ends
check "and told" logged 'run ended result="cut short"'
rm "$T/hold"

echo three >"$S/motd"
publish "tree=$S:/data" --exact
configure "postrun_command = $hold"
touch "$T/hold"
: >"$T/at"
daemon
check "is held" wait_for 20 test -s "$T/at"
signal TERM
run=$(pgrep -P "$pid")
kill -HUP "$run"
kill -USR1 "$run"
sleep 0.2
check "after the change it goes on" kill -0 "$run"
check "and the daemon waits for it" kill -0 "$pid"
rm "$T/hold"
check "it ends" ends
check "as a whole" logged "run ended result=changed"
check "applied" is "$R/motd" three

# ---- splay ----

configure "host = web1.example.com" "splay = 30m"
slot=$(python3 -c 'import hashlib
print(int(hashlib.sha256(b"web1.example.com").hexdigest()[:16], 16) % 1800)')
daemon
check "the host's own moment" logged "first_in=$slot"
check "no run before" exactly 0 "run ended"
signal INT
check "ends on INT" ends

# ---- the service manager ----

python3 - "$T/notify" >"$T/told" <<'PYTHON' &
import socket, sys
s = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
s.bind(sys.argv[1])
while True:
    text = s.recv(4096).decode()
    print(text, flush=True)
    if text.startswith("STOPPING"):
        break
PYTHON
listener=$!
running+=("$listener")
check "it listens" wait_for 20 test -S "$T/notify"
configure
export NOTIFY_SOCKET=$T/notify
daemon
unset NOTIFY_SOCKET
check "a run" wait_for 20 logged "run ended"
signal HUP
check "reloads" wait_for 20 logged "configuration reloaded"
signal TERM
check "ends" ends
wait "$listener"
for word in READY=1 "STATUS=running" "STATUS=last run: nothing to change; next run at 2" \
	RELOADING=1 STOPPING=1; do
	check "is told $word" grep -q -- "^$word" "$T/told"
done

# ---- a server ----

for process in "$origin_pid" $(pgrep -P "$origin_pid"); do
	kill -HUP "$process"
done
check "peciad serves on after HUP" client a run
check "with the same process" kill -0 "$origin_pid"
check "and no restarted one" test "$(grep -c "process ended" "$T/origin.log")" = 0

done_checks
