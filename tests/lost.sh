#!/usr/bin/env bash
# run: parallel
# run: limit 180
# The origin is lost: a mirror is promoted, others and clients go on with it, and
# the old origin, back from the dead, is refused and becomes a mirror.
# shellcheck disable=SC2317 # functions that check and wait_for call
set -uo pipefail
cd "$(dirname "$0")/.." || exit 1
# shellcheck source=tests/e2e.sh
. tests/e2e.sh
need rsync
e2e_begin

S=$T/tree
mkdir "$S"
edit() { # TEXT: another state of the tree
	echo "$1" >"$S/motd"
	seq "${#1}" 20000 >"$S/numbers"
}
at() { # NAME ADDRESS: where a mirror is reached, in the roster
	local key
	key=$(peciad --identity "$T/id-$1" --show-identity) || fail "identity of $1"
	peciactl mirror remove "$1" >"$T/out" 2>&1 || fail "mirror remove $1"
	peciactl mirror add "$1" --site "site-$1" --key "$key" --address "$2" >"$T/out" 2>&1 ||
		fail "mirror add $1"
}
# again NAME UPSTREAM...: a mirror at the address that it had.
again() {
	local listen=${mirror[$1]}
	mirror_up "$@"
}
roster_is() { # REPO VERSION
	[ "$(sed -n 's/^version //p' "$1/v1/roster")" = "$2" ]
}
peciactl_at() { # REPO COMMAND...
	peciactl --repo "$1" --keys "$T/keys" "${@:2}"
}
motd() { # CLIENT
	cat "$T/root-$1/data/motd"
}
is() {
	[ "$1" = "$2" ] || { echo "$1 is not $2" && return 1; }
}

edit one
origin_init --org test
publish "base=$S:/data" --exact
origin_up
mirror_up a "$origin"
mirror_up b "$origin" "${mirror[a]}"
at a "${mirror[a]}"
at b "${mirror[b]}"
client_init c
mirror_at a 1
mirror_at b 1
A=$T/mirror-a B=$T/mirror-b O=$PECIA_REPO
newest=$(sed -n 's/^version //p' "$O/v1/roster")
wait_for 30 roster_is "$A" "$newest" || fail "roster at a"
wait_for 30 roster_is "$B" "$newest" || fail "roster at b"
edit two
publish "base=$S:/data" --exact
mirror_at a 2
mirror_at b 2
client_run c "${mirror[a]}"
check "the client has release 2" is "$(motd c)" two
check "an origin stays one" peciactl promote
says "an origin's repository already"

# ---- lost, with a release under way that nobody has complete ----

stop "$origin_pid"
stop "${mirror_pid[a]}"
cp -a "$O" "$T/dead"
edit three
publish "base=$S:/data" --exact --offline
mkdir -p "$A/seen"
cp "$O/v1/channel/production" "$A/seen/production"
edit two
refuses 1 "is its peciad still running" peciactl_at "$B" promote --wait 0
refuses 1 "peciactl promote makes an origin" peciactl_at "$A" publish "base=$S:/data"
refuses 1 "peciactl promote makes an origin" peciactl_at "$A" refresh
refuses 1 "release.pem" peciactl --repo "$A" --keys "$T/no-keys" promote
says "peciactl --repo $A --keys $T/no-keys restore FILE"
says "rotate release head --root-keys DIR"
peciactl --repo "$T/other" --keys "$T/other-keys" init >"$T/out" 2>&1 || fail "another origin"
refuses 1 "may not sign for the role" peciactl --repo "$A" --keys "$T/other-keys" promote

object=$(find "$A/v1/object" -type f | sort | head -n 1)
mv "$object" "$T/object"
refuses 1 "1 missing" peciactl_at "$A" promote
mv "$T/object" "$object"
check "nothing happened so far" is "$(serial_of "$A")" 2
cp -a "$A" "$T/kill"

check "promoted" peciactl_at "$A" promote
says "release 2 goes on as serial 4"
says "serial 3 was announced, and is not here"
says "anchor $anchor (as before)"
check "whole" peciactl_at "$A" verify --anchor "$anchor"
check "once is enough" peciactl_at "$A" promote
says "an origin's repository already"
check "serial 4" is "$(serial_of "$A")" 4

# ---- the others go on with it ----

serve "$T/new.log" --repo "$A" --identity "$T/id-a" --keys "$T/keys" --listen "${mirror[a]}"
new_pid=$started
# Left alone it would wait longer and longer between its tries.
stop "${mirror_pid[b]}"
again b "$origin" "${mirror[a]}"
mirror_at b 4
edit four
peciactl_at "$A" publish "base=$S:/data" --exact --identity "$T/id-a" >"$T/out" 2>&1 || fail "publish at the new origin"
check "and goes on from there" is "$(serial_of "$A")" 5
mirror_at b 5
client_run c "${mirror[b]}"
check "the client follows" is "$(motd c)" four
check "b is whole" peciactl_at "$B" verify --anchor "$anchor"
client d init --anchor "$anchor" >"$T/out" 2>&1
mkdir -p "$T/root-d"
client_run d "${mirror[b]}"
check "and a new one begins there" is "$(motd d)" four

