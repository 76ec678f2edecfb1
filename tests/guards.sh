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

# ---- plans ----

plan_id() {
	client a plan --server "$origin" >"$T/out" 2>&1 || fail "plan"
	sed -n 's/^plan //p' "$T/out"
}
echo three >"$S/etc/motd"
publish "tree=$S:/data" --exact
id=$(plan_id)
matches '^change file data/etc/motd '
check "the same again" test "$(plan_id)" = "$id"
check "as JSON" grep -q "\"plan\":\"$id\"" <(client a plan --server "$origin" --json)
refuses 64 "not the name" run --plan 12
echo drift >"$R/etc/other"
refuses 5 "+ delete file data/etc/other
today's plan is" run --plan "$id"
refuses 5 "is not kept" run --plan "$(tr 0-9a-f 1-9a-f0 <<<"$id")"
check "nothing was changed" grep -qx drift "$R/etc/other"
second=$(plan_id)
check "another name" test "$second" != "$id"
check "the plan that was seen" run --plan "$second"
check "is done" grep -qx three "$R/etc/motd"
echo four >"$S/etc/motd"
publish "tree=$S:/data" --exact
refuses 5 "- delete file data/etc/other
+ release " run --plan "$second"
client a run --server "$origin" >"$T/out" 2>&1 || fail "run"
for i in $(seq 9); do
	echo "$i" >"$R/etc/drift-$i"
	plan_id >/dev/null
done
check "some are kept" test "$(find "$T/state-a/plans" -type f | wc -l)" = 8
refuses 5 "is not kept" run --plan "$second"

# ---- commands around a run ----

cat >>"$T/client.conf" <<CONF
prerun_command = /bin/sh -c 'echo "\$PECIA_ROOT" >>$T/before; test ! -e $T/stop || { echo "not now"; exit 4; }'
postrun_command = /bin/sh -c 'echo "\$PECIA_RESULT" >>$T/after; test ! -e $T/late'
CONF
echo five >"$S/etc/motd"
publish "tree=$S:/data" --exact
check "a look runs none" run --noop
check "none was run" test ! -e "$T/before"
touch "$T/stop"
refuses 1 "prerun_command /bin/sh: exit status 4; it said: not now" run
check "nothing was changed" grep -qx four "$R/etc/motd"
check "nothing comes after" test ! -e "$T/after"
rm "$T/stop"
check "a run" run
check "knows the root" grep -qx "$T/root-a" "$T/before"
check "knows how it went" grep -qx success "$T/after"
touch "$T/late"
refuses 1 "the run was made, but" run
rm "$T/late"
check_exit 1 "a failed run" client a run --server 127.0.0.1:1
check "is known" grep -qx failure "$T/after"

# They are around a rollback too, which nothing holds up.
: >"$T/before" && : >"$T/after"
check "a look runs none" client a rollback --noop
check "none was run" test ! -s "$T/before"
check "a rollback" client a rollback
check "is back" grep -qx four "$R/etc/motd"
check "knows the root" grep -qx "$T/root-a" "$T/before"
check "knows how it went" grep -qx success "$T/after"
refuses 1 "release 99: not kept" client a rollback --to 99
check "is known" grep -qx failure "$T/after"
touch "$T/stop" "$T/late"
refuses 1 "rolled back all the same
prerun_command /bin/sh: exit status 4; it said: not now
the rollback was made, but postrun_command" client a rollback
check "is there again" grep -qx five "$R/etc/motd"

done_checks
