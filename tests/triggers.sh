#!/usr/bin/env bash
# run: parallel
# run: limit 180
# Triggers and checks: which are run, in which order, how often; that one before
# stops a change, that none is lost by a crash, and that a check that fails takes
# the machine back.
# shellcheck disable=SC2317 # check and wait_for call functions
set -uo pipefail
cd "$(dirname "$0")/.." || exit 1
# shellcheck source=tests/e2e.sh
. tests/e2e.sh
need rsync python3
e2e_begin

S=$T/tree
R=$T/root-a
mkdir -p "$S/etc/web" "$S/srv" "$S/opt"
echo one >"$S/etc/web/conf"
echo one >"$S/srv/page"
echo one >"$S/opt/file"

# say TEXT: a command that writes it and what it was told to $T/did.
say() {
	echo "/bin/sh -c 'echo $1 \$PECIA_TRIGGER\$PECIA_CHECK \$PECIA_SERIAL >>$T/did; ${2:-:}'"
}
# conf: release file of the tree and what comes on standard input.
conf() {
	printf '[transcript tree]\nsource = %s\ntarget = /\nmode = exact\n[profile p]\ntranscripts = tree\n[profile q]\ntranscripts = tree\n[host *]\nprofile = p\n' \
		"$S" >"$T/site.conf"
	cat >>"$T/site.conf"
}
run() {
	: >"$T/did"
	client a run --server "$origin" "$@"
}
# did LINE...: what was run since, all of it and in this order.
did() {
	if printf '%s\n' "$@" | sed '/^$/d' | cmp -s - "$T/did"; then
		pass
	else
		cp "$T/did" "$T/out"
		not_so "not just: $*"
	fi
}
# field FILE EXPRESSION: of a summary d, which is the last event, or all there is.
field() {
	python3 -c 'import json, sys
text = open(sys.argv[1]).read()
d = json.loads(text if text.startswith("{\n") else text.splitlines()[-1])
print(eval(sys.argv[2]))' "$@" >"$T/out" 2>&1
}

origin_init --org test
conf <<CONF
[trigger second]
paths = /srv
command = $(say two "echo said")
[trigger first]
paths = /etc/web/* /etc/other
command = $(say one)
[trigger elsewhere]
paths = /opt/file
command = $(say else)
profile = q
[trigger never]
paths = /nothing
command = $(say never)
[trigger early]
paths = /srv
phase = before
command = $(say early "cat $R/srv/page || true")
CONF
publish "$T/site.conf" --author me
grep -qx '+ trigger second' "$T/publish.out" || fail "publish does not say what is new"
origin_up
client_init a

# ---- which, in which order, once ----

check "foreseen" run --noop
says "trigger before early: would run"
says "trigger after second: would run"
did ""
check "the first run" run
did "early early 1" "two second 1" "one first 1"
says "trigger after second: done"
check "unchanged" run
did ""
echo two >"$S/opt/file"
publish "$T/site.conf"
check "nothing matches" run
did ""
echo two >"$S/etc/web/conf"
echo more >"$S/etc/web/more"
publish "$T/site.conf"
check "one of them, once" run
did "one first 3"
chmod 600 "$S/etc/web/conf"
publish "$T/site.conf"
check "metadata counts" run
did "one first 4"
rm "$S/etc/web/more"
publish "$T/site.conf"
check "so does deletion" run
did "one first 5"
chmod 640 "$R/etc/web/conf"
check "and what is mended" run
did "one first 5"
rm -r "$S/srv"
publish "$T/site.conf"
check "as JSON" test "$(run --json 2>/dev/null >"$T/json"; echo $?)" = 0
did "early early 6" "two second 6"
check "parses" field "$T/json" '[(t["name"], t["phase"], t["status"], t["output"]) for t in d["triggers"]]'
says "[('early', 'before', 0, 'one\\n'), ('second', 'after', 0, 'said\\n')]"

# ---- a trigger alone is a release ----

sed -i 's/^paths = .nothing/paths = \/nothing \/here/' "$T/site.conf"
publish "$T/site.conf"
grep -qx '~ trigger never' "$T/publish.out" || fail "publish does not say what changed"

# moved ORDER WORDS: with the triggers in that order, these are listed.
moved() {
	python3 - "$T/site.conf" "$1" >"$T/moved.conf" <<-'PYTHON'
		import re, sys
		head, *triggers = re.split(r"(?m)^(?=\[trigger )", open(sys.argv[1]).read())
		by_name = {re.match(r"\[trigger (.*)]", t)[1]: t for t in triggers}
		print(head + "".join(by_name[name] for name in sys.argv[2].split()))
	PYTHON
	peciactl publish "$T/moved.conf" --noop >"$T/out" 2>&1
	check "moved: $1" test "$(sed -n 's/^\([-+~>]\) trigger /\1/p' "$T/out" | tr '\n' ' ')" = "$2"
}
moved "second first elsewhere never early" ""
moved "first elsewhere never early second" ">second "
moved "early second first elsewhere never" ">early "
moved "early never elsewhere first second" ">never >elsewhere >first >second "
moved "first second never elsewhere early" ">second >elsewhere "
moved "elsewhere second first early" "-never >elsewhere "
check "as JSON" grep -q '"change": "moved"' <(peciactl publish "$T/moved.conf" --noop --json)

check "shown" peciactl show
says "trigger     never: after, 300 s"
says "            path     /here"
check "as JSON too" grep -q '"phase": "before"' <(peciactl show --json)
check "a run" run
did ""
says "release 7 of production"

# ---- before: failure changes nothing ----

conf <<CONF
[trigger ask]
paths = /etc
phase = before
command = $(say ask "echo asked")
[trigger stop]
paths = /etc
phase = before
command = $(say stop "echo not now; exit 3")
[trigger late]
paths = /etc
command = $(say late)
CONF
echo three >"$S/etc/web/conf"
publish "$T/site.conf"
picture "$R" | sed 's/ [0-9.]*@.*//; s/ [0-9.]*$//' >"$T/before"
refuses 1 "nothing was changed: trigger stop /bin/sh: exit status 3; it said: not now" run
matches '^trigger before ask: done in '
says "trigger before stop: failed: trigger stop /bin/sh: exit status 3"
says "    | not now"
did "ask ask 8" "stop stop 8"
check "nothing was changed" grep -qx two "$R/etc/web/conf"
check "nothing staged is left" test -z "$(find "$R" -name '.pecia-*')"
check "nothing is due" test ! -e "$T/state-a/due" -a ! -e "$T/state-a/due.new"
check_exit 1 "status knows" client a status
says "last run failed"
check "as JSON" test "$(run --json 2>/dev/null >"$T/json"; echo $?)" = 1
seen='[(t["name"], t["ok"], t["status"], t["output"]) for t in d["triggers"]], d["outcome"], d["changed"]'
for file in "$T/json" "$T/state-a/last_run_summary.json"; do
	check "parses" field "$file" "$seen"
	says "([('ask', True, 0, 'asked\n'), ('stop', False, 3, 'not now\n')], 'failed', False)"
