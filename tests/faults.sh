# Sourced by scripts that make things go wrong: origins, daemons and clients on
# loopback, and what is looked at afterwards.
#
#     . tests/faults.sh
#     faults_begin               makes $D; all that was started ends at exit
#     check TEXT COMMAND...      counts one pass or failure, goes on
#     must COMMAND...            ends the script when it fails
#     spawn LOG COMMAND...       in the background, a process group of its own;
#                                $spawned is its pid
#     origin NAME [INIT_ARG...]  keys and repository $D/NAME, $anchor
#     publish NAME ARG...        the next release of that origin
#     serve NAME REPO ID ARG...  a peciad on any port; $port, $daemon
#     client NAME PECIA_ARG...   root $D/NAME.root, state $D/NAME.state, output
#                                $D/NAME.out; its exit status
#     faults_end_summary         the closing line, and the exit status
#
# With tests/net.sh, call net_begin first.
# shellcheck shell=bash

cd "$(dirname "${BASH_SOURCE[0]}")/.." || exit 1
export LC_ALL=C.UTF-8
unset "${!PECIA_@}"
BUILD=$(realpath "${BUILD:?BUILD=folder of the programs}")
PATH=$BUILD:$PATH:/usr/sbin:/sbin
passed=0
failed=0
faults_pids=()

faults_clean() {
	local pid
	for pid in "${faults_pids[@]}"; do
		kill -KILL -- "-$pid" "$pid" 2>/dev/null
	done
	for pid in "${faults_pids[@]}"; do
		wait "$pid" 2>/dev/null
	done
	[ "${#faults_mounts[@]}" -eq 0 ] || umount -l "${faults_mounts[@]}" 2>/dev/null
	[ -z "${net_dir-}" ] || net_end
	rm -rf "$D"
}
faults_mounts=()

faults_begin() {
	D=$(mktemp -d "${TMPDIR:-/tmp}/pecia-faults.XXXXXX") || exit 1
	# What the programs do as nobody needs to get here.
	chmod 711 "$D"
	trap faults_clean EXIT
	trap 'exit 130' INT TERM
}

faults_end_summary() {
	echo "$passed passed, $failed failed"
	[ "$failed" -eq 0 ]
	exit
}

skip() {
	echo "$1"
	exit 77
}

need_root() {
	[ "$(id -u)" = 0 ] || skip "needs root: $1"
}

check() {
	local what=$1
	shift
	if "$@"; then
		passed=$((passed + 1))
		return 0
	fi
	failed=$((failed + 1))
	printf 'FAILED: %s\n    %s\n' "$what" "$*"
	return 1
}

must() {
	"$@" >"$D/must.out" 2>&1 && return 0
	printf 'NOT DONE: %s\n' "$*"
	sed 's/^/    | /' "$D/must.out"
	exit 1
}

# until_true SECONDS COMMAND...: waits for a condition, not for a time.
until_true() {
	local end=$((SECONDS + $1))
	shift
	until "$@" >/dev/null 2>&1; do
		[ "$SECONDS" -lt "$end" ] || return 1
		sleep 0.02
	done
}

spawn() {
	local log=$1
	shift
	# Its parent's end is its own, whatever ends this script.
	setsid setpriv --pdeathsig KILL -- "$@" >"$log" 2>&1 </dev/null &
	spawned=$!
	faults_pids+=("$spawned")
}

# end_spawned PID [SIGNAL]: the whole group.
end_spawned() {
	kill "-${2:-TERM}" -- "-$1" 2>/dev/null || kill "-${2:-TERM}" "$1" 2>/dev/null
	wait "$1" 2>/dev/null
	return 0
}

origin() {
	must peciactl --repo "$D/$1" --keys "$D/$1.keys" init --org faults "${@:2}"
	anchor=$(awk 'END { print $2 }' "$D/must.out")
}

publish() {
	must peciactl --repo "$D/$1" --keys "$D/$1.keys" publish "${@:2}"
}

# roster_add ORIGIN NAME IDENTITY ARG...: its key into the roster.
roster_add() {
	local key
	key=$(peciad --identity "$3" --show-identity) || exit 1
	must peciactl --repo "$D/$1" --keys "$D/$1.keys" mirror add "$2" --site "site-$2" \
		--key "$key" "${@:4}"
}

serve() {
	local log=$D/$1.log
	spawn "$log" peciad --repo "$2" --identity "$3" --listen 127.0.0.1:0 \
		--workers 1 "${@:4}"
	daemon=$spawned
	if ! until_true 20 grep -q ^ready "$log"; then
		echo "NOT DONE: peciad $1"
		cat "$log"
		exit 1
	fi
	port=$(sed -n 's/^ready .*:\([0-9]*\)$/\1/p' "$log")
}

at_serial() { # REPO SERIAL [CHANNEL]
	grep -qx "serial $2" "$1/v1/channel/${3:-production}"
}

client_init() {
	mkdir -p "$D/$1.root"
	must pecia --state "$D/$1.state" init --anchor "$anchor"
	printf '[main]\nsrv = no\n' >"$D/$1.conf"
}

client() {
	local name=$1
	shift
	pecia --config "$D/$name.conf" --root "$D/$name.root" --state "$D/$name.state" "$@" \
		>"$D/$name.out" 2>&1
}

# client_copy FROM TO: another machine in the same condition.
client_copy() {
	rm -rf "$D/$2.root" "$D/$2.state"
	cp -a "$D/$1.root" "$D/$2.root"
	cp -a "$D/$1.state" "$D/$2.state"
	cp "$D/$1.conf" "$D/$2.conf"
}

says() { # NAME PATTERN...: its output has them all
	local name=$1 pattern
	shift
	for pattern; do
		if ! grep -qE -- "$pattern" "$D/$name.out"; then
			echo "    not said: $pattern"
			sed 's/^/    | /' "$D/$name.out"
			return 1
		fi
	done
}

# All that a run could change, and nothing that reading does.
snapshot() {
	find "$1" -printf '%P %y %m %U:%G %s %T@ %i %n %l\n' | sort
}

same_tree() { # TREE ROOT
	rsync -naAXHic --delete "$1/" "$2/" >"$D/rsync.out" 2>&1 || return 1
	[ ! -s "$D/rsync.out" ] && return 0
	head -n 5 "$D/rsync.out" | sed 's/^/    | /'
	return 1
}

no_stages() {
	[ -z "$(find "$1" -name '.pecia-*' -print -quit)" ]
}

random() { # LIMIT: 0 to LIMIT-1
	echo $(((RANDOM * 32768 + RANDOM) % $1))
}
