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
came_from() {
	grep "replicated.*channel=${4-production} serial=$2 " "$T/mirror-$1.log" | grep -qF -- "$3\" data"
}
follows() { # NAME ADDRESS
	grep 'following' "$T/mirror-$1.log" | tail -n 1 | grep -qF -- "-> $2\"" ||
		grep 'following' "$T/mirror-$1.log" | tail -n 1 | grep -qF -- "-> $2"
}
next() { # BYTES: a release with so much that is new
	release=$((release + 1))
	head -c "$1" /dev/urandom >"$tree/part-$release"
	publish "machine=$tree:/" --message "$release"
}
release=0
for m in m1 m2 m3 m4; do add_mirror $m; done

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

# ---- a head is wanted until somebody has all of it ----

up m3 10.77.0.1
mirror_at m3 4
stop "${mirror_pid[m1]}"
stop "${mirror_pid[m2]}"
stop "${mirror_pid[m3]}"
# From here on m3 is behind: it replicates no more.
in_host b-mirror
listen=10.77.2.10:7440
serve "$T/behind.log" --repo "$T/mirror-m3" --identity "$T/id-m3" --access-log --workers 1
behind=$started
in_host
next 300000
object_of() { # FILE
	local digest
	digest=$(sha256sum <"$1" | cut -c 1-64)
	echo "$PECIA_REPO/v1/object/${digest:0:2}/$digest"
}
check "the origin loses an object" mv "$(object_of "$tree/part-1")" "$T/lost"
cp "$(object_of "$tree/part-2")" "$T/kept"
printf 'x' | dd of="$(object_of "$tree/part-2")" bs=1 seek=1000 conv=notrunc 2>/dev/null
up m4 10.77.0.1
mirror_at m4 5
check "the rest came from one that is behind" came_from m4 5 10.77.2.10
check "its own head stays" at_serial "$T/mirror-m3" 4
check "what is missed is told" logged m4 "release not complete"
check "all is right" peciactl --repo "$T/mirror-m4" verify --anchor "$anchor"
count() {
	grep -c "path=/v1/$1" "$T/behind.log"
}
check "one batch of objects was asked of it" test "$(count objects)" = 1
check "and nothing else of content" test "$(count manifest)$(count data/)" = 00
mv "$T/lost" "$(object_of "$tree/part-1")"
cp "$T/kept" "$(object_of "$tree/part-2")"
stop "$behind"

# ---- two releases of one serial ----

cp -a "$PECIA_REPO" "$T/fork"
echo other >"$T/big/other"
check "another sixth release" peciactl --repo "$T/fork" publish "machine=$T/big:/" --message fork
next 1000
mirror_at m4 6
in_host b-mirror
listen=10.77.2.10:7440
serve "$T/fork.log" --repo "$T/fork" --identity "$T/id-m3" --workers 1
forked=$started
in_host
check "the contradiction is told" wait_for 20 logged m4 "contradiction"
check "evidence is kept" test -s "$T/mirror-m4/evidence/channel/production.6.other"
sleep 2.5 # in which it is met again
check "once" test "$(grep -c contradiction "$T/mirror-m4.log")" = 1
check "the first is served" cmp "$PECIA_REPO/v1/channel/production" "$T/mirror-m4/v1/channel/production"
next 1000
mirror_at m4 7
check "what follows is taken" peciactl --repo "$T/mirror-m4" verify --anchor "$anchor"
stop "$forked"
stop "${mirror_pid[m4]}"

# ---- two that follow each other, and one that meets itself ----

up m1 10.77.1.10 10.77.1.100
up m2 10.77.1.10
check "itself is passed over" wait_for 20 logged m1 "it is ourselves"
mirror_at m1 7
mirror_at m2 7
next 1000
mirror_at m1 8
mirror_at m2 8
check "no serial is lost" peciactl --repo "$T/mirror-m2" verify --anchor "$anchor"
stop "${mirror_pid[m1]}"
stop "${mirror_pid[m2]}"

# ---- a long transfer ----

printf '[main]\nlook_around = 1s\nmax_rate = 3Mbit\n' >"$T/none.conf"
up m1 10.77.0.1
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
from=$(held) since=$EPOCHREALTIME
peciactl refresh >"$T/out" 2>&1 || not_so "refresh"
same_head() {
	cmp "$PECIA_REPO/v1/channel/production" "$T/mirror-m1/v1/channel/production"
}
check "a head signed again gets through" wait_for 20 same_head
wait_for 20 is_under_way 2300000 || not_so "it goes on"
to=$(held) until=$EPOCHREALTIME
check "while the large release is under way" at_serial "$T/mirror-m1" 1 testing
percent=$(awk -v bytes=$((to - from)) -v a="$since" -v b="$until" \
	'BEGIN { printf "%d", bytes / (b - a) / 375000 * 100 }')
echo "$percent % of max_rate"
check "the rate is kept" test "$percent" -le 110
check "and used" test "$percent" -ge 85
check "it is complete in the end" wait_for 30 at_serial "$T/mirror-m1" 2 testing
check "and right" peciactl --repo "$T/mirror-m1" verify --anchor "$anchor"
done_checks
