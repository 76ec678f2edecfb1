#!/usr/bin/env bash
# run: parallel
# run: limit 120
# What operators and monitoring see of a run: colours, progress, events,
# summaries, exit statuses.
# shellcheck disable=SC2317 # check and wait_for call functions
set -uo pipefail
cd "$(dirname "$0")/.." || exit 1
# shellcheck source=tests/e2e.sh
. tests/e2e.sh
need python3 script
e2e_begin
unset NO_COLOR
export TERM=xterm

S=$T/tree
R=$T/root-a/data
mkdir -p "$S/etc"
echo one >"$S/etc/motd"
echo same >"$S/etc/same"
odd=$'odd\033[31m\nname'
echo odd >"$S/etc/$odd"
origin_init --org test
publish "tree=$S:/data" --exact
origin_up
client_init a

run() {
	client a run --server "$origin" "$@"
}
# terminal COMMAND...: on a terminal of its own; what that got is in $T/screen.
terminal() {
	local words
	words=$(printf '%q ' "$@")
	script -qec "stty cols ${columns:-80}; $words" /dev/null >"$T/screen" 2>&1 </dev/null
}
on_terminal() {
	terminal pecia --config "$T/client.conf" --root "$T/root-a" \
		--state "$T/state-a" "$@" --server "$origin"
}
has_color() {
	grep -q $'\033\\[3[1-6]m' "$1"
}
is_plain() {
	! grep -q $'\033' "$1"
}

# ---- colours ----

client a run --noop --server "$origin" >"$T/plain" 2>&1
check "nothing for terminals in a pipe" is_plain "$T/plain"
check "the plan is there" grep -q '^create file data/etc/motd' "$T/plain"
check "names cannot do harm" grep -qF 'create file data/etc/odd\033[31m\012name' "$T/plain"
check "on a terminal" on_terminal run --noop
check "it is coloured" has_color "$T/screen"
check "and each colour ends" test "$(grep -o $'\033\\[3[1-6]m' "$T/screen" | wc -l)" = \
	"$(grep -o $'\033\\[0m' "$T/screen" | wc -l)"
check "names cannot do harm there" grep -qF 'odd\033[31m\012name' "$T/screen"
NO_COLOR=1 check "NO_COLOR" on_terminal run --noop
check "is respected" is_plain "$T/screen"
TERM=dumb check "TERM=dumb" on_terminal run --noop
check "is respected, too" is_plain "$T/screen"
check "--color never" on_terminal run --noop --color never
check "is obeyed" is_plain "$T/screen"
client a run --noop --server "$origin" --color always >"$T/plain" 2>&1
check "--color always" has_color "$T/plain"
refuses 64 "--color sometimes" run --color sometimes

# ---- events ----

# events EXPRESSION: of the events in $T/events: all, and named(NAME).
events() {
	python3 -c '
import json, sys
all = [json.loads(line) for line in open(sys.argv[1])]
names = [e["event"] for e in all]
named = lambda name: [e for e in all if e["event"] == name]
sys.exit(not eval("(" + sys.argv[2] + ")"))' "$T/events" "$1" || { cat "$T/events" && return 1; }
}
tell() {
	run --json "$@" >"$T/events" 2>"$T/err"
}
check "events" tell -v
check "all of them" events 'names[:3] == ["start", "server", "release"] and
	set(names[3:-1]) == {"change"} and names[-1] == "summary"'
check "each says when" events 'all and min(len(e["time"]) for e in all) == 20'
check "what was begun" events 'all[0]["command"] == "run" and not all[0]["noop"]'
check "which server" events 'all[1]["site"] == "origin" and all[1]["server"] == "'"${origin/:/ port }"'"'
check "which release" events 'all[2]["serial"] == 1 and all[2]["channel"] == "production"
	and all[2]["applied"] == False and len(all[2]["release"]) == 64'
check "each path" events '{e["path"] for e in named("change")} >= {"data/etc/motd", "data/etc/same"}
	and {e["action"] for e in named("change")} == {"create"}'
check "the end" events 'all[-1]["outcome"] == "changed" and all[-1]["changed"]
	and all[-1]["paths_changed"] == len(named("change")) and all[-1]["failures"] == 0'
