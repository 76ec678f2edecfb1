# Sourced by scripts that run whole programs: an origin, mirrors and clients on
# loopback or, with in_host, on hosts that tests/net.sh made.
#
#     . tests/e2e.sh
#     e2e_begin [GIB]                $T, a folder of our own, in memory where that
#                                    much is free; all is taken down at exit
#     origin_init OPTION...          keys and repository; $anchor
#     origin_up                      its peciad with $origin_options, re-signing heads;
#                                    $origin is HOST:PORT
#     mirror_up NAME UPSTREAM...     rostered if it is new; ${mirror[NAME]} is HOST:PORT
#     client_init NAME               $T/state-NAME, $T/root-NAME
#     client NAME VERB OPTION...     runs pecia as that client
#     metrics_of HOST:PORT           what a peciad's /metrics says
#     metric HOST:PORT NAME          one value of it
#     check NAME COMMAND...          counts: the command succeeds
#     check_exit STATUS NAME COMMAND...   it ends with that status
#     refuses STATUS WORD COMMAND... it ends with that status and says WORD
#     says TEXT, matches REGEX       the last command printed it
#     flip FILE, object_of FILE, of_release KEY   damages one; where its content
#                                    is stored; what the newest release says
#     done_checks                    'N passed, N failed', and exits so
#
# What a command of a check printed is in $T/out; says and matches leave it.
# shellcheck shell=bash disable=SC2034 # some is for those who source this

T=
host_prefix=()
listen=127.0.0.1:0
running=()
passed=0
failed=0
anchor=
origin=
origin_pid=
origin_options=()
started=
declare -A mirror=() mirror_pid=()

fail() {
	printf 'FAILED: %s\n' "$*" >&2
	[ ! -s "$T/out" ] || tail -n 30 "$T/out" | sed 's/^/    | /' >&2
	exit 1
}

skip() {
	echo "$1"
	exit 77
}

# Programs this script needs besides ours.
need() {
	local tool
	for tool; do
		command -v "$tool" >/dev/null || skip "needs $tool"
	done
}

# Many files are kept in memory: to remove 200,000 can take minutes on a disk.
has_memory() {
	[ -w /dev/shm ] &&
		[ "$(df -k --output=avail /dev/shm | tail -n 1)" -gt $(($1 << 20)) ] &&
		[ "$(awk '/^MemAvailable/ { print $2 }' /proc/meminfo)" -gt $(($1 << 20)) ]
}

