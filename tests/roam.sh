#!/usr/bin/env bash
# A client whose server is lost in the middle: where it goes, what it fetches
# twice (nothing), what crosses the line between sites, and how it comes home.
# run: parallel
# run: limit 240
# shellcheck disable=SC2317 # functions that check and wait_for call
set -uo pipefail
cd "$(dirname "$0")/.." || exit 1

# One host with all addresses, its own name service and resolv.conf.
if [ -z "${ROAM_INSIDE-}" ]; then
	[ "$(id -u)" = 0 ] || { echo "needs root: namespaces" && exit 77; }
	unshare -nm true 2>/dev/null || { echo "no network namespace to be had here" && exit 77; }
	ROAM_INSIDE=1 exec unshare -nm "$0"
fi
# shellcheck source=tests/faults.sh
. tests/faults.sh
need python3 rsync
faults_begin
ip link set lo up
printf 'search site-a.example\nnameserver 127.0.0.1\n' >"$T/resolv.conf"
mount --bind "$T/resolv.conf" /etc/resolv.conf || skip "no bind mount to be had here"
faults_mounts+=(/etc/resolv.conf)

A=127.1.0.5 A2=127.1.0.6 B=127.2.0.5
cat >"$T/names" <<-RULES
	pecia.site-a.example A a=$A
	two.site-a.example A a=$A a=$A2
	*.example * nodata
RULES
mkfifo "$T/alive"
exec 8<>"$T/alive"
python3 tests/dnsd.py --address 127.0.0.1 --port 53 "$T/names" "$T/names.log" \
	<"$T/alive" >"$T/names.out" 2>&1 &
running+=($!)
wait_for 30 grep -q ready "$T/names.out" || fail "dnsd.py: $(cat "$T/names.out")"

# ---- what there is: one release, another behind it ----

mkdir -p "$T/tree/links"
python3 - "$T/tree" <<-'PYTHON'
	import os, random, sys
	draw = random.Random(1)
	for i in range(400):
	    os.symlink("%0200x" % draw.getrandbits(800), f"{sys.argv[1]}/links/{i:03}")
	with open(f"{sys.argv[1]}/large", "wb") as file:
	    file.write(draw.randbytes(4000000))
PYTHON
for i in $(seq 40); do
	echo "file $i" >"$T/tree/small-$i"
