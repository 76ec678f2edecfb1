#!/usr/bin/env bash
# Many upstreams: one mirror of a site goes over the line and feeds the other,
# which goes on by itself while that is away and comes home; what an upstream
# lacks or has wrong comes from others, also from one that is behind; two
# releases of one serial are evidence; mirrors that follow each other hear of
# news elsewhere; a long transfer keeps to its rate and holds up no head.
# run: limit 300
# shellcheck disable=SC2317 # functions that check and wait_for call
set -uo pipefail
# shellcheck source=tests/net.sh
. "$(dirname "$0")/net.sh"
cd "$(dirname "$0")/.." || exit 1
net_begin "$@"
# shellcheck source=tests/faults.sh
. tests/faults.sh
need python3
faults_begin

net_origin
net_site a 1
net_site b 2
printf '[main]\nlook_around = 1s\n' >"$T/none.conf"
tree=$T/tree
mkdir -p "$tree" "$T/big"
in_host origin
origin_init --address 10.77.0.1
listen=10.77.0.1:7440
origin_up --workers 1

# name: host, address, site
declare -A host=([m1]=a-mirror [m2]=a-client [m3]=b-mirror [m4]=b-client)
declare -A address=([m1]=10.77.1.10 [m2]=10.77.1.100 [m3]=10.77.2.10 [m4]=10.77.2.100)
declare -A site=([m1]=a [m2]=a [m3]=b [m4]=z)
add_mirror() {
	local key
	key=$(peciad --identity "$T/id-$1" --show-identity 2>"$T/out") || fail "identity of $1"
	peciactl mirror add "$1" --site "${site[$1]}" --key "$key" --address "${address[$1]}" \
		>"$T/out" 2>&1 || fail "mirror add $1"
}
up() { # NAME UPSTREAM... [--OPTION...]
	in_host "${host[$1]}"
	listen=${address[$1]}:7440
	mirror_up "$@" --workers 1 -v
	in_host
}
# logged NAME TEXT
logged() {
	grep -qF -- "$2" "$T/mirror-$1.log"
}
# came_from NAME SERIAL ADDRESS [CHANNEL]: the release's last part
came_from() { # told after it is served
	wait_for 10 came_from_now "$@"
}
came_from_now() {
	grep "replicated.*channel=${4-production} serial=$2 " "$T/mirror-$1.log" | grep -qF -- "$3\" data"
}
follows() { # NAME ADDRESS
	grep 'following' "$T/mirror-$1.log" | tail -n 1 | grep -qF -- "-> $2\"" ||
		grep 'following' "$T/mirror-$1.log" | tail -n 1 | grep -qF -- "-> $2"
}
follows_again() { # m2, its sibling that is another process now
	follows m2 10.77.1.10 && grep -q 'path=/v1/channel' "$T/frozen.log"
}
next() { # BYTES: a release with so much that is new
	release=$((release + 1))
	head -c "$1" /dev/urandom >"$tree/part-$release"
	publish "machine=$tree:/" --message "$release"
}
release=0
for m in m1 m2 m3 m4; do add_mirror $m; done

# ---- what makes no sense ----

while IFS='|' read -r line words; do
	printf '[main]\n%s\n' "$line" >"$T/bad.conf"
	refuses 64 "bad.conf:2: $words" peciad --config "$T/bad.conf" --repo "$T/none"
done <<-'LINES'
	max_rate = 2Mbit monday|max_rate: 2Mbit monday: not RATE
	max_rate = 10kbit|max_rate: 10kbit: less than 8000
	look_around = 0|look_around: not a second to a day
LINES

# ---- once over the line ----

next 2000000
before=$(wan_bytes a)
up m1 10.77.0.1
mirror_at m1 1
up m2 10.77.0.1
mirror_at m2 1
check "the second follows its sibling" wait_for 20 follows m2 10.77.1.10
next 2000000
mirror_at m1 2
mirror_at m2 2
bytes=$(($(wan_bytes a) - before))
echo "two releases of 2,000,000 bytes for two mirrors: $bytes bytes over the line"
check "each crossed the line once" test "$bytes" -lt 5000000
check "the second has it from the first" came_from m2 2 10.77.1.10

# ---- one replicator, which writes only when there is something ----

twice() {
	grep -q "has a replicator already, process [0-9]" "$T/twice.log"
}
in_host a-mirror
listen=10.77.1.10:7441
serve "$T/twice.log" --repo "$T/mirror-m1" --identity "$T/id-m1" --upstream 10.77.0.1 --workers 1
in_host
check "a second one is told" wait_for 20 twice
stop "$started"
check "the lock is free while it waits" wait_for 20 flock -n "$T/mirror-m1/lock" true

# ---- the sibling dies, and comes back ----

