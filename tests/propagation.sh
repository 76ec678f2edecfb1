#!/usr/bin/env bash
# What is published reaches mirrors that wait: at once, along a chain of three,
# in two channels, without polling; one that was away catches up by data
# transcripts; and nothing comes from an upstream that no roster lists.
# run: limit 240
# shellcheck disable=SC2317 # functions that check and wait_for call
set -uo pipefail
# shellcheck source=tests/faults.sh
. "$(dirname "$0")/faults.sh"
need python3 rsync
faults_begin

tree=$T/tree
mkdir -p "$tree/etc"
for i in $(seq 40); do
	seq -f "%g of $i" 5000 >"$tree/etc/f$i"
done
origin_init --address 127.0.0.1
origin_options=(--access-log --workers 1)
origin_up
publish "machine=$tree:/" --exact --message 1
publish "machine=$tree:/" --channel testing --message t1

# A chain of three, and one more at the first.
mirror_up m1 "$origin" --workers 1
mirror_up m2 "${mirror[m1]}" --workers 1
mirror_up m3 "${mirror[m2]}" --workers 1
for m in m1 m2 m3; do
	mirror_at $m 1
	check "$m has the other channel" wait_for 30 at_serial "$T/mirror-$m" 1 testing
done

# ---- waiting is not asking ----

waits() { # HOST:PORT: a mirror waits there, for both channels
	[ "$(metric "$1" pecia_http_waiting)" = 2 ]
}
for upstream in "$origin" "${mirror[m1]}" "${mirror[m2]}"; do
	check "a mirror waits at $upstream" wait_for 20 waits "$upstream"
done
asked() { # how often the origin was asked for anything but metrics
	grep '^peciad: request ' "$T/origin.log" | grep -vc 'path=/metrics'
}
before=$(asked)
sleep 3 # a time in which one that polls would do so
check "it still waits" waits "$origin"
check "no request while nothing happened" test "$(asked)" = "$before"

# ---- at once ----

now_ms() {
	echo $((${EPOCHREALTIME/./} / 1000))
}
# times CHANNEL SERIAL: when each mirror has it, since $begun
times() {
	local m end=$((SECONDS + 30)) left="m1 m2 m3" at=()
	while [ -n "$left" ] && [ "$SECONDS" -lt "$end" ]; do
		for m in $left; do
			at_serial "$T/mirror-$m" "$2" "$1" || continue
			left=$(sed "s/\b$m\b//; s/^ *//; s/ *$//" <<<"$left")
			at+=("$m $(($(now_ms) - begun)) ms")
		done
		sleep 0.005
	done
	echo "$1 $2: ${at[*]} after publish began"
	[ -z "$left" ] || not_so "release $2 of $1 does not reach $left"
	took=$(($(now_ms) - done_at))
	check "the whole chain in 5 s, not $took ms" test "$took" -lt 5000
}
for n in 2 3 4; do
	echo "release $n" >"$tree/etc/now"
	begun=$(now_ms)
	publish "machine=$tree:/" --exact --message "$n"
	done_at=$(now_ms)
	times production "$n"
done
begun=$(now_ms)
publish "machine=$tree:/" --channel testing --message t2
done_at=$(now_ms)
times testing 2
check "the channels are apart" at_serial "$T/mirror-m3" 4
# A channel that is new.
begun=$(now_ms)
publish "machine=$tree:/" --channel third --message new
done_at=$(now_ms)
times third 1
for m in m1 m2 m3; do
	check "$m is whole" peciactl --repo "$T/mirror-$m" verify --anchor "$anchor"
	check "and synced" wait_for 10 test ! -e "$T/mirror-$m/unsynced"
done
client_init c
check "a client of the last of them" client c run --server "${mirror[m3]}"
check "is release 4" same_tree "$tree" "$T/root-c"

# ---- one that was away ----

stop "${mirror_pid[m3]}"
data_bytes=0
for n in 5 6 7 8; do
	echo "line $n" >>"$tree/etc/f$n"
	seq "$n" 3000 >"$tree/etc/new$n"
	publish "machine=$tree:/" --exact --message "$n"
	release=$(awk '$1 == "release" { print $2; exit }' "$PECIA_REPO/v1/channel/production")
	data_bytes=$((data_bytes + $(awk '$1 == "transcript" { print $9 }' "$PECIA_REPO/v1/release/$release")))