done

# ---- after: failures are told, the others run, no shell, time is bounded ----

conf <<CONF
[trigger bad]
paths = /etc
command = $(say bad "exit 4")
[trigger missing]
paths = /etc
command = $T/nowhere
[trigger plain]
paths = /etc
command = /bin/echo \$HOME * ; a comment
[trigger slow]
paths = /etc
timeout = 1
command = /bin/sleep 60
[trigger good]
paths = /etc
command = $(say good)
CONF
publish "$T/site.conf"
refuses 1 "the change was made, but trigger bad /bin/sh: exit status 4
2 more triggers failed
trigger after slow: failed: trigger slow /bin/sleep: not done after 1 s
trigger after missing: failed
trigger after good: done" run -v
says "    | \$HOME *"
did "bad bad 9" "good good 9"
check "it is changed" grep -qx three "$R/etc/web/conf"
check "nothing is due" test ! -e "$T/state-a/due"
check "they are not run again" run
did ""

# ---- killed between commit and triggers, and in one ----

conf <<CONF
[trigger one]
paths = /etc
command = $(say one)
[trigger two]
paths = /etc
command = $(say two "test ! -e $T/kill || kill -9 \$PPID")
[trigger three]
paths = /etc
command = $(say three)
CONF
echo four >"$S/etc/web/conf"
publish "$T/site.conf"
touch "$T/kill"
check_exit 137 "killed" run
rm "$T/kill"
did "one one 10" "two two 10"
check "it is changed" grep -qx four "$R/etc/web/conf"
check_exit 1 "status" client a status
says "due: two three"
check "looking runs none" run --noop
did ""
check "the rest" run
did "two two 10" "three three 10"
check "once" run
did ""
check "status is well" client a status

# One that always ends the run is given up.
conf <<CONF
[trigger one]
paths = /etc
command = $(say one "kill -9 \$PPID")
[trigger two]
paths = /etc
command = $(say two)
CONF
echo five >"$S/etc/web/conf"
publish "$T/site.conf"
check_exit 137 "killed" run
check_exit 137 "killed again" run
refuses 1 "trigger one: begun 2 times" run
did "two two 11"
check "and that is it" run
did ""

# At each call that writes: the triggers run exactly if the change was made.
conf <<CONF
[trigger one]
paths = /etc
command = $(say one)
CONF
kill_at() {
	: >"$T/did"
	tool_kill_at "$1" "$T/calls" pecia --config "$T/client.conf" --root "$R" \
		--state "$T/state-a" run --server "$origin" >"$T/run.log" 2>&1
}
echo six >"$S/etc/web/conf"
publish "$T/site.conf"
kill_at 0
if [ $? = 77 ]; then
	echo "processes cannot be traced here: no kills"
