#!/usr/bin/env bash
# A mirror killed at any moment of a replication: what it has is whole, what it
# serves is the old release or the new one, and it gets there in the end.  Its
# processes end together, and one that ends alone is started again.
# run: limit 400
set -uo pipefail
# shellcheck source=tests/faults.sh
. "$(dirname "$0")/faults.sh"
need pgrep rsync
faults_begin

# next_tree N: 600 files, some 3 MB, a third of them other than in tree N-1.
next_tree() {
	local i
	[ "$1" = 1 ] || cp -a "$T/tree$(($1 - 1))" "$T/tree$1"
	mkdir -p "$T/tree$1"/{a,b,c}
	for ((i = $1 % 3; i < 600; i += $1 == 1 ? 1 : 3)); do
		head -c $((i * 17 + 100)) /dev/urandom >"$T/tree$1/${i: -1}$i"
	done
	[ "$1" = 1 ] && for ((i = 0; i < 600; i++)); do
		head -c $((i * 17 + 100)) /dev/urandom >"$T/tree1/a/$i"
	done
	head -c 3000000 /dev/urandom >"$T/tree$1/large$1"
	rm -f "$T/tree$1/b/"*
	seq "$1" 200 >"$T/tree$1/b/$1"
}
origin_init --address 127.0.0.1
origin_up

mirror_start() {
	alone mirror_up m "$origin" --workers 1
	supervisor=$started
}
session_is_empty() {
	! pgrep -s "$1" >/dev/null
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
	peciactl --repo "$T/mirror-m" verify --anchor "$anchor" >"$T/out" 2>&1 && pass && return
	grep -vE '^unreferenced |^not all is well' "$T/out" | grep -q . || { pass && return; }
	not_so "$1: verify"
}

next_tree 1
publish "machine=$T/tree1:/" --exact --message 1
begun=$EPOCHREALTIME
mirror_start
mirror_at m 1
full=$(awk -v a="$begun" -v b="$EPOCHREALTIME" 'BEGIN { print int((b - a) * 1000) + 1 }')
is_whole "release 1"
client_init c
check "a client of it" client c run --server "${mirror[m]}"
check "has release 1" same_tree "$T/tree1" "$T/root-c"
mirror_kill 0
begun=$EPOCHREALTIME
next_tree 2
publish "machine=$T/tree2:/" --exact --message 2
mirror_start
mirror_at m 2
mirror_kill 0
echo "undisturbed: $full ms for all, $(awk -v a="$begun" -v b="$EPOCHREALTIME" 'BEGIN { print int((b - a) * 1000) }') ms with making and publishing a third"

# From nothing, and from each release to the next.
kills=0 began=0
rm -rf "$T/mirror-m"
for release in 2 3 4 5 6; do
	if [ "$release" != 2 ]; then
		next_tree "$release"
		publish "machine=$T/tree$release:/" --exact --message "$release"
	fi
	for attempt in 1 2 3 4 5; do
		# Close to the start once, then anywhere.
		ms=$(random $((attempt == 1 ? 50 : full)))
		mirror_start
		sleep "$(awk -v ms="$ms" 'BEGIN { printf "%.3f", ms / 1000 }')"
		mirror_kill "$((kills += 1))"
		[ ! -e "$T/mirror-m/v1/channel/production" ] || is_whole "killed after $ms ms"
		serial=$(serial_of "$T/mirror-m")
		[ "${serial:-$((release - 1))}" -ge $((release - 1)) ] && pass ||
			not_so "serves release $serial while $release comes"
		[ "$serial" = "$release" ] || began=$((began + 1))
	done
	mirror_start
	# What it serves while the new one comes is whole.
	if [ -n "$(serial_of "$T/mirror-m")" ]; then
		check "a client at once" client c run --server "${mirror[m]}"
		check "the old or the new release" either_tree "$T/tree$((release - 1))" \
			"$T/tree$release" "$T/root-c"
	fi
	mirror_at m "$release"
	check "a client in the end" client c run --server "${mirror[m]}"
	check "has release $release" same_tree "$T/tree$release" "$T/root-c"
	is_whole "release $release"
	mirror_kill 0
done
echo "$kills kills, $began of them before the release was complete"
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
release=6
for role in fetcher replicator worker fetcher replicator worker; do
	wait_for 20 is_another $role none
	old=$($role)
	kill -KILL "$old"
	check "the $role is started again" wait_for 20 is_another $role "$old"
	check "by the same supervisor" kill -0 "$supervisor"
	release=$((release + 1))
	echo "$role $release" >"$T/tree6/marker"
	publish "machine=$T/tree6:/" --exact --message "$role"
	mirror_at m "$release"
	check "a client after the $role's end" client c run --server "${mirror[m]}"
	check "has release $release" same_tree "$T/tree6" "$T/root-c"
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
	head -c 20000000 /dev/urandom >"$T/tree6/huge"
	publish "machine=$T/tree6:/" --exact --message "huge"
	wait_for 10 partial_there
	kill -KILL "$old" 2>/dev/null
	mirror_at m "$release"
	is_whole "release $release"
	pass
done
# An orderly end takes all with it, and says nothing of failures.
kill -TERM "$supervisor"
wait "$supervisor"
check "SIGTERM: exit status 0" test $? = 0
check "SIGTERM: all are gone" session_is_empty "$supervisor"
done_checks
