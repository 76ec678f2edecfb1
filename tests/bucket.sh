#!/usr/bin/env bash
# What a run replaced or deleted is found again: pecia bucket, diff and which;
# a release that was rolled back is held; old runs are forgotten as configured.
# run: parallel
# run: limit 300
# shellcheck disable=SC2317 # functions that check and wait_for call
set -uo pipefail
# shellcheck source=tests/faults.sh
. "$(dirname "$0")/faults.sh"
need_root "files of several owners"
need rsync python3 diff
faults_begin

S=$T/tree R=$T/root-a
mkdir -p "$S/etc" "$S/opt" "$T/over/etc"
printf 'a\nb\nc\n' >"$S/etc/motd"
echo hidden >"$S/etc/over"
echo "of the second" >"$T/over/etc/over"
printf 'x\ny\n' >"$S/etc/gone"
ln -s motd "$S/etc/link"
ln "$S/etc/motd" "$S/etc/motd-too"
chown nobody:nogroup "$S/etc/gone"
chmod 640 "$S/etc/gone"
origin_init --address 127.0.0.1
release() { # MESSAGE
	publish "tree=$S:/" "over=$T/over:/" --exact --message "$1" --author "tester <t@example.com>"
}
release one
origin_up
client_init a
mkdir -p "$R/etc"
printf 'the old\nmachine\n' >"$R/etc/motd"
client_run a "$origin"
check "is release 1" grep -qx b "$R/etc/motd"

# ---- what a run took away ----

check "list" client a bucket list --json
list=$(cat "$T/out")
check "it lists the one file" python3 - "$list" <<'PYTHON'
import hashlib, json, sys
(entry,) = [x for x in json.loads(sys.argv[1]) if x["type"] == "file"]
assert entry["path"] == "etc/motd" and entry["kept"] == 1 and entry["content"], entry
assert entry["sha256"] == hashlib.sha256(b"the old\nmachine\n").hexdigest(), entry
assert "serial" not in entry, entry
PYTHON
check "get what no release had" client a bucket get /etc/motd
cp "$T/out" "$T/got"
check "it is that" cmp "$T/got" - <<<$'the old\nmachine'

printf 'a\nB\nc\n' >"$S/etc/motd"
rm "$S/etc/gone" "$S/etc/link"
release two
client_run a "$origin"
check "list of a path" client a bucket list etc/motd
matches '^2 .* release 1 +file +6 bytes +etc/motd$'
matches '^1 .* no release +file +16 bytes +etc/motd$'
check "get by release" client a bucket get etc/motd --serial 1
says b
check "get by run" client a bucket get etc/motd --kept 1
says machine
check "diff" client a bucket diff etc/motd
says "--- before kept run 2"
says -b
says +B
refuses 1 "no kept run" client a bucket get etc/none
refuses 64 "path /etc/../x" client a bucket get /etc/../x
refuses 1 "no regular file" client a bucket get etc/link
refuses 64 "bucket throw: unknown" client a bucket throw
check "restore" client a bucket restore etc/gone
says "etc/gone: as it was before kept run 2"
says "the release has nothing there: the next run deletes it again"
check "with its metadata" test "$(stat -c '%U:%G %a' "$R/etc/gone")" = "nobody:nogroup 640"
check "with its content" grep -qx y "$R/etc/gone"
check "restore a symlink" client a bucket restore etc/link
check "it leads there" test "$(readlink "$R/etc/link")" = motd
check "restore elsewhere" client a bucket restore etc/motd --to "$T/elsewhere" --kept 1
check "it is there" grep -qx machine "$T/elsewhere"
check "and not in its place" grep -qx B "$R/etc/motd"
check "restore what is managed" client a bucket restore etc/motd
says "it is managed (transcript tree): the next run changes it again"
check "it is the old one" grep -qx b "$R/etc/motd"

# ---- what differs, and where from ----

