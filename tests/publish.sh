#!/usr/bin/env bash
# peciactl from init to verify: what operators see, what repositories hold, and
# what is left when it is killed.
# run: parallel
# run: also as nobody
set -uo pipefail

dir=$(mktemp -d "${TMPDIR:-/tmp}/publish.XXXXXX") && cd "$dir" || exit 1
writer=
finish() {
	[ -z "$writer" ] || kill "$writer" 2>/dev/null
	chmod -R u+rwX "$dir"
	rm -rf "$dir"
}
trap finish EXIT
export PECIA_REPO=$dir/repo PECIA_KEYS=$dir/keys

passed=0
failed=0
ok() {
	passed=$((passed + 1))
}
not_ok() {
	failed=$((failed + 1))
	echo "FAILED: $*"
	sed 's/^/    | /' out err 2>/dev/null
}
# run STATUS ARGS...: peciactl with output in out and err.
run() {
	local want=$1
	shift
	peciactl "$@" >out 2>err
	local got=$?
	if [ $got -eq "$want" ]; then ok; else not_ok "peciactl $* ended with $got, not $want"; fi
}
# check WHAT COMMAND...
check() {
	local what=$1
	shift
	if "$@"; then ok; else not_ok "$what"; fi
}
says() {
	grep -qF -- "$1" out err
}
serial() {
	sed -n 's/^serial //p' "repo/v1/channel/${1:-production}"
}
# json EXPRESSION: of the document in out, called j.
json() {
	python3 -c 'import json, sys
j = json.load(open("out"))
sys.exit(not eval(sys.argv[1]))' "$1"
}
snapshot() {
	find repo -printf '%p %y %m %s %T@ %i\n' | sort
}
data_members() {
	local data
	data=$(peciactl show | sed -n 's/^ *data *\([0-9a-f]*\),.*/\1/p')
	zstd -qdc "repo/v1/data/$data" | tar tf -
}
# Repeated text does not compress a delta away.
content() {
	openssl enc -aes-128-ctr -K "$(printf '%032x' "$1")" -iv 0 -in /dev/zero 2>/dev/null | head -c "$2"
}

echo "== usage"
run 0 --help
check "help names the verbs" says publish
for verb in init publish log show verify mirror refresh; do
	run 0 $verb --help
	check "help of $verb" says "usage: peciactl $verb"
done
run 0 --version
run 2
run 2 publish
run 2 shine x
run 2 verify --site x
run 2 mirror add m --site s
check "what is missing is named" says "--key"
run 1 publish a=tree
check "a missing repository is named" says "$PECIA_REPO"

echo "== init"
run 0 init --org Example --address mirror.example.com:4433
anchor=$(sed -n '$s/^anchor sha256:\([0-9a-f]\{64\}\)$/\1/p' out)
check "the last line is the anchor" [ "$(sha256sum <repo/v1/root/1)" = "$anchor  -" ]
check "keys are private" [ "$(stat -c %a keys keys/root.pem keys/release.pem keys/head.pem | tr '\n' ' ')" = "700 600 600 600 " ]
cp -a keys keys.was
run 1 init
check "keys are not overwritten" says "never overwritten"
check "keys are as they were" diff -r keys keys.was
run 1 --keys other init
check "a repository is not overwritten" says "is a repository already"
run 0 mirror list --json
check "origin is rostered" json 'j["version"] == 1 and j["mirrors"][0]["name"] == "origin" and j["mirrors"][0]["addresses"] == ["mirror.example.com:4433"]'
run 1 log
check "an empty channel is said to be one" says "nothing was published"

echo "== an init that is cut off is finished by the next"
for left in keys/release.pem keys/identity repo/v1/root/1 repo/v1/roster; do
	rm -rf half
	mkdir half
	cp -a keys repo half
	rm -rf half/repo/v1/roster "half/$left"
	[[ $left != keys/release.pem ]] || rm -rf half/repo
	printf %s "$dir/half/repo" >half/keys/init.unfinished
	run 0 --keys half/keys --repo "$dir/half/repo" init --org Example
	check "it made $left" [ -e "half/$left" ]
	check "its mark is gone" [ ! -e half/keys/init.unfinished ]
	PECIA_REPO=half/repo run 0 verify