echo two >"$S/etc/motd"
rm "$S/etc/same"
publish "tree=$S:/data" --exact
plan_events() {
	client a plan --server "$origin" --json >"$T/events"
}
check "events of a plan" plan_events
check "it says how, and its name" events '[e["differs"] for e in named("change")
	if e["path"] == "data/etc/motd"][0][0] == "content" and
	[e["action"] for e in named("change") if e["path"] == "data/etc/same"] == ["delete"]
	and len(all[-1]["plan"]) == 32 and all[-1]["noop"]'
failed_run() {
	! client a run --json --server 127.0.0.1:1 >"$T/events" 2>"$T/err"
}
check "a run that fails" failed_run
check "says so there, too" events 'names == ["start", "summary"] and
	all[-1]["outcome"] == "failed" and "127.0.0.1 port 1" in all[-1]["error"]'

# ---- summaries ----

# summary EXPRESSION: of y, the YAML with Puppet's keys, and j, ours.
cat >"$T/summary.py" <<'PYTHON'
import json, sys
state, expression = sys.argv[1:]
try:
    from yaml import safe_load
except ImportError:
    def safe_load(text):
        top = {}
        for line in text.splitlines()[1:]:
            key, value = line.strip().split(":", 1)
            if not line.startswith(" "):
                part = top[key] = {}
            else:
                part[key] = json.loads(value)
        return top
y = safe_load(open(state + "/last_run_summary.yaml").read())
j = json.load(open(state + "/last_run_summary.json"))
if not eval(f"({expression})"):
    sys.exit(f"{y}\n{j}")
PYTHON
summary() {
	python3 "$T/summary.py" "$T/state-a" "$1"
}
check "a failed run" summary 'y["version"]["config"] is None and y["events"]["failure"] == 1
	and y["resources"]["failed"] == 1 and "port 1" in y["application"]["error"]
	and j["outcome"] == "failed" and "serial" not in j and "port 1" in j["error"]'
check_exit 1 "status tells of it" client a status
matches '^last run  20[0-9T:Z-]+, failed, [0-9.]+ s$'
picture "$T/state-a" | grep last_run >"$T/before"
check "a look" run --noop
picture "$T/state-a" | grep last_run >"$T/after"
check "changes no summary" diff "$T/before" "$T/after"
before=$(date +%s)
check "a run" run
check "is the last one" summary "y['time']['last_run'] in range($before, $before + 100)"
check "its numbers" summary 'y["version"]["config"] == 2 and y["version"]["pecia"]
	and y["resources"]["changed"] == y["resources"]["out_of_sync"] == 3
	and y["resources"]["corrective_change"] == 0 and y["resources"]["failed"] == 0
	and y["resources"]["total"] == 5 and y["changes"]["total"] == 3
	and y["events"] == {"total": 3, "success": 3, "failure": 0}
	and 0 < y["time"]["apply"] < y["time"]["total"]'
check "and ours" summary 'j["outcome"] == "changed" and j["serial"] == 2 and j["site"] == "origin"
	and j["to_delete"] == 1 and j["paths_changed"] == 3 and j["bytes_received"] > 0
	and "error" not in j'
echo drift >"$R/etc/motd"
check "a repair" run
check "is corrective" summary 'y["resources"]["corrective_change"] == y["changes"]["total"] > 0'
check "the same again" run
check "is a run as well" summary 'y["changes"]["total"] == 0 == y["events"]["total"]
	and y["resources"]["out_of_sync"] == 0 and j["outcome"] == "unchanged"'
check "both may be read" test \
	"$(stat -c %a "$T/state-a/last_run_summary.yaml" "$T/state-a/last_run_summary.json")" = $'644\n644'
check "and nothing else" test -z "$(find "$T/state-a" -mindepth 1 -maxdepth 1 -perm /077 \
	! -name 'last_run_summary.*')"
check "status" client a status
matches '^last run  20[0-9T:Z-]+, unchanged, [0-9.]+ s, .*127.0.0.1'
client a status --json >"$T/events"
check "status for programs" python3 -c 'import json, sys
last = json.load(open(sys.argv[1]))["last_run"]
sys.exit(not (last["outcome"] == "unchanged" and last["seconds"] > 0 and last["route"]))' "$T/events"

