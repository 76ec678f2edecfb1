#!/usr/bin/env bash
# A thousand clients that poll one mirror over TLS, every tenth of them fetching,
# and two hundred that read as slowly as they may: no error for any of them, also
# while the mirror is reloaded and then replaced by another process; and what
# all of that costs in memory.
# run: limit 150
# shellcheck disable=SC2317 # functions that check and wait_for call
set -uo pipefail
cd "$(dirname "$0")/.." || exit 1
# shellcheck source=tests/e2e.sh
. tests/e2e.sh
need python3 curl
e2e_begin
ulimit -n 4096 2>/dev/null || skip "needs 4096 descriptors"
[ "$(ulimit -Hn)" -ge 4096 ] || skip "needs 4096 descriptors"
clients=1000
polls=5
slow=200

mkdir "$T/tree"
head -c 65000 /dev/urandom >"$T/tree/small"
head -c 9000000 /dev/urandom >"$T/tree/large"
origin_init --org test
publish "tree=$T/tree:/" --exact
origin_up
port=$(python3 -c 'import socket; s = socket.create_server(("127.0.0.1", 0)); print(s.getsockname()[1])')
start_mirror() { # LOG: at the port
	launch "$1" peciad --config "$T/none.conf" --repo "$T/mirror" --identity "$T/id-m" \
		--anchor "$anchor" --listen "127.0.0.1:$port" --upstream "$origin"
	daemon=$started
	wait_for 20 serving "$1" "$daemon"
	grep -q '^ready ' "$1" || fail "no mirror: $(cat "$1")"
}
mirror_add m
start_mirror "$T/mirror.log"
wait_for 30 serial_is "$T/mirror" 1 || fail "the mirror has no release"

etag=\"$(sha256sum <"$T/mirror/v1/channel/production" | cut -c 1-32)\"
name_of() { # SIZE: an object's URL
	find "$T/mirror/v1/object" -type f -size "$1" -printf '/v1/object/%P\n'
}
small=$(name_of -1000k)
large=$(name_of +1000k)
size=$(stat -c %s "$T/mirror$small")

family() { # PID: it and all below it
	local child
	echo "$1"
	for child in $(ps -o pid= --ppid "$1"); do
		family "$child"
	done
}
memory() { # FIELD PID: in kB, of its family
	local pid sum=0
	for pid in $(family "$2"); do
		sum=$((sum + $(sed -n "s/^$1:[^0-9]*\([0-9]*\) kB/\1/p" "/proc/$pid/status" 2>/dev/null || echo 0)))
	done
	echo "$sum"
}

# ---- idle connections ----

before=$(memory VmRSS "$daemon")
coproc LOAD { tool_load "$port" "$etag" "$small" "$size" 1 1 "$large" 0 400 2>"$T/idle.err"; }
load_pid=$!
running+=("$load_pid")
read -r line <&"${LOAD[0]}"
check "400 are connected" test "$line" = "idle 400"
idle_kb() {
	echo $((($(memory VmRSS "$daemon") - before) / 400))
}
is_small() {
	[ "$(idle_kb)" -lt 36 ]
}
echo "an idle TLS connection at first: $(idle_kb) kB"
wait_for 20 is_small # what the handshakes needed is given back
echo "an idle TLS connection: $(idle_kb) kB"
check "an idle connection costs less than 36 kB" is_small
echo go >&"${LOAD[1]}"
wait "$load_pid"

# ---- the load ----

load() { # NAME: in the background; $loader is its pid
	tool_load "$port" "$etag" "$small" "$size" $clients $polls "$large" $slow \
		>"$T/$1.out" 2>"$T/$1.err" &
	loader=$!
	running+=("$loader")
}
loaded() { # NAME: nobody had any trouble
	wait "$loader"
	local status=$?
	cat "$T/$1.err" "$T/$1.out" >"$T/out"
	sed "s/^/$1: /" "$T/$1.out"
	[ $status = 0 ] || not_so "$1: a client had trouble"
	check "$1: all polls were answered" grep -q "^polls [1-9][0-9]* " "$T/$1.out"
}
load steady
loaded steady
check "the slow ones are still served" grep -qx "slow $slow of $slow alive" "$T/steady.out"
check "nobody was turned away" grep -q "^polls .* refused 0$" "$T/steady.out"
peak=$(memory VmHWM "$daemon")
echo "peak memory of all processes: $((peak / 1024)) MB"
check "less than 256 MB" test "$peak" -lt $((256 * 1024))
curl -sk "https://127.0.0.1:$port/metrics" >"$T/metrics"
check "it counts no error that it could have avoided" test "$(
	grep -c '^pecia_http_errors_total{reason="\(full\|peer_full\|peer_hasty\|bodies_full\|malformed\)"} 0$' "$T/metrics"
)" = 5

# ---- reload under load ----

clients=300
slow=50
load reload
asking() { # so many connections are open
	[ "$(curl -sk "https://127.0.0.1:$port/metrics" | sed -n 's/^pecia_http_connections //p')" -gt "$1" ]
}
wait_for 20 asking 200
kill -HUP "$daemon"
loaded reload
check "it was reloaded under load" grep -q 'configuration reloaded' "$T/mirror.log"
check "the slow ones went on" grep -qx "slow $slow of $slow alive" "$T/reload.out"
check "a reload turns nobody away" grep -q "^polls .* refused 0$" "$T/reload.out"

# ---- restart under load: the next one takes the address while the old one ends ----

slow=0
load restart
wait_for 20 asking 200
old=$daemon
kill "$old"
is_free() {
	! (exec 3<>"/dev/tcp/127.0.0.1/$port") 2>/dev/null
}
wait_for 5 is_free
start_mirror "$T/mirror2.log"
loaded restart
wait "$old"
done_checks
