#!/usr/bin/env bash
# What a tree of 24,000 files in one directory costs, beside one of 4,000: no more
# system calls or CPU time a file, and next to no memory.
# run: parallel
# run: limit 240
# shellcheck disable=SC2317 # functions that check calls
set -uo pipefail
cd "$(dirname "$0")/.." || exit 1
# shellcheck source=tests/e2e.sh
. tests/e2e.sh
need python3 strace rsync
e2e_begin 2
few=4000 many=24000

declare -A cpu=() memory=() calls=()
# measured NAME COMMAND...: its CPU seconds and the bytes of its largest process
measured() {
	local _ status
	tool_measure "$T/usage" "${@:2}" >"$T/out" 2>&1
	read -r _ "cpu[$1]" "memory[$1]" status <"$T/usage"
	[ "$status" = 0 ] || fail "$1"
	printf '  %-20s %7.3f s CPU, %6.1f MB\n' "$1" "${cpu[$1]}" "${memory[$1]}e-6"
}
# counted NAME COMMAND...: the system calls of all its processes
counted() {
	strace --seccomp-bpf -qq -f -c -o "$T/calls" "${@:2}" >"$T/out" 2>&1 || fail "$1"
	calls[$1]=$(awk '$NF == "total" { print $4 }' "$T/calls")
	printf '  %-20s %7d system calls\n' "$1" "${calls[$1]}"
}

publish_again=(peciactl publish "tree=$T/tree:/" --exact)
changed() { # FILES: that many others
	python3 -c 'import sys
sys.path.insert(0, "tests/bench")
import scaletrees
scaletrees.change(sys.argv[1], int(sys.argv[2]), 100, int(sys.argv[2]), 1 << 30)' "$T/tree" "$1"
}
# What is younger than 2 s is read again.
settle() {
	python3 -c 'import time; time.sleep(2.1)'
}

# of FILES: all steps, with a new origin and a new client
of() {
	export PECIA_REPO=$T/origin-$1 PECIA_KEYS=$T/keys-$1
	local run=(pecia --config "$T/client.conf" --root "$T/root-$1" --state "$T/state-$1"
		run --server)
	python3 tests/bench/scaletrees.py "$T/tree" "$1" $((1 << 30)) || fail "no tree"
	origin_init --org test
	settle
	measured "publish $1" "${publish_again[@]}"
	counted "publish again $1" "${publish_again[@]}"
	origin_up
	run+=("$origin")
	client_init "$1"
	measured "first pull $1" "${run[@]}"
	settle
	counted "no change $1" "${run[@]}"
	measured "no change $1" "${run[@]}"
	changed "$1"
	measured "publish update $1" "${publish_again[@]}"
	measured "update $1" "${run[@]}"
	check "the client of $1 has them" same_tree "$T/tree" "$T/root-$1"
	rm -rf "$T/tree"
}

export PYTHONDONTWRITEBYTECODE=1
of $few
of $many

# grows STEP: what each further file costs of a table
grows() { # STEP TABLE
	local -n of_step=$2
	awk -v a="${of_step["$1 $few"]}" -v b="${of_step["$1 $many"]}" -v n=$((many - few)) \
		'BEGIN { printf "%.3f", (b - a) / n }'
}
at_most() { # A B
	awk -v a="$1" -v b="$2" 'BEGIN { exit !(a <= b) }'
}
for step in "publish again" "no change"; do
	more=$(grows "$step" calls)
	check "$step: $more system calls a file" at_most "$more" 1.05
done
for step in publish "first pull" "no change" "publish update" update; do
	more=$(grows "$step" memory)
	check "$step: $more bytes of memory a file" at_most "$more" 200
done
# Six times the files; quadratic would be 36 times the time.
for step in publish "first pull"; do
	check "$step: CPU time grows with the files" \
		at_most "${cpu["$step $many"]}" "$(awk -v a="${cpu["$step $few"]}" 'BEGIN { print 15 * a }')"
done

done_checks
