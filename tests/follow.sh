#!/usr/bin/env bash
# run: parallel
# run: limit 120
# pecia daemon that follows: a new release begins a run over the connection that
# waited for it; what it does when that fails, and what is no news.
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
origin_init --org test
new() { # WORD: a release with it
	echo "$1" >"$S/motd"
	publish "tree=$S:/data" --exact
}
new one
origin_options=(--workers 1)
origin_up
listen=$origin # of the one that comes after a restart, too
client_init a

configure() {
	{ echo "[main]" && printf '%s\n' "server = $origin" "max_delete = none" \
		"runinterval = 1h" "follow = yes" "$@"; } >"$T/client.conf"
}
daemon() { # OPTION...: another log each time
	log=$T/daemon-$((++daemons)).log
	launch "$log" pecia --config "$T/client.conf" --root "$T/root-a" \
		--state "$T/state-a" daemon --verbose "$@"
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
is() { # FILE TEXT
	[ "$(cat "$1" 2>/dev/null)" = "$2" ]
}
waits() { # the daemon, and nobody else
	[ "$(metric "$origin" pecia_http_waiting)" = 1 ]
}
settled() {
	wait_for 30 waits
}
fetcher() {
	pgrep -P "$pid"
}
ends() { # the daemon, with status 0, and its fetcher
	local status fetcher
	fetcher=$(fetcher)
	kill "$pid"
	wait "$pid"
	status=$?
	[ "$status" = 0 ] || cat "$log"
	[ "$status" = 0 ] && ! kill -0 "$fetcher" 2>/dev/null
}

# ---- news ----

configure
daemon
check "runs at start" wait_for 20 logged "run ended result=changed"
check "waits" settled
before=$(metric "$origin" pecia_http_connections_total)
for word in two three; do
	had=$(grep -c "run ended" "$log")
	new "$word"
	check "$word: a run begins" wait_for 20 logged "run ended result=changed" $((had + 1))
	check "applied" is "$R/motd" "$word"
	check "waits again" settled
done
after=$(metric "$origin" pecia_http_connections_total)
# Each question of ours is a connection, too.
check "over one connection" test $((after - before)) -le 6
check "and nothing was lost" exactly 0 "lost"
check "nothing else ran" exactly 3 "run ended"

# ---- no news ----

new four
client a run >"$T/out" 2>&1 # one of the two is first, the other finds nothing to do
check "applied by hand or by news" wait_for 20 is "$R/motd" four
check "waits again" settled
new five
check "and follows on" wait_for 20 is "$R/motd" five
check "waits again" settled

# ---- what is lost ----

kill -KILL "$(fetcher)"
check "another fetcher" settled
new six
check "follows on" wait_for 20 is "$R/motd" six
check "waits again" settled

kill "$origin_pid"
wait "$origin_pid"
# Its last answer may come sooner than a poll is held.
wait_for 20 logged 'the server \(is lost\|does not let us wait\)' || not_so "the loss is told"
origin_up
check "a server that is back" settled
new seven
check "follows on" wait_for 20 is "$R/motd" seven

# ---- runs that may not be, or fail ----

check "waits again" settled
check "disable" client a disable "disk is being replaced"
new eight
check "is skipped and told" wait_for 20 logged "run skipped why=disabled"
check "nothing was changed" is "$R/motd" seven
check "enable" client a enable
check "and made up for" wait_for 20 is "$R/motd" eight
check "waits again" settled

configure "prerun_command = /bin/false"
kill -HUP "$pid"
check "reloads" wait_for 20 logged "configuration reloaded"
check "and waits with that" settled
new nine
check "fails" wait_for 20 logged "result=failed"
sleep 2 # would be hundreds of runs
check "and not again and again" test "$(grep -c "result=failed" "$log")" -le 2
configure
kill -HUP "$pid"
check "what is right again is made up for" wait_for 20 is "$R/motd" nine
check "waits again" settled
check "ends with all of its own" ends

# ---- spread ----

configure "follow_splay = 30m"
daemon
check "waits" settled
new ten
busy() { # what heard of it waits for its turn
	[ "$(pgrep -c -P "$pid")" = 2 ]
}
check "hears" wait_for 20 busy
check "and waits for its turn" exactly 1 "run ended"
kill -USR1 "$pid"
check "USR1 is at once" wait_for 20 logged "run ended result=changed"
check "applied" is "$R/motd" ten
check "waits again" settled
check "ends" ends

configure
sed -i /follow/d "$T/client.conf"
daemon
check "runs" wait_for 20 logged "run ended"
check "no fetcher stays where nothing is followed" test -z "$(fetcher)"
check "ends" ends
daemon --follow
check "but by option" settled
check "ends" ends

done_checks
