#!/usr/bin/env bash
# run: parallel
# run: limit 300
# What the command lines of the three programs take, print and return.
# shellcheck disable=SC2317 # check and wait_for call functions
set -uo pipefail
cd "$(dirname "$0")/.." || exit 1
# shellcheck source=tests/e2e.sh
. tests/e2e.sh
need rsync python3 flock
e2e_begin

is_json() {
	"$@" >"$T/json" && python3 -m json.tool "$T/json" >/dev/null
}
# The same of a JSON object a line.
are_events() {
	"$@" >"$T/json" && python3 -c 'import json, sys
[json.loads(line)["event"] for line in sys.stdin]' <"$T/json"
}
# member EXPRESSION: of the JSON, or the last event, that was seen last; it is
# true.  named(EVENT) are the events of that name.
member() {
	python3 -c '
import json, sys
text = open(sys.argv[1]).read()
try:
    j = json.loads(text)
except ValueError:
    all = [json.loads(line) for line in text.splitlines()]
    j = all[-1]
    named = lambda name: [e for e in all if e["event"] == name]
sys.exit(not eval(sys.argv[2]))' "$T/json" "$1" || { cat "$T/json" && return 1; }
}
# unchanged NAME DIR... -- COMMAND...: the command ends well and writes nothing there.
unchanged() {
	local name=$1 dirs=()
	shift
	while [ "$1" != -- ]; do
		dirs+=("$1")
		shift
	done
	picture_of_quiet "${dirs[@]}" >"$T/before"
	check "$name" "${@:2}"
	cp "$T/out" "$T/said"
	picture_of_quiet "${dirs[@]}" >"$T/after"
	check "$name: nothing is written" diff "$T/before" "$T/after"
	cp "$T/said" "$T/out"
}

# ---- usage ----

for program in pecia peciactl peciad; do
	usage=64
	[ $program != peciactl ] || usage=2
	check "$program --help" $program --help
	says "usage: $program"
	check "$program -h" $program -h
	check "$program --version" $program --version
	matches "^$program [0-9]+\.[0-9]+\.[0-9]+\$"
	refuses $usage --no-such $program --no-such
	refuses $usage -Z $program -Z
	refuses $usage "--no-such=1" $program --no-such=1
	refuses $usage frobnicate $program frobnicate
done
for command in init publish log show verify "mirror add" "mirror change" "mirror list" refresh; do
	# shellcheck disable=SC2086 # a word or two
	check "peciactl $command --help" peciactl $command --help
	says "usage: peciactl"
done
refuses 2 "" peciactl
refuses 64 "no command" pecia
refuses 2 --message peciactl publish tree=/tmp --message
refuses 64 --server pecia run --server
refuses 64 --listen peciad --listen
refuses 64 --anchor pecia --state "$T/none" init
refuses 64 sha256 pecia --config "$T/client.conf" --state "$T/none" init --anchor 1234
refuses 64 --noop pecia status --noop
refuses 64 extra pecia run extra
refuses 64 "--waitforlock soon" pecia run --waitforlock soon
refuses 1 "neither=" peciactl publish neither=
refuses 1 "/no/such.conf" peciactl publish /no/such.conf
refuses 64 "$T/no.conf" pecia --config "$T/no.conf" status
refuses 1 "$T/no.conf" peciad --config "$T/no.conf"
printf '[main]\ncolour = red\n' >"$T/odd.conf"
refuses 64 "colour" pecia --config "$T/odd.conf" status
refuses 64 "colour" peciad --config "$T/odd.conf"
: >"$T/none.conf"
refuses 1 "$T/none" peciad --config "$T/none.conf" --repo "$T/none" --identity "$T/id-x" \
	--listen 127.0.0.1:0
refuses 1 "$T/none" peciactl verify --repo "$T/none"
refuses 1 "pecia init" pecia --state "$T/none" status

# ---- init ----

