#!/usr/bin/env bash
# run: parallel
# The systemd units: without faults, peciad well shut in, and the client's such
# that a run can do all that root can.
# shellcheck disable=SC2317 # check calls functions
set -uo pipefail
cd "$(dirname "$0")/.." || exit 1
# shellcheck source=tests/e2e.sh
. tests/e2e.sh
need systemd-analyze
systemd-analyze --help | grep -q -- --offline || skip "systemd-analyze cannot look at files yet"
e2e_begin

units=$T/units
mkdir "$units"
for unit in doc/examples/*.service doc/examples/*.timer; do
	# shellcheck disable=SC2153 # tests/run sets BUILD
	sed "s|/usr/local/sbin|$BUILD|g" "$unit" >"$units/${unit##*/}"
done

quiet() { # COMMAND...: succeeds, and has nothing to say
	"$@" >"$T/said" 2>&1 || { cat "$T/said" && return 1; }
	cat "$T/said"
	[ ! -s "$T/said" ]
}
for unit in "$units"/*; do
	check "${unit##*/}" quiet systemd-analyze verify --man=no "$unit"
done
sed 's/^Restart=/Restrat=/' "$units/peciad.service" >"$units/wrong.service"
check "a fault would be told" test -n "$(systemd-analyze verify --man=no "$units/wrong.service" 2>&1)"

# exposed UNIT: not below 3 of 10.
exposed() {
	! systemd-analyze security --no-pager --offline=true --threshold=29 "$units/$1"
}
check_exit 1 "peciad rates below 3" exposed peciad.service
check "another would not" exposed pecia.service

limits='^(Protect|Private|ReadOnlyPaths|InaccessiblePaths|NoExecPaths|TemporaryFileSystem|Bind|'
limits+='NoNewPrivileges|RestrictSUIDSGID|RestrictNamespaces|RestrictAddressFamilies|'
limits+='CapabilityBoundingSet|Device|MemoryDenyWriteExecute|SystemCallArchitectures|UMask|User|Dynamic)'
for unit in pecia pecia-daemon; do
	check "$unit may do all" test -z "$(grep -E "$limits" "$units/$unit.service")"
	check "$unit leaves others running" grep -qx KillMode=process "$units/$unit.service"
	# What follows the program is something it takes.
	read -ra words < <(sed -n "s|^ExecStart=$BUILD/||p" "$units/$unit.service")
	echo "[main]
nonsense = 1" >"$T/bad.conf"
	refuses 64 "bad.conf:2: " "${words[@]/\/etc\/pecia\/pecia.conf/$T/bad.conf}"
done

done_checks