done
mirror_at m2 8
sent() {
	python3 - "$1" <<-'PYTHON'
		import http.client, ssl, sys
		context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
		context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
		server = http.client.HTTPSConnection(sys.argv[1], context=context, timeout=20)
		server.request("GET", "/metrics")
		print(sum(int(line.split(" ")[1]) for line in server.getresponse().read().decode().split("\n")
		          if line.startswith("pecia_http_body_bytes_total{") and "metrics" not in line))
	PYTHON
}
before=$(sent "${mirror[m2]}")
mirror_up m3 "${mirror[m2]}" --workers 1
mirror_at m3 8
bytes=$(($(sent "${mirror[m2]}") - before))
echo "four releases behind: $bytes bytes, of them $data_bytes of data transcripts; the tree has $(du -sb "$tree" | cut -f1)"
check "it caught up with the data transcripts and little else" test "$bytes" -lt $((data_bytes + 30000))
told_by_log() {
	grep 'replicated.*channel=production serial=8' "$T/mirror-m3.log" | tail -n 1 >"$T/out"
	cat "$T/out"
	grep -q "by_object=0" "$T/out"
}
check "no object came by itself" told_by_log
check "it is whole" peciactl --repo "$T/mirror-m3" verify --anchor "$anchor"
check "a client of it" client c run --server "${mirror[m3]}"
check "is release 8" same_tree "$tree" "$T/root-c"

# One that starts from nothing.
mirror_up m4 "${mirror[m1]}" --workers 1
mirror_at m4 8
check "the other channels too" wait_for 30 at_serial "$T/mirror-m4" 1 third
check "it is whole as well" peciactl --repo "$T/mirror-m4" verify --anchor "$anchor"
check "and synced" wait_for 10 test ! -e "$T/mirror-m4/unsynced"

# The origin is away and comes back: its mirror goes on without a long pause.
stop "$origin_pid"
lost_it() {
	grep -q 'no upstream' "$T/mirror-m1.log"
}
wait_for 20 lost_it || not_so "m1 does not notice"
listen=$origin
origin_options=(--access-log --workers 1)
origin_up
listen=127.0.0.1:0
echo "after the origin's restart" >"$tree/etc/now"
publish "machine=$tree:/" --exact --message 9
mirror_at m3 9

# ---- a channel that cannot be had does not hold up the others ----

stop "${mirror_pid[m1]}"
echo "in no other channel" >"$tree/etc/only"
publish "machine=$tree:/" --channel fourth --message broken
only=$(sha256sum <"$tree/etc/only" | cut -c 1-64)
only=$PECIA_REPO/v1/object/${only:0:2}/$only
check "an object is lost" mv "$only" "$T/kept"
rm "$tree/etc/only"
mirror_up m1 "$origin" --workers 1
lacks_it() {
	grep -q "object ${only##*/}: upstream lacks it" "$T/mirror-m1.log"
}
check "the mirror says what upstream lacks" wait_for 30 lacks_it
echo "ten" >"$tree/etc/now"
publish "machine=$tree:/" --exact --message 10
mirror_at m1 10
check "the broken channel is not served" test ! -e "$T/mirror-m1/v1/channel/fourth"
check "the object is there again" mv "$T/kept" "$only"
check "and the channel comes too" wait_for 90 at_serial "$T/mirror-m1" 1 fourth
check "all is well then" peciactl --repo "$T/mirror-m1" verify --anchor "$anchor"

# ---- an upstream that no roster lists ----

cp -a "$PECIA_REPO" "$T/stolen"
peciad --identity "$T/id-stranger" --show-identity >/dev/null
serve "$T/stranger.log" --repo "$T/stolen" --identity "$T/id-stranger" --access-log --workers 1
stranger=$ready
mirror_up m5 "$stranger" --workers 1
refused() {
	grep -q 'not in the roster' "$T/mirror-m5.log"
}
not_asked() {
	! grep -Eq 'path=/v1/(release|manifest|data|object)' "$T/stranger.log"
}
check "a stranger is refused" wait_for 20 refused
check "nothing is taken from it" test ! -e "$T/mirror-m5/v1/channel/production"
check "nor asked for" not_asked
stop "${mirror_pid[m5]}"
mirror_up m5 "$stranger" "$origin" --workers 1
mirror_at m5 10
check "the next upstream does" peciactl --repo "$T/mirror-m5" verify --anchor "$anchor"
done_checks