origin_init --org "an org" --address 127.0.0.1:1
check "the anchor is init's last line" grep -q '^anchor sha256:[0-9a-f]\{64\}$' \
	<(tail -n 1 "$T/init.out")
refuses 1 "nothing was published" peciactl log
refuses 1 "nothing was published" peciactl show
unchanged "verify of no release" "$PECIA_REPO" -- peciactl verify --anchor "$anchor"
picture "$PECIA_REPO" "$PECIA_KEYS" >"$T/before"
refuses 1 "never overwritten" peciactl init --org other
picture "$PECIA_REPO" "$PECIA_KEYS" >"$T/after"
check "init again changes nothing" diff "$T/before" "$T/after"
refuses 1 "repository already" peciactl init --keys "$T/other-keys"
check "keys are for their owner only" test -z "$(find "$PECIA_KEYS" -name '*.pem' \
	! -name cert.pem -perm /077)"

# ---- publish, log, show ----

mkdir -p "$T/tree/sub"
echo one >"$T/tree/one"
echo two >"$T/tree/sub/two"
ln -s one "$T/tree/link"
unchanged "publish --noop" "$PECIA_REPO" -- peciactl publish "tree=$T/tree:/" --exact --noop
says "+ tree: sub/two"
says "nothing was written"
check "publish --noop --json" is_json peciactl publish "tree=$T/tree:/" --noop --json
check "it lists paths" member 'any(c["path"] == "sub/two" and c["change"] == "added" for c in j["changes"])'
check "publish --json" is_json peciactl publish "tree=$T/tree:/" --exact --json \
	--message $'first\nof all' --author me --source r1
check "serial 1" member 'j["published"] and j["serial"] == 1'
find "$PECIA_REPO/v1" -printf '%p %i %s %T@\n' | sort >"$T/before"
check "publish of nothing changed" peciactl publish "tree=$T/tree:/" --exact
says "nothing changed"
says "serial 1 stays"
find "$PECIA_REPO/v1" -printf '%p %i %s %T@\n' | sort >"$T/after"
check "it changes nothing of what is served" diff "$T/before" "$T/after"
echo three >"$T/tree/three"
echo ONE >"$T/tree/one"
rm "$T/tree/sub/two"
unchanged "publish --noop of changes" "$PECIA_REPO" -- \
	peciactl publish "tree=$T/tree:/" --exact --noop
for line in "+ tree: three" "~ tree: one" "- tree: sub/two"; do
	says "$line"
done
refuses 1 "serial" peciactl publish "tree=$T/tree:/" --exact --expect 7
check "publish --expect" peciactl publish "tree=$T/tree:/" --exact --expect 1 --message second
refuses 1 "$T/nowhere" peciactl publish "tree=$T/nowhere:/"

unchanged "log" "$PECIA_REPO" -- peciactl log
says "second"
check "log: a line a release, newest first" \
	test "$(peciactl log | cut -c 1 | tr -d '\n')" = 21
check "log --json" is_json peciactl log --json
check "it has both" member '[r["serial"] for r in j["releases"]] == [2, 1]'
unchanged "show" "$PECIA_REPO" -- peciactl show
says "serial      2"
says "tree: exact at /"
check "show 1" peciactl show 1
for line in "serial      1" "author      me" "source      r1"; do
	says "$line"
done
check "show --json" is_json peciactl show 1 --json
check "its message is whole" member 'j["message"] == "first\nof all"'
refuses 1 "no release 9" peciactl show 9
refuses 2 "nine" peciactl show nine
refuses 1 "other" peciactl log --channel other
check "verify" peciactl verify --anchor "$anchor"
says "all is well"
check "verify --json" is_json peciactl verify --json
check "it is well" member 'j["ok"] and j["findings"] == []'
refuses 3 "root/1" peciactl verify --anchor "sha256:$(printf '0%.0s' {1..64})"
echo x >"$PECIA_REPO/v1/object/stray"
refuses 3 "v1/object/stray" peciactl verify
rm "$PECIA_REPO/v1/object/stray"

