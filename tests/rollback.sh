#!/usr/bin/env bash
# pecia rollback: the machine becomes what it was, without the network, whatever
# the releases changed; killed on the way it is the one or the other; a release
# that was left is not gone back to by itself.
# run: parallel
# run: limit 300
# shellcheck disable=SC2317 # functions that check and wait_for call
set -uo pipefail
# shellcheck source=tests/faults.sh
. "$(dirname "$0")/faults.sh"
need_root "files of several owners"
need rsync python3 setfattr
faults_begin

S=$T/tree R=$T/root-a
mkdir -p "$S"/{etc/deep/er,opt,dir-to-file/sub,dir-to-link}
printf 'one\n' >"$S/etc/motd"
printf 'user:x\nroot:y\n' >"$S/etc/users"
seq 2000 >"$S/opt/list"
: >"$S/empty"
echo deep >"$S/etc/deep/er/file"
echo x >"$S/dir-to-file/sub/x"
echo y >"$S/dir-to-link/y"
echo old >"$S/file-to-dir"
echo old >"$S/file-to-link"
ln -s etc/motd "$S/link"
ln -s etc "$S/link-to-dir"
mkfifo "$S/fifo"
ln "$S/opt/list" "$S/opt/hard-a"
ln "$S/opt/list" "$S/opt/hard-b"
echo gone >"$S/gone"
chown nobody:nogroup "$S/etc/users"
setfattr -n user.note -v "of 1" "$S/etc/motd" 2>/dev/null
cp -a "$S" "$T/r1"

echo two >>"$S/etc/motd"
rm -rf "$S"/{dir-to-file,dir-to-link,file-to-dir,file-to-link,link-to-dir,gone,fifo}
echo now >"$S/dir-to-file"
ln -s opt "$S/dir-to-link"
mkdir -p "$S/file-to-dir/a/b" "$S/link-to-dir" "$S/fifo"
echo in >"$S/file-to-dir/a/b/c"
ln -s opt "$S/file-to-link"
chmod 4711 "$S/etc/users"
chown root:root "$S/etc/users"
rm "$S/opt/hard-b"
seq 3000 >"$S/opt/other"
seq 2500 >"$S/opt/list"
chmod 700 "$S/etc/deep"
cp -a "$S" "$T/r2"

rm "$S/opt/list" "$S/empty"
mkdir -p "$S/new/tree"
echo n >"$S/new/tree/n"
rm -rf "$S/etc/deep"
ln -s er "$S/etc/deep"
echo three >"$S/link-to-dir/in"
echo three >"$S/etc/motd"
touch -d 2001-02-03 "$S/opt/hard-a"
cp -a "$S" "$T/r3"

rm -rf "$S/etc/deep" "$S/new"
mkdir -p "$S/etc/deep/er"
echo again >"$S/etc/deep/er/file"
ln "$S/opt/other" "$S/opt/hard-c"
cp -a "$S" "$T/r4"

origin_init --address 127.0.0.1
origin_up
client_init a
# What the first release finds: a file in its way, and one that it deletes.
mkdir -p "$R/etc" "$R/spare"
echo "of the machine" >"$R/etc/motd"
echo "of the machine too" >"$R/spare/file"
chmod 640 "$R/etc/motd"
cp -a "$R" "$T/r0"
for n in 1 2 3 4; do
	publish "tree=$T/r$n:/" --exact --message "release $n" --author tester
	client_run a "$origin"
	check "is release $n" same_tree "$T/r$n" "$R"
	[ "$n" != 2 ] || client_copy a b0
done
client_copy a b
client_init c
rm -r "$T/root-c"
cp -a "$T/r0" "$T/root-c"
client_run c "$origin"
check "is release 4" same_tree "$T/r4" "$T/root-c"
stop "$origin_pid"
# For what needs a server still; the others do without.
serve "$T/second.log" --repo "$PECIA_REPO" --identity "$PECIA_KEYS/identity"
second=$ready second_pid=$started

# ---- to each and back ----

