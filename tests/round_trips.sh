#!/usr/bin/env bash
# How many round trips a run waits for, one after the other, on a long line: an
# update no more than a run that finds nothing, if its data fit into what TCP sends
# at first.  They are counted by who follows from whom, not by a clock.
# run: parallel
# run: limit 120
# shellcheck disable=SC2317 # functions that check and wait_for call
set -uo pipefail
# shellcheck source=tests/net.sh
. "$(dirname "$0")/net.sh"
cd "$(dirname "$0")/.." || exit 1
net_begin "$@"
# shellcheck source=tests/faults.sh
. tests/faults.sh
faults_begin
net_origin
net_line --delay 20000
net_site a 1

rounds_told() {
	[ "$(grep -c '^rounds' "$net_dir/line-a")" -gt "$told_before" ]
}
# count_rounds: $rounds since it was called last
count_rounds() {
	told_before=$(grep -c '^rounds' "$net_dir/line-a")
	kill -USR2 "${net_line_pid[a]}"
	wait_for 10 rounds_told || fail "the line does not tell"
	rounds=$(sed -n 's/^rounds //p' "$net_dir/line-a" | tail -n 1)
}
# line_is_quiet: nothing crossed it for five times its delay
line_is_quiet() {
	local before
	before=$(wan_bytes a)
	sleep 0.2
	[ "$(wan_bytes a)" = "$before" ]
}
# run_counted CASE: a run, $rounds of it
run_counted() {
	wait_for 20 line_is_quiet || fail "the line is never quiet"
	count_rounds
	client c run --server 10.77.0.1 >"$T/out" 2>&1 || fail "$1: $(cat "$T/out")"
	wait_for 20 line_is_quiet || fail "the line is never quiet"
	count_rounds
	echo "$1: $rounds round trips"
}
publish_all() {
	publish "base=$T/base:/base" "web=$T/web:/web" "db=$T/db:/db" --exact
}

for name in base web db; do
	mkdir "$T/$name"
	seq 100 >"$T/$name/file"
	seq 20000 >"$T/$name/large"
done
in_host origin
listen=10.77.0.1:7440
origin_init --address 10.77.0.1
origin_up
publish_all
in_host a-client
client_init c
run_counted first
first=$rounds
run_counted unchanged
unchanged=$rounds
check "a run that finds nothing waits five times" test "$unchanged" -le 6

in_host origin
for name in base web db; do
	seq 300 >"$T/$name/file"
	echo end >>"$T/$name/large"
done
publish_all
in_host a-client
run_counted update
for name in base web db; do
	check "the update is applied: $name" same_tree "$T/$name" "$T/root-c/$name"
done
check "an update of three transcripts waits no more often" test "$rounds" -eq "$unchanged"
check "a first pull waits for all it needs" test "$first" -gt "$unchanged"
done_checks