# shellcheck disable=SC2120 # whole_job.sh gives one
e2e_begin() {
	local place=${TMPDIR:-/tmp}
	[ $# -eq 0 ] || ! has_memory "$1" || place=/dev/shm
	T=$(mktemp -d "$place/pecia-e2e.XXXXXX") || exit 1
	export PECIA_REPO=$T/origin PECIA_KEYS=$T/keys
	unset PECIA_SERVER
	# Their trees change as wholes; tests/guards.sh has the default.
	printf '[main]\nmax_delete = none\n' >"$T/client.conf"
	: >"$T/out"
	trap e2e_end EXIT
	trap 'exit 130' INT TERM
}

e2e_end() {
	local pid
	for pid in "${running[@]}"; do
		kill "$pid" 2>/dev/null
	done
	for pid in "${running[@]}"; do
		wait "$pid" 2>/dev/null
	done
	running=()
	# Folders without write permission stop an ordinary user's rm.
	[ -z "$T" ] || rm -rf "$T" 2>/dev/null ||
		{ chmod -R u+rwX "$T" && rm -rf "$T"; }
}

metrics_of() {
	python3 - "$1" <<-'PYTHON'
		import http.client, ssl, sys
		context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
		context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
		server = http.client.HTTPSConnection(sys.argv[1], context=context, timeout=20)
		server.request("GET", "/metrics")
		print(server.getresponse().read().decode())
	PYTHON
}

metric() {
	metrics_of "$1" | sed -n "s/^$2 //p"
}

# ---- judging ----

pass() {
	passed=$((passed + 1))
}

# not_so TEXT: counts it as failed and shows $T/out.
not_so() {
	failed=$((failed + 1))
	printf 'NOT SO: %s\n' "$1"
	tail -n 30 "$T/out" | sed 's/^/    | /'
}

check() {
	check_exit 0 "$@"
}

check_exit() {
	local status=$1 name=$2 got
	shift 2
	"$@" >"$T/out" 2>&1
	got=$?
	if [ "$got" = "$status" ]; then
		pass
	else
		not_so "$name: exit status $got, not $status"
	fi
}

# Each line of WORDS is in what the command said.
refuses() {
	local status=$1 words=$2 got word
	shift 2
	"$@" >"$T/out" 2>&1
	got=$?
	if [ "$got" != "$status" ]; then
		not_so "$*: exit status $got, not $status"
		return
	fi
	while read -r word; do
		grep -qF -- "$word" "$T/out" && continue
		not_so "$*: does not say $word"
		return
	done <<<"$words"
	pass
}

# The last command's output says so.
says() {
	if grep -qF -- "$1" "$T/out"; then
		pass
	else
		not_so "it does not say: $1"
	fi
}

# matches REGEX: a line of it does.
matches() {
	if grep -Eq -- "$1" "$T/out"; then
		pass
	else
		not_so "no line matches: $1"
	fi
}

done_checks() {
	echo "$passed passed, $failed failed"
	[ "$failed" -eq 0 ] && [ "$passed" -gt 0 ]
	exit
}

# wait_for SECONDS COMMAND...: until it succeeds.
wait_for() {
	local until=$((SECONDS + $1))
	shift
	until "$@" >/dev/null 2>&1; do
		if [ "$SECONDS" -ge "$until" ]; then
			echo "waited in vain for: $*" >&2
			return 1
		fi
		sleep 0.05
	done
}

# ---- processes ----

# in_host HOST: what follows runs on that host of tests/net.sh; none: here.
in_host() {
	host_prefix=()
	[ $# -eq 0 ] || host_prefix=(ip netns exec "$NET-$1")
}

# launch LOG COMMAND...: in the background; $started is its pid.  Descriptor 9
# is what keeps the name servers of tests/net.sh alive.
launch() {
	: >"$1" # what an earlier process said must not pass for this one's
	"${host_prefix[@]}" "${@:2}" >"$1" 2>&1 9>&- </dev/null &
	started=$!
	running+=("$started")
}

# stop PID [SIGNAL]: one that launch started.
stop() {
	kill "-${2:-TERM}" "$1" 2>/dev/null
	wait "$1" 2>/dev/null
	return 0
}

# serve LOG OPTION...: a peciad; sets $started, and $ready to its HOST:PORT.
serve() {
	launch "$1" peciad --config "$T/none.conf" --listen "$listen" "${@:2}"
	wait_for 20 serving "$1" "$started" || fail "peciad does not start: $(cat "$1")"
	ready=$(sed -n 's/^ready //p' "$1")
	[ -n "$ready" ] || fail "peciad does not start: $(cat "$1")"
}
serving() {
	grep -q '^ready ' "$1" || ! kill -0 "$2"
}

# ---- origin and mirrors ----

origin_init() {
	peciactl init "$@" >"$T/init.out" 2>"$T/out" || fail "peciactl init"
	anchor=$(sed -n 's/^anchor //p' "$T/init.out")
}

origin_up() {
	: >>"$T/none.conf"
	serve "$T/origin.log" --repo "$PECIA_REPO" --identity "$PECIA_KEYS/identity" \
		--keys "$PECIA_KEYS" "${origin_options[@]}"
	origin=$ready
	origin_pid=$started
}

# publish NAME=DIR[:TARGET]... or FILE.conf, OPTION...
publish() {
	peciactl publish "$@" >"$T/publish.out" 2>&1 && return
	cp "$T/publish.out" "$T/out"
	fail "publish $*"
}

# mirror_add NAME: into the roster, at site-NAME.
mirror_add() {
	local key
	key=$(peciad --identity "$T/id-$1" --show-identity 2>"$T/out") || fail "identity of $1"
	peciactl mirror add "$1" --site "site-$1" --key "$key" >"$T/out" 2>&1 ||
		fail "mirror add $1"
}

# Options after the upstreams begin with --.
mirror_up() {
	local name=$1 options=()
	shift
	: >>"$T/none.conf"
	[ -d "$T/id-$name" ] || mirror_add "$name"
	while [ $# -gt 0 ] && [[ $1 != --* ]]; do
		options+=(--upstream "$1")
		shift
	done
	serve "$T/mirror-$name.log" --repo "$T/mirror-$name" --identity "$T/id-$name" \
		--anchor "$anchor" --access-log "${options[@]}" "$@"
	mirror[$name]=$ready
	mirror_pid[$name]=$started
}

# serial_of REPO [CHANNEL]
serial_of() {
	sed -n 's/^serial //p' "$1/v1/channel/${2:-production}" 2>/dev/null
}

# mirror_at NAME SERIAL: waits until that release is served.
mirror_at() {
	wait_for 60 serial_is "$T/mirror-$1" "$2" || {
		cp "$T/mirror-$1.log" "$T/out"
		fail "mirror $1 does not get release $2"
	}
}
serial_is() { # REPO SERIAL [CHANNEL]
	[ "$(serial_of "$1" "${3-production}")" = "$2" ]
}

# log_ends HOST:PORT: the log of a peciad with --workers 1 is complete once a
# later request is answered.
log_ends() {
	"${host_prefix[@]}" python3 -c '
import http.client, ssl, sys
context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
server = http.client.HTTPSConnection(sys.argv[1], context=context, timeout=20)
server.request("GET", "/marker")
server.getresponse().read()' "$1" || fail "$1 does not answer"
}

# requests NAME: how many the mirror, with --workers 1, has logged.
requests() {
	log_ends "${mirror[$1]}"
	grep '^peciad: request ' "$T/mirror-$1.log" | grep -vc ' path=/marker '
}

# ---- clients ----

client_init() {
	mkdir -p "$T/root-$1"
	client "$1" init --anchor "$anchor" "${@:2}" >"$T/out" 2>&1 || fail "init of client $1"
}

client() {
	"${host_prefix[@]}" pecia --config "$T/client.conf" --root "$T/root-$1" \
		--state "$T/state-$1" "${@:2}"
}

# client_run NAME SERVER OPTION...: must succeed.
client_run() {
	client "$1" run --server "$2" "${@:3}" >"$T/out" 2>&1 || fail "run of client $1"
}

# ---- stored files ----

flip() { # FILE: one bit in its middle
	python3 -c '
import sys
with open(sys.argv[1], "r+b") as f:
    text = f.read()
    f.seek(len(text) // 2)
    f.write(bytes([text[len(text) // 2] ^ 4]))' "$1"
}
object_of() { # FILE: its object's path
	local d
	d=$(sha256sum <"$1" | cut -d ' ' -f 1)
	echo "v1/object/${d:0:2}/$d"
}
of_release() { # KEY: of the newest one's transcript, or of itself
	peciactl show --json | python3 -c '
import json, sys
release = json.load(sys.stdin)
print(release.get(sys.argv[1]) or release["transcripts"][0][sys.argv[1]])' "$1"
}

# ---- trees ----

# Nothing that rsync can see differs.
same_tree() {
	rsync -naAXHic --delete "$1/" "$2/" >"$T/rsync.out" 2>&1 &&
		[ ! -s "$T/rsync.out" ] && return
	head -n 20 "$T/rsync.out"
	return 1
}

# picture DIR...: all that a write would change.
picture() {
	find "$@" -printf '%p %y %m %U %G %s %i %n %T@ %C@ %l\n' | LC_ALL=C sort
}
# The same but for what each run of a client writes, its summary and the TLS session
# for the next, and so for the times of the state directory.
picture_of_quiet() {
	picture "$@" | grep -aEv "/last_run_summary\\.|/tickets |^$T/state-[^/ ]* d "
}