else
	did "one one 12"
	total=$(cat "$T/calls")
	for back in 1 2 3 4 5 6 8 10 12 16 20; do
		[ "$back" -lt "$total" ] || continue
		echo "$back" >"$S/etc/web/conf"
		publish "$T/site.conf"
		kill_at $((total - back))
		check "$back: the next run" client a run --server "$origin"
		check "$back: is the newest" grep -qx "$back" "$R/etc/web/conf"
		# Twice only where the first was not seen to end.
		if [ "$(sort -u "$T/did" | wc -l)" = 1 ] && [ "$(wc -l <"$T/did")" -le 2 ]; then
			pass
		else
			not_so "$back: $(tr '\n' ' ' <"$T/did")"
		fi
	done
	check "nothing is due" test ! -e "$T/state-a/due" -a ! -e "$T/state-a/due.new"
fi

# ---- rollback ----

sed -i 's/echo one/echo old/' "$T/site.conf"
cat >>"$T/site.conf" <<CONF
[trigger new]
paths = /etc
command = $(say new)
CONF
echo seven >"$S/etc/web/conf"
publish "$T/site.conf"
check "a run" run
: >"$T/did"
check "foreseen" client a rollback --noop
says "trigger after one: would run"
did ""
check "rolled back" client a rollback
n=$(sed -n 's/^serial //p' "$T/state-a/applied")
did "one one $n" "new new $n"
says "trigger after new: done"

# ---- checks ----

conf <<CONF
[trigger one]
paths = /etc
command = $(say one)
[check well]
command = $(say check "grep -q ill $R/etc/web/conf && { echo is ill; exit 1; }; exit 0")
attempts = 2
interval = 0
CONF
echo eight >"$S/etc/web/conf"
publish "$T/site.conf"
check "well" run
n=$(serial_of "$PECIA_REPO")
did "one one $n" "check well $n"
says "check well: done"
check "checked though unchanged" run
did "check well $n"
echo ill >"$S/etc/web/conf"
publish "$T/site.conf"
bad=$((n + 1))
refuses 1 "release $bad was rolled back, release $n is applied again: check well /bin/sh: exit status 1; it said: is ill
check well: failed
(2 attempts)" run
did "one one $bad" "check well $bad" "check well $bad" "one one $n"
check "it is what it was" grep -qx eight "$R/etc/web/conf"
check_exit 1 "status" client a status
says "held      release $bad was rolled back"
says "release   $n of production"
says "check well"
check "not again by itself" run
says "release $bad was rolled back on this machine"
did "check well $n"
check "status goes on knowing why" client a status
says "held      release $bad was rolled back as check well /bin/sh: exit status 1; it said: is ill"
check "it stays" grep -qx eight "$R/etc/web/conf"
check "when asked" test "$(run --retry --json 2>/dev/null >"$T/json"; echo $?)" = 1
check "tried again" grep -qx "one one $bad" "$T/did"
check "JSON tells" field "$T/json" 'd["rolled_back"], d["rolled_back_to"], d["checks"][0]["ok"], d["checks"][0]["attempts"]'
says "(True, $n, False, 2)"
echo nine >"$S/etc/web/conf"
publish "$T/site.conf"
check "a newer one" run
check "is applied" grep -qx nine "$R/etc/web/conf"

# Drift that was mended is nothing to go back to.
check_file() { # COMMAND: of the trigger
	conf <<CONF
[trigger one]
paths = /etc
command = $(say one "$1")
[check well]
command = $(say check "test ! -e $T/ill")
attempts = 1
CONF
}
check_file :
publish "$T/site.conf"
check "a run" run
touch "$T/ill"
echo drift >"$R/etc/web/conf"
refuses 1 "check well /bin/sh: exit status 1" run
check "mended" grep -qx nine "$R/etc/web/conf"
rm "$T/ill"

# Killed before its checks, a release is judged by the next run.
n=$(serial_of "$PECIA_REPO")
echo ten >"$S/etc/web/conf"
check_file "test ! -e $T/kill || kill -9 \$PPID"
publish "$T/site.conf"
touch "$T/kill" "$T/ill"
check_exit 137 "killed" run
rm "$T/kill"
check "changed" grep -qx ten "$R/etc/web/conf"
cp "$T/client.conf" "$T/plain.conf"
echo "postrun_command = /bin/sh -c 'echo \$PECIA_RESULT >>$T/did'" >>"$T/client.conf"
refuses 1 "was rolled back, release $n is applied again" run
check "what comes after a run comes after that" grep -qx failure "$T/did"
mv "$T/plain.conf" "$T/client.conf"
check "back" grep -qx nine "$R/etc/web/conf"
check "nothing is due" test ! -e "$T/state-a/due"

# The first release of all.
client_init b
refuses 1 "was rolled back, no release is applied" client b run --server "$origin"
check "nothing of it is left" test -z "$(ls "$T/root-b")"
rm "$T/ill"
check "held back" client b run --server "$origin"
says "was rolled back on this machine"
check "when asked" client b run --server "$origin" --retry
check "is there" grep -qx ten "$T/root-b/etc/web/conf"

done_checks
