# Sourced by scripts that make things go wrong; adds to tests/e2e.sh:
#
#     . tests/faults.sh
#     faults_begin               instead of e2e_begin
#     alone COMMAND...           what it starts has a process group of its own,
#                                and ends with this script whatever ends that
#     end_group PID [SIGNAL]     ends such a group
#     session_is_empty PID       all of it have ended
#     holds TEXT COMMAND...      as check, and shows what the command printed
#     told PATTERN...            the last check's command said all of them
#     client_copy FROM TO        another machine in the same condition
#     either_tree A B ROOT       ROOT is A or is B
#     at_serial REPO SERIAL [CHANNEL]
#     no_stages ROOT             nothing staged is left
#     snapshot DIR               what there is, without what reading changes and
#                                the times of change, which staging changes
#     random N                   0 to N-1
#
# With tests/net.sh: net_begin first.
# shellcheck shell=bash disable=SC2034 # T and others are of tests/e2e.sh

cd "$(dirname "${BASH_SOURCE[0]}")/.." || exit 1
export LC_ALL=C.UTF-8
unset "${!PECIA_@}"
BUILD=$(realpath "${BUILD:?BUILD=folder of the programs}")
PATH=$BUILD:$PATH:/usr/sbin:/sbin
# shellcheck source=tests/e2e.sh
. tests/e2e.sh

faults_mounts=()

faults_clean() {
	[ "${#faults_mounts[@]}" -eq 0 ] || umount -l "${faults_mounts[@]}" 2>/dev/null
	e2e_end
	[ -z "${net_dir-}" ] || net_end
}

faults_begin() {
	e2e_begin
	trap faults_clean EXIT
	# What the programs do as nobody has to get here.
	chmod 711 "$T"
	# No name is looked up where a server is not said.
	printf '[main]\nsrv = no\nwaitforserver = 0\n' >"$T/client.conf"
	: >"$T/none.conf"
}

need_root() {
	[ "$(id -u)" = 0 ] || skip "needs root: $1"
}

alone() {
	host_prefix+=(setsid setpriv --pdeathsig KILL --)
	"$@"
	unset "host_prefix[-1]" "host_prefix[-1]" "host_prefix[-1]" "host_prefix[-1]" "host_prefix[-1]"
}

session_is_empty() {
	! pgrep -s "$1" >/dev/null
}

end_group() {
	kill "-${2:-TERM}" -- "-$1" 2>/dev/null
	wait "$1" 2>/dev/null
	# What is killed may hold its addresses a moment longer.
	wait_for 10 session_is_empty "$1"
	return 0
}

told() {
	local pattern
	for pattern; do
		if grep -qE -- "$pattern" "$T/out"; then
			pass
		else
			not_so "it does not say: $pattern"
		fi
	done
}

client_copy() {
	rm -rf "$T/root-$2" "$T/state-$2"
	cp -a "$T/root-$1" "$T/root-$2"
	cp -a "$T/state-$1" "$T/state-$2"
}

either_tree() {
	local as_old
	as_old=$(same_tree "$1" "$3") && return
	same_tree "$2" "$3" && return
	printf 'not the first:\n%s\n' "$as_old"
	return 1
}

at_serial() {
	[ "$(serial_of "$1" "${3-}")" = "$2" ]
}

no_stages() {
	[ -z "$(find "$1" -name '.pecia-*' -print -quit)" ]
}

snapshot() {
	find "$1" -printf '%P %y %m %U %G %s %i %n %T@ %l\n' | sort
}

random() {
	echo $(((RANDOM * 32768 + RANDOM) % $1))
}
