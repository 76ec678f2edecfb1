#!/usr/bin/env bash
# run: parallel
# run: limit 400
# One bit of one file of an upstream is flipped, for each kind of file: verify
# names it, a mirror of that upstream keeps what it has, a client refuses; all go
# on once it is restored.
# shellcheck disable=SC2317 # check and wait_for call functions
set -uo pipefail
cd "$(dirname "$0")/.." || exit 1
# shellcheck source=tests/e2e.sh
. tests/e2e.sh
need rsync python3
e2e_begin
[ "$(id -u)" = 0 ] || printf 'ignore = owner\n' >>"$T/client.conf"

publish_tree() {
	publish "tree=$T/tree:/" --exact --message "$1"
}

# What mirrors and clients have is so far behind that they ask for whole files.
mkdir -p "$T/tree"
for ((i = 0; i < 20; i++)); do
	seq "$i" $((i * 100)) >"$T/tree/file$i"
done
origin_init --org test
mirror_add base
publish_tree first
cp -a "$T/tree" "$T/tree-first"
cp -a "$PECIA_REPO" "$T/repo-first"
origin_up
mirror_up base "$origin"
mirror_at base 1
client_init base
client_run base "${mirror[base]}"
stop "${mirror_pid[base]}"
stop "$origin_pid"
cp -a "$T/mirror-base" "$T/mirror-old"
echo "a small file" >"$T/tree/small"
head -c 6000000 /dev/urandom >"$T/tree/large"
for ((i = 2; i < 12; i++)); do
	echo "$i" >>"$T/tree/file$i"
	[ "$i" != 11 ] || {
		cp -a "$PECIA_REPO" "$T/repo-before"
		seq 30000 >"$T/tree/newest"
	}
	publish_tree "release $i"
done
mirror_add another # a roster that mirrors and clients do not have yet
small=$(object_of "$T/tree/small")
large=$(object_of "$T/tree/large")
release=v1/release/$(of_release release)
manifest=v1/manifest/$(of_release manifest)
data=v1/data/$(of_release data)

# Those that are one release behind ask for the data transcript.
serve "$T/before.log" --repo "$T/repo-before" --identity "$PECIA_KEYS/identity"
client_init before
client_run before "$ready"
stop "$started"
cp -a "$T/repo-before" "$T/mirror-before"
cp -a "$T/root-before" "$T/tree-before"
cp -a "$T/tree-first" "$T/tree-old"
cp -a "$T/root-base" "$T/root-old"
cp -a "$T/state-base" "$T/state-old"

# Mirrors and clients of an age are copies: old at release 1, before one behind;
# new ones have nothing, for the file that others do not ask for.
mirror_from() { # KIND REPO
	cp -a "$T/id-base" "$T/id-$1"
	[ -z "$2" ] || cp -a "$2" "$T/mirror-$1"
	mirror_up "$1" "$ready"
}
client_from() { # KIND AGE
	if [ "$2" = new ]; then
		client_init "$1"
	else
		cp -a "$T/root-$2" "$T/root-$1"
		cp -a "$T/state-$2" "$T/state-$1"
	fi
}
# What a client's tree is; undoing what was staged only shows in ctimes.
tree_of() {
	find "$1" -printf '%p %y %m %U %G %s %i %n %T@ %l\n' | sort
}
# The log's line says it, however long ago.
logged() {
	grep -E 'warning|error|failed|no upstream' "$T/mirror-$1.log" | grep -qF -- "$2"
}

# one KIND FILE WORD AGE: AGE is of the mirror and client that meet it.
one() {
	local kind=$1 file=$2 word=$3 age=$4 repo=$T/repo-$1 upstream
	cp -a "$PECIA_REPO" "$repo"
	flip "$repo/$file"
	refuses 3 "$file" peciactl --repo "$repo" verify --anchor "$anchor"
	serve "$T/upstream-$kind.log" --repo "$repo" --identity "$PECIA_KEYS/identity"
	upstream=$ready
	mirror_from "$kind" "$([ "$age" = new ] || echo "$T/mirror-$age")"
	check "$kind: the mirror logs $word" wait_for 20 logged "$kind" "$word"
	: >"$T/out"
	if [ "$age" = new ]; then
		check "$kind: the mirror has no release" test -z "$(serial_of "$T/mirror-$kind")"
	else
		check "$kind: the mirror keeps its release" serial_is "$T/mirror-$kind" \
			"$(serial_of "$T/mirror-$age")"
		client_init "$kind-old"
		check "$kind: and serves it" client "$kind-old" run --server "${mirror[$kind]}"
		check "$kind: all of it" same_tree "$T/tree-$age" "$T/root-$kind-old"
	fi
	client_from "$kind" "$age"
	tree_of "$T/root-$kind" >"$T/before"
	refuses 1 "$word" client "$kind" run --server "$upstream"
	tree_of "$T/root-$kind" >"$T/after"
	check "$kind: the client is as it was" diff "$T/before" "$T/after"
	check "$kind: and keeps nothing of it" test ! -e "$T/state-$kind/kept/new"

	cp "$PECIA_REPO/$file" "$repo/$file.restored"
	mv "$repo/$file.restored" "$repo/$file"
	client_run "$kind" "$upstream"
	check "$kind: restored, the client goes on" same_tree "$T/tree" "$T/root-$kind"
	mirror_at "$kind" 11
	check "$kind: and the mirror, wholly" peciactl --repo "$T/mirror-$kind" verify
	stop "${mirror_pid[$kind]}"
	rm -rf "$repo" "$T/mirror-$kind"
}

one root v1/root/1 root new
one roster v1/roster roster old
one head v1/channel/production production old
one release "$release" "${release##*/}" old
one manifest "$manifest" "${manifest##*/}" old
one small "$small" "${small##*/}" old
one large "$large" "${large##*/}" old
one data "$data" "${data##*/}" before

# A client's own: the run that finds it damaged fetches it again.
origin_up
client_init own
client_run own "$origin"
kept=$(echo "$T/state-own/manifest"/*)
cp "$kept" "$T/kept"
flip "$kept"
echo "not what was published" >"$T/root-own/file3"
client_run own "$origin"
check "own: the manifest is as it was" cmp "$T/kept" "$kept"
check "own: and the tree" same_tree "$T/tree" "$T/root-own"
done_checks