done
printf %s /elsewhere >half/keys/init.unfinished
run 1 --keys half/keys --repo half/other init
check "another repository's init is not finished" says /elsewhere
rm -rf half

echo "== the first release"
mkdir -p tree/etc tree/big tree/sub/deep
echo one >tree/etc/one
content 1 300000 >tree/big/changed
content 2 200000 >tree/big/renamed
content 3 50000 >tree/big/removed
cp tree/big/changed tree/big/copy
ln -s ../etc/one tree/sub/link
ln tree/etc/one tree/sub/hard
printf 'x' >"tree/sub/deep/a name"$'\n'"with feed"
mkfifo tree/sub/fifo
touch -d '2020-02-02 02:02:02.123456789' tree/etc/one
run 0 publish base=tree:/srv/base -m "first
of all"
check "serial 1" [ "$(serial)" = 1 ]
check "all is durable, and said to be" [ ! -e repo/unsynced ]
run 0 verify
check "nothing but what is needed" says "0 damaged, 0 missing, 0 unknown, 0 unreferenced"
manifest=$(peciactl show | sed -n 's/^ *manifest *//p')
zcat <"repo/v1/manifest/$manifest" >text
check "the manifest's name is its digest" [ "$(sha256sum <text)" = "$manifest  -" ]
digest=$(sed -n 's/^f 0[0-7]* [^ ]* [^ ]* 1580608922.123456789 4 \([0-9a-f]*\) etc\/one$/\1/p' text)
check "a file's line" [ "$digest" = "$(echo one | sha256sum | cut -c -64)" ]
check "its object" [ "$(zstd -qdc "repo/v1/object/${digest:0:2}/$digest")" = one ]
check "a hard link's line" grep -q '^h etc/one sub/hard$' text
check "a name with a feed is escaped" grep -qF 'sub/deep/a\040name\012with\040feed' text
run 0 show --json
check "show" json 'j["serial"] == 1 and j["message"] == "first\nof all" and j["transcripts"][0]["target"] == "/srv/base"'
for what in root/1 roster channel/production release/"$(sha256sum repo/v1/release/* | cut -c -64)"; do
	file=repo/v1/$what
	sed '/^--$/,$d' "$file" >body
	sed -n 's/^sig ed25519 [0-9a-f]* //p' "$file" | base64 -d >sig
	case $what in
	root/*) key=root ;;
	channel/*) key='head' ;;
	*) key=release ;;
	esac
	check "openssl checks $what" openssl pkeyutl -verify -inkey keys/$key.pem -rawin -in body -sigfile sig >/dev/null
done

echo "== unchanged"
run 0 publish base=tree:/srv/base
check "it says so" says "nothing changed"
check "no new release" [ "$(serial) $(find repo/v1/release -type f | wc -l)" = "1 1" ]
check "nor anything to sync" [ ! -e repo/unsynced ]
run 0 publish base=tree:/srv/base --full --json
check "nor when all is read again" json 'not j["published"] and j["transcripts"][0]["read_files"] == 6'

echo "== an update"
content 9 100 | dd of=tree/big/changed bs=1 seek=150000 conv=notrunc 2>/dev/null
mv tree/big/renamed tree/sub/moved
content 8 100 >>tree/sub/moved
mv tree/big/removed tree/big/only-moved
rm tree/sub/link
chmod 750 tree/etc
content 7 20000 >tree/sub/new
before=$(snapshot)
run 0 publish base=tree:/srv/base --noop
check "--noop writes nothing" [ "$before" = "$(snapshot)" ]
for line in '~ base: big/changed' '- base: big/renamed' '+ base: sub/moved' '- base: sub/link' '~ base: etc'; do
	check "--noop lists $line" grep -qFx -- "$line" out
done
run 0 publish base=tree:/srv/base --noop --json
check "--noop in JSON" json '{"transcript": "base", "change": "added", "path": "sub/new"} in j["changes"] and not j["published"]'
run 0 publish base=tree:/srv/base --json
check "counts" json 'j["serial"] == 2 and [j["transcripts"][0][k] for k in ("new_objects", "deltas", "full_objects")] == [3, 2, 1]'
check "a small update" json 'j["transcripts"][0]["data_bytes"] < 25000'
data_members >members
check "the manifest is a delta" grep -q '^manifest/[0-9a-f]*-'"$manifest"'$' members
check "the changed file is a delta" grep -q "^delta/$(sha256sum <tree/big/changed | cut -c -64)-$(content 1 300000 | sha256sum | cut -c -64)" members
check "so is the moved and edited one" grep -q "^delta/$(sha256sum <tree/sub/moved | cut -c -64)-$(content 2 200000 | sha256sum | cut -c -64)" members
check "the new one is there in full" grep -q "^object/$(sha256sum <tree/sub/new | cut -c -64)$" members
check "what only moved is not" [ "$(wc -l <members)" = 4 ]
run 0 verify
run 0 log
check "log has both" [ "$(cut -d ' ' -f 1 out | tr '\n' ' ')" = "2 1 " ]
run 0 show 1
check "show of an old one" says "serial      1"
run 1 show 7

echo "== release files"
cat >site.conf <<-'END'
	[transcript base]
	source = tree
	target = /srv/base
	exclude = *.swp
	exclude = sub/deep
	[transcript web]
	source = tree/etc
	target = /etc/web
	mode = exact
	[profile server]
	transcripts = base web
	[profile desk]
	transcripts = base
	[host www[0-9].*]
	profile = server
	channel = testing
	[host *]
	profile = desk
END
touch tree/x.swp
run 0 publish site.conf --channel testing
check "a new channel starts at 1" [ "$(serial testing)" = 1 ]
run 0 show --channel testing --json
check "profiles and hosts" json '[h["pattern"] for h in j["hosts"]] == ["www[0-9].*", "*"] and j["profiles"][1]["transcripts"] == ["base", "web"] and j["transcripts"][1]["mode"] == "exact"'
zcat <"repo/v1/manifest/$(sed -n '/"name": "base"/,/manifest/s/.*"manifest": "\(.*\)",/\1/p' out)" >text
check "excluded paths are left out" [ "$(grep -c 'swp$\|deep' text)" = 0 ]
check "the other channel's head names the new roster" grep -qx 'roster 3' repo/v1/channel/production
run 0 publish site.conf --channel testing
check "nothing changed" says "nothing changed"
sed -i 's/desk$/dask/' site.conf
run 1 publish site.conf --channel testing
check "an error names file and line" says "site.conf:"
rm tree/x.swp

echo "== compare and swap"
run 1 publish base=tree:/srv/base --expect 1
check "it names both serials" says "is at serial 2 and not 1"
run 0 publish base=tree:/srv/base --expect 2
run 1 publish base=tree:/srv/base --expect 0

echo "== what cannot be read"
if [ "$(id -u)" != 0 ]; then
	echo secret >tree/secret
	chmod 000 tree/secret
	run 1 publish base=tree:/srv/base
	check "the file is named" says tree
	check "and again" says secret
	rm -f tree/secret
fi
run 1 publish base=missing:/srv/base
check "the directory is named" says missing
before=$(serial)
head -c 40000000 /dev/zero >tree/big/growing
while :; do printf x; done >>tree/big/growing 2>/dev/null &
writer=$!
run 1 publish base=tree:/srv/base
check "a file that changes is named" says big/growing
kill $writer
wait $writer 2>/dev/null
writer=
rm tree/big/growing
check "nothing was published" [ "$(serial)" = "$before" ]
run 0 verify

echo "== two at once"
echo two >tree/etc/two
before=$(serial)
exec 9<>repo/lock
flock 9
run 1 publish base=tree:/srv/base --wait 0
check "a locked repository says so" says "is locked by"
peciactl publish base=tree:/srv/base >out.a 2>&1 &
a=$!
peciactl publish base=tree/etc:/srv/base >out.b 2>&1 &
b=$!
flock -u 9
exec 9>&-
wait $a
status=$?
wait $b
check "both end well" [ "$status $?" = "0 0" ]
cat out.a out.b >out
check "one after the other" [ "$(sed -n 's/.*published serial \([0-9]*\).*/\1/p' out.a out.b | sort | tr '\n' ' ')" = "$((before + 1)) $((before + 2)) " ]
run 0 verify

