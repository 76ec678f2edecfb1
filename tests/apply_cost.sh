#!/usr/bin/env bash
# run: limit 420
# What applying costs, beside `cp -a` and a sync of the same tree in the same run.
#
# 20,000 files on a fresh ext4 in a loop mount (in memory where there is enough),
# as a client finds them on a disk.  Each command is run in turn with cp, three times
# at most, and the best ratio counts: neighbours on this machine can only add time.
#
# Two things are measured:
#   pull    the first run of a client: everything comes from a peciad on loopback,
#           through TLS, decompressed and hashed, while it is written.  Shown.
#   apply   a release that adds a second copy of the tree: its content is on the
#           machine, as what `cp -a` copies is.  The time is the one that the run
#           itself gives for applying, from the plan to the record: finding,
#           hashing, writing, keeping, journal, commit and syncs.  At most 1.3
#           times cp and sync.
# Then an update replaces every file and keeps what was there, and a run finds nothing
# to do: what they sync is counted.  The largest process of any run stays below 32 MB.
set -uo pipefail
cd "$(dirname "$0")/.." || exit 1
# shellcheck source=tests/e2e.sh
. tests/e2e.sh
files=${APPLY_COST_FILES:-20000}
most_bytes=32000000
rounds=3
need mkfs.ext4 python3 strace rsync
[ "$(id -u)" = 0 ] || skip "needs root for loop mounts"
e2e_begin 6
mounted=()
# shellcheck disable=SC2317 # for the trap
unmount_all() {
	local dir
	for dir in "${mounted[@]}"; do
		umount "$dir"
	done
	e2e_end
}
trap unmount_all EXIT

# disk NAME: a fresh file system at $T/NAME, with room for two trees and one kept.
disk() {
	mkdir "$T/$1"
	truncate -s 2G "$T/$1.image"
	mkfs.ext4 -q -F -N 100000 -E lazy_itable_init=0,lazy_journal_init=0 "$T/$1.image" ||
		skip "no ext4"
	mount -o loop "$T/$1.image" "$T/$1" 2>"$T/out" || skip "no loop mounts: $(cat "$T/out")"
	mounted+=("$T/$1")
}

# Log-normal sizes; text that zstd halves, no two alike.
make_tree() {
	python3 - "$1" "$files" <<-'PYTHON'
		import base64, math, os, random, sys
		top, count = sys.argv[1], int(sys.argv[2])
		r = random.Random(1)
		pool = base64.encodebytes(r.randbytes(1 << 20))
		for i in range(count):
		    where = f"{top}/tree/{i // 400}/{i // 16 % 25}"
		    if i % 16 == 0:
		        os.makedirs(where)
		    size = min(int(r.lognormvariate(math.log(3000), 1.2)), 1 << 19)
		    at = r.randrange(len(pool) - size)
		    with open(f"{where}/f{i}", "wb") as f:
		        f.write(b"%d\n" % i + pool[at:at + size])
	PYTHON
}

# warm DIR: reads it; pages are touched first, for those that the kernel gives
# back later are slow to come.
warm() {
	python3 -c 'import mmap
m = mmap.mmap(-1, 512 << 20)
for i in range(0, len(m), 4096): m[i] = 1'
	find "$1" -type f -print0 | xargs -0 cat >"/dev/null"
	sync
}

seconds_since() {
	awk -v a="$1" -v b="$EPOCHREALTIME" 'BEGIN { printf "%.3f", b - a }'
}
at_most() {
	awk -v a="$1" -v b="$2" 'BEGIN { exit !(a <= b) }'
}

peak=0 # of the largest process of any run, in bytes
# measured NAME WHAT [COMMAND...]: one run of that client, below the command;
# $whole and $applying are its seconds.
measured() {
	local cpu bytes status
	"${@:3}" tool_measure "$T/usage" pecia --config "$T/client.conf" --root "$T/$1/root" \
		--state "$T/$1/state" run --server "$origin" >"$T/out" 2>&1
	read -r whole cpu bytes status <"$T/usage"
	[ "$status" = 0 ] || fail "run of $1"
	applying=$(awk '$1 == "apply:" { print $2 }' "$T/$1/state/last_run_summary.yaml")
	printf '  %-8s %-8s %6.3f s, %6.3f s of it applying, %5.3f s CPU, %d kB\n' \
		"$2" "$1" "$whole" "$applying" "$cpu" "$((bytes / 1000))"
	[ "$bytes" -le "$peak" ] || peak=$bytes
}

