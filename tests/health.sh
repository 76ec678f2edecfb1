#!/usr/bin/env bash
# What a daemon tells of itself: /metrics, /healthz, /status and `peciad status`,
# with a damaged repository, a full disk, a read-only one; and the commands that
# announce and withdraw a route.
# run: parallel
# shellcheck disable=SC2317 # functions that check and wait_for call
set -uo pipefail
cd "$(dirname "$0")/.." || exit 1

# Prometheus' own checker, out of its package where that can be had: the package
# as a whole brings 100 MB and a web interface.
get_promtool() {
	promtool=$(command -v promtool) && return
	promtool=${BUILD:-build/gcc}/promtool
	[ ! -x "$promtool" ] || return 0
	local dir
	dir=$(mktemp -d) || return
	(cd "$dir" && timeout 60 apt-get download prometheus &&
		dpkg-deb --fsys-tarfile prometheus_*.deb | tar -xO ./usr/bin/promtool >promtool &&
		chmod 755 promtool) >/dev/null 2>&1 && mv "$dir/promtool" "$promtool"
	rm -rf "$dir"
}
[ -n "${promtool-}" ] || get_promtool
export promtool

# Our own network and mounts: an address that is not loopback, and disks.
if [ -z "${HEALTH_ALONE-}" ] && [ "$(id -u)" = 0 ]; then
	HEALTH_ALONE=yes unshare -nm true 2>/dev/null &&
		HEALTH_ALONE=yes exec unshare -nm "$0" "$@"
fi
# shellcheck source=tests/e2e.sh
. tests/e2e.sh
need python3 curl
if [ -n "${HEALTH_ALONE-}" ]; then
	ip link set lo up && ip addr add 192.0.2.1/32 dev lo || HEALTH_ALONE=
fi
e2e_begin
trap 'umount -l "$T/disk" 2>/dev/null; e2e_end' EXIT

mkdir "$T/tree"
seq 1000 >"$T/tree/file"
if [ -n "${HEALTH_ALONE-}" ]; then
	mkdir "$T/disk"
	mount -t tmpfs -o size=100m tmpfs "$T/disk" || HEALTH_ALONE=
	PECIA_REPO=$T/disk/origin
fi
origin_init --org test
publish "tree=$T/tree:/" --exact
# shellcheck disable=SC2016 # for the command
printf '#!/bin/sh\necho "$PECIAD_HEALTH as $(id -un): $PECIAD_WHY" >>%s\n' "$T/announced" >"$T/announce"
chmod 755 "$T/announce"
touch "$T/announced"
chmod 666 "$T/announced"
cat >"$T/peciad.conf" <<-CONF
	[main]
	repo = $PECIA_REPO
	identity = $PECIA_KEYS/identity
	keys = $PECIA_KEYS
	on_healthy = $T/announce
	on_unhealthy = $T/announce "an argument"
	health_hold = 2
	health_interval = 1
CONF
chmod 755 "$T"
[ "$(id -u)" != 0 ] || echo "health_user = nobody" >>"$T/peciad.conf"
launch "$T/origin.log" peciad --config "$T/peciad.conf" --listen "[::]:0"
daemon=$started
wait_for 20 serving "$T/origin.log" "$started" || fail "it does not start"
port=$(sed -n 's/^ready .*://p' "$T/origin.log")
[ -n "$port" ] || fail "it does not start: $(cat "$T/origin.log")"
here="127.0.0.1:$port"

ask() { # PATH [HOST:PORT]
	curl -sk "https://${2:-$here}$1"
}
status_of() {
	curl -sk -o /dev/null -w '%{http_code}' "https://${2:-$here}$1"
}
status() {
	peciad status --config "$T/peciad.conf" --listen "[::]:$port" "$@"
}
health_is() { # STATUS PATTERN
	[ "$(status_of /healthz)" = "$1" ] && ask /healthz | grep -q "$2"
}
announced() { # COUNT PATTERN: so many, and the last is so
	[ "$(wc -l <"$T/announced")" = "$1" ] && tail -n 1 "$T/announced" | grep -q "$2"
}

# ---- metrics ----

ask /metrics >"$T/metrics.1"
ask /v1/roster >/dev/null
ask /metrics >"$T/metrics.2"
check "metrics are as Prometheus has them" tests/metrics.py "$T/metrics.2" "$T/metrics.1"
value() {
	tests/metrics.py --value "$1" "$T/metrics.2"
}
check "it serves release 1" test "$(value 'pecia_channel_serial{channel="production"}')" = 1
check "it counts bytes by kind" test "$(value 'pecia_http_body_bytes_total{kind="roster"}')" -gt 0
check "it knows its disk" test "$(value pecia_repository_free_bytes)" -gt 1000000
check "an origin has no upstream" \
	test "$(grep -c pecia_upstream "$T/metrics.2")" = 0
