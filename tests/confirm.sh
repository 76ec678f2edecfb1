#!/usr/bin/env bash
# confirm = SECONDS: what a run changed is rolled back by itself unless somebody
# says `pecia confirm` in time; by the process that waits for that, or by the
# next command if it was ended.
# run: parallel
# run: also as nobody
# run: limit 240
# shellcheck disable=SC2317 # functions that check and wait_for call
set -uo pipefail
# shellcheck source=tests/faults.sh
. "$(dirname "$0")/faults.sh"
need rsync python3 pgrep
faults_begin

S=$T/tree R=$T/root-a
mkdir -p "$S/etc"
release() { # N: the tree of that release
	echo "$1" >"$S/etc/motd"
	seq "$1" >"$S/etc/list"
	cp -a "$S" "$T/r$1"
	publish "tree=$S:/" --exact
}
run() {
	client a run --server "$origin" "$@"
}
is() { # N
	same_tree "$T/r$1" "$R"
}
watchers() {
	pgrep -f -- "--state $T/state-a run"
}
nobody_watches() {
	! watchers
}
origin_init --address 127.0.0.1
release 1
alone origin_up
client_init a

# ---- in time ----

check "off: a run as ever" run
check "nothing is recorded" test ! -e "$T/state-a/confirm"
check "nobody watches" nobody_watches
refuses 8 "nothing waits to be confirmed" client a confirm
release 2
check "a look starts nothing" run --noop --confirm 300
check "nobody watches" nobody_watches
check "a run" run --confirm 300
says "rolled back in 300 s unless"
check "is release 2" is 2
check "one watches" test "$(watchers | wc -l)" = 1
watcher=$(watchers)
check "in a session of its own" test "$(ps -o sid= "$watcher" | tr -d ' ')" != \
	"$(ps -o sid= $$ | tr -d ' ')"
check "without our streams" test "$(realpath "/proc/$watcher/fd/0" "/proc/$watcher/fd/1" \
	"/proc/$watcher/fd/2" | sort -u)" = /dev/null
check "status: nothing is wrong" client a status
matches '^waits +release 2 is rolled back in [0-9]+ s unless'
check "status for programs" client a status --json
says '"state": "waiting"'
matches '"seconds_left": (29[0-9]|300|2[0-8][0-9])'
release 3
refuses 7 "release 2 waits to be confirmed until
pecia confirm
pecia rollback" run
check "a look says what would be" run --noop
says "release 3 of production"
check "nothing was changed" is 2
check "the lock is free" client a verify --waitforlock 0
check "confirmed" client a confirm
says "release 2 of production is confirmed"
check "the watcher ends" wait_for 20 nobody_watches
refuses 8 "nothing waits to be confirmed" client a confirm
check "status is quiet" client a status
check "runs go on" run --json --confirm 300
matches '"confirm_seconds": ?300'
check "is release 3" is 3
check "with JSON" client a confirm --json
says '"serial": 3'
check "nothing to change" run --confirm 300
says "nothing to change"
check "is nothing to confirm" test ! -e "$T/state-a/confirm"
check "nor to watch" wait_for 20 nobody_watches

# ---- too late ----

cat >>"$T/client.conf" <<CONF
confirm = 2
postrun_command = /bin/sh -c 'cat "\$PECIA_ROOT/etc/motd" >>"\$0"' "$T/seen"
CONF
release 4
check "a run" run
# Undone, and the watcher has let go of the lock.
is_undone() {
	nobody_watches && grep -q '"state": "undone"' < <(client a status --json)
}
check "rolls back by itself" wait_for 60 is_undone
check "is release 3" is 3
check "postrun_command saw both" diff "$T/seen" - <<<$'4\n3'
check "the watcher ends" wait_for 20 nobody_watches
check_exit 1 "status" client a status
matches '^wrong +release 4 was not confirmed until [0-9T:Z-]+: rolled back$'
matches '^held +release 4 was rolled back'
check_exit 1 "status for programs" client a status --json
says '"unconfirmed"'
refuses 1 "too late: release 4 was not confirmed and is rolled back" client a confirm
refuses 1 "release 4 was not confirmed and is rolled back already" client a rollback
check "a rollback to a release may be" client a rollback --to 2 --noop
check "a second run does not go there" run --confirm 0
says "release 4 was rolled back on this machine"
check "is release 3" is 3
check "but --retry does" run --retry --confirm 300
check "is release 4" is 4
check "and it may be kept" client a confirm
check "status is quiet" client a status

# ---- what is mended waits too, and is not mended again ----

echo mine >"$R/etc/motd"
check "a run mends" run --confirm 1
check "rolls back by itself" wait_for 60 is_undone
check "is as it was" grep -qx mine "$R/etc/motd"
check "a second run leaves it" run
says "release 4 was rolled back on this machine"
check "it is there" grep -qx mine "$R/etc/motd"
check "--retry mends" run --retry --confirm 0
check "is release 4" is 4
check "status is quiet" client a status

# ---- by hand ----

release 5
check "a run" run --confirm 300
check "rolled back by hand" client a rollback
check "is release 4" is 4
refuses 8 "nothing waits" client a confirm
check "the watcher ends" wait_for 20 nobody_watches
check "forward again" run --retry --confirm 300
check "disabled meanwhile" client a disable
check "confirm is no run" client a confirm
check "enabled" client a enable
check "is release 5" is 5

# ---- nobody watches ----

