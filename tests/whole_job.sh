#!/usr/bin/env bash
# run: parallel
# run: limit 600
# /usr/share of this machine goes publish -> mirror -> client, twice, on hosts of
# their own; then 1 % of it is edited, renamed, added and removed.  Bytes are
# counted at the client's cable and at the site's line, for pecia and for rsync.
set -uo pipefail
cd "$(dirname "$0")/.." || exit 1
# shellcheck source=tests/net.sh
. tests/net.sh
# shellcheck source=tests/e2e.sh
. tests/e2e.sh
need rsync python3
net_begin "$@"
e2e_begin 6
trap 'e2e_end; net_end' EXIT
net_origin
net_site a 1

lap=$EPOCHREALTIME
took() {
	awk -v a="$lap" -v b="$EPOCHREALTIME" -v what="$*" \
		'BEGIN { printf "%6.1f s  %s\n", b - a, what }'
	lap=$EPOCHREALTIME
}
# All that crossed the client's cable so far, both ways.
client_bytes() {
	on a-client cat /sys/class/net/eth0/statistics/{rx,tx}_bytes |
		awk '{ n += $1 } END { print n }'
}

cp -a /usr/share "$T/tree"
cp -al "$T/tree" "$T/root-rsync" # what is edited later is replaced
files=$(find "$T/tree" -type f | wc -l)
took "a copy of $files files, $(du -sh "$T/tree" | cut -f1)"

origin_init --org test
publish "share=$T/tree:/" --exact
took "published: $(sed -n 2p "$T/publish.out")"
in_host origin
listen=10.77.0.1:7440
origin_up
in_host a-mirror
listen=10.77.1.10:7440
mirror_up a "$origin" --workers 1
mirror_at a 1
took "replicated, $(wan_bytes a) bytes"

in_host a-client
client_init a
client_run a "${mirror[a]}"
took "client: $(tail -n 1 "$T/out")"
check "the client has what was published" same_tree "$T/tree" "$T/root-a"
took "compared"

# Nothing has changed: one request, and nothing is written but the summary.
picture_of_quiet "$T/root-a" "$T/state-a" >"$T/before"
requests_before=$(requests a)
client_run a "${mirror[a]}"
says "nothing to change"
took "again: $(tail -n 1 "$T/out")"
picture_of_quiet "$T/root-a" "$T/state-a" >"$T/after"
check "a second run writes its summary only" diff "$T/before" "$T/after"
check "a second run needs one request" test "$(requests a)" = $((requests_before + 1))

# 1 % of the files; what is edited changes in its middle and at its end.
python3 - "$T/tree" >"$T/edited" <<'PYTHON'
import os, random, sys
tree = sys.argv[1]
pick = random.Random(1)
files = sorted(os.path.join(d, f) for d, _, names in os.walk(tree) for f in names
               if not os.path.islink(os.path.join(d, f)))
some = pick.sample(files, len(files) // 100)
counts = [0, 0, 0, 0]

def replace(path, text):
    with open(path + ".new", "wb") as f:
        f.write(text)
        os.fchmod(f.fileno(), os.stat(path).st_mode & 0o7777)
    os.rename(path + ".new", path)

for n, path in enumerate(some):
    kind = (0, 0, 0, 0, 0, 1, 1, 2, 2, 3)[n % 10]
    counts[kind] += 1
    with open(path, "rb") as f:
        text = f.read()
    if kind == 0:
        middle = len(text) // 2
        text = text[:middle] + b"edited %d\n" % n + text[middle:] + b"the end\n"
        replace(path, text)
    elif kind == 1:
        os.rename(path, path + ".renamed")
    elif kind == 2:
        with open(path + ".added", "wb") as f:
            f.write(pick.randbytes(len(text) % 4000) + text[:len(text) // 2])
    else:
        os.unlink(path)
print("%d edited, %d renamed, %d added, %d removed" % tuple(counts))
PYTHON
took "$(cat "$T/edited")"

line_before=$(wan_bytes a)
publish "share=$T/tree:/" --exact
took "published: $(sed -n 2p "$T/publish.out")"
mirror_at a 2
line=$(($(wan_bytes a) - line_before))
took "replicated"

# What rsync transfers from there to its own copy of the tree as it was.
in_host a-mirror
printf 'use chroot = no\nuid = root\ngid = root\n[tree]\npath = %s\n' "$T/tree" \
	>"$T/rsyncd.conf"
launch "$T/rsyncd.log" rsync --daemon --no-detach --config "$T/rsyncd.conf" \
	--address 10.77.1.10 --port 8730 --log-file "$T/rsyncd.log"
in_host a-client
wait_for 20 on a-client rsync rsync://10.77.1.10:8730/ || fail "rsync daemon"
cable_before=$(client_bytes)
on a-client rsync -az --delete rsync://10.77.1.10:8730/tree/ "$T/root-rsync/" \
	>"$T/out" 2>&1 || fail "rsync"
theirs=$(($(client_bytes) - cable_before))
took "rsync -az"

cable_before=$(client_bytes)
client_run a "${mirror[a]}"
ours=$(($(client_bytes) - cable_before))
took "client: $(tail -n 1 "$T/out")"
check "the client has what was published then" same_tree "$T/tree" "$T/root-a"

echo "$ours bytes to the client, $line over the site's line; rsync -az: $theirs"
check "fewer bytes than rsync -az: $ours, $theirs" test "$ours" -lt "$theirs"
check "fewer bytes over the site's line: $line, $theirs" test "$line" -lt "$theirs"
done_checks