# ---- exit statuses ----

echo "postrun_command = /bin/sh -c 'test ! -e $T/late'" >>"$T/client.conf"
publish_motd() {
	echo "$1" >"$S/etc/motd"
	publish "tree=$S:/data" --exact
}
check_exit 0 "nothing to do" run --detailed-exitcodes
publish_motd three
check_exit 2 "changes" run --detailed-exitcodes
touch "$T/late"
check_exit 4 "nothing to do, and a failure" run --detailed-exitcodes
publish_motd four
check_exit 6 "changes, and a failure" run --detailed-exitcodes
check "it was changed" grep -qx four "$R/etc/motd"
check "both are told" summary 'y["changes"]["total"] > 0 and y["resources"]["failed"] == 1
	and y["events"]["failure"] == 1 and j["outcome"] == "failed" and j["changed"]'
check_exit 1 "1 without the option" run
rm "$T/late"
check_exit 0 "0 without the option" run
check_exit 1 "nothing was begun" client a run --server 127.0.0.1:1 --detailed-exitcodes
check "runs are disabled" client a disable
check_exit 3 "disabled" run --detailed-exitcodes
check "runs are enabled" client a enable

# ---- progress ----

head -c 3000000 /dev/urandom >"$S/large"
publish "tree=$S:/data" --full --exact
launch "$T/line.log" python3 tests/slow_line.py "${origin##*:}" 1000000
wait_for 10 test -s "$T/line.log"
slow=127.0.0.1:$(cat "$T/line.log")
is_progress() {
	tr '\r' '\n' <"$T/screen" | grep -Eq "$1"
}
# fits WIDTH: no line of the screen is wider.
fits() {
	tr '\r' '\n' <"$T/screen" | sed $'s/\033\\[[0-9;]*[mK]//g' |
		awk -v most="$1" '/^(fetching|comparing|committing|staging|writing)/ && length > most { bad = 1; print }
		END { exit bad }'
}
client_init b
columns=60
check "a long run" terminal pecia --config "$T/client.conf" --root "$T/root-b" \
	--state "$T/state-b" run --server "$slow"
check "shows how far it is" is_progress 'fetching: [0-9]+ of 3 files, [0-9.]+ MB of 3\.0 MB, [0-9.]+ [kM]B/s'
check "takes no second line" fits 59
client_init c
columns=140
check "on a wide terminal" terminal pecia --config "$T/client.conf" --root "$T/root-c" \
	--state "$T/state-c" run --server "$slow"
check "and how long it takes" is_progress ', [0-9]+ s left'
check "a few times a second" test "$(tr '\r' '\n' <"$T/screen" | grep -c 'fetching:')" -le 40
client_init d
# slowly NAME OPTION...: a long run, its output in files.
slowly() {
	client "$1" run --server "$slow" "${@:2}" >"$T/events" 2>"$T/err"
}
check "in a pipe" slowly d
check "nothing of it" test ! -s "$T/err"
client_init e
check "as events" slowly e --json
check "nothing of it there" events 'names[-1] == "summary"'
client_init f
check "as events on a terminal" terminal pecia --config "$T/client.conf" --root "$T/root-f" \
	--state "$T/state-f" run --json --server "$slow"
check "nor there" is_plain "$T/screen"

# ---- a server that takes a connection and is silent ----

launch "$T/silent.log" python3 -c 'import socket, time
listener = socket.create_server(("127.0.0.1", 0))
print(listener.getsockname()[1], flush=True)
while True:
    with listener.accept()[0]:
        time.sleep(1.5)'
wait_for 10 test -s "$T/silent.log"
silent=127.0.0.1:$(cat "$T/silent.log")
terminal pecia --config "$T/client.conf" --root "$T/root-b" --state "$T/state-b" run --server "$silent"
check "which one is tried is shown" is_progress 'trying server 1: 127\.0\.0\.1'
check "and shown no more when it is given up" is_progress $'^\033\\[Kpecia: warning: server passed over'
refuses 1 "pecia: no server" client b run --server "$silent"
check "in a pipe it is not" test "$(grep -c trying "$T/out")" = 0

done_checks
