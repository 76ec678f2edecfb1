#!/usr/bin/env bash
# No space, on the client's disk, its state's and the mirror's, before a run and
# in the middle of it; and disks that cannot be written.
# run: parallel
# run: limit 400
# shellcheck disable=SC2317 # functions that check and wait_for call
set -uo pipefail
[ "$(id -u)" = 0 ] || { echo "needs root: small file systems are mounted" && exit 77; }
if [ -z "${FULL_DISK_INSIDE-}" ]; then
	unshare -m --propagation private true 2>/dev/null ||
		{ echo "mount namespaces are not allowed here" && exit 77; }
	FULL_DISK_INSIDE=1 exec unshare -m --propagation private "$0" "$@"
fi
# shellcheck source=tests/faults.sh
. "$(dirname "$0")/faults.sh"
need python3 rsync
faults_begin

small_disk() { # DIR OPTIONS
	mkdir -p "$1"
	mount -t tmpfs -o "$2" tmpfs "$1" || skip "tmpfs is not allowed here"
	faults_mounts+=("$1")
}
fill() { # DIR: until there is no byte left
	head -c 100000000 /dev/zero >"$1/filler" 2>/dev/null
	[ -s "$1/filler" ]
}

# ---- releases: 1 is small, 2 has 6 MB more, 3 many small files ----

tree=$T/tree
mkdir -p "$tree/etc"
for i in $(seq 50); do
	head -c 5000 /dev/urandom >"$tree/etc/f$i"
done
origin_init --address 127.0.0.1
peciad --identity "$T/id-slow" --show-identity >/dev/null
mirror_add slow
publish "machine=$tree:/data" --exact --message one
origin_up
client_init base
client_run base "$origin"
cp -a "$tree" "$T/tree1"
small_disk "$T/mirror-m" size=3m,mode=755
mirror_up m "$origin"
mirror_at m 1
head -c 6000000 /dev/urandom >"$tree/etc/big"
head -c 5000 /dev/urandom >"$tree/etc/f3"
publish "machine=$tree:/data" --exact --message two
cp -a "$PECIA_REPO" "$T/repo2"

# ---- a mirror: it serves the old release until there is space ----

lacks_space() {
	grep -q 'No space left on device' "$T/mirror-m.log"
}
check "the mirror says that it lacks space" wait_for 60 lacks_space
check "it keeps release 1" at_serial "$T/mirror-m" 1
check "all of it" peciactl --repo "$T/mirror-m" verify --anchor "$anchor"
client_init other
check "and serves it" client other run --server "${mirror[m]}"
check "is release 1" same_tree "$T/tree1" "$T/root-other/data"
mount -o remount,size=40m "$T/mirror-m"
check "with space it goes on" wait_for 90 at_serial "$T/mirror-m" 2
check "and has all" peciactl --repo "$T/mirror-m" verify --anchor "$anchor"
stop "${mirror_pid[m]}"

cp -a "$tree" "$T/tree2"
rm "$tree/etc/big"
mkdir "$tree/many"
(cd "$tree/many" && seq -f "%05g" 4000 | split -l 1 -a 5 - small-file-number-)
publish "machine=$tree:/data" --exact --message three
cp -a "$PECIA_REPO" "$T/repo3"

mkfifo "$T/alive"
exec 8<>"$T/alive"
: >"$T/rules"
slow_up() { # REPO: $slow, which waits where the rules say
	: >"$T/slow.log" # an earlier one was ready, too
	python3 tests/hostiled.py --identity "$T/id-slow" --repo "$1" "$T/rules" "$T/requests" \
		<"$T/alive" >"$T/slow.log" 2>&1 &
	running+=($!)
	wait_for 20 grep -q ^ready "$T/slow.log" || fail "hostiled.py"
	slow=$(sed -n 's/^ready //p' "$T/slow.log")
}