stop "${mirror_pid[m1]}" KILL
next 100000
mirror_at m2 3
check "it goes on by itself" came_from m2 3 10.77.0.1
up m1 10.77.0.1
mirror_at m1 3
check "it comes home" wait_for 20 follows m2 10.77.1.10
before=$(wan_bytes a)
next 2000000
mirror_at m1 4
mirror_at m2 4
check "and takes from it again" came_from m2 4 10.77.1.10
bytes=$(($(wan_bytes a) - before))
echo "one release more: $bytes bytes over the line"
check "once over the line" test "$bytes" -lt 2500000

# ---- a sibling that serves and hears no news ----

stop "${mirror_pid[m1]}"
in_host a-mirror
listen=10.77.1.10:7440
serve "$T/frozen.log" --repo "$T/mirror-m1" --identity "$T/id-m1" --access-log --workers 1
frozen=$started
in_host
wait_for 20 follows_again || not_so "m2 follows it"
next 100000
mirror_at m2 5
check "it is not waited for for ever" came_from m2 5 10.77.0.1
check "it has none of it" at_serial "$T/mirror-m1" 4
stop "$frozen"

# ---- a head is wanted until somebody has all of it ----

up m3 10.77.0.1
mirror_at m3 5
stop "${mirror_pid[m2]}"
stop "${mirror_pid[m3]}"
next 300000
object_of() { # FILE
	local digest
	digest=$(sha256sum <"$1" | cut -c 1-64)
	echo "$PECIA_REPO/v1/object/${digest:0:2}/$digest"
}
check "the origin loses an object" mv "$(object_of "$tree/part-1")" "$T/lost"
cp "$(object_of "$tree/part-2")" "$T/kept"
printf 'x' | dd of="$(object_of "$tree/part-2")" bs=1 seek=1000 conv=notrunc 2>/dev/null
mkdir "$T/board"
m4_up() { # UPSTREAM...
	in_host b-client
	rm -f "$T/board/board"
	launch "$T/mirror-m4.log" tool_replicate "$T/mirror-m4" "$T/id-m4" "$anchor" "$T/board" 1 "$@"
	in_host
	m4=$started
}
board() { # NAME: its value
	sed -n "s/^$1 //p" "$T/board/board"
}
is_told() { # NAME VALUE
	[ "$(board "$1")" = "$2" ]
}
told_of() { # NAME: more than none
	[ "$(board "$1")" -gt 0 ]
}
m4_up 10.77.0.1
check "what is missed is told" wait_for 20 logged m4 "release not complete"
wait_for 20 told_of contact || not_so "the board tells of it"
cp "$T/board/board" "$T/out"
echo "the board: $(paste -sd ' ' "$T/out")"
matches '^upstream 10.77.0.1 .*10.77.0.1$'
matches '^trouble .*10.77.0.1: object'
matches '^data 3[0-9]{5}$'
matches '^(wrong|lacks) [1-9]'
matches '^releases 0$'
matches '^forks 0$'
matches '^channel-production 6$'
check "it is not served" test ! -e "$T/mirror-m4/v1/channel/production"
stop "$m4"

# A server that is behind, as it replicates no more, has what lacks.
in_host b-mirror
listen=10.77.2.10:7440
serve "$T/behind.log" --repo "$T/mirror-m3" --identity "$T/id-m3" --access-log --workers 1
behind=$started
in_host
m4_up 10.77.2.10
mirror_at m4 6
check "the rest comes from one that is behind" came_from m4 6 10.77.2.10
check "its own head stays" at_serial "$T/mirror-m3" 5
check "all is right" peciactl --repo "$T/mirror-m4" verify --anchor "$anchor"
wait_for 20 told_of contact || not_so "the board tells of it"
cp "$T/board/board" "$T/out"
matches '^upstream 10.77.2.10 .*10.77.2.10$'
matches '^data 0$'
matches '^objects 4000[0-9]{3}$'
matches '^releases 1$'
matches '^contact 1[0-9]{9}$'
matches '^complete 1[0-9]{9}$'
count() {
	grep -c "path=/v1/$1" "$T/behind.log"
}
check "one batch of objects was asked of it" test "$(count objects)" = 1
check "and nothing else of content" test "$(count manifest)$(count data/)" = 00
mv "$T/lost" "$(object_of "$tree/part-1")"
cp "$T/kept" "$(object_of "$tree/part-2")"
stop "$behind"
stop "$m4"
m4_up 10.77.0.1
wait_for 20 told_of contact || not_so "it is up again"

# ---- two releases of one serial ----

