#!/usr/bin/env bash
# Retention and collection: what stays and what goes, killed at each of its
# calls, beside publishers that want what is just being removed, and on disks
# that are full or cannot be written.
# run: parallel
# shellcheck disable=SC2317 # functions that check calls
set -uo pipefail
if [ -z "${COLLECT_INSIDE-}" ] && [ "$(id -u)" = 0 ] &&
	unshare -m --propagation private true 2>/dev/null; then
	COLLECT_INSIDE=1 exec unshare -m --propagation private "$0" "$@"
fi
# shellcheck source=tests/faults.sh
. "$(dirname "$0")/faults.sh"
need python3 rsync
faults_begin

tree=$T/tree
publish_some() { # RELEASE: one file of three is new, one is of this release only
	head -c 3000 /dev/urandom >"$tree/f$(($1 % 3))"
	publish "base=$tree:/srv" --exact --message "release $1"
}
count() { # FOLDER
	find "$PECIA_REPO/v1/$1" -type f | wc -l
}
# collects WORDS OPTION...: it ends well, and its JSON says each KEY=NUMBER.
collects() {
	local words=$1 word
	shift
	check "collect $*" peciactl collect --json "$@"
	cp "$T/out" "$T/json"
	for word in $words; do
		check "collect $*: $word" grep -q "\"${word%=*}\": ${word#*=}\\b" "$T/json"
	done
}
is_whole() {
	check "$1: all is well" peciactl verify --anchor "$anchor"
}

mkdir "$tree"
seq 2000 >"$tree/stays"
origin_init --org test
mirror_add late
for i in 1 2 3 4; do
	publish_some $i
done
cp -a "$PECIA_REPO" "$T/repo4"
for i in $(seq 5 12); do
	publish_some "$i"
done

# ---- what stays ----

objects=$(count object) manifests=$(count manifest) data=$(count data)
collects "kept_releases=2 leaving_releases=10 removed_files=0" --keep 2
check "a look at what would go" peciactl collect --keep 2 --grace 0 --noop
matches '^v1/object/[0-9a-f]{2}/[0-9a-f]{64} [0-9]+$'
says 'to be removed: '
check "a look removes nothing" test "$(count object)" = "$objects"
collects "removed_files=15 leaving_releases=0" --keep 2 --grace 0
check "objects, manifests and data transcripts went" test \
	"$(count object) $(count manifest) $(count data)" = \
	"$((objects - 8)) $((manifests - 4)) $((data - 3))"
check "statements stay" test "$(peciactl log | wc -l)" = 12
is_whole "two releases"
check "nothing is left to sync" test ! -e "$PECIA_REPO/unsynced"

# One that is behind by as many as LIMIT_CHAIN goes on by data transcripts.
serve "$T/old.log" --repo "$T/repo4" --identity "$PECIA_KEYS/identity"
old=$started
mirror_up late "$ready"
mirror_at late 4
stop "${mirror_pid[late]}"
stop "$old"
serve "$T/new.log" --repo "$PECIA_REPO" --identity "$PECIA_KEYS/identity" --access-log
new=$started
mirror_up late "$ready"
mirror_at late 12
check "the mirror has all" peciactl --repo "$T/mirror-late" verify --anchor "$anchor"
stop "${mirror_pid[late]}"
stop "$new"
check "by data transcripts" test "$(grep -c ' path=/v1/data/' "$T/new.log")" = 8
check "and by nothing else" test "$(grep -c ' path=/v1/object' "$T/new.log")" = 0

# Bytes and age: the newest stays whatever they say.
collects kept_releases=1 --bytes 1 --age 1s --grace 0
is_whole "one release"
collects "kept_releases=1 removed_files=0" --keep 1 --grace 0

# ---- the grace period ----

publish_some 13
collects "leaving_releases=12 removed_files=0" --keep 1
sed -i 's/ [1-9][0-9]*$/ 1000000000/' "$PECIA_REPO/cache/kept" # noticed long ago
find "$PECIA_REPO/v1" -type f -exec touch -d '3 days ago' {} +
collects "leaving_releases=0 removed_files=0 young_files=3" --keep 1 # times of change are new
publish_some 14
collects leaving_releases=1 --keep 1
sed -i 's/ [1-9][0-9]*$/ 99999999999/' "$PECIA_REPO/cache/kept" # a clock that was ahead
collects leaving_releases=1 --keep 1
check "a clock that was ahead is not believed" test -z "$(grep ' 99999999999$' "$PECIA_REPO/cache/kept")"
echo garbage >"$PECIA_REPO/cache/kept"
collects leaving_releases=1 --keep 1