echo "== roster and heads"
key=sha256:$(printf %064d 7)
before=$(sed -n 's/^expires //p' repo/v1/channel/production)
run 0 mirror add site-a --site a.example --key "$key" --address m.a.example --lifetime 9d
run 1 mirror add site-a --site a.example --key "$key"
run 0 mirror list
check "the mirror is listed" says "$key"
check "heads live as long as they were told" [ "$(sed -n 's/^expires //p' repo/v1/channel/production)" \> "$before" ]
run 0 mirror remove site-a
run 1 mirror remove site-a
run 0 refresh
check "both heads are signed again" says "2 heads"
run 0 verify --anchor "sha256:$anchor"
run 3 verify --anchor "$key"

echo "== keys of somebody else"
run 0 --repo other/repo --keys other/keys init
run 1 --keys other/keys publish base=tree:/srv/base
check "it says which key" says "may not sign"
chmod 644 keys/head.pem
run 1 refresh
check "a key that others may read is refused" says "mode 0644"
chmod 600 keys/head.pem

echo "== killed at any moment"
mkdir many
content 1 3000000 | split -b 20000 -a 3 -d - many/
start=$EPOCHREALTIME
run 0 publish base=many:/srv/base
took=$(awk -v a="$start" -v b="$EPOCHREALTIME" 'BEGIN { print b - a }')
for i in {1..20}; do
	content $((1000 + i)) 150000 | split -b 30000 -a 1 -d - "many/00$((i % 10))"
	rm -f repo/cache/production-base
	peciactl publish base=many:/srv/base >out 2>err &
	pid=$!
	sleep "$(awk -v t="$took" -v i="$i" 'BEGIN { print t * i / 20 }')"
	kill -9 $pid 2>/dev/null
	wait $pid 2>/dev/null
	run 0 verify