# The checker complains where it should.
for wrong in 's/^# TYPE pecia_healthy gauge/# TYPE pecia_healthy counter/' \
	's/^pecia_healthy 1/pecia_healthy one/' 's/^\(pecia_healthy\) 1/\1 1\n\1 2/' \
	'/^# HELP pecia_healthy /d' 's/kind="roster"} /kind="roster} /'; do
	sed "$wrong" "$T/metrics.2" >"$T/metrics.wrong"
	check_exit 1 "the checker finds $wrong" tests/metrics.py "$T/metrics.wrong"
done
check_exit 1 "the checker finds what counts backwards" \
	tests/metrics.py "$T/metrics.1" "$T/metrics.2"

if [ -x "$promtool" ]; then
	check "promtool takes it" "$promtool" check metrics <"$T/metrics.2"
	check "promtool has nothing to say" test ! -s "$T/out"
else
	echo "promtool: not here, and its package cannot be fetched"
fi

# ---- health, and who is told ----

check "it is healthy" health_is 200 '^complete yes channels 1$'
check "that is announced" wait_for 20 announced 1 '^healthy as '
[ "$(id -u)" != 0 ] || check "as the user that was said" announced 1 '^healthy as nobody: $'
check_exit 0 "status is 0" status
matches '^PECIAD OK - origin complete and fresh; production 1$'

manifest=$(echo "$PECIA_REPO"/v1/manifest/*)
mv "$manifest" "$T/manifest"
check "it sees what is missing" health_is 503 'complete no .*v1/manifest/.* is not here'
mv "$T/manifest" "$manifest"
check "and that it is back" health_is 200 '^complete yes'
sleep 2.2 # as long as it would take to be announced
check "what does not last is not announced" announced 1 '^healthy'
mv "$manifest" "$T/manifest"
check "what lasts is" wait_for 20 announced 2 '^unhealthy as .*is not here$'
check_exit 2 "status is 2" status
matches '^PECIAD CRITICAL - not complete: .*v1/manifest/.* is not here; production 1$'
mv "$T/manifest" "$manifest"
check "and when it is over" wait_for 20 announced 3 '^healthy as '

# ---- the disk ----

if [ -n "${HEALTH_ALONE-}" ]; then
	dd if=/dev/zero of="$T/disk/fill" bs=1M count=60 status=none
	check "it sees a disk that is full" health_is 200 '^writable no .* free$'
	check_exit 1 "status is 1" status
	matches '^PECIAD WARNING - not writable: .*MB and .* free'
	rm "$T/disk/fill"
	check "and when it is not" health_is 200 '^writable yes'
	mount -o remount,ro "$T/disk"
	check "it sees one that is read-only" \
		health_is 200 '^writable no its file system is mounted read-only$'
	check "and serves" test "$(status_of /v1/channel/production)" = 200
	mount -o remount,rw "$T/disk"

	# ---- who may ask for its state ----

	check "loopback may ask" test "$(status_of /status)" = 200
	check "IPv6 too" test "$(status_of /status "[::1]:$port")" = 200
	check "others may not" test "$(status_of /status "192.0.2.1:$port")" = 403
	check "but with its own key" \
		status --listen "192.0.2.1:$port" --config "$T/peciad.conf"
fi

# ---- status ----

check "status as JSON" status --json
cp "$T/out" "$T/status.json"
check "is a document" python3 -c 'import json, sys
doc = json.load(open(sys.argv[1]))
assert doc["running"] and doc["healthy"] and doc["role"] == "origin", doc
assert doc["channels"][0]["serial"] == 1 and doc["evidence"] == [], doc' "$T/status.json"
touch "$PECIA_REPO/evidence/production-1.kept" "$PECIA_REPO/evidence/production-1.other"
check_exit 1 "evidence is a warning" status
says "evidence    production-1 is signed twice"
cp -r "$PECIA_KEYS/identity" "$T/other"
rm "$T/other/"*.pem
check_exit 3 "another's daemon is not ours" status --identity "$T/other"
peciad --identity "$T/other" --show-identity >/dev/null
check_exit 3 "nor with another key" status --identity "$T/other"

# ---- the end ----

stop "$daemon"
check "the route is withdrawn before it ends" announced 4 '^unhealthy as .*: peciad ends$'
check_exit 3 "status is 3" status
matches '^PECIAD UNKNOWN - no peciad answers: .*; production 1$'
says "channel     production: serial 1"
refuses 3 "PECIAD UNKNOWN" status --repo "$T/nowhere"

# ---- what makes no sense ----

for line in 'on_healthy = relative' 'on_unhealthy = /bin/true "' 'health_hold = 0' \
	'health_interval = 0' 'health_hold = 5000'; do
	printf '[main]\n%s\n' "$line" >"$T/bad.conf"
	refuses 64 "${line%% *}" peciad --config "$T/bad.conf"
done
done_checks
