#!/usr/bin/env bash
# run: parallel
# run: limit 120
# What keeps a run from changing what it should not.
# shellcheck disable=SC2317 # check and wait_for call functions
set -uo pipefail
cd "$(dirname "$0")/.." || exit 1
# shellcheck source=tests/e2e.sh
. tests/e2e.sh
need rsync python3
e2e_begin

S=$T/tree
R=$T/root-a/data
mkdir -p "$S/etc"
echo one >"$S/etc/motd"
origin_init --org test
publish "tree=$S:/data" --exact
origin_up
client_init a
client_run a "$origin"

run() {
	client a run --server "$origin" "$@"
}

# ---- disable, enable ----

echo two >"$S/etc/motd"
publish "tree=$S:/data" --exact
check "disable" client a disable "disk is being replaced"
refuses 3 "disk is being replaced
pecia enable" run
check "nothing was changed" grep -qx one "$R/etc/motd"
check "a look is allowed" run --noop
says "change file data/etc/motd"
check_exit 1 "status" client a status
matches '^disabled +[0-9T:Z-]+ disk is being replaced$'
refuses 64 "no text of one line" client a disable "a
b"
check "enable" client a enable
says "again"
check "enable once more" client a enable
says "were not disabled"
check "runs change things again" run
check "is the newest" same_tree "$S" "$R"

done_checks
