#!/usr/bin/env bash
# run: parallel
# run: limit 120
# What doc/ says other programs can do with a repository, taken out of the text
# and done: signatures by openssl, contents by tar, zcat, zstd and sha256sum.
# shellcheck disable=SC2317 # check calls functions
set -uo pipefail
cd "$(dirname "$0")/.." || exit 1
docs=$PWD/doc
# shellcheck source=tests/e2e.sh
. tests/e2e.sh
need openssl zstd tar zcat
e2e_begin

mkdir -p "$T/tree/etc"
for ((i = 0; i < 20; i++)); do
	seq "$i" $((i * 400)) >"$T/tree/etc/file$i"
done
head -c 100000 /dev/urandom >"$T/tree/random"
origin_init --org "an org" --address 10.0.0.1
mirror_add m
publish "tree=$T/tree:/srv" --message "one two"
echo more >>"$T/tree/random"
rm "$T/tree/etc/file3"
publish "tree=$T/tree:/srv" --message "second"

# The commands below "by hand": a script that reads the files FILE and ROOT.
sed -n '/^## Checking a signature by hand/,/^The twelve bytes/p' "$docs/formats.md" |
	sed -n 's/^    //p' | grep -v '^Signature Verified' >"$T/by-hand"
check "formats.md has the command" grep -q 'pkeyutl -verify -rawin' "$T/by-hand"
by_hand() { # FILE
	mkdir -p "$T/hand"
	cp "$1" "$T/hand/FILE"
	cp "$PECIA_REPO/v1/root/1" "$T/hand/ROOT"
	(cd "$T/hand" && bash -eu "$T/by-hand")
}
while read -r statement; do
	check "openssl checks $statement" by_hand "$statement"
	says "Signature Verified Successfully"
	check "the key id is what formats.md says" test \
		"$(cd "$T/hand" && sha256sum <raw | cut -c 1-32)" = "$(cat "$T/hand/id")"
	sed '2s/.$/!/' "$statement" >"$T/changed"
	check_exit 1 "openssl refuses it changed" by_hand "$T/changed"
done < <(find "$PECIA_REPO"/v1/{root,roster,channel,release} -type f | sort)
check "all four kinds were there" test "$(grep -l '^pecia ' "$PECIA_REPO"/v1/root/1 \
	"$PECIA_REPO"/v1/roster "$PECIA_REPO"/v1/channel/production \
	"$PECIA_REPO"/v1/release/* | wc -l)" = 5
check "the anchor is the digest of root 1" test \
	"sha256:$(sha256sum <"$PECIA_REPO/v1/root/1" | cut -d ' ' -f 1)" = "$anchor"

# shown WORD: the first command of content.md that begins so, without its '$ '.
shown() {
	sed -n "s|^    \\\$ \\($1.*\\)|\\1|p" "$docs/content.md" | head -n 1
}
# on_file COMMAND KIND FILE: the same with FILE where the text has a name.
on_file() {
	local command
	command=$(sed "s|v1/$2/[^ ]*|$3|" <<<"$1")
	(cd "$PECIA_REPO" && bash -euo pipefail -c "$command")
}

cd "$PECIA_REPO" || exit 1
tar_command=$(shown 'tar t')
check "content.md has the tar command" test -n "$tar_command"
while read -r data; do
	check "tar lists $data" on_file "$tar_command" data "$data"
	check "sha256sum is its name" on_file "sha256sum v1/data/X | grep -q ^${data##*/}" \
		data "$data"
done < <(find v1/data -type f | sort)
newest=$(peciactl show --json | python3 -c '
import json, sys
print(json.load(sys.stdin)["transcripts"][0]["data"])')
on_file "$tar_command" data "v1/data/$newest" >"$T/out"
says delta/
says manifest/

zcat_command=$(shown 'zcat v1/manifest')
check "content.md has the zcat command" test -n "$zcat_command"
while read -r manifest; do
	check "zcat reads $manifest" on_file "$zcat_command" manifest "$manifest"
	says "${manifest##*/}"
done < <(find v1/manifest -type f | sort)

zstd_command=$(shown 'zstd.* v1/object')
check "content.md has the zstd command" test -n "$zstd_command"
object=$(find v1/object -type f | head -n 1)
check "zstd reads an object" on_file "$zstd_command" object "$object"
says "${object##*/}"
done_checks