# ---- mirror ----

key=sha256:$(printf 'a%.0s' {1..64})
check "mirror add" peciactl mirror add m1 --site s1 --key "$key" --address h.example:7
refuses 1 "m1 has this key" peciactl mirror add m2 --site s1 --key "$key"
refuses 2 "--key" peciactl mirror add m3 --site s1
refuses 2 "bad" peciactl mirror add m3 --site s1 --key bad
check "mirror list" peciactl mirror list
for line in "m1 at site s1" "key $key" "address h.example:7" "origin at site origin"; do
	says "$line"
done
check "mirror list --json" is_json peciactl mirror list --json
check "it has it" member 'any(m["name"] == "m1" and m["site"] == "s1" for m in j["mirrors"])'
roster_version() {
	peciactl mirror list --json | python3 -c 'import json, sys; print(json.load(sys.stdin)["version"])'
}
next=sha256:$(printf 'b%.0s' {1..64})
version=$(roster_version)
refuses 1 "the roster has no mirror m2" peciactl mirror change m2 --site s2
refuses 1 "origin has this key" peciactl mirror change m1 --key "$key" \
	--key "$(peciactl mirror list | sed -n '/^origin /,$s/^ *key //p')"
refuses 1 "key is repeated" peciactl mirror change m1 --key "$next" --key "$next"
refuses 2 "--site, --key or --address" peciactl mirror change m1
check "what is refused makes no roster" test "$(roster_version)" = "$version"
# mirror_is KEYS SITE ADDRESSES: m1, in the roster behind the one that was
mirror_is() {
	version=$((version + 1))
	is_json peciactl mirror list --json &&
		member "j['version'] == $version and j['mirrors'][0] == dict(name='m1', keys='$1'.split(), site='$2', addresses='$3'.split())"
}
check "mirror change" peciactl mirror change m1 --key "$key" --key "$next"
says "roster $((version + 1)): mirror m1 changed"
check "both keys, the rest as it was" mirror_is "$key $next" s1 h.example:7
check "mirror change" peciactl mirror change m1 --key "$next"
check "the next key alone" mirror_is "$next" s1 h.example:7
check "mirror change" peciactl mirror change m1 --site s2 --address i.example --address "[::1]:7"
check "site and addresses" mirror_is "$next" s2 "i.example [::1]:7"
check "mirror remove" peciactl mirror remove m1
refuses 1 m1 peciactl mirror remove m1
check "refresh" peciactl refresh --lifetime 2h

# ---- client: init, noop, exit codes ----

origin_up
mkdir "$T/root-a"
refuses 1 "pecia init" client a run --server "$origin"
check "init" client a init --anchor "$anchor"
check "init again" client a init --anchor "$anchor"
refuses 1 "another anchor" client a init --anchor "sha256:$(printf '0%.0s' {1..64})"
refuses 1 "none applied" client a status
refuses 1 "nothing was applied" client a verify

picture "$T/root-a" "$T/state-a" >"$T/before"
check_exit 2 "run --noop" client a run --server "$origin" --noop --detailed-exitcodes
says "would be"
check "--noop changes nothing of the tree" test -z "$(ls -A "$T/root-a")"
check "--noop keeps statements and manifests only" test -z "$(find "$T/state-a" -type f \
	-newer "$T/before" ! -regex '.*/state-a/\(root\|seen\|release\|manifest\)/[^/]*' \
	! -name roster ! -name home)"
check "--noop says 0 without --detailed-exitcodes" client a run --server "$origin" --noop
check "run --noop --json" are_events client a run --server "$origin" --noop --json
check "it lists paths" member 'j["noop"] and any(c["path"] == "three" for c in named("change"))'
check_exit 2 "run changes" client a run --server "$origin" --detailed-exitcodes
check "run changes nothing" client a run --server "$origin" --detailed-exitcodes
says "nothing to change"
unchanged "run --noop of the same" "$T/root-a" "$T/state-a" -- \
	client a run --server "$origin" --noop
