#!/usr/bin/env bash
# run: parallel
# run: limit 300
# Directories are swapped for symlinks that lead out of the root while releases
# are applied back and forth: runs may fail, but nothing outside ever changes,
# and once it is quiet the next run ends in the wanted tree.
# shellcheck disable=SC2317 # check calls functions
set -uo pipefail
cd "$(dirname "$0")/.." || exit 1
# shellcheck source=tests/e2e.sh
. tests/e2e.sh
need rsync tool_swap
e2e_begin
ROUNDS=20

# Two releases of the same names: all contents, modes and some types differ.
for r in one two; do
	for d in a b a/deep a/deep/er c; do
		mkdir -p "$T/$r/$d"
		for n in 1 2 3 4; do
			echo "$r $d $n" >"$T/$r/$d/changes-$n"
			echo "$d $n" >"$T/$r/$d/$r-has-$n"
			: >"$T/$r/$d/mode-$n"
		done
		echo "$r" >"$T/$r/$d/first"
		ln "$T/$r/$d/first" "$T/$r/$d/second"
	done
done
chmod 0600 "$T/two"/*/mode-* "$T/two"/a/deep/mode-*
touch -d @1500000000 "$T"/{one,two}/*/mode-*
mkdir -p "$T/one/b/type" "$T/one/b/tree/x" && echo x >"$T/one/b/tree/x/changes-1"
echo file >"$T/two/b/type" && ln -s .. "$T/two/b/tree"

# Outside there is something by each name, to be written, removed or chmodded.
outside=$T/outside
mkdir "$outside" "$T/aside"
cp -a "$T/one/a/." "$T/two/a/." "$T/one/b/." "$outside/"

origin_init --org test
publish "tree=$T/one:/" --exact --channel one
publish "tree=$T/two:/" --exact --channel two
origin_up
client_init a --channel one
client_run a "$origin" --channel one

R=$T/root-a
picture "$outside" >"$T/outside.before"
launch "$T/swaps" tool_swap "$T/aside" "$outside" "$R/a" "$R/b" "$R/a/deep" "$R/a/deep/er" "$R/c"
swapper=$started
ended_well=0
for ((n = 0; n < ROUNDS; n++)); do
	channel=two
	[ $((n % 2)) -eq 0 ] || channel=one
	client a run --server "$origin" --channel $channel >"$T/run.out" 2>&1
	status=$?
	# A crash would be another status.
	cp "$T/run.out" "$T/out"
	[ $status -le 1 ] || not_so "run $n ends with $status"
	[ $status -ne 0 ] || ended_well=$((ended_well + 1))
done
stop "$swapper"
picture "$outside" >"$T/outside.after"
echo "$(cat "$T/swaps") swaps, $ended_well of $ROUNDS runs ended well"
check "nothing outside has changed" diff "$T/outside.before" "$T/outside.after"
check "it was swapped often" test "$(cat "$T/swaps")" -gt "$ROUNDS"
check "quiet again: run" client a run --server "$origin" --channel two
check "quiet again: the same" same_tree "$T/two" "$R"
done_checks
