#!/usr/bin/env bash
# run: parallel
# run: limit 120
# What is in use while a run changes it: programs that run, files that somebody
# writes to, and file systems that are mounted below the target, across which
# nothing can be a hard link.
# shellcheck disable=SC2317 # check and wait_for call functions
set -uo pipefail
# shellcheck source=tests/faults.sh
. "$(dirname "$0")/faults.sh"
need_root "file systems are mounted"
need rsync python3 unshare
# Mounts are seen by nobody else and end with the script.
if [ -z "${IN_OWN_MOUNTS-}" ]; then
	unshare -m true 2>/dev/null || skip "mount namespaces are not allowed here"
	IN_OWN_MOUNTS=1 exec unshare -m "$0" "$@"
fi
faults_begin

S=$T/tree R=$T/root-a
mkdir -p "$S/bin" "$S/log" "$S/data"
cp "$(command -v sleep)" "$S/bin/busy"
echo first >"$S/log/open"
origin_init --org test
release() {
	cat >"$T/site.conf" <<-CONF
		[transcript tree]
		source = $S
		target = /
		mode = exact
		[profile p]
		transcripts = tree
		[host *]
		profile = p
	CONF
	[ ! -e "$S/bin/busy" ] || cat >>"$T/site.conf" <<-CONF
		[trigger busy]
		paths = /bin/busy
		command = $R/bin/busy 0
	CONF
	publish "$T/site.conf"
}
run() {
	client a run --server "$origin" "$@"
}
release
origin_up
client_init a
client_run a "$origin"

# ---- a program that runs, a file that is written to ----

launch "$T/busy.log" "$R/bin/busy" 600
busy=$started
runs() { # the program of that inode, and goes on
	kill -0 "$busy" && [ "$(stat -L -c %i "/proc/$busy/exe")" = "$1" ]
}
was=$(stat -c %i "$R/bin/busy")
wait_for 10 runs "$was" || fail "the program does not run"
exec 8>>"$R/log/open"
printf '\n# another one\n' >>"$S/bin/busy"
echo second >"$S/log/open"
release
check "a run" run
says "trigger after busy: done"
check "the new program is there" cmp "$S/bin/busy" "$R/bin/busy"
check "the old one goes on" runs "$was"
check "and can be looked at" cmp -s "/proc/$busy/exe" "$(command -v sleep)"
echo late >&8
exec 8>&-
check "who writes goes on with the file it has" test "$(cat "$R/log/open")" = second
check "which is kept" client a bucket get log/open
says late
says "written to after it was replaced"
chmod 700 "$S/bin/busy"
release
launch "$T/busy.log" "$R/bin/busy" 600
second=$started
check "a program that runs gets another mode" run
check "it has" test "$(stat -c %a "$R/bin/busy")" = 700
check "a program that runs is taken back" client a rollback --to 1
check "it is the first again" cmp "$R/bin/busy" "$(command -v sleep)"
check "both go on" kill -0 "$busy" "$second"
rm "$S/bin/busy"
release
check "a program that runs is deleted" run
check "it is" test ! -e "$R/bin/busy"
check "both still go on" kill -0 "$busy" "$second"
stop "$busy"
stop "$second"

# ---- hard links that would lie on two file systems ----

mkdir_mounted() {
	mkdir -p "$1"
	mount -t tmpfs -o size=4m pecia "$1" || skip "no tmpfs"
	faults_mounts+=("$1")
}
echo linked >"$S/a"
ln "$S/a" "$S/data/b"
release
mkdir_mounted "$R/data"
picture "$R" >"$T/before"
check_exit 1 "the first name here, another there" run
matches '^pecia: data/b: hard link to a, which is on another file system'
picture "$R" | sed "/^${R//\//\\/} d/d" >"$T/after"
check "nothing has changed" diff <(sed "/^${R//\//\\/} d/d" "$T/before") "$T/after"
rm "$S/a"
ln "$S/data/b" "$S/z"
release
check_exit 1 "the first name there, another here" run
matches '^pecia: z: hard link to data/b, which is on another file system'
check "nothing is there" test ! -e "$R/z" -a -z "$(ls -A "$R/data")"
check "no stage is left" no_stages "$R"
# One whose content is the same already.
echo linked >"$R/data/b"
touch -r "$S/data/b" "$R/data/b"
check_exit 1 "of a file that is there" run
matches '^pecia: z: hard link to data/b, which is on another file system'
umount "$R/data"
check "without the mount it is one" run
check "it is" test "$R/z" -ef "$R/data/b"

# Two file systems of a source count their inodes alike.
rm "$S/z" "$S/data/b"
for side in one two; do
	mkdir_mounted "$S/data/$side"
	echo "$side" >"$S/data/$side/x"
	ln "$S/data/$side/x" "$S/data/$side/y"
done
check "they do" test "$(stat -c %i "$S/data/one/x")" = "$(stat -c %i "$S/data/two/x")"
release
check "a run" run
check "a file each" test "$(cat "$R/data/one/y" "$R/data/two/y")" = "$(printf 'one\ntwo')"
check "with two names each" test "$(stat -c %h "$R/data/one/x" "$R/data/two/x" | tr '\n' ' ')" = "2 2 "
check "linked" test "$R/data/two/x" -ef "$R/data/two/y"
done_checks
