#!/usr/bin/env bash
# SIGHUP: another configuration and another key, while transfers go on; what makes
# no sense changes nothing; and a roll-over of a mirror's key as peciad(8) says it.
# run: parallel
# shellcheck disable=SC2317 # functions that check and wait_for call
set -uo pipefail
cd "$(dirname "$0")/.." || exit 1
# shellcheck source=tests/e2e.sh
. tests/e2e.sh
need python3 curl openssl sha256sum
e2e_begin

mkdir "$T/tree"
head -c 20000000 /dev/urandom >"$T/tree/large"
origin_init --org test
publish "tree=$T/tree:/" --exact
origin_up
mirror_add m
free_port() {
	python3 -c 'import socket; s = socket.create_server(("127.0.0.1", 0)); print(s.getsockname()[1])'
}
port=$(free_port)
configure() { # KEY = VALUE...
	{
		cat <<-CONF
			[main]
			repo = $T/mirror-m
			identity = $T/id-m
			anchor = $anchor
			workers = 2
			scrub_rate = 0
			collect_interval = 0
		CONF
		printf '%s\n' "$@"
	} >"$T/mirror.conf"
}
as_before=("listen = 127.0.0.1:$port" "upstream = $origin")
configure "${as_before[@]}"
launch "$T/mirror.log" peciad --config "$T/mirror.conf"
daemon=$started
wait_for 20 serving "$T/mirror.log" "$daemon" || fail "the mirror does not start"
here=127.0.0.1:$port
mirror_at m 1

children() { # their pids
	ps -o pid= --ppid "$daemon" | sort -n | tr -s ' \n' ' '
}
reloads() { # COUNT
	[ "$(grep -c 'configuration reloaded' "$T/mirror.log")" = "$1" ]
}
hup() { # COUNT: so many reloads by now
	kill -HUP "$daemon"
	wait_for 20 reloads "$1" || fail "no reload: $(tail -n 3 "$T/mirror.log")"
}
key_at() { # HOST:PORT
	openssl s_client -connect "$1" </dev/null 2>/dev/null |
		openssl x509 -pubkey -noout | openssl pkey -pubin -outform DER |
		sha256sum | sed 's/^/sha256:/; s/ .*//'
}
key_is() {
	[ "$(key_at "$here")" = "$1" ]
}
replicator() { # the child that has a child of its own: its fetcher
	local pid
	for pid in $(children); do
		[ -z "$(ps -o pid= --ppid "$pid")" ] || echo "$pid"
	done
}
fetches() {
	[ -n "$(replicator)" ]
}
wait_for 20 fetches || fail "no replicator"

# ---- a slow transfer goes on ----

object=$(find "$T/mirror-m/v1/object" -size +10M -printf '/v1/object/%P\n')
slow() { # NAME: a transfer that waits for $T/NAME/go
	mkdir "$T/$1"
	launch "$T/$1/out" tests/slow_get.py "$here" "$object" "$T/$1"
	slow_pid[$1]=$started
	wait_for 20 test -e "$T/$1/begun" || fail "no transfer: $(cat "$T/$1/out")"
}
declare -A slow_pid=()
old_key=$(peciad --identity "$T/id-m" --show-identity)
slow one
before=$(children)
replicating=$(replicator)

# The key to come is made, rostered beside the one in use, and only then used.
new_key=$(peciad --identity "$T/id-m" --next-identity)
check "making it again makes no other" \
	test "$(peciad --identity "$T/id-m" --next-identity)" = "$new_key"
peciad --identity "$T/id-m" --show-identity >"$T/out"
matches "^$old_key\$"
matches "^next $new_key\$"
rosters() { # KEYS: the mirror's roster has it at its site with just these
	grep -q "^mirror m site-m ${1//sha256:/} -$" "$T/mirror-m/v1/roster"
}
check "both are rostered" peciactl mirror change m --key "$old_key" --key "$new_key"
check "the mirror has the new roster" wait_for 30 rosters "$old_key,$new_key"
client_init c
client_run c "$here"

hup 1
check "nothing changed: the same key" key_is "$old_key"
check "and the same replicator" test "$(replicator)" = "$replicating"
check "the transfer goes on" kill -0 "${slow_pid[one]}"
slow two