# copied FROM TO: cp and sync; $copying is their seconds.
copied() {
	local start=$EPOCHREALTIME
	cp -a "$1" "$2"
	sync -f "$2"
	copying=$(seconds_since "$start")
	printf '  cp -a and sync  %6.3f s\n' "$copying"
}

# best OLD SECONDS: the smaller one of OLD and SECONDS divided by those of cp.
best() {
	awk -v old="$1" -v a="$2" -v b="$copying" \
		'BEGIN { now = a / b; printf "%.2f", old != "" && old < now ? old : now }'
}

# round N: a new client pulls the tree, then the tree and a copy of it.
pull=""
apply=""
round() {
	rm -rf "$T/release/second"
	publish "all=$T/release:/" --exact
	disk "pecia$1"
	disk "cp$1"
	mkdir "$T/pecia$1/root"
	pecia --root "$T/pecia$1/root" --state "$T/pecia$1/state" init --anchor "$anchor" \
		>"$T/out" 2>&1 || fail "init"
	warm "$T/release"
	measured "pecia$1" pull
	copied "$T/release/tree" "$T/cp$1/tree"
	pull=$(best "$pull" "$whole")

	cp -a "$T/release/tree" "$T/release/second"
	publish "all=$T/release:/" --exact
	warm "$T/pecia$1/root"
	measured "pecia$1" apply
	warm "$T/cp$1/tree"
	copied "$T/cp$1/tree" "$T/cp$1/second"
	apply=$(best "$apply" "$applying")
}

make_tree "$T/release"
echo "$files files, $(du -sm "$T/release" | cut -f1) MB"
origin_init --org test
publish "all=$T/release:/" --exact
origin_up

n=0
until [ "$n" -eq "$rounds" ] || { [ "$n" -gt 0 ] && at_most "$apply" 1.3; }; do
	n=$((n + 1))
	round "$n"
done
echo "pull:  at best $pull times cp -a and sync"
echo "apply: at best $apply times cp -a and sync"
check "applying takes at most 1.3 times cp -a and sync" at_most "$apply" 1.3
check "the client has what was published" same_tree "$T/release" "$T/pecia$n/root"

# Each file gets the content of the next one: nothing new is published.
python3 - "$T/release/tree" <<-'PYTHON'
	import os, sys
	all = [d + "/" + f for d, _, names in os.walk(sys.argv[1]) for f in names]
	os.rename(all[0], sys.argv[1] + "/first")
	for one, next in zip(all, all[1:]):
	    os.rename(next, one)
	os.rename(sys.argv[1] + "/first", all[-1])
PYTHON
publish "all=$T/release:/" --exact

# synced WHAT: one run; sets $syncfs and $fsync to how often it called them.
synced() {
	measured "pecia$n" "$1" strace --seccomp-bpf -qq -f -o "$T/calls" \
		-e trace=fsync,fdatasync,syncfs,sync
	syncfs=$(grep -c 'syncfs(' "$T/calls")
	fsync=$(grep -Ec ' (fsync|fdatasync|sync)\(' "$T/calls")
	echo "  $1: $syncfs syncfs, $fsync fsync"
}
synced update
check "an update syncs the file system twice, and at most once more each 64 MiB" \
	[ "$syncfs" -ge 2 -a "$syncfs" -le $((2 + $(du -sm "$T/release" | cut -f1) / 64)) ]
check "and few files" [ "$fsync" -gt 0 -a "$fsync" -le 16 ]
check "what was there is kept" \
	[ "$(find "$T/pecia$n/state/kept/3/f" -type f | wc -l)" = "$files" ]
check "the client has the update" same_tree "$T/release" "$T/pecia$n/root"
synced nothing
check "a run with nothing to do syncs nothing" [ "$syncfs $fsync" = "0 0" ]
echo "peak memory of the largest process: $peak bytes"
check "no process needs 32 MB" [ "$peak" -gt 0 -a "$peak" -lt "$most_bytes" ]

done_checks