done
run 0 publish base=many:/srv/base --json
run 0 publish base=many:/srv/base
check "all is published in the end" says "nothing changed"
run 0 verify
check "nothing is left in tmp" [ -z "$(ls repo/tmp)" ]

echo "== a stat cache that speaks of what is gone"
run 0 publish only=tree/etc --channel lost
until [ "$(date +%s)" -gt $(($(stat -c %Z tree/etc/one) + 3)) ]; do sleep 0.1; done
run 0 publish only=tree/etc --channel lost
run 0 publish only=tree/etc --channel lost --json
check "the cache is used" json 'j["transcripts"][0]["read_files"] == 0'
digest=$(sha256sum <tree/etc/one | cut -c -64)
rm repo/v1/channel/lost "repo/v1/object/${digest:0:2}/$digest"
run 0 publish only=tree/etc --channel lost --json
check "what is gone is stored again" json 'j["published"] and j["transcripts"][0]["new_objects"] == 1'
run 0 verify
printf X | dd of=repo/cache/lost-only bs=1 seek=100 conv=notrunc 2>/dev/null
run 0 publish only=tree/etc --channel lost
check "a damaged cache is no trouble" says "nothing changed"

echo "== damage is found and named"
object=$(find repo/v1/object -type f | sort | head -n 1)
printf X | dd of="$object" bs=1 seek=10 conv=notrunc 2>/dev/null
gone=repo/v1/manifest/$(peciactl show | sed -n 's/^ *manifest *//p')
rm "$gone"
touch repo/v1/stranger
run 3 verify
check "what is damaged" grep -q "^damaged *${object#repo/}" out
check "what is missing" grep -q "^missing *${gone#repo/}" out
check "what is unknown" grep -q "^unknown *v1/stranger" out
run 3 verify --json
check "in JSON" json 'not j["ok"] and j["missing"] == 1 and {f["kind"] for f in j["findings"]} == {"damaged", "missing", "unknown"}'

echo "$passed passed, $failed failed"
[ "$failed" -eq 0 ]
