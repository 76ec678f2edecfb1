#!/usr/bin/env bash
# haproxy before two mirrors: it passes bytes on and asks /healthz, clients are
# those that they always are.  A mirror that is damaged is taken out, so is one
# that has gone, and both come back.
# run: parallel
# shellcheck disable=SC2317 # functions that check and wait_for call
set -uo pipefail
cd "$(dirname "$0")/.." || exit 1
# shellcheck source=tests/e2e.sh
. tests/e2e.sh
need haproxy python3 curl rsync
e2e_begin
[ "$(id -u)" = 0 ] || printf 'ignore = owner\n' >>"$T/client.conf"

mkdir -p "$T/tree/sub"
for ((i = 0; i < 40; i++)); do
	seq "$i" $((i * 50)) >"$T/tree/sub/file$i"
done
head -c 300000 /dev/urandom >"$T/tree/large"
origin_init --org test
publish "tree=$T/tree:/" --exact
origin_up
for m in one two; do
	mirror_up $m "$origin" --workers 1
	mirror_at $m 1
done

# The example of the documentation, with these addresses.
sed -e "s|^\(\s*\)bind .*|\1bind 127.0.0.1:\${PORT}|" \
	-e "s|^\(\s*server one\) [^ ]*|\1 ${mirror[one]}|" \
	-e "s|^\(\s*server two\) [^ ]*|\1 ${mirror[two]}|" \
	-e 's|inter [^ ]*|inter 100ms fastinter 50ms|' \
	doc/examples/haproxy.cfg >"$T/haproxy.cfg"
for try in 1 2 3 4 5; do
	PORT=$(python3 -c 'import socket; s = socket.create_server(("127.0.0.1", 0)); print(s.getsockname()[1])')
	export PORT
	launch "$T/haproxy.log" haproxy -db -f "$T/haproxy.cfg"
	here=127.0.0.1:$PORT
	answers() {
		! kill -0 "$started" 2>/dev/null || curl -skf -o /dev/null "https://$here/healthz"
	}
	wait_for 20 answers
	! kill -0 "$started" 2>/dev/null || break
	[ "$try" -lt 5 ] || fail "haproxy: $(cat "$T/haproxy.log")"
done

served() { # NAME: how many releases or heads clients took there
	grep -c 'request .*path=/v1/channel/production ' "$T/mirror-$1.log"
}
poll() { # COUNT: so many new connections
	local i
	for ((i = 0; i < $1; i++)); do
		curl -skf -o /dev/null "https://$here/v1/channel/production" || return
	done
}
only() { # NAME OTHER: ten connections in a row go there
	local before
	before=$(served "$2")
	poll 10 && [ "$(served "$2")" = "$before" ]
}

client_init a
client_run a "$here"
check "the client has what was published" same_tree "$T/tree" "$T/root-a"
client_run a "$here"
says "nothing to change"
check "both mirrors are used" poll 10
for m in one two; do
	check "mirror $m is" test "$(served $m)" -ge 4
done

# A mirror that says it is not complete gets nobody.
manifest=$(echo "$T/mirror-one"/v1/manifest/*)
mv "$manifest" "$T/manifest"
check "a damaged mirror is taken out" wait_for 20 only two one
client_init b
client_run b "$here"
check "a client notices nothing" same_tree "$T/tree" "$T/root-b"
mv "$T/manifest" "$manifest"
both() {
	local before
	before=$(served one)
	poll 4 && [ "$(served one)" -gt "$before" ]
}
check "it comes back when it is mended" wait_for 20 both

# One that goes is left by new connections at once or after a retry.
stop "${mirror_pid[two]}" KILL
check "a mirror that is gone is taken out" wait_for 20 only one two
echo more >"$T/tree/sub/more"
publish "tree=$T/tree:/" --exact
mirror_at one 2
client_run a "$here"
check "the client has the change" same_tree "$T/tree" "$T/root-a"
done_checks