check "the new key is taken" peciad --identity "$T/id-m" --use-next-identity
says "$new_key"
refuses 64 "--next-identity" peciad --identity "$T/id-m" --use-next-identity
hup 2
check "new connections see the new key" wait_for 10 key_is "$new_key"
check "the transfers go on" kill -0 "${slow_pid[one]}" "${slow_pid[two]}"
shows_key() { # a mirror without news for long is a warning
	peciad status --config "$T/mirror.conf" >"$T/status"
	[ $? -le 1 ] && grep -qx "key         $1" "$T/status"
}
check "status asks with the new key" shows_key "$new_key"
other_replicator() {
	[ -n "$(replicator)" ] && [ "$(replicator)" != "$replicating" ]
}
check "the replicator shows the new key" wait_for 20 other_replicator
client_run c "$here"
says "nothing to change"
echo more >>"$T/tree/more"
publish "tree=$T/tree:/" --exact
mirror_at m 2
client_run c "$here"
check "a client that knew the old key has the next release" same_tree "$T/tree" "$T/root-c"

check "the old key is dropped" peciactl mirror change m --key "$new_key"
check "the mirror has that roster" wait_for 30 rosters "$new_key"
echo again >>"$T/tree/more"
publish "tree=$T/tree:/" --exact
mirror_at m 3
client_run c "$here"
check "and the client another release" same_tree "$T/tree" "$T/root-c"

# ---- what makes no sense ----

workers=$(children)
refused=0
for wrong in "nonsense = 1" "listen = 192.0.2.77:1" "repo = $T/elsewhere" "user = nobody" \
	"identity = $T/none.conf/x" "on_healthy = relative"; do
	case $wrong in
	listen*) configure "$wrong" "upstream = $origin" ;;
	repo* | identity*)
		configure "${as_before[@]}"
		sed -i "s|^${wrong%% *} = .*|$wrong|" "$T/mirror.conf"
		;;
	*) configure "${as_before[@]}" "$wrong" ;;
	esac
	kill -HUP "$daemon"
	refused=$((refused + 1))
	is_refused() {
		[ "$(grep -c 'the old one stays' "$T/mirror.log")" = "$refused" ]
	}
	check "'$wrong' is refused" wait_for 10 is_refused
done
check "nobody was replaced for it" test "$(children)" = "$workers"
check "it serves as before" key_is "$new_key"
check "all of them were reloads that were none" reloads 2
curl -sk "https://$here/metrics" >"$T/metrics"
check "a mirror's metrics are as Prometheus has them" tests/metrics.py "$T/metrics"
for family in pecia_upstream_{serial,lag_releases,contact_timestamp_seconds,errors_total}; do
	check "it tells of $family" grep -q "^# TYPE $family " "$T/metrics"
done

# ---- addresses come and go ----

second=$(free_port)
configure "listen = 127.0.0.1:$second" "listen = 127.0.0.1:$port" "upstream = $origin" \
	"access_log = yes"
hup 3
for at in "$port" "$second"; do
	check "it listens at $at" curl -skf -o /dev/null "https://127.0.0.1:$at/v1/roster"
done
logs_requests() {
	grep -q 'request .*path=/v1/roster' "$T/mirror.log"
}
check "and logs, as it was told" wait_for 10 logs_requests
configure "listen = 127.0.0.1:$second" "upstream = $origin"
hup 4
gone() {
	! curl -sk -o /dev/null "https://$here/v1/roster"
}
check "the first address is given up" wait_for 10 gone
check "the second is not" curl -skf -o /dev/null "https://127.0.0.1:$second/v1/roster"

# ---- the slow transfers come to their end ----

want="$(stat -c %s "$T/mirror-m$object") $(sha256sum <"$T/mirror-m$object" | cut -d' ' -f1)"
for name in one two; do
	check "transfer $name still goes on" kill -0 "${slow_pid[$name]}"
	touch "$T/$name/go"
	wait "${slow_pid[$name]}" || not_so "transfer $name ended badly"
	cp "$T/$name/out" "$T/out"
	check "transfer $name is whole" test "$(cat "$T/$name/out")" = "$old_key $want"
done
only_new() { # of the workers that there were, none is left
	local pid
	for pid in $before $workers; do
		[ "$pid" = "$(replicator)" ] || ! kill -0 "$pid" 2>/dev/null || return
	done
}
check "then those that sent them end" wait_for 20 only_new
check "three processes are left" test "$(children | wc -w)" = 3

# ---- a mirror becomes an origin, and back ----

configure "listen = 127.0.0.1:$second"
hup 5
check "without upstreams nothing is replicated" wait_for 10 test -z "$(sleep 0.3; replicator)"
configure "listen = 127.0.0.1:$second" "upstream = $origin"
hup 6
check "with them it is" wait_for 20 fetches
stop "$daemon"
check "all of them have ended" test -z "$(children)"
check "the repository is whole" peciactl --repo "$T/mirror-m" verify --anchor "$anchor"
done_checks
