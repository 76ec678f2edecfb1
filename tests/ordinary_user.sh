#!/usr/bin/env bash
# run: parallel
# run: limit 240
# All of it by a user without any right: publish own files, serve, mirror, run
# into an own folder, again, roll on.  Started by root, it goes on as nobody.
set -uo pipefail
cd "$(dirname "$0")/.." || exit 1
# shellcheck source=tests/e2e.sh
. tests/e2e.sh
need rsync setpriv
if [ "$(id -u)" = 0 ]; then
	nobody=(setpriv --reuid nobody --regid nogroup --clear-groups --inh-caps=-all)
	"${nobody[@]}" test -x "$(command -v pecia)" -a -r "$PWD/tests/e2e.sh" ||
		skip "nobody cannot reach $PWD or the programs"
	own=$(mktemp -d "${TMPDIR:-/tmp}/pecia-nobody.XXXXXX") || exit 1
	trap 'rm -rf "$own"' EXIT
	trap 'kill "$child" 2>/dev/null' INT TERM
	chown nobody "$own"
	TMPDIR=$own HOME=$own "${nobody[@]}" "tests/$(basename "$0")" &
	child=$!
	wait "$child"
	exit
fi
e2e_begin

mkdir -p "$T/tree/bin" "$T/tree/private"
cp /bin/true "$T/tree/bin/tool"
chmod 4755 "$T/tree/bin/tool"
for ((i = 0; i < 30; i++)); do
	seq "$i" $((i * 100)) >"$T/tree/file$i"
done
ln "$T/tree/file1" "$T/tree/hard"
ln -s bin/tool "$T/tree/soft"
mkfifo "$T/tree/pipe"
chmod 700 "$T/tree/private"
chmod 550 "$T/tree/bin"

origin_init --org "$(id -un)"
publish "mine=$T/tree:/" --exact
origin_up
mirror_up m "$origin"
mirror_at m 1

client_init a
client_run a "${mirror[m]}"
check "the client has what was published" same_tree "$T/tree" "$T/root-a"
check "setuid is there" test -u "$T/root-a/bin/tool"
picture_of_quiet "$T/root-a" "$T/state-a" >"$T/before"
client_run a "${mirror[m]}"
says "nothing to change"
picture_of_quiet "$T/root-a" "$T/state-a" >"$T/after"
check "a second run writes its summary only" diff "$T/before" "$T/after"

printf 'more\n' >>"$T/tree/file3"
mv "$T/tree/file4" "$T/tree/file4.renamed"
cp /bin/false "$T/tree/private/other"
publish "mine=$T/tree:/" --exact
mirror_at m 2
client_run a "${mirror[m]}"
check "the client has the change" same_tree "$T/tree" "$T/root-a"
check "verify finds nothing" client a verify
check "status finds nothing" client a status

# A folder that its owner may not write in is changed all the same, and is
# read-only again.
chmod 700 "$T/tree/bin"
echo another >"$T/tree/bin/another"
chmod 550 "$T/tree/bin"
publish "mine=$T/tree:/" --exact
mirror_at m 3
client_run a "${mirror[m]}"
check "the client has it now" same_tree "$T/tree" "$T/root-a"

# Files of root: their owner is refused as a whole, or waived by name.
publish "theirs=/usr/share/common-licenses:/" --exact
mirror_at m 4
client_init b
refuses 1 "ignore = owner" client b run --server "${mirror[m]}"
check "nothing was made" test -z "$(ls -A "$T/root-b")"
printf 'ignore = owner\n' >>"$T/client.conf"
client_run b "${mirror[m]}"
check "all but the owner is there" test -z \
	"$(rsync -rlptniHAXc --delete /usr/share/common-licenses/ "$T/root-b/")"
client_run b "${mirror[m]}"
says "nothing to change"
for repo in origin mirror-m; do
	check "$repo is whole" peciactl --repo "$T/$repo" verify --anchor "$anchor"
done
done_checks
