#!/usr/bin/env bash
# A mirror killed at any moment of a replication: what it has is whole, what it
# serves is the old release or the new one, and it gets there in the end.  Its
# processes end together, and one that ends alone is started again.
# run: parallel
# run: limit 600
# shellcheck disable=SC2317 # functions that check and wait_for call
set -uo pipefail
# shellcheck source=tests/faults.sh
. "$(dirname "$0")/faults.sh"
need pgrep rsync
faults_begin

# next_release: 600 files, some 4 MB; each time a third of them is other.
release=0
next_release() {
	release=$((release + 1))
	rm -rf "$T/before"
	[ ! -d "$T/tree" ] || cp -a "$T/tree" "$T/before"
	python3 - "$T/tree" "$release" <<-'PYTHON'
		import os, sys
		tree, release = sys.argv[1], int(sys.argv[2])
		for i in range(600):
		    path = f"{tree}/{i % 7}/{i}"
		    os.makedirs(os.path.dirname(path), exist_ok=True)
		    if i % 3 == release % 3 or release == 1:
		        with open(path, "wb") as file:
		            file.write(os.urandom(i * 17 + 100))
		with open(f"{tree}/large-{release}", "wb") as file:
		    file.write(os.urandom(1000000))
		if release > 1:
		    os.unlink(f"{tree}/large-{release - 1}")
	PYTHON
	publish "machine=$T/tree:/" --exact --message "$release"
}
origin_init --address 127.0.0.1
origin_up

mirror_start() {
	alone mirror_up m "$origin" --workers 1
	supervisor=$started
}
# Odd times the supervisor alone: the others must not outlive it.
mirror_kill() { # NUMBER
	if [ $(($1 % 2)) = 1 ]; then
		stop "$supervisor" KILL
		wait_for 10 session_is_empty "$supervisor" || not_so "processes outlive the supervisor"
	else
		end_group "$supervisor" KILL
		wait_for 10 session_is_empty "$supervisor" || not_so "processes outlive the kill"
	fi
}
is_whole() { # WHAT: all that its heads need is there and right
	check "$1: all is well" peciactl --repo "$T/mirror-m" verify --anchor "$anchor"
}

# How long it takes undisturbed: from nothing, and from one release to the next.
took() { # COMMAND...: milliseconds
	local begun=$EPOCHREALTIME
	"$@"
	awk -v a="$begun" -v b="$EPOCHREALTIME" 'BEGIN { print int((b - a) * 1000) + 1 }'
}
next_release
mirror_start
ms=$(took mirror_at m 1)
is_whole "release 1"
client_init c
check "a client of it" client c run --server "${mirror[m]}"
check "has release 1" same_tree "$T/tree" "$T/root-c"
mirror_kill 0
next_release
mirror_start
echo "undisturbed: $ms ms for all, $(took mirror_at m 2) ms for a third"
mirror_kill 0

# From nothing, then from each release to the next; beside it what the release
# before needed is removed at once.
printf '[main]\nkeeper_delay = 0\nscrub_interval = 1\ncollect_interval = 1\nkeep_releases = 1\nkeep_grace = 0\n' \
	>"$T/none.conf"
rm -rf "$T/mirror-m"
kills=0 begun=0
while [ "$kills" -lt 10 ]; do
	[ "$(serial_of "$T/mirror-m")" != "$release" ] || next_release
	at=$(random $((ms + 1)))
	mirror_start
	sleep "$(awk -v ms="$at" 'BEGIN { printf "%.3f", ms / 1000 }')"
	mirror_kill "$((kills += 1))"
	[ ! -e "$T/mirror-m/v1/channel/production" ] || is_whole "killed after $at ms"
	serial=$(serial_of "$T/mirror-m")
	if [ "$serial" = "$release" ]; then
		# All of it was there in time; the next is other.
		ms=$((ms * 3 / 4 + 10))
	else
		begun=$((begun + 1))
		[ -z "$serial" ] ||
			check "the release before is served" test "$serial" = $((release - 1))
	fi
	[ $((kills % 5)) = 0 ] || continue
	# What it serves while the new one comes is whole.
	mirror_start
	if [ -n "$serial" ]; then
		check "a client at once" client c run --server "${mirror[m]}"
		check "has the old or the new release" either_tree "$T/before" "$T/tree" "$T/root-c"
	fi
	mirror_at m "$release"
	check "a client in the end" client c run --server "${mirror[m]}"
	check "has release $release" same_tree "$T/tree" "$T/root-c"
	is_whole "release $release"
	mirror_kill 0