# ---- the old origin comes back ----

edit revenant
refuses 1 "serial 5 of channel production, and 3 is the newest here" peciactl publish "base=$S:/data"
says "another origin publishes now"
says "peciactl demote"
refuses 1 "another origin publishes now" peciactl refresh
refuses 1 "another origin publishes now" peciactl mirror remove b
refuses 1 "another origin publishes now" peciactl rotate head
check "nothing was signed" is "$(serial_of "$O")" 3
check "--noop asks nobody" peciactl publish "base=$S:/data" --noop

# It may have signed as many as the others, with --offline.
cp -a "$O" "$T/equal"
for text in fourth fifth; do
	edit "$text"
	peciactl --repo "$T/equal" publish "base=$S:/data" --offline >"$T/out" 2>&1 || fail "publish $text"
done
check "serial 5 too" is "$(serial_of "$T/equal")" 5
edit revenant
refuses 1 "another release of a serial that is here too" peciactl --repo "$T/equal" publish "base=$S:/data"

# Mirrors that are down or swallow packets hinder nobody.
cp -a "$T/dead" "$T/deaf"
python3 -c '
import socket, sys, time
full = socket.socket()
full.bind(("127.0.0.1", 0))
full.listen(0)
held = []
for _ in range(3):
    s = socket.socket()
    s.setblocking(False)
    s.connect_ex(full.getsockname())
    held.append(s)
print(full.getsockname()[1], flush=True)
time.sleep(60)' >"$T/hole" 2>"$T/out" &
running+=("$!")
wait_for 20 test -s "$T/hole" || fail "a port that swallows"
key=$(peciad --identity "$T/id-x" --show-identity)
check "a deaf mirror" peciactl --repo "$T/deaf" mirror add x --site x --offline \
	--key "$key" --address "127.0.0.1:$(cat "$T/hole")"
key=$(peciad --identity "$T/id-y" --show-identity)
check "and one that is down" peciactl --repo "$T/deaf" mirror add y --site y --offline \
	--key "$key" --address 127.0.0.1:1
refuses 1 "of channel production, and 2 is the newest here" peciactl --repo "$T/deaf" publish "base=$S:/data"
for name in a b; do
	peciactl --repo "$T/deaf" mirror remove "$name" --offline >"$T/out" 2>&1 || fail "remove $name"
done
check "with these two alone it publishes" peciactl --repo "$T/deaf" publish "base=$S:/data"
says "none of 2 mirrors answered"

# Its daemon asks as well, and signs no head again though it is time.
old=$origin
before=$(sha256sum <"$O/v1/channel/production")
printf "[main]\nhead_lifetime = 30d\n" >"$T/old.conf"
launch "$T/old.log" peciad --config "$T/old.conf" --listen "$old" --repo "$O" \
	--identity "$T/keys/identity" --keys "$T/keys"
old_pid=$started
rival_told() {
	grep 'heads not signed again' "$T/old.log" | grep -q 'serial 5 .*another origin publishes'
}
check "it signs nothing" wait_for 30 rival_told
check "its head is as it was" is "$(sha256sum <"$O/v1/channel/production")" "$before"
refuses 1 "another origin publishes: mirror" peciad status --config "$T/old.conf" \
	--listen "$old" --repo "$O" --identity "$T/keys/identity"

# By hand it would, which convinces nobody.
peciactl refresh --offline >"$T/out" 2>&1 || fail "refresh of the old origin"
client_run_fails() {
	! client c run --server "$old"
}
check "a client does not go back" client_run_fails
says "serial 3"
check "and keeps what it has" is "$(motd c)" four
stop "${mirror_pid[b]}"
again b "$old" "${mirror[a]}"
edit five
peciactl_at "$A" publish "base=$S:/data" --exact --identity "$T/id-a" >"$T/out" 2>&1 || fail "publish at the new origin"
check "the new origin publishes beside it" is "$(serial_of "$A")" 6
check "b has not gone back" is "$(serial_of "$B")" 5
check "b heard the old origin" grep -q "upstream is behind" "$T/mirror-b.log"
stop "${mirror_pid[b]}"
again b "${mirror[a]}" "$old"
mirror_at b 6
client_run c "${mirror[b]}"
check "the client has it" is "$(motd c)" five
stop "$old_pid"

# ---- and becomes a mirror ----

