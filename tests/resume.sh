#!/usr/bin/env bash
# A client's run takes up the TLS session of the run before, with any worker, after
# a reload, from a mirror and from another program; and shakes hands in full, with
# nothing said of it, where that is not to be had.
# run: parallel
# run: limit 240
# shellcheck disable=SC2317 # functions that check and wait_for call
set -uo pipefail
cd "$(dirname "$0")/.." || exit 1
# shellcheck source=tests/e2e.sh
. tests/e2e.sh
need curl python3
e2e_begin

metric() { # KIND: of the handshakes at $here
	curl -sk "https://$here/metrics" |
		sed -n "s/^pecia_tls_handshakes_total{kind=\"$1\"} //p"
}
# Runs the client; $resumed and $full are what that was, besides curl's own.
run() { # CLIENT
	local before
	before=$(metric resumed)
	full=$(metric full)
	client_run "$1" "$here"
	resumed=$(($(metric resumed) - before))
	full=$(($(metric full) - full - 2))
}
taken_up() { # NAME: the next run of the client a is a resumed one
	run a
	check "$1: resumed" test "$resumed $full" = "1 0"
}
in_full() { # NAME
	run a
	check "$1: in full" test "$resumed $full" = "0 1"
}
bytes() {
	python3 -c 'import json, sys
counted = json.load(open(sys.argv[1]))["counts"]
print(counted["bytes_received"] + counted["bytes_sent"])' "$T/state-a/last_run_summary.json"
}
tickets=$T/state-a/tickets

mkdir "$T/tree"
seq 100 >"$T/tree/file"
origin_init --org test
publish "tree=$T/tree:/" --exact
origin_options=(--workers 3)
origin_up
here=$origin

# ---- from run to run ----

client_init a
run a
check "nothing is kept of a server that was a stranger" test ! -e "$tickets"
in_full "the second run"
whole=$(bytes)
check "only its owner reads what is kept" test "$(stat -c %a "$tickets")" = 600
for i in 1 2 3 4 5 6; do # three workers
	cp "$tickets" "$T/used"
	taken_up "run $i after it"
	check "the ticket is another one" test "$(cmp -s "$tickets" "$T/used" || echo so)" = so
done
check "it costs less than three quarters" test "$(($(bytes) * 4))" -lt "$((whole * 3))"

# ---- what is kept is lost, or not ours ----

rm "$tickets"
in_full "lost"
taken_up "after that"
flip "$tickets"
in_full "damaged"
: >"$tickets"
in_full "empty"
head -c 1000000 /dev/zero >"$tickets"
in_full "huge"
truncate -s -1 "$tickets"
in_full "cut short"
client_init b
client_run b "$here"
client_run b "$here"
cp "$T/state-b/tickets" "$tickets"
in_full "of another machine"
taken_up "after all that"

# ---- what a server keeps ----

reloaded() { # COUNT
	[ "$(grep -c 'configuration reloaded' "$T/origin.log")" = "$1" ]
}
kill -HUP "$origin_pid"
wait_for 20 reloaded 1 || fail "no reload"
taken_up "after a reload"
ps -o pid= --ppid "$origin_pid" | xargs kill -KILL
wait_for 20 curl -sk "https://$here/healthz" || fail "no worker again"
taken_up "by workers that were started again"
stop "$origin_pid"
listen=$here
origin_up
check "the run ends well" client a run --server "$here"
check "and nothing is said of it" test ! -s "$T/out"
taken_up "after a restart"

# ---- not wanted ----

printf 'tls_resume = no\n' >>"$T/client.conf"
in_full "the client does not"
check "nothing is kept" test ! -e "$tickets"
sed -i '/tls_resume/d' "$T/client.conf"
in_full "the client does again"
printf '[main]\ntls_resume = no\n' >"$T/none.conf"
kill -HUP "$origin_pid"
wait_for 20 reloaded 1 || fail "no reload"
in_full "the server does not"
check "and gives nothing to keep" test ! -e "$tickets"
: >"$T/none.conf"
kill -HUP "$origin_pid"
wait_for 20 reloaded 2 || fail "no reload"
in_full "the server does again"
taken_up "and so it is"

# ---- mirrors ----

listen=127.0.0.1:0
mirror_up m "$origin"
mirror_at m 1
printf '[main]\nlook_around = 1\n' >"$T/none.conf"
mirror_up n "$origin" "${mirror[m]}"
here=${mirror[m]}
looks() {
	[ "$(metric resumed)" -ge 2 ]
}
check "a mirror that looks at another takes up its session" wait_for 30 looks
stop "${mirror_pid[n]}"
run a
in_full "at a mirror"
taken_up "at a mirror, again"
key=$(peciad --identity "$T/id-m" --show-identity)
check "the mirror goes from the roster" peciactl mirror remove m
here=$origin
run a
here=${mirror[m]}
before=$(metric resumed)
check_exit 1 "it serves the client no more" client a run --server "$here"
says "not in the roster"
check "and is not offered the session" test "$(metric resumed)" = "$before"
done_checks