check "run --json" are_events client a run --server "$origin" --json
check "it is unchanged" member 'not j["changed"] and j["serial"] == 2 and j["site"] == "origin"'
check "status" client a status
for line in "release   2 of production, profile default" "site origin" "good until"; do
	says "$line"
done
check "status --json" is_json client a status --json
check "nothing is wrong" member 'j["applied"] and j["serial"] == 2 and j["wrong"] == []'
echo later >"$T/tree/later"
publish "tree=$T/tree:/" --exact
picture "$T/root-a" "$T/state-a" >"$T/before"
check_exit 2 "--noop of a new release" client a run --server "$origin" --noop --detailed-exitcodes
says "create file later"
picture "$T/root-a" >"$T/after"
check "the tree is as it was" diff <(grep " *$T/root-a" "$T/before") "$T/after"
check "status still tells the old one" client a status
says "release   2"
refuses 1 "127.0.0.1 port 1" client a run --server 127.0.0.1:1
refuses 1 "last run failed" client a status
client_run a "$origin"
check "status after a good run" client a status
says "release   3"
PECIA_SERVER=127.0.0.1:1 refuses 1 "127.0.0.1 port 1" client a run
PECIA_SERVER=$origin check "PECIA_SERVER" client a run

# ---- verify ----

check "verify" client a verify
says "0 differ"
client_run a "$origin"
echo changed >"$T/root-a/three"
touch -r "$T/tree/three" "$T/root-a/three"
chmod 600 "$T/root-a/one"
touch -d 2001-01-01 "$T/root-a/later"
ln -sfn elsewhere "$T/root-a/link"
rmdir "$T/root-a/sub"
echo file >"$T/root-a/sub"
echo extra >"$T/root-a/extra"
check_exit 2 "verify finds drift" client a verify
for path in three one later link sub extra; do
	matches "[ /]$path( |:|\$)"
done
for word in content mode time target type delete; do
	says "$word"
done
verify_json() {
	client a verify --json >"$T/json"
}
check_exit 2 "verify --json" verify_json
check "it names them" member \
	'{c["path"] for c in j["differs"]} >= {"three", "one", "later", "link", "sub", "extra"}'
check_exit 2 "run repairs" client a run --server "$origin" --detailed-exitcodes
check "all is as published" same_tree "$T/tree" "$T/root-a"
check "verify again" client a verify

# ---- locks ----

# held LOCK COMMAND...: while another process has the lock.
hold() {
	mkfifo "$T/hold"
	# shellcheck disable=SC2016 # for the inner shell
	flock "$1" bash -c 'echo held >"$1"; read -r <"$2"' - "$T/held" "$T/hold" &
	running+=($!)
	wait_for 10 test -s "$T/held"
}
let_go() {
	echo >"$T/hold"
	rm -f "$T/hold" "$T/held"
}
hold "$T/state-a/lock"
refuses 75 "another run is under way" client a run --server "$origin"
refuses 75 "another run is under way" client a run --server "$origin" --waitforlock 1
client a run --server "$origin" --waitforlock 60 >"$T/waiting" 2>&1 &
waiting=$!
check "status asks for no lock" client a status
let_go
check "a run waits for the lock" wait "$waiting"
hold "$PECIA_REPO/lock"
echo other >"$T/tree/other"
refuses 1 "publish" peciactl publish "tree=$T/tree:/" --exact --wait 0
check "log asks for no lock" peciactl log
check "verify asks for no lock" peciactl verify
let_go
check "publish" peciactl publish "tree=$T/tree:/" --exact --wait 60
client a run --server "$origin" --waitforlock 60 >"$T/one" 2>&1 &
first=$!
client a run --server "$origin" --waitforlock 60 >"$T/two" 2>&1 &
second=$!
check "of two runs at once one" wait $first
check "and the other end well" wait $second
check "all is as published" same_tree "$T/tree" "$T/root-a"
done_checks