check "the watcher ends" wait_for 20 nobody_watches
release 6
check "a run" run --confirm 2
watcher=$(watchers)
kill -9 "$watcher"
overdue() {
	grep -q '"seconds_left": 0' < <(client a status --json)
}
check "its time goes by" wait_for 20 overdue
check_exit 1 "status" client a status
matches '^wrong +release 6 was not confirmed until .*: it is to be rolled back$'
check "is release 6 still" is 6
check "disabled" client a disable
refuses 3 "runs are disabled" run
check "the next run rolls back, even so" is 5
check "enabled" client a enable
check "and does not go there again" run
says "release 6 was rolled back on this machine"

# A restart is the end of waiting.
check "again" run --retry --confirm 300
kill -9 "$(watchers)"
check "is release 6" is 6
sed -i 's/^boot [^ ]*/boot 00000000-0000-0000-0000-000000000000/' "$T/state-a/confirm"
check "after a restart" run
says "release 6 was rolled back on this machine"
check "is release 5" is 5

# Ended by force while it goes back, it goes on.
check "again" run --retry --confirm 300
kill -9 "$(watchers)"
check "is release 6" is 6
sed -i 's/^stage waiting/stage undoing/' "$T/state-a/confirm"
check "goes on" run
check "is release 5" is 5

# The run itself is ended after it recorded, before it did anything: nothing is
# rolled back.
client_copy a b
before=$(find "$T/state-a/kept" -mindepth 1 -maxdepth 1 | wc -l)
printf 'pecia confirm 1\nstage waiting\nkept %d\nrelease production 6\ntime %s %s\nboot x 1 2\n' \
	$((before + 9)) 2026-01-01T00:00:00Z 2026-01-01T00:00:00Z >"$T/state-a/confirm"
check "what never was is not undone" run
check "is release 5" is 5
check "it is forgotten" test ! -e "$T/state-a/confirm"

# ---- before the first release ----

client_init z
echo of the machine >"$T/root-z/own"
sed -i '/^postrun/d' "$T/client.conf"
check "the first run" client z run --server "$origin" --confirm 1
check "is release 6" same_tree "$T/r6" "$T/root-z"
first_is_undone() {
	grep -q '"state": "undone"' < <(client z status --json)
}
check "rolls back by itself" wait_for 60 first_is_undone
check "is as it was" grep -qx "of the machine" "$T/root-z/own"
check "nothing else is there" test "$(ls "$T/root-z")" = own
check "and it is not applied again" client z run --server "$origin"
says "release 6 was rolled back on this machine"

# ---- confirmed by reaching a server ----

# A server that goes silent, and comes back with the rollback.
mkdir "$T/other"
echo CONT >"$T/other/signal"
publish "tree=$T/other:/" --exact
cp "$T/client.conf" "$T/before.conf"
cat >>"$T/client.conf" <<CONF
confirm_by = server
postrun_command = /bin/sh -c 'kill -s "\$(cat "\$PECIA_ROOT/signal")" -- -$origin_pid'
CONF
is_confirmed() {
	[ ! -e "$T/state-a/confirm" ]
}
check "a run" run --confirm 60
check "is confirmed by itself" wait_for 40 is_confirmed
echo STOP >"$T/other/signal"
publish "tree=$T/other:/" --exact
check "one after which no server answers" run --confirm 3
check "rolls back by itself" wait_for 60 is_undone
check "is as before" grep -qx CONT "$R/signal"
failures=$(cat "$T/state-a/failures" 2>/dev/null)
check "its tries are no runs that failed" test "${failures:-0}" = 0
check "a run" run
says "was rolled back on this machine"
cp "$T/before.conf" "$T/client.conf"
kill -CONT -- "-$origin_pid"

# ---- a check decides before anybody could ----

checked() { # TEXT COMMAND
	echo "$1" >"$T/other/signal"
	cat >"$T/checked.conf" <<-CONF
		[transcript tree]
		source = $T/other
		target = /
		mode = exact
		[profile p]
		transcripts = tree
		[host *]
		profile = p
		[check well]
		command = $2
		attempts = 1
	CONF
	publish "$T/checked.conf"
	serial=$(serial_of "$PECIA_REPO")
}
newest_kept() {
	find "$T/state-a/kept" -mindepth 1 -maxdepth 1 -printf '%f\n' | sort -n | tail -n 1
}
checked well /bin/true
check "one that passes" run --confirm 300
refuses 7 "release $serial waits to be confirmed" run
check "is no word of the operator's" client a confirm
check "the watcher ends" wait_for 20 nobody_watches
before=$(newest_kept)
checked ill /bin/false
refuses 1 "release $serial was rolled back, release $((serial - 1)) is applied again: check well" \
	run --confirm 300
check "is as before" grep -qx well "$R/signal"
check "the watcher ends" wait_for 20 nobody_watches
check "nothing waits" test ! -e "$T/state-a/confirm"
refuses 8 "nothing waits to be confirmed" client a confirm
check_exit 1 "status" client a status
matches "^held +release $serial was rolled back as check well"
# The time is over while the check goes on: the watcher waits for the lock.
checked ill "/bin/sh -c 'sleep 2; exit 1'"
refuses 1 "release $serial was rolled back" run --confirm 1
check "the watcher ends" wait_for 20 nobody_watches
check "is as before" grep -qx well "$R/signal"
check "each was undone once" test "$(newest_kept)" = $((before + 4))

# ---- a record that makes no sense ----

echo nonsense >"$T/state-a/confirm"
refuses 1 "a change waits to be confirmed
record is damaged" run
check "looking may be" client a verify
check "the operator's word ends it" client a confirm
says "the machine stays as it is"
check "runs go on" run
refuses 64 "--confirm 5m: not a number" run --confirm 5m
echo "keep_runs = 0" >>"$T/client.conf"
refuses 64 "confirm: nothing could be rolled back" run
check "without it" run --confirm 0

done_checks
