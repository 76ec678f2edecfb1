#!/usr/bin/env bash
# run: parallel
# run: limit 120
# Many objects are asked for by their numbers in a manifest: several manifests in
# one tree, files twice, links, gaps, and what a server then lacks.
# shellcheck disable=SC2317 # functions that check and wait_for call
set -uo pipefail
cd "$(dirname "$0")/.." || exit 1
# shellcheck source=tests/e2e.sh
. tests/e2e.sh
need python3 rsync
e2e_begin

base=$T/base
web=$T/web
few=$T/few
make_files() { # FOLDER COUNT WORD
	python3 - "$@" <<-'PY'
		import os, sys
		top, count, word = sys.argv[1], int(sys.argv[2]), sys.argv[3]
		for i in range(count):
		    folder = f"{top}/{i % 7}"
		    os.makedirs(folder, exist_ok=True)
		    with open(f"{folder}/{i}", "w") as f:
		        f.write(f"{word} {i if i % 50 else 0}\n" * (1 + i % 9))
	PY
}
make_files "$base" 700 base
make_files "$web" 400 web
make_files "$few" 20 few
head -c 300000 /dev/urandom >"$base/3/large"
ln "$base/3/large" "$base/6/link"
ln -s ../3/large "$base/5/symlink"
mkdir -p "$base/srv/web/0"
echo "another takes its place" >"$base/srv/web/0/0"
ln "$base/srv/web/0/0" "$base/z" # and then this one is the file

bytes_sent() { # of the client's last run
	python3 -c 'import json, sys
print(json.load(open(sys.argv[1]))["bytes_sent"])' "$T/state-a/last_run_summary.json"
}
posts() { # PATH: since `mark`
	tail -n "+$((seen + 1))" "$T/origin.log" | grep -c "method=POST path=/v1/$1"
}
mark() {
	seen=$(wc -l <"$T/origin.log")
}
publish_all() {
	publish "base=$base:/" "few=$few:/few" "web=$web:/srv/web" --exact
}
whole() { # the tree that all of them make
	rsync -aHAX --delete "$base/" "$T/whole/" && rsync -aHAX "$few/" "$T/whole/few/" &&
		mkdir -p "$T/whole/srv" && rsync -aHAX "$web/" "$T/whole/srv/web/" &&
		touch -r "$base" "$T/whole" && touch -r "$base/srv" "$T/whole/srv"
}

origin_init --org test
publish_all
origin_options=(--workers 1 --access-log)
origin_up

client_init a
mark
client_run a "$origin"
whole || fail "rsync"
check "all of it is there" same_tree "$T/whole" "$T/root-a"
check "manifests of many files are asked by number" test "$(posts objects/)" = 2
check "the few others by digest" test "$(posts "objects ")" = 1
sent=$(bytes_sent)
echo "$sent bytes sent for $(find "$T/whole" -type f | wc -l) files"
check "asking costs less than three bytes a file" test "$sent" -lt 3300

# Two releases behind: every other file, with what is between them to pass over.
for word in second third; do
	for ((i = 0; i < 700; i += 2)); do
		echo "$word $i" >"$base/$((i % 7))/$i"
	done
	publish_all
done
mark
client_run a "$origin"
whole || fail "rsync"
check "what changed is there" same_tree "$T/whole" "$T/root-a"
check "one manifest is asked by number" test "$(posts objects/) $(posts "objects ")" = "1 0"

# A server that lacks one object has all others.
client_init b
object=$PECIA_REPO/$(object_of "$base/4/4")
mv "$object" "$T/lost"
check_exit 1 "an object is lacking" client b run --server "$origin"
says "lacks"
mv "$T/lost" "$object"
mark
client_run b "$origin"
check "then it is complete" same_tree "$T/whole" "$T/root-b"
done_checks