done
origin_init --org test
roster() { # NAME SITE OPTION...
	local key
	key=$(peciad --identity "$T/id-$1" --show-identity 2>"$T/out") || fail "identity of $1"
	[ $# -lt 2 ] || peciactl mirror add "$1" --site "$2" --key "$key" "${@:3}" >"$T/out" 2>&1 ||
		fail "mirror add $1"
}
roster a site-a
roster a2 site-a
roster b site-b --address $B
roster c site-c
roster stranger
publish "machine=$T/tree:/" --exact --message one
R=$PECIA_REPO/v1

declare -A pid=()
# at ADDRESS NAME [OPTION...]: a server that does as the rules say.
at() {
	[ -z "${pid[$1]-}" ] || stop "${pid[$1]}"
	: >"$T/requests-$1"
	: >"$T/log-$1" # an earlier one was ready, too
	python3 tests/hostiled.py --identity "$T/id-$2" --repo "$PECIA_REPO" --listen "$1:7440" \
		"${@:3}" "$T/rules-$1" "$T/requests-$1" <"$T/alive" >"$T/log-$1" 2>&1 &
	pid[$1]=$!
	running+=($!)
	wait_for 20 grep -q ^ready "$T/log-$1" || fail "hostiled.py: $(cat "$T/log-$1")"
}
rules() { # ADDRESS, rules from standard input
	cat >"$T/rules-$1"
}
down() {
	stop "${pid[$1]}"
	pid[$1]=
}
asked() { # ADDRESS REGEX
	grep -Eq -- "$2" "$T/requests-$1"
}
not_asked() {
	! asked "$@"
}
configure() { # LINE...
	{ echo "[main]" && echo "srv = no" && printf '%s\n' "$@"; } >"$T/client.conf"
}
# so CLIENT WORDS: of its last summary, s, whose sites' received bytes are got.
so() {
	python3 - "$T/state-$1/last_run_summary.json" "$2" <<-'PYTHON'
		import collections, json, sys
		s = json.load(open(sys.argv[1], encoding="utf-8"))
		got = collections.Counter()
		for site in s["sites"]:
		    got[site["site"]] += site["bytes_received"]
		print({k: s.get(k) for k in ("site", "mirror", "source", "home", "passed_over",
		                             "bytes_between_sites", "sites", "outcome", "error")})
		sys.exit(not eval(f"({sys.argv[2]})"))
	PYTHON
}
failures() { # CLIENT N
	[ "$(cat "$T/state-$1/failures" 2>/dev/null || echo 0)" = "$2" ]
}
runs() { # CLIENT WORDS [TREE]: a run that must do, whose summary says so
	check "$1 runs" client "$1" run
	check "$1: $2" so "$1" "$2"
	check "$1: is what the release says" same_tree "${3-$T/tree}" "$T/root-$1"
}

rules $A </dev/null
rules $A2 </dev/null
rules $B </dev/null
at $A a
configure
client_init new
client_copy new one
runs one 's["site"] == s["home"] == "site-a" and s["bytes_between_sites"] == 0'
cp -a "$T/tree" "$T/tree1"
whole=$(python3 -c 'import json, sys
print(json.load(open(sys.argv[1]))["bytes_received"])' "$T/state-one/last_run_summary.json")
manifest=$(stat -c %s "$R"/manifest/*)
head -c 3000000 /dev/urandom >"$T/tree/more"
publish "machine=$T/tree:/" --exact --message two
data=$(find "$R/data" -size +2M -printf '%s\n')
echo "a whole run: $whole bytes, its manifest $manifest, the data transcript $data"

# ---- cut once: it goes on there, and fetches nothing twice ----

at $A a
at $B b
configure "fallback = $B" "waitforserver = 1"
rules $A <<-RULES
	/v1/manifest cut=$((manifest / 2)) once
	/v1/objects cut=2000000 once
RULES
client_copy new m
runs m "s['site'] == 'site-a' and s['bytes_between_sites'] == 0 and $whole < got['site-a'] - 3000000 < $whole * 1.03"
check "the rest of the manifest" asked $A '^GET /v1/manifest/.* from=[1-9]'
check "the rest of the object" asked $A '^GET /v1/object/.* from=[1-9]'
check "no other site is bothered" test ! -s "$T/requests-$B"

rules $A <<<'/v1/data cut=1500000 once'
client_copy one m
runs m "s['site'] == 'site-a' and s['bytes_between_sites'] == 0 and got['site-a'] < $data * 1.03"
check "the rest of the data transcript" asked $A '^GET /v1/data/.* from=1500000'

# ---- cut, and dead: another site has the rest ----

rules $A <<<'/v1/data cut=1500000 last'
client_copy one m
runs m "s['site'] == 'site-b' and s['source'] == 'fallback' and s['home'] == 'site-a' and
	1500000 < got['site-a'] < 1550000 and got['site-b'] < $data - 1450000 and
	got['site-b'] <= s['bytes_between_sites'] < got['site-b'] + 20000 and '$A' in s['passed_over']"
check "it was not at home to the end" failures m 1
check "the rest of it" asked $B '^GET /v1/data/.* from=1500000'
check "status" client m status
matches '^served    by site site-b \(fallback\): site-a 1\.[0-9]+ MB, site-b 1\.[0-9]+ MB; 1\.[0-9]+ MB between sites$'
matches "^passed    .*$A"
check "its yaml" grep -A4 ^network: "$T/state-m/last_run_summary.yaml"
matches '^  bytes_between_sites: 1[0-9]{6}$'
check "its JSON" client m status --json
matches '"bytes_between_sites": 1[0-9]{6}'
matches '"source": "fallback"'

at $A a
rules $A </dev/null
runs m 's["site"] == "site-a" and s["bytes_between_sites"] == 0 and s["outcome"] == "unchanged"'
check "it was at home" failures m 0
check "home is told" client m run
matches "^pecia -> pecia.site-a.example \(search\) -> $A \(site-a\)\$"

rules $A <<<'/v1/objects cut=2000000 last'
client_copy new m
runs m "s['site'] == 'site-b' and got['site-a'] + got['site-b'] < ($whole + 3000000) * 1.03"
check "the rest of the object" asked $B '^GET /v1/object/.* from=[1-9]'

# ---- another address of the same name ----

at $A a
at $A2 a2
rules $A <<<'/v1/data cut=1500000 last'
: >"$T/requests-$B"
configure "fallback = $B" "waitforserver = 1" "name = two"
client_copy one m
runs m "s['mirror'] == 'a2' and s['bytes_between_sites'] == 0 and got['site-a'] < $data * 1.03"
check "the first address was asked" asked $A '^GET /v1/data'
check "no other site is bothered" test ! -s "$T/requests-$B"
down $A2

# ---- the address leads to another mirror ----

configure
rules $A <<<'/v1/data cut=1500000 switch once'
at $A a --other "$T/id-a2"
client_copy one m
runs m "s['mirror'] == 'a2' and s['bytes_between_sites'] == 0 and got['site-a'] < $data * 1.03"
at $A a --other "$T/id-c"
rules $A <<<'/v1/data cut=1500000 switch once'
client_copy one m
runs m "s['site'] == 'site-c' and s['home'] == 'site-a' and 1500000 < got['site-a'] < 1550000 and
	s['bytes_between_sites'] > 1450000"
# The next run begins there; only configuration knows better.
at $A c
client_copy one n
runs n 's["home"] == "site-c" and s["bytes_between_sites"] == 0'
configure "site = site-a"
client_copy one n
runs n 's["home"] == "site-a" and s["bytes_between_sites"] > 3000000'
# To a stranger: it does not hear what is wanted.
configure "fallback = $B"
at $A a --other "$T/id-stranger"
rules $A <<<'/v1/manifest unsized switch once'
client_copy new m
runs m "s['site'] == 'site-b'"
check "the manifest was asked for" asked $A '^GET /v1/manifest'
check "a stranger is not asked for content" not_asked $A '/v1/object'

# ---- a slow mirror of one's own is stayed with ----

configure "fallback = $B"
: >"$T/requests-$B"
at $A a
rules $A <<<'/v1/data rate=1000000'
client_copy one m
runs m 's["site"] == "site-a" and s["bytes_between_sites"] == 0'
check "no other site is bothered" test ! -s "$T/requests-$B"
down $A

# ---- wan_fallback ----

: >"$T/requests-$B"
configure "fallback = $B" "wan_fallback = never" "waitforserver = 0"
client_copy one m
refuses 1 "no server" client m run
check "never: counted" failures m 1
check "never: its files tell" so m 's["outcome"] == "failed" and s["sites"] == []'
rules $A <<<'/v1/data cut=1500000 last'
at $A a
refuses 1 "no server" client m run
check "never: nor in the middle" failures m 2
check "never: its files tell" so m 's["outcome"] == "failed" and s["bytes_between_sites"] == 0 and got["site-a"] > 1500000'
# What the roster lists is no way round it.
configure "wan_fallback = never" "waitforserver = 0"
at $A a
refuses 1 "no server" client m run
check "never: no other site is bothered" test ! -s "$T/requests-$B"

configure "wan_fallback = after-failures 2" "waitforserver = 0"
client_copy one m
refuses 1 "no server" client m run
check "after 2: one" failures m 1
rules $A <<<'/v1/data cut=1500000 last'
at $A a
refuses 1 "no server" client m run
check "after 2: lost in the middle counts" failures m 2
check "after 2: none yet" test ! -s "$T/requests-$B"
runs m 's["site"] == "site-b" and s["source"] == "roster"'
check "after 2: still not at home" failures m 3
rules $A </dev/null
at $A a
runs m 's["site"] == "site-a"'
check "after 2: at home" failures m 0
down $A
: >"$T/requests-$B"
refuses 1 "no server" client m run
check "after 2: counted anew" failures m 1
check "after 2: none yet" test ! -s "$T/requests-$B"

# always, by a roster that came in the same run.
configure "waitforserver = 0"
rules $A <<<'/v1/manifest cut=1000 last'
at $A a
client_copy new m
runs m 's["site"] == "site-b" and s["source"] == "roster"'

# ---- it waits for a server that is not there ----

configure "waitforserver = 60" "fallback = 127.9.0.9"
rules $A </dev/null
client_copy one m
client m run >"$T/waits.out" 2>&1 &
run=$!
running+=("$run")
wait_for 10 test -S "/proc/$run/fd/0" -o -e "/proc/$run" || not_so "it waits"
at $A a
wait "$run"
status=$?
cp "$T/waits.out" "$T/out"
check "a server that came" test "$status" = 0
check "it is home" so m 's["site"] == "site-a"'

# ---- the daemon goes home as well ----

configure "fallback = $B" "runinterval = 1h" "waitforserver = 0"
down $A
client_copy one m
launch "$T/daemon.log" pecia --config "$T/client.conf" --root "$T/root-m" --state "$T/state-m" daemon
daemon=$started
ended() {
	[ "$(grep -c "run ended" "$T/daemon.log")" -ge "$1" ]
}
wait_for 20 ended 1 || not_so "the daemon runs"
check "the daemon goes to another site" so m 's["site"] == "site-b" and s["bytes_between_sites"] > 3000000'
at $A a
kill -USR1 "$daemon"
wait_for 20 ended 2 || not_so "the daemon runs again"
check "the daemon comes home" so m 's["site"] == "site-a" and s["bytes_between_sites"] == 0'
stop "$daemon"
down $A

# ---- peciad dies under load, and is there again ----

tc qdisc add dev lo root tbf rate 100mbit burst 256kb latency 100ms 2>/dev/null || skip "no tc tbf here"
head -c 12000000 /dev/urandom >"$T/tree/huge"
publish "machine=$T/tree:/" --exact --message three
configure "fallback = $B" "waitforserver = 60"
: >"$T/requests-$B"
listen=$A:7440
alone serve "$T/peciad.log" --repo "$PECIA_REPO" --identity "$T/id-a"
killed=$started
clients=()
begun() {
	[ -n "$(find "$T/state-$1/tmp" "$T/root-$1" -newer "$T/begin" -size +1M -print -quit 2>/dev/null)" ]
}
for i in 1 2 3; do
	client_copy one "r$i"
done
touch "$T/begin"
for i in 1 2 3; do
	client "r$i" run >"$T/r$i.out" 2>&1 &
	clients+=($!)
	running+=($!)
done
for i in 1 2 3; do
	check "client $i begins" wait_for 20 begun "r$i"
done
end_group "$killed" KILL
serve "$T/peciad.log" --repo "$PECIA_REPO" --identity "$T/id-a"
for i in 1 2 3; do
	wait "${clients[i - 1]}"
	status=$?
	cp "$T/r$i.out" "$T/out"
	check "client $i is not lost" test "$status" = 0
	check "client $i: home" so "r$i" 's["site"] == "site-a" and s["bytes_between_sites"] == 0 and got["site-a"] < 20000000'
	check "client $i: is what the release says" same_tree "$T/tree" "$T/root-r$i"
	check "client $i: was cut" grep -q "server passed over" "$T/r$i.out"
done
check "no other site is bothered" test ! -s "$T/requests-$B"
done_checks