# client_on ROOT_SIZE STATE_SIZE: client v at release 1, each on a disk of its own
client_on() {
	local dir
	for dir in "$T/root-v" "$T/state-v"; do
		mountpoint -q "$dir" && umount "$dir"
	done
	small_disk "$T/root-v" "size=$1,mode=755"
	small_disk "$T/state-v" "size=$2,mode=700"
	cp -a "$T/root-base/." "$T/root-v/"
	cp -a "$T/state-base/." "$T/state-v/"
	snapshot "$T/root-v" >"$T/before"
}
unchanged() {
	rm -f "$T/root-v/filler" "$T/state-v/filler"
	touch -r "$T/root-base" "$T/root-v"
	snapshot "$T/root-v" | sed 1d | diff <(sed 1d "$T/before") - || return 1
	[ ! -e "$T/state-v/journal" ] && [ ! -e "$T/state-v/stages" ] && no_stages "$T/root-v"
}
used() { # DIR: KiB
	df -k --output=used "$1" | tail -n 1
}

# ---- the client: known before ----

slow_up "$T/repo2"
client_on 4m 40m
refuses 1 'free below' client v run --server "$slow"
told 'needed'
check "no space: nothing changed" unchanged
client_on 20m,nr_inodes=70 40m
slow2=$slow
slow_up "$T/repo3"
slow3=$slow
refuses 1 'inodes free below' client v run --server "$slow3"
check "no inodes: nothing changed" unchanged

client_on 40m 40m
small_disk "$T/root-v/data/etc" size=1m,mode=755
refuses 1 "free below $T/root-v/data/etc," client v run --server "$slow2"
check "a small file system below: nothing on it" test -z "$(ls "$T/root-v/data/etc")"
umount "$T/root-v/data/etc"

# ---- the client: it runs out in the middle ----

# in_the_middle SERVER PATH BYTES COMMAND...: the command runs in the middle.
in_the_middle() {
	local server=$1 path=$2
	printf '%s hold=%s\n' "$2" "$3" >"$T/rules"
	shift 3
	client v run --server "$server" >"$T/run.out" 2>&1 &
	running+=($!)
	local run=$!
	wait_for 20 grep -q "$path" "$T/requests" || not_so "$path is not asked for"
	wait_for 20 has_stages
	"$@"
	: >"$T/rules"
	wait "$run"
	status=$?
	cp "$T/run.out" "$T/out"
	: >"$T/requests"
}
has_stages() {
	! no_stages "$T/root-v"
}
: >"$T/requests"
client_on 20m 40m
rm -rf "$T/state-v/applied" # so that objects are asked for, not a data transcript
in_the_middle "$slow2" /v1/objects 1000000 fill "$T/root-v"
told 'No space left on device' 'etc/big'
check "space runs out: exit status 1" test "$status" = 1
check "space runs out: nothing changed" unchanged
check "there is space again" client v run --server "$slow2"
check "is release 2" same_tree "$T/tree2" "$T/root-v/data"

# The state's disk: for the data transcript, and for what is kept of the old.
client_on 40m 2m
before=$(used "$T/state-v")
check "no space for a data transcript: its content comes otherwise" \
	client v run -v --server "$slow2"
told 'data transcript not used.*No space left on device'
check "no space for a data transcript: is release 2" same_tree "$T/tree2" "$T/root-v/data"
check "nothing of it is left on the state's disk" test "$(used "$T/state-v")" -lt $((before + 600))
client_on 80m,nr_inodes=20000 40m
in_the_middle "$slow3" /v1/objects 100 fill "$T/state-v"
told 'keeping what was there.*No space left on device'
check "no space for what is kept: exit status 1" test "$status" = 1
check "no space for what is kept: nothing changed" unchanged
check "there is space for it again" client v run --server "$slow3"
check "is release 3" same_tree "$tree" "$T/root-v/data"

# ---- disks that cannot be written ----

client_on 40m 40m
mount -o remount,ro "$T/root-v"
refuses 1 'Read-only file system' client v run --server "$slow2"
mount -o remount,rw "$T/root-v"
check "a read-only root: nothing changed" unchanged
check "it can be written again" client v run --server "$slow2"
check "is release 2" same_tree "$T/tree2" "$T/root-v/data"
client_on 40m 40m
mount -o remount,ro "$T/state-v"
refuses 1 'Read-only file system' client v run --server "$slow2"
told "$T/state-v"
mount -o remount,rw "$T/state-v"
check "a read-only state: nothing changed" unchanged

done_checks
