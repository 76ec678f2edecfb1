#!/usr/bin/env bash
# What small fixed cases cost, in instructions and in bytes on the wire, is within
# 5 % of tests/costs/recorded.txt: nothing becomes slower unseen, on whatever machine.  What
# became cheaper is recorded anew by tests/costs.sh --record (BUILD set), and the
# commit says why.
# run: parallel
# run: limit 300
# shellcheck disable=SC2317 # functions that check and wait_for call
set -uo pipefail
# shellcheck source=tests/faults.sh
. "$(dirname "$0")/faults.sh"
need valgrind python3
need_root "fetchers are other users' processes"
[[ $BUILD == */gcc ]] || skip "what is recorded is of gcc's build"
faults_begin
TOLERANCE=5 # percent
recorded=tests/costs/recorded.txt

# The same code paths on every processor, and no programs that differ in time.
export OPENSSL_ia32cap=0:0 GLIBC_TUNABLES=glibc.cpu.hwcaps=-AVX2,-AVX512F,-ERMS,-FSRM
shim=$T/shim.so
gcc -shared -fPIC -O2 -D_GNU_SOURCE -o "$shim" tests/costs/shim.c || fail "shim.c"

declare -A was=() cost=()
order=()
while read -r name value _; do
	[[ $name == \#* ]] || was[$name]=$value
done <"$recorded"

note() { # NAME VALUE
	order+=("$1")
	cost[$1]=$2
}
# counted COMMAND...: $instructions of it and its children
counted() {
	rm -rf "$T/counts"
	mkdir -m 1777 "$T/counts"
	LD_PRELOAD=$shim valgrind --quiet --tool=callgrind --trace-children=yes \
		--callgrind-out-file="$T/counts/%p" "$@" >"$T/out" 2>&1 || fail "$*"
	instructions=$(awk '/^summary:/ { n += $2 } END { print n }' "$T/counts"/*)
}
publish_counted() { # CASE
	counted peciactl publish "machine=$T/tree:/" --exact --message "$1"
	note "publish-$1" "$instructions"
}
run_counted() { # CASE
	counted pecia --config "$T/client.conf" --root "$T/root-m" --state "$T/state-m" \
		run --server "$origin"
	note "run-$1" "$instructions"
	note "run-$1-received" "$(summary received)"
	note "run-$1-sent" "$(summary sent)"
}
summary() { # what the last run's summary says of bytes
	python3 -c 'import json, sys
def find(x, key):
    if isinstance(x, dict):
        for k, v in x.items():
            if k == key:
                return v
            found = find(v, key)
            if found is not None:
                return found
print(find(json.load(open(sys.argv[1])), "bytes_" + sys.argv[2]))' \
		"$T/state-m/last_run_summary.json" "$1"
}

mkdir -p "$T/tree"
for i in $(seq 600); do
	mkdir -p "$T/tree/d$((i % 10))"
	seq -f "%g of $i" 100 >"$T/tree/d$((i % 10))/f$i"
done
find "$T/tree" -exec touch -d '2024-01-01 00:00:00Z' {} +
sleep 2.1 # what is hardly older than the stat cache is read again
origin_init --address 127.0.0.1
publish_counted first
publish_counted again
origin_up
client_init m
run_counted first
check "the first run applies it" same_tree "$T/tree" "$T/root-m"
run_counted again
run_counted resumed # its TLS session
for i in 3 50 77; do
	seq 30 >>"$T/tree/d$((i % 10))/f$i"
done
sleep 1.1
publish_counted update
sleep 0.2
run_counted update
check "the update is applied" same_tree "$T/tree" "$T/root-m"

if [ "${1-}" = --record ]; then
	{
		echo "# tests/costs.sh: instructions, or bytes, of each case"
		for name in "${order[@]}"; do
			echo "$name ${cost[$name]}"
		done
	} >"$recorded"
	exit
fi
for name in "${order[@]}"; do
	now=${cost[$name]} then=${was[$name]-0}
	echo "$name: $now, recorded $then"
	check "$name: $now is at most $TOLERANCE % more than $then" \
		test "$((now * 100))" -le $((then * (100 + TOLERANCE)))
	check "$name: $now is at least $TOLERANCE % less than $then: record it" \
		test "$((now * 100))" -ge $((then * (100 - TOLERANCE)))
done
done_checks