check "demoted" peciactl demote
refuses 1 "is a mirror's repository" peciactl publish "base=$S:/data" --offline
serve "$T/demoted.log" --repo "$O" --identity "$T/keys/identity" --upstream "${mirror[a]}"
wait_for 30 serial_is "$O" 6 || fail "the old origin does not follow: $(cat "$T/demoted.log")"
check "it is whole" peciactl verify --anchor "$anchor"
stop "$started"

# ---- new keys, with root.pem alone ----

stop "$new_pid"
mkdir "$T/usb"
cp "$T/keys/root.pem" "$T/usb"
refuses 1 "root.pem" peciactl --repo "$A" --keys "$T/fresh" rotate release head
refuses 1 "not root, release or head" peciactl --repo "$A" --keys "$T/fresh" rotate crown
check "demote" peciactl_at "$A" demote
check "new keys" peciactl --repo "$A" --keys "$T/fresh" rotate release head --root-keys "$T/usb"
says "Next: peciactl promote"
refuses 1 "may not sign" peciactl_at "$A" promote
check "promoted" peciactl --repo "$A" --keys "$T/fresh" promote --above 9
says "goes on as serial 10"
serve "$T/new.log" --repo "$A" --identity "$T/id-a" --keys "$T/fresh" --listen "${mirror[a]}"
stop "${mirror_pid[b]}"
again b "${mirror[a]}"
mirror_at b 10
check "whole at b" peciactl_at "$B" verify --anchor "$anchor"
client_run c "${mirror[b]}"
client_init e
client_run e "${mirror[b]}"
check "a new client believes the new keys" is "$(motd e)" five
refuses 1 "may not sign" peciactl_at "$A" publish "base=$S:/data"
check "all keys at once" peciactl --repo "$A" --keys "$T/fresh" rotate root release head --root-keys "$T/usb"
mirror_at b 11
check "root 3" test -s "$B/v1/root/3"
check "again, with the new root key" peciactl --repo "$A" --keys "$T/fresh" rotate head --root-keys "$T/usb"
cmp -s "$T/usb/root.pem" "$T/keys/root.pem" && fail "the root key was not replaced"
check "all is signed" peciactl --repo "$A" verify --anchor "$anchor"
stop "$started"

# ---- evidence of a fork counts as seen ----

cp -a "$T/kill" "$T/forked"
mkdir -p "$T/forked/evidence/channel"
touch "$T/forked/evidence/channel/production.20.other" \
	"$T/forked/evidence/channel/production-not.30.other" \
	"$T/forked/evidence/channel/production.40.note"
check "promoted beside evidence" peciactl_at "$T/forked" promote --offline
says "release 2 goes on as serial 21"

# ---- promotion that is killed, at each of its calls ----

tool_kill_at 0 "$T/calls" true
if [ $? != 77 ]; then
	kills=0 early=0
	for ((n = 1; ; n += 2)); do
		rm -rf "$T/try"
		cp -a "$T/kill" "$T/try"
		tool_kill_at "$n" "$T/calls" peciactl --repo "$T/try" promote --offline >"$T/out" 2>&1
		[ $? = 137 ] || break
		kills=$((kills + 1))
		[ -e "$T/try/anchor" ] && early=$((early + 1))
		peciactl_at "$T/try" verify --anchor "$anchor" >"$T/out" 2>&1 || not_so "verify after call $n"
		peciactl_at "$T/try" promote --offline >"$T/out" 2>&1 || not_so "promote after call $n"
		if [ -e "$T/try/anchor" ] || [ "$(serial_of "$T/try")" -lt 4 ]; then
			not_so "not promoted after call $n"
		fi
	done
	calls=$(cat "$T/calls")
	echo "$kills kills in $calls calls, $early before it was an origin's"
	check "some were killed" test "$kills" -ge 5 -a "$early" -ge 4

	kills=0
	for ((n = 2; ; n += 8)); do
		rm -rf "$T/try" "$T/try-keys"
		cp -a "$T/dead" "$T/try"
		cp -a "$T/keys" "$T/try-keys"
		rotate=(peciactl --repo "$T/try" --keys "$T/try-keys" rotate root release head --offline)
		tool_kill_at "$n" "$T/calls" "${rotate[@]}" >"$T/out" 2>&1
		[ $? = 137 ] || break
		kills=$((kills + 1))
		"${rotate[@]}" >"$T/out" 2>&1 || not_so "rotation after call $n"
		peciactl --repo "$T/try" verify --anchor "$anchor" >"$T/out" 2>&1 || not_so "verify after call $n"
		peciactl --repo "$T/try" --keys "$T/try-keys" publish "base=$S:/data" --offline >"$T/out" 2>&1 ||
			not_so "publish after call $n"
	done
	check "rotations were killed" test "$kills" -ge 5
fi

done_checks
