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
echo "[main]" >"$T/client.conf"

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

# ---- max_delete ----

mkdir "$S/many"
(cd "$S/many" && seq 60 | split -l 1 - n-)
publish "tree=$S:/data" --exact
check "sixty files more" run
rm -r "$S/many"
publish "tree=$S:/data" --exact
refuses 1 "61 of 6
max_delete is 50%
nothing was changed
--max-delete 61" run
check "all are there" test -f "$R/many/n-aa"
check "a look tells" run --noop
says "a run would stop"
refuses 64 "not a share" run --max-delete half
echo "max_delete = 99% 60" >>"$T/client.conf"
refuses 1 "max_delete is 60" run
check "the flag goes before" run --max-delete 61
check "they are gone" test ! -e "$R/many"

# ---- protect ----

echo "protect = /data/etc/host* *.key" >>"$T/client.conf"
mkdir "$S/gone" "$R/local"
echo published >"$S/etc/hostname"
echo x >"$S/gone/x"
publish "tree=$S:/data" --exact
echo mine | tee "$R/etc/hostname" "$R/local/a.key" "$R/local/other" >/dev/null
check "a run" run -v
says "protected data/etc/hostname (different)"
says "protected data/local/a.key (unlisted)"
check "protected: not changed" grep -qx mine "$R/etc/hostname"
check "protected: not deleted" test -f "$R/local/a.key"
check "what is not goes" test ! -e "$R/local/other"
check "is no drift" client a verify
echo mine >"$R/gone/b.key"
rm -r "$S/gone"
echo file >"$S/gone"
publish "tree=$S:/data" --exact
refuses 1 "data/gone/b.key is protected here" run
check "the directory stays" test -f "$R/gone/x"
rm "$R/gone/b.key"
check "without it, it goes" run
check "is a file" test -f "$R/gone"

done_checks
