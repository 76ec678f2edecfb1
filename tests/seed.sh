#!/usr/bin/env bash
# A new mirror is seeded from a local tree, from a backup of an older one, from
# archives: what is there does not come from the upstream again, whatever its
# files are called; what is wrong there does no harm.
# run: parallel
# shellcheck disable=SC2317 # functions that check and wait_for call
set -uo pipefail
# shellcheck source=tests/faults.sh
. "$(dirname "$0")/faults.sh"
need python3 rsync
faults_begin

tree=$T/tree
mkdir -p "$tree/etc"
for i in $(seq 30); do
	seq -f "%g of $i" 3000 >"$tree/etc/f$i"
done
head -c 2000000 /dev/urandom >"$tree/image"
origin_init --address 127.0.0.1
origin_options=(--access-log --workers 1)
origin_up
publish "machine=$tree:/" --exact --message one
cp -a "$tree" "$T/old"
head -c 1000 /dev/urandom >>"$tree/image"
head -c 300000 /dev/urandom >"$tree/new"
publish "machine=$tree:/" --exact --message two

# seed NAME SOURCE OPTION...: mirror NAME is rostered, and seeded
seed() {
	log_before=$(stat -c %s "$T/origin.log")
	[ -d "$T/id-$1" ] || mirror_add "$1"
	peciad seed --config "$T/none.conf" --repo "$T/mirror-$1" --identity "$T/id-$1" \
		--anchor "$anchor" --upstream "$origin" "${@:3}" "$2"
}
# Content that the origin sent since the seed began, by its log.
sent() {
	log_ends "$origin"
	tail -c "+$((log_before + 1))" "$T/origin.log" |
		sed -nE 's,^peciad: request .* path=/v1/(objects|object/|data/)[^ ]* .* bytes=([0-9]+) .*,\2,p' |
		awk '{ n += $1 } END { print n + 0 }'
}
# completes NAME BYTES: it comes up, complete, and has taken at most so many,
# and at least the data transcript, which mirrors hold for those who come.
completes() {
	mirror_up "$1" "$origin"
	mirror_at "$1" 2
	bytes=$(sent)
	echo "mirror $1: $bytes bytes of content from the origin"
	check "mirror $1 takes at most $2 bytes, not $bytes" test "$bytes" -le "$2"
	check "mirror $1 takes the data transcript" test "$bytes" -ge 300000
	check "mirror $1 is whole" peciactl verify --repo "$T/mirror-$1"
	stop "${mirror_pid[$1]}"
}

# ---- a tree with all of it, under other names ----

mkdir "$T/heap"
n=0
while read -r -d '' file; do
	n=$((n + 1))
	cp "$file" "$T/heap/$n"
done < <(find "$tree" -type f -print0)
mkfifo "$T/heap/fifo"
ln -s /etc/passwd "$T/heap/link"
truncate -s 2000000 "$T/heap/of-the-same-size"
check "a heap of its files seeds" seed heap "$T/heap"
says "$n of $n objects"
completes heap 320000
check "again, nothing is missing" seed heap "$T/heap"
says "nothing is missing"

# ---- nothing of it: no harm ----

mkdir "$T/other"
seq 9 >"$T/other/x"
check "a tree of other things" seed other "$T/other"
says "0 of $n objects"
completes other 3000000

# ---- a backup of the release before: what is the same, and for deltas ----

check "an older backup seeds" seed old "$T/old"
says "30 of $n objects"
says "1 old versions"
completes old 320000

# ---- archives ----

tar -C "$tree" -czf "$T/tree.tar.gz" .
(cd "$T/old" && python3 -m zipfile -c "$T/old.zip" .)
check "a compressed tar seeds" seed tar "$T/tree.tar.gz"
says "$n of $n objects"
completes tar 320000
check "a zip of the older tree" seed zip "$T/old.zip"
says "30 of $n objects"
says "1 old versions"
completes zip 320000
head -c 500000 "$T/tree.tar.gz" >"$T/cut.tar.gz"
refuses 1 "archive" seed cut "$T/cut.tar.gz"
completes cut 3000000

# ---- what cannot be ----

refuses 64 "an upstream" peciad seed --config "$T/none.conf" --repo "$T/mirror-no" "$T/heap"
refuses 64 "one directory or archive" peciad seed --config "$T/none.conf" --upstream "$origin"
refuses 1 "No such file" seed none "$T/not-there"
refuses 64 "neither a directory nor an archive" seed none /dev/null
mirror_up running "$origin"
mirror_at running 2
refuses 1 "another process" seed running "$T/heap"
done_checks