done
echo "$kills kills, $begun of them before the release was complete"

# Many more, of releases that are soon taken; collection goes on beside them.
MORE=55
little() {
	release=$((release + 1))
	head -c 30000 /dev/urandom >"$T/tree/0/0"
	publish "machine=$T/tree:/" --exact --message "$release"
}
complete=0
for ((more = 1; more <= MORE; more++)); do
	[ "$(serial_of "$T/mirror-m")" != "$release" ] || { complete=$((complete + 1)) && little; }
	mirror_start
	sleep "0.$(printf '%03d' "$(random 150)")"
	mirror_kill 0
	[ $((more % 11)) != 0 ] || is_whole "after $more more kills"
done
mirror_start
mirror_at m "$release"
check "a client after them" client c run --server "${mirror[m]}"
check "has release $release" same_tree "$T/tree" "$T/root-c"
mirror_kill 0
echo "$((kills + MORE)) kills; $complete releases became complete between the last $MORE"

# By now its keeper would only be one process more.
printf '[main]\nscrub_rate = 0\ncollect_interval = 0\n' >"$T/none.conf"
left=$(find "$T/mirror-m/tmp" -type f 2>/dev/null | wc -l)
mirror_start
check "what was left in tmp goes" wait_for 20 test -z "$(find "$T/mirror-m/tmp" -type f -mmin +60 -print -quit 2>/dev/null)"
echo "$left files were in tmp"

# ---- one process alone ----

replicator() { # the child that has a child
	local child
	for child in $(pgrep -P "$supervisor"); do
		pgrep -P "$child" >/dev/null && echo "$child" && return
	done
	return 1
}
fetcher() {
	pgrep -P "$(replicator)"
}
worker() {
	local child
	for child in $(pgrep -P "$supervisor"); do
		[ "$child" = "$(replicator)" ] || { echo "$child" && return; }
	done
	return 1
}
is_another() { # ROLE OLD: there is one, and not the old one
	local now
	now=$("$1") && [ -n "$now" ] && [ "$now" != "$2" ]
}
for role in fetcher replicator worker fetcher replicator worker; do
	wait_for 20 is_another $role none
	old=$($role)
	kill -KILL "$old"
	check "the $role is started again" wait_for 20 is_another $role "$old"
	check "by the same supervisor" kill -0 "$supervisor"
	release=$((release + 1))
	echo "$role $release" >"$T/tree/marker"
	publish "machine=$T/tree:/" --exact --message "$role"
	mirror_at m "$release"
	check "a client after the $role's end" client c run --server "${mirror[m]}"
	check "has release $release" same_tree "$T/tree" "$T/root-c"
done
is_whole "release $release"
# In the middle of a transfer.
partial_there() {
	[ -n "$(find "$T/mirror-m" -path "$T/mirror-m/v1" -prune -o -type f -size +100k -print -quit)" ]
}
for role in fetcher replicator; do
	wait_for 20 is_another $role none
	old=$($role)
	release=$((release + 1))
	head -c 20000000 /dev/urandom >"$T/tree/huge"
	publish "machine=$T/tree:/" --exact --message "huge"
	wait_for 10 partial_there
	kill -KILL "$old" 2>/dev/null
	mirror_at m "$release"
	is_whole "release $release"
	pass
done
# An orderly end takes all with it, and says nothing of failures.
now=$(date +%s)
kill -TERM "$supervisor"
wait "$supervisor"
check "SIGTERM: exit status 0" test $? = 0
check "SIGTERM: all are gone" wait_for 5 session_is_empty "$supervisor"
check "SIGTERM: at once" test $(($(date +%s) - now)) -lt 5
done_checks
