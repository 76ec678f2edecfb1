#!/usr/bin/env bash
# pecia killed at any moment: each path is the old one or the new one, the next
# start ends in the old release or the new one, the next run in the new one.
# run: parallel
# run: limit 900
# shellcheck disable=SC2317 # functions that check and wait_for call
set -uo pipefail
# shellcheck source=tests/faults.sh
. "$(dirname "$0")/faults.sh"
need_root "files of several owners"
faults_begin
declare -a server=()

R1=$T/r1 R2=$T/r2 R3=$T/r3
text() { # FILE SEED LINES
	seq -f "$2 %g" "$3" >"$1"
}
# Of two trees, each has what the other lacks, and things of other types.
make_trees() {
	local i
	mkdir -p "$R1"/{same,etc,gone,dir-to-file/deep/er,dir-to-link/sub}
	for i in $(seq 80); do
		text "$R1/same/s$i" "s$i" 20
		text "$R1/etc/e$i" "one $i" $((i % 40 + 1))
	done
	for i in $(seq 12); do
		text "$R1/gone/g$i" "gone $i" 10
		text "$R1/dir-to-file/deep/d$i" "deep $i" 5
		text "$R1/dir-to-link/sub/l$i" "sub $i" 5
	done
	text "$R1/dir-to-file/deep/er/x" x 3
	text "$R1/file-to-dir" old 9
	text "$R1/file-to-link" old 9
	ln -s same/s1 "$R1/link-to-file"
	ln -s same "$R1/link-to-dir"
	ln -s etc/e1 "$R1/link"
	ln "$R1/same/s3" "$R1/hard-one"
	ln "$R1/same/s3" "$R1/hard-two"
	mkfifo "$R1/fifo"
	head -c 1000000 /dev/urandom >"$R1/large"
	chown nobody:nogroup "$R1/etc/e7"

	cp -a "$R1" "$R2"
	for i in $(seq 1 3 80); do
		text "$R2/etc/e$i" "two $i" $((i % 50 + 1))
	done
	rm -rf "$R2"/{gone,dir-to-file,dir-to-link,file-to-dir,file-to-link,link-to-file,link-to-dir,fifo,hard-two}
	text "$R2/dir-to-file" now 30
	ln -s same "$R2/dir-to-link"
	mkdir -p "$R2"/{file-to-dir/a/b,link-to-dir/c,fresh/tree/of}
	ln -s etc "$R2/file-to-link"
	for i in $(seq 15); do
		text "$R2/file-to-dir/a/b/n$i" "new $i" 4
		text "$R2/link-to-dir/c/n$i" "newer $i" 4
		text "$R2/fresh/tree/of/n$i" "fresh $i" 7
	done
	text "$R2/link-to-file" now 3
	ln "$R2/same/s4" "$R2/hard-two"
	mkdir "$R2/fifo"
	chmod 4755 "$R2/same/s5"
	chmod 700 "$R2/same"
	chown nobody "$R2/same/s6"
	setfattr -n user.note -v "of r2" "$R2/same/s7" 2>/dev/null
	printf 'a middle' | dd of="$R2/large" bs=1 seek=500000 conv=notrunc status=none

	cp -a "$R1" "$R3"
	rm -rf "$R3"/{same/s1*,etc/e2*}
	cp -a "$R2/fresh" "$R3/"
	head -c 400000 /dev/urandom >"$R3/large"
	text "$R3/link" "no link" 2
	chmod 711 "$R3/etc"
}
make_trees

origin_init --address 127.0.0.1
for n in 1 2 3; do
	publish "machine=$T/r$n:/" --exact --message "$n"
	cp -a "$PECIA_REPO" "$T/repo$n"
	serve "$T/s$n.log" --repo "$T/repo$n" --identity "$PECIA_KEYS/identity"
	server[n]=$ready
done

client_init base
check "release 1" client base run --server "${server[1]}"
check "is release 1" same_tree "$R1" "$T/root-base"

# What each step takes when nobody disturbs it.
client_copy base full
begun=$EPOCHREALTIME
check "release 2" client full run --server "${server[2]}"
took2=$(awk -v a="$begun" -v b="$EPOCHREALTIME" 'BEGIN { print int((b - a) * 1000) + 1 }')
check "is release 2" same_tree "$R2" "$T/root-full"
client_copy full base2
begun=$EPOCHREALTIME
check "release 3" client full run --server "${server[3]}"
took3=$(awk -v a="$begun" -v b="$EPOCHREALTIME" 'BEGIN { print int((b - a) * 1000) + 1 }')
check "is release 3" same_tree "$R3" "$T/root-full"
check "nothing staged is left" no_stages "$T/root-full"
echo "undisturbed: $took2 ms and $took3 ms"