# ---- not known what is needed: nothing goes ----

manifest=$(peciactl show --json |
	python3 -c 'import json, sys; print(json.load(sys.stdin)["transcripts"][0]["manifest"])')
mv "$PECIA_REPO/v1/manifest/$manifest" "$T/manifest"
objects=$(count object)
refuses 1 "$manifest" peciactl collect --keep 1 --grace 0
head -c 100 "$T/manifest" >"$PECIA_REPO/v1/manifest/$manifest"
refuses 1 "$manifest" peciactl collect --keep 1 --grace 0
mv "$T/manifest" "$PECIA_REPO/v1/manifest/$manifest"
check "nothing went" test "$(count object)" = "$objects"
is_whole "put back"

# ---- killed at each of its calls, again and again ----

if tool_kill_at 0 "$T/calls" true; then
	mkdir "$tree/many"
	(cd "$tree/many" && seq 90 | split -l 1 -a 3 - file-)
	publish_some 15
	rm -r "$tree/many"
	publish_some 16
	cp -a "$PECIA_REPO" "$T/repo16"
	# Each run comes as far as writing down what is kept, or a few files
	# further than the one before.
	kills=0 status=137
	until [ "$status" != 137 ] || [ "$kills" -ge 400 ]; do
		tool_kill_at $((kills % 10 + 1)) "$T/calls" peciactl collect --keep 1 --grace 0 >"$T/out" 2>&1
		status=$?
		kills=$((kills + (status == 137)))
		is_whole "killed $kills times"
	done
	check "it came to an end" test "$status" = 0 -a "$kills" -gt 100
	collects removed_files=0 --keep 1 --grace 0
	echo "$kills kills, at each call by turns"
fi

# ---- beside publishers ----

# Two trees by turns: what one release removed, the next one wants.
mkdir "$T/a" "$T/b"
for i in $(seq 40); do
	head -c 2000 /dev/urandom >"$T/a/f$i"
	head -c 2000 /dev/urandom >"$T/b/f$i"
done
publish_by_turns() {
	until [ -e "$T/enough" ]; do
		for side in a b; do
			peciactl publish "base=$T/$side:/srv" --exact --full >"$T/turn.out" 2>&1 ||
				cat "$T/turn.out" >>"$T/turns.failed"
			cat "$T/turn.out" >>"$T/turns.out"
			sleep 0.2
		done
	done
}
publish_by_turns &
turns=$!
running+=("$turns")
kills=0 whole=0
for _ in $(seq 36); do
	peciactl collect --keep 1 --grace 0 >>"$T/collect.out" 2>&1 &
	collector=$!
	if [ $((kills % 6)) != 5 ]; then
		sleep "0.$((RANDOM % 3))$(random 10)"
		kill -KILL $collector 2>/dev/null
	fi
	wait $collector 2>/dev/null && whole=$((whole + 1))
	kills=$((kills + 1))
	# Nothing of the releases that are there by then is missing; what the
	# publisher is at is not there yet.
	[ $((kills % 5)) != 0 ] || is_whole "collection $kills beside a publisher"
done
: >"$T/enough"
wait $turns
nobody_failed() { # or it says why
	[ ! -e "$T/turns.failed" ] || ! cat "$T/turns.failed"
}
check "no publisher failed" nobody_failed
check "collections ended well, too" test "$whole" -gt 0
is_whole "in the end"
check "and once more" peciactl collect --keep 1 --grace 0
is_whole "alone"
client_init turns
origin_up
check "a client" client turns run --server "$origin"
check "has the last release" same_tree "$T/b" "$T/root-turns/srv"
echo "$kills collections beside $(grep -c serial "$T/turns.out") publications, $whole not killed"

# ---- disks ----

if [ -n "${COLLECT_INSIDE-}" ]; then
	stop "$origin_pid"
	mkdir "$T/small"
	mount -t tmpfs -o size=2m,mode=755 tmpfs "$T/small" || skip "tmpfs is not allowed here"
	faults_mounts+=("$T/small")
	export PECIA_REPO=$T/small
	cp -a "$T/repo16/." "$PECIA_REPO/"
	head -c 10000000 /dev/zero >"$PECIA_REPO/filler" 2>/dev/null
	mount -o remount,ro "$T/small"
	refuses 1 "Read-only file system" peciactl collect --keep 1 --grace 0
	mount -o remount,rw "$T/small"
	is_whole "read-only"
	objects=$(count object)
	check "a full disk" peciactl collect --keep 1 --grace 0
	check "has more room then" test "$(count object)" -lt "$objects"
	is_whole "a full disk"
fi
done_checks