cp -a "$PECIA_REPO" "$T/fork"
echo other >"$T/big/other"
check "another seventh release" peciactl --repo "$T/fork" publish "machine=$T/big:/" --message fork
next 1000
mirror_at m4 7
in_host b-mirror
listen=10.77.2.10:7440
serve "$T/fork.log" --repo "$T/fork" --identity "$T/id-m3" --access-log --workers 1
forked=$started
in_host
check "the contradiction is told" wait_for 20 logged m4 "contradiction"
check "evidence is kept" test -s "$T/mirror-m4/evidence/channel/production.7.other"
met_again() {
	[ "$(grep -c path=/v1/channel "$T/fork.log")" -ge 5 ]
}
wait_for 20 met_again || not_so "it is met again"
check "the board says so" wait_for 20 is_told forks 1
check "once" test "$(grep -c contradiction "$T/mirror-m4.log")" = 1
check "the first is served" cmp "$PECIA_REPO/v1/channel/production" "$T/mirror-m4/v1/channel/production"
next 1000
mirror_at m4 8
check "what follows is taken" peciactl --repo "$T/mirror-m4" verify --anchor "$anchor"
stop "$forked"
stop "$m4"

# ---- no answer is not "not there" ----

next 200000
middle=$(awk '$1 == "release" { print $2; exit }' "$PECIA_REPO/v1/channel/production")
next 200000
printf '%s\n' "/v1/release/$middle status=503" >"$T/rules"
mkfifo "$T/alive"
exec 8<>"$T/alive"
on b-client python3 tests/hostiled.py --identity "$T/id-m3" --repo "$PECIA_REPO" \
	"$T/rules" "$T/asked" <"$T/alive" >"$T/hostile.log" 2>&1 9>&- &
hostile=$!
running+=("$hostile")
wait_for 20 grep -q ^ready "$T/hostile.log" || fail "hostiled.py"
m4_up "$(sed -n 's/^ready //p' "$T/hostile.log")" 10.77.0.1
mirror_at m4 10
check "the way between was asked for there" grep -q "/v1/release/$middle" "$T/asked"
check "and taken from another" came_from m4 10 10.77.0.1
check "by data transcripts" logged m4 "by_object=0"
check "one contradiction is known still" wait_for 20 is_told forks 1
stop "$m4"
stop "$hostile"

# ---- two that follow each other, and one that meets itself ----

up m1 10.77.1.10 10.77.1.100
up m2 10.77.1.10
check "itself is passed over" wait_for 20 logged m1 "it is ourselves"
mirror_at m1 10
mirror_at m2 10
next 1000
mirror_at m1 11
mirror_at m2 11
check "all is right" peciactl --repo "$T/mirror-m2" verify --anchor "$anchor"
stop "${mirror_pid[m1]}"
stop "${mirror_pid[m2]}"

# ---- a long transfer ----

printf '[main]\nlook_around = 1s\nmax_rate = 3Mbit\nupstream = srv\n' >"$T/none.conf"
printf 'search up.example\nnameserver 10.77.1.10\n' >"/etc/netns/$NET-a-mirror/resolv.conf"
up m1
publish "big=$T/big:/big" --channel testing --message small
wait_for 20 at_serial "$T/mirror-m1" 1 testing || not_so "the other channel"
head -c 3000000 /dev/urandom >"$T/big/large"
publish "big=$T/big:/big" --channel testing --message large
held() { # bytes of the file on its way
	find "$T/mirror-m1/tmp" -name 'partial-data-*' -printf '%s\n' | head -n 1
}
is_under_way() { # BYTES
	[ "$(held)" -gt "$1" ]
}
wait_for 20 is_under_way 300000 || not_so "it comes"
# The clock outside of what is counted: on a busy machine the rate is at most that.
since=$EPOCHREALTIME from=$(held) line=$(wan_bytes a)
peciactl refresh >"$T/out" 2>&1 || not_so "refresh"
same_head() {
	cmp "$PECIA_REPO/v1/channel/production" "$T/mirror-m1/v1/channel/production"
}
check "its upstream is what DNS names" grep -q "following.*_pecia._tcp.up.example.*(srv)" "$T/mirror-m1.log"
check "a head signed again gets through" wait_for 20 same_head
wait_for 20 is_under_way 2300000 || not_so "it goes on"
to=$(held) line=$(($(wan_bytes a) - line)) until=$EPOCHREALTIME
check "while the large release is under way" at_serial "$T/mirror-m1" 1 testing
percent_of_rate() { # BYTES
	awk -v bytes="$1" -v a="$since" -v b="$until" \
		'BEGIN { printf "%d", bytes / (b - a) / 375000 * 100 }'
}
percent=$(percent_of_rate $((to - from)))
echo "$percent % of max_rate; on the line, with all its packets, $(percent_of_rate "$line") %"
check "the rate is kept" test "$percent" -le 110
check "on the line too" test "$(percent_of_rate "$line")" -le 110
check "and used" test "$percent" -ge 85
check "it is complete in the end" wait_for 30 at_serial "$T/mirror-m1" 2 testing
check "and right" peciactl --repo "$T/mirror-m1" verify --anchor "$anchor"
done_checks