old_kept=0 new_done=0 halves=0

# after_kill OLD NEW SERVER WHAT: the client "k" was killed.
after_kill() {
	check "$4: each path old or new" python3 tests/halfway.py "$1" "$2" "$T/root-k"
	if [ -e "$T/state-k/journal" ] || [ -e "$T/state-k/stages" ]; then
		halves=$((halves + 1))
		refuses 1 "a run was interrupted" client k status
	fi
	# Looking is enough to recover: the old release or the new one.
	check "$4: recovery" client k run --noop --server "$3"
	check "$4: old or new after recovery" either_tree "$1" "$2" "$T/root-k"
	check "$4: no stages after recovery" no_stages "$T/root-k"
	if grep -qx "serial ${2: -1}" "$T/state-k/applied"; then
		new_done=$((new_done + 1))
	else
		old_kept=$((old_kept + 1))
	fi
	check "$4: next run" client k run --server "$3"
	check "$4: the next run gets there" same_tree "$2" "$T/root-k"
}

kill_after() { # MS SERVER
	launch "$T/run.log" pecia --config "$T/client.conf" --root "$T/root-k" \
		--state "$T/state-k" run --server "$2"
	sleep "$(awk -v ms="$1" 'BEGIN { printf "%.3f", ms / 1000 }')"
	stop "$started" KILL
}

for i in $(seq 5); do
	# Half of them anywhere, half in the second half.
	client_copy base k
	ms=$(random "$took2")
	[ $((i % 2)) = 0 ] || ms=$(((took2 + ms) / 2))
	kill_after "$ms" "${server[2]}"
	after_kill "$R1" "$R2" "${server[2]}" "1 to 2, killed after $ms ms"
	ms=$(random "$took3")
	kill_after "$ms" "${server[3]}"
	after_kill "$R2" "$R3" "${server[3]}" "2 to 3, killed after $ms ms"
done
echo "10 kills by time: $halves found begun, $old_kept ended old, $new_done new"

killed_at() { # N SERVER: the Nth call that changes something; 0: none
	tool_kill_at "$1" "$T/calls" pecia --config "$T/client.conf" --root "$T/root-k" \
		--state "$T/state-k" run --server "$2" >"$T/run.log" 2>&1
}

# The same at chosen calls, the commit above all.
sweep() { # BASE OLD NEW SERVER POINTS
	local total point n
	client_copy "$1" k
	killed_at 0 "$4"
	total=$(cat "$T/calls")
	for point in $(seq "$5"); do
		n=$((total * point / $5 - $(random 5)))
		client_copy "$1" k
		killed_at "$n" "$4"
		after_kill "$2" "$3" "$4" "to ${3: -1}, killed at call $n of $total"
	done
}
tool_kill_at 0 "$T/calls" true
if [ $? = 77 ]; then
	echo "processes cannot be traced here: no kills at chosen calls"
	done_checks
fi
halves=0 old_kept=0 new_done=0
sweep base "$R1" "$R2" "${server[2]}" 10
sweep base2 "$R2" "$R3" "${server[3]}" 6
echo "16 kills by call: $halves found begun, $old_kept ended old, $new_done new"

# A machine that was off while the head expired finishes what it had begun.
cp -a "$R2" "$T/r4"
echo more >"$T/r4/more"
rm "$T/r4/same/s9"
publish "machine=$T/r4:/" --exact --message 4
serve "$T/s4.log" --repo "$PECIA_REPO" --identity "$PECIA_KEYS/identity"
client_copy full k
killed_at 0 "$ready"
check "is release 4" same_tree "$T/r4" "$T/root-k"
for ((n = $(cat "$T/calls"); n > 0; n -= 3)); do
	client_copy full k
	killed_at "$n" "$ready"
	[ ! -e "$T/state-k/journal" ] || break
done
client_copy full k
check "a head for 10 seconds" peciactl refresh --lifetime 10
expires=$(sed -n 's/^expires //p' "$PECIA_REPO/v1/channel/production")
killed_at $((n - 3)) "$ready"
check "a journal was left" test -e "$T/state-k/journal"
is_past() {
	[ "$(date +%s)" -gt "$(date -d "$expires" +%s)" ]
}
wait_for 30 is_past
check "the journal is carried through all the same" client k run --server "$ready"
told 'warning: stale .*expired'
check "the release is there" same_tree "$T/r4" "$T/root-k"
refuses 1 stale client k status
check "a fresh head" peciactl refresh
check "and it goes on" client k run --server "$ready"
check "with nothing wrong" client k status
done_checks