chmod 600 "$R/etc/over"
check_exit 2 "diff" client a diff
says "mode: 0644 in the release, 0600 here"
says "change file etc/motd (content"
says "delete file etc/gone"
check_exit 2 "of one path" client a diff /etc/motd
says "the release's content is not on this machine"
check "the same content elsewhere" cp "$S/etc/motd" "$T/kept-motd"
client_run a "$origin"
printf 'a\nB\nc\nd\n' >"$R/etc/motd"
client_run a "$origin"
printf 'a\nB\nD\n' >"$R/etc/motd"
check_exit 2 "its content was kept by a run" client a diff etc/motd --json
says '"content_differs": true'
check "nothing below opt" client a diff opt
check "which" client a which /etc/over
matches '^transcript +over$'
matches '^hides +tree$'
matches '^release +2 of production'
matches '^author +tester <t@example.com>$'
matches '^message +two$'
matches '^now +the same$'
check "which, for programs" client a which etc/motd --json
says '"transcript": "tree"'
says '"differs": true'
check "which of nothing" client a which etc/none
says "in an exact target, where it would go"

# ---- a release that was left ----

client_run a "$origin"
check "back" client a rollback --to 1
check "it is" grep -qx b "$R/etc/motd"
check "a run" client a run --server "$origin"
says "release 2 was rolled back on this machine: waiting for a newer one"
says "nothing to change"
echo drift >"$R/etc/over"
check "a run mends what release 1 says" client a run --server "$origin" --json
says '"held":2'
says '"serial":1'
check "it did" grep -qx "of the second" "$R/etc/over"
check "status" client a status
says "release 2 was rolled back"
check "status for programs" client a status --json
says '"held": 2'
check "again" client a run --server "$origin" --retry
check "is release 2" grep -qx B "$R/etc/motd"
check "nothing is held" client a status --json
check "indeed" test "$(grep -c held "$T/out")" = 0
check "back once more" client a rollback --to 1
printf 'third\n' >"$S/etc/motd"
release three
check "a newer one" client a run --server "$origin"
check "is release 3" grep -qx third "$R/etc/motd"

# ---- what others see of all that ----

by_nobody() {
	setpriv --reuid=65534 --regid=65534 --clear-groups "$@"
}
find "$T/state-a" >"$T/all"
check "there is much" test "$(wc -l <"$T/all")" -gt 50
# shellcheck disable=SC2016 # for that shell
by_nobody sh -c 'while read -r path; do test ! -r "$path" || echo "$path"; done' <"$T/all" |
	sort >"$T/seen"
check "the summaries and nothing else" diff "$T/seen" - <<-SEEN
	$T/state-a/last_run_summary.json
	$T/state-a/last_run_summary.yaml
SEEN
check "modes" test "$(find "$T/state-a" -mindepth 1 -perm /077 ! -path '*/kept/*/f/*' -printf '%P %m\n' | sort)" = \
	"$(printf '%s 644\n' identity/cert.pem last_run_summary.json last_run_summary.yaml)"
check "what is kept has its own" test "$(stat -c %a "$T/state-a/kept/1/f/0")" = 644
mode_after() { # MODE
	chmod "$1" "$T/state-a"
	client_run a "$origin"
	stat -c %a "$T/state-a"
}
check "made so" test "$(stat -c %a "$T/state-a")" = 711
check "as it was before" test "$(mode_after 700)" = 711
check "as somebody wants it" test "$(mode_after 750)" = 750
chmod 711 "$T/state-a"

# ---- how much is kept ----

kept() {
	test "$(find "$T/state-a/kept" -mindepth 1 -maxdepth 1 | wc -l)" = "$1"
}
check "all of them" kept 10
drift() { # LINE of the configuration
	printf '[main]\nsrv = no\n%s\n' "$1" >"$T/client.conf"
	echo drift >>"$R/etc/over"
	client_run a "$origin"
}
drift "keep_runs = 3"
check "by number" kept 3
drift "keep_bytes = 1"
check "by bytes: the last one" kept 1
drift "keep_runs = 0"
check "none" kept 0
refuses 1 "keep_runs" client a rollback
done_checks