picture "$R" >"$T/before"
check "shown" client a rollback --to 3 --noop
says "back to release 3 of production, profile default: would be"
picture "$R" >"$T/after"
check "nothing was written" cmp "$T/before" "$T/after"

for n in 3 2 1; do
	check "to $n" client a rollback --to "$n"
	says "rolled back to release $n of production"
	check "is release $n" same_tree "$T/r$n" "$R"
	check "nothing differs from release $n" client a verify
done
refuses 64 "release 1 is applied" client a rollback --to 1
refuses 1 "release 9: not kept; kept: release 2 of production" client a rollback --to 9
check "a rollback is undone by one" client a rollback
check "is release 2 again" same_tree "$T/r2" "$R"

client_copy b a
check "all at once" client a rollback --to 1
check "is release 1" same_tree "$T/r1" "$R"
check "forward again" client a rollback --to 4
check "is release 4" same_tree "$T/r4" "$R"
check "nothing staged is left" no_stages "$R"

# ---- to before the first release ----

check "before the first" client c rollback
says "rolled back to before the first release"
check "is what was there" same_tree "$T/r0" "$T/root-c"
check_exit 1 "nothing is applied" client c status
says "none applied yet"

# ---- the state on another disk: what is kept is a copy ----

mkdir "$T/state-x"
if mount -t tmpfs -o size=20m,mode=700 tmpfs "$T/state-x"; then
	faults_mounts+=("$T/state-x")
	cp -a "$T/state-b0/." "$T/state-x"
	cp -a "$T/root-b0" "$T/root-x"
	check "from release 2 on" client x run --server "$second"
	check "is release 4" same_tree "$T/r4" "$T/root-x"
	check "back" client x rollback --to 2
	check "is release 2" same_tree "$T/r2" "$T/root-x"
else
	echo "no tmpfs here: the state on another disk is not tried"
fi
stop "$second_pid"

# ---- what somebody changed in between ----

client_copy b d
echo mine >"$T/root-d/etc/mine"
rm "$T/root-d/opt/hard-c"
rm -r "$T/root-d/file-to-dir"
check "with files changed meanwhile" client d rollback --to 2
check "a file of one's own stays" grep -q mine "$T/root-d/etc/mine"
touch -r "$T/r2/etc" "$T/root-d/etc"
rsync -naAXHic --delete "$T/r2/" "$T/root-d/" >"$T/out"
says "*deleting   etc/mine"
# Deleted by somebody, touched by no run: it is not made again.
says file-to-dir/a/b/c

# ---- killed ----

roll() { # N
	tool_kill_at "$1" "$T/calls" pecia --config "$T/client.conf" --root "$T/root-k" \
		--state "$T/state-k" rollback --to 1 >"$T/run.log" 2>&1
}
client_copy b k
roll 0
if [ $? = 77 ]; then
	echo "processes cannot be traced here: no kills"
	done_checks
fi
check "unharmed: is release 1" same_tree "$T/r1" "$T/root-k"
total=$(cat "$T/calls")
old=0 new=0
for point in $(seq 5); do
	client_copy b k
	roll $((total * point / 5 - $(random 4)))
	check "$point: each path old or new" python3 tests/halfway.py "$T/r4" "$T/r1" "$T/root-k"
	check "$point: recovery" client k rollback --noop
	check "$point: old or new" either_tree "$T/r4" "$T/r1" "$T/root-k"
	check "$point: nothing staged, nothing half kept" \
		test ! -e "$T/state-k/kept/new" -a ! -e "$T/state-k/journal"
	if grep -qx "serial 1" "$T/state-k/applied"; then
		new=$((new + 1))
		check "$point: the new one is release 1" same_tree "$T/r1" "$T/root-k"
	else
		old=$((old + 1))
		check "$point: the old one is release 4" same_tree "$T/r4" "$T/root-k"
	fi
done
echo "5 kills of $total calls: $old ended old, $new new"
check "some of each" test "$old" -gt 0 -a "$new" -gt 0
done_checks
