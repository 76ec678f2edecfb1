#!/usr/bin/env bash
# Servers that lie, each in one way: pecia refuses by name and changes nothing,
# and goes on to a good server where there is one.
# run: parallel
# run: limit 600
# shellcheck disable=SC2317 # functions that check and wait_for call
set -uo pipefail
# shellcheck source=tests/faults.sh
. "$(dirname "$0")/faults.sh"
need openssl zstd python3
faults_begin

# ---- what there is to serve: releases 1, 2 and 3 ----

mkdir -p "$T/tree/etc"
for i in $(seq 30); do
	seq -f "line %g of file $i" 200 >"$T/tree/etc/f$i"
done
seq 60000 >"$T/tree/etc/large"
# So many that who has none of them asks for them by number.
mkdir "$T/tree/many"
for i in $(seq 300); do
	echo "one of many, $i" >"$T/tree/many/$i"
done
origin_init --address 127.0.0.1
peciad --identity "$T/id-evil" --show-identity >/dev/null
mirror_add evil
publish "machine=$T/tree:/" --exact --message one
client_init at0
check "a trust root and a roster" client at0 init --anchor "$anchor"
serve "$T/good1.log" --repo "$PECIA_REPO" --identity "$PECIA_KEYS/identity"
client_init at1
client_run at1 "$ready"
cp "$PECIA_REPO/v1/channel/production" "$T/head1"
cp -a "$PECIA_REPO" "$T/repo1"

for i in $(seq 1 3 30); do
	echo "more of $i" >>"$T/tree/etc/f$i"
done
sed -i 's/^30000$/thirty thousand/' "$T/tree/etc/large"
publish "machine=$T/tree:/" --exact --message two
client_copy at1 at2
client_run at2 "$ready"
cp "$PECIA_REPO/v1/channel/production" "$T/head2"
cp -a "$PECIA_REPO" "$T/repo2"

for i in $(seq 2 3 30); do
	echo "more of $i" >>"$T/tree/etc/f$i"
done
seq -f "%g in another place" 500 >"$T/tree/etc/new"
sed -i 's/^40000$/forty thousand/' "$T/tree/etc/large"
publish "machine=$T/tree:/" --exact --message three
cp "$PECIA_REPO/v1/channel/production" "$T/head3"
check "another channel" peciactl publish "machine=$T/repo1/v1/root:/" --channel testing
R=$PECIA_REPO/v1

# A good server that serves releases as they are; and the liar.
good=$ready
client_copy at2 at3
client_run at3 "$good"
mkfifo "$T/alive"
exec 8<>"$T/alive"
: >"$T/rules"
: >"$T/requests"
liar_up() { # LOG IDENTITY REPO [CLIENT_CERT]: $ready
	: >"$1" # an earlier one was ready, too
	python3 tests/hostiled.py --identity "$2" --repo "$3" ${4:+--client "$4"} \
		"$T/rules" "$T/requests" <"$T/alive" >"$1" 2>&1 &
	running+=($!)
	wait_for 20 grep -q ^ready "$1" || fail "hostiled.py"
	ready=$(sed -n 's/^ready //p' "$1")
}
liar_up "$T/liar.log" "$T/id-evil" "$PECIA_REPO" "$T/state-at1/identity/cert.pem"
liar=$ready

digest_of() { # STATEMENT KEY FIELD...
	awk -v key="$2" -v n="$3" '$1 == key { print $n; exit }' "$1"
}
release3=$(digest_of "$T/head3" release 2)
release2=$(digest_of "$T/head2" release 2)
release1=$(digest_of "$T/head1" release 2)
manifest3=$(digest_of "$R/release/$release3" transcript 4)
data3=$(digest_of "$R/release/$release3" transcript 8)
manifest2=$(digest_of "$R/release/$release2" transcript 4)

# ---- one case ----

# lie FROM WORDS: a copy of client FROM runs against the liar, whose rules come
# from standard input.  It must fail, say each of WORDS (one a line), and leave
# everything as it was; then the good server behind the liar must do.
number=0
lie() {
	forged "$@"
	falls_back
}
# The same with what only somebody with our keys can sign: no way round it.
forged() {
	local name=$1 words=$2
	number=$((number + 1))
	cat >"$T/rules"
	client_copy "$name" v
	snapshot "$T/root-v" >"$T/before"
	refuses 1 "$words" client v run --server "$liar"
	snapshot "$T/root-v" | cmp -s "$T/before" - || not_so "case $number: the tree was changed"
	check "case $number: nothing half done is left" nothing_begun v
	check "case $number: still at its release" same_release "$name" v
}
same_release() { # or both at none
	if [ -e "$T/state-$1/applied" ]; then
		cmp "$T/state-$1/applied" "$T/state-$2/applied"
	else
		[ ! -e "$T/state-$2/applied" ]
	fi
}
nothing_begun() {
	[ ! -e "$T/state-$1/journal" ] && [ ! -e "$T/state-$1/stages" ] &&
		no_stages "$T/root-$1"
}
# The copy goes on with the same lie before a good server.
falls_back() {
	printf '[main]\nsrv = no\nwaitforserver = 0\nfallback = %s %s\n' "$liar" "$good" >"$T/fallback.conf"
	check "case $number: with a good one behind it" \
		pecia --config "$T/fallback.conf" --root "$T/root-v" --state "$T/state-v" run
	check "case $number: is release 3" same_tree "$T/tree" "$T/root-v"
}

# Before all: the liar is an honest server without rules.
client_copy at1 v
: >"$T/rules"
check "no lie" client v run --server "$liar"
check "no lie: is release 3" same_tree "$T/tree" "$T/root-v"
check "a rostered server may see who asks" grep -q certificate "$T/requests"

# ---- slow ones, side by side and beside all that follows ----

# stalls NAME RULE: in the background; what it says is in $T/NAME.out.
slow=()
stalls() {
	client_copy at1 "$1"
	printf '%s\n' "$2" >"$T/rules-$1"
	python3 tests/hostiled.py --identity "$T/id-evil" --repo "$PECIA_REPO" \
		"$T/rules-$1" "$T/requests-$1" <"$T/alive" >"$T/liar-$1.log" 2>&1 &
	running+=($!)
	wait_for 20 grep -q ^ready "$T/liar-$1.log" || fail "hostiled.py"
	snapshot "$T/root-$1" >"$T/before-$1"
	(
		begun=$SECONDS
		client "$1" run --server "$(sed -n 's/^ready //p' "$T/liar-$1.log")" >"$T/$1.out" 2>&1
		printf 'exit %d\ntook %d\n' "$?" $((SECONDS - begun)) >>"$T/$1.out"
	) &
	slow+=("$!")
	running+=("$!")
}
stalls stall1 '/v1/objects stall=2000'
stalls stall2 '/v1/channel stall=100'
stalls drip '/v1/manifest drip'
# Each answer is in time, all of them are not.
stalls late $'/v1/objects status=404\n/v1/object late=14'

# ---- HTTP ----

lie at1 'no channel production' <<<'/ status=404'
lie at1 'status 500' <<<'/ status=500'
lie at2 'status 302' <<<"/ redirect=https://$good/v1/channel/production"
lie at2 'status 302' <<<"/v1/data redirect=https://$good/v1/data/$data3"
lie at1 '/v1/channel/production' <<<'/ noise'
lie at1 '/v1/channel/production' <<<'/ raw=00'
lie at1 '/v1/channel/production' <<<'/ raw=485454502f312e3120323030'
lie at1 'header' <<<'/ header=70000'
lie at1 '/v1/channel/production' <<<'/v1/channel endless'
lie at1 '/v1/channel/production' <<<'/v1/channel cut=100'
lie at1 '/v1/channel/production' <<<'/v1/channel long=50'
lie at1 '/v1/channel/production' <<<'/v1/channel append=9000'
lie at1 'head of production' <<<'/v1/channel short=30'
lie at1 'head of production' <<<'/v1/channel flip=30'

# ---- statements ----

sign() { # KEY BODY: the statement
	local id
	id=$(openssl pkey -in "$1" -pubout -outform DER | tail -c 32 | sha256sum | cut -c 1-32)
	cat "$2"
	printf -- '--\nsig ed25519 %s %s\n' "${3:-$id}" \
		"$(openssl pkeyutl -sign -rawin -inkey "$1" -in "$2" | openssl base64 -A)"
}
body() {
	sed '/^--$/,$d' "$1"
}
openssl genpkey -algorithm ed25519 -out "$T/other.pem" 2>/dev/null

# Old, of another channel, expired, by a wrong key, of another release.
lie at3 'serial 1, but 3 was seen' <<<"/v1/channel file=$T/head1"
lie at3 'serial 2, but 3 was seen' <<<"/v1/channel file=$T/head2"
lie at1 'channel' <<<"/v1/channel file=$R/channel/testing"
body "$T/head3" | sed 's/^issued .*/issued 2020-01-01T00:00:00Z/; s/^expires .*/expires 2020-01-02T00:00:00Z/' \
	>"$T/body"
sign "$PECIA_KEYS/head.pem" "$T/body" >"$T/head.expired"
lie at1 'expired' <<<"/v1/channel file=$T/head.expired"
body "$T/head3" >"$T/body"
sign "$T/other.pem" "$T/body" >"$T/head.other"
lie at1 'sign' <<<"/v1/channel file=$T/head.other"
sign "$PECIA_KEYS/release.pem" "$T/body" >"$T/head.role"
lie at1 'sign' <<<"/v1/channel file=$T/head.role"
headid=$(awk '$1 == "sig" { print $3 }' "$T/head3")
sign "$T/other.pem" "$T/body" "$headid" >"$T/head.forged"
lie at1 'sign' <<<"/v1/channel file=$T/head.forged"
body "$T/head3" | sed "s/^release .*/release $release1 $(stat -c %s "$R/release/$release1")/" >"$T/body"
sign "$PECIA_KEYS/head.pem" "$T/body" >"$T/head.swapped"
forged at1 'serial 1' <<<"/v1/channel file=$T/head.swapped"
lie at1 "/v1/release/$release3" <<<"/v1/release file=$R/release/$release1"
lie at1 "/v1/release/$release3" <<<'/v1/release flip=100'
lie at1 "/v1/release/$release3" <<<'/v1/release append=100'
lie at1 "/v1/release/$release3" <<<'/v1/release cut=100'
# A fork: the head key signs another release of a serial that was seen.
body "$R/release/$release3" | sed 's/^message .*/message another/' >"$T/body"
sign "$PECIA_KEYS/release.pem" "$T/body" >"$T/release.fork"
body "$T/head3" | sed "s/^release .*/release $(sha256sum <"$T/release.fork" | cut -c 1-64) $(stat -c %s "$T/release.fork")/" \
	>"$T/body"
sign "$PECIA_KEYS/head.pem" "$T/body" >"$T/head.fork"
lie at3 'two' <<<"/v1/channel file=$T/head.fork"$'\n'"/v1/release file=$T/release.fork"
# A roster and a root of somebody else.
body "$R/roster" | sed 's/^version .*/version 99/' >"$T/body"
sign "$T/other.pem" "$T/body" >"$T/roster.other"
body "$T/head3" | sed 's/^roster .*/roster 99/' >"$T/body"
sign "$PECIA_KEYS/head.pem" "$T/body" >"$T/head.roster"
lie at1 '/v1/roster' <<<"/v1/roster file=$T/roster.other"$'\n'"/v1/channel file=$T/head.roster"
body "$R/root/1" | sed 's/^version 1/version 2/' >"$T/body"
sign "$T/other.pem" "$T/body" >"$T/root.other"
sed 's/^root 1$/root 2/' <<<"$(body "$T/head3")" >"$T/body"
sign "$PECIA_KEYS/head.pem" "$T/body" >"$T/head.root"
lie at1 '/v1/root/2' <<<"/v1/root/2 file=$T/root.other"$'\n'"/v1/channel file=$T/head.root"

# ---- manifests: two releases behind, they come as a whole ----

lie at1 "/v1/manifest/$manifest3" <<<'/v1/manifest status=404'
lie at1 "/v1/manifest/$manifest3" <<<"/v1/manifest file=$R/manifest/$manifest2"
lie at1 "/v1/manifest/$manifest3" <<<'/v1/manifest flip'
lie at1 "/v1/manifest/$manifest3" <<<'/v1/manifest cut=500'
lie at1 "/v1/manifest/$manifest3" <<<'/v1/manifest endless'
lie at1 "/v1/manifest/$manifest3" <<<'/v1/manifest append=100000'
head -c 100000000 /dev/zero | gzip -9 >"$T/bomb.gz"
lie at1 "/v1/manifest/$manifest3" <<<"/v1/manifest file=$T/bomb.gz"
gzip -dc "$R/manifest/$manifest3" | head -n -1 | gzip >"$T/short.gz"
lie at1 "/v1/manifest/$manifest3" <<<"/v1/manifest file=$T/short.gz"

# ---- data transcripts: one release behind ----

lie at2 "/v1/data/$data3" <<<'/v1/data status=404'
lie at2 "/v1/data/$data3" <<<'/v1/data flip'
lie at2 "/v1/data/$data3" <<<'/v1/data cut=100'
lie at2 "/v1/data/$data3" <<<'/v1/data append=1000'
lie at2 "/v1/data/$data3" <<<'/v1/data endless'
lie at2 "/v1/data/$data3" <<<"/v1/data file=$T/bomb.gz"

# ---- objects ----

object() {
	sha256sum <"$T/tree/etc/$1" | cut -c 1-64
}
lie at1 'object' <<<'/v1/objects lacks'
lie at1 'objects' <<<'/v1/objects swap'
lie at1 'objects' <<<'/v1/objects fewer'
lie at1 'objects' <<<'/v1/objects more'
lie at1 'object' <<<'/v1/objects huge'
lie at1 'object' <<<'/v1/objects flip=70'
lie at1 'objects' <<<'/v1/objects cut=900'
lie at1 'objects' <<<'/v1/objects endless'
lie at1 'objects' <<<'/v1/objects status=500'
head -c 1000000000 /dev/zero | zstd -q -19 --no-check >"$T/bomb.zst"
head -c 3000 /dev/zero | zstd -q >"$T/zeros.zst"
head -c 500 "$T/bomb.zst" >"$T/cut.zst"
lie at1 'object' <<<"/v1/objects frame=$T/bomb.zst"
lie at1 'object' <<<"/v1/objects frame=$T/zeros.zst"
lie at1 'object' <<<"/v1/objects frame=$T/cut.zst"
# One by one, as from a plain web server.
new=$(object new)
lie at1 "object $new" <<<"/v1/objects status=404
/v1/object/${new:0:2}/$new status=404"
lie at1 "object $new" <<<"/v1/objects status=404
/v1/object/${new:0:2}/$new file=$T/zeros.zst"
lie at1 "/v1/object/${new:0:2}/$new" <<<"/v1/objects status=405
/v1/object/${new:0:2}/$new append=100000"

# By number: who lies to it is asked for nothing else.
: >"$T/requests"
lie at0 'object' <<<'/v1/objects/ numbers lacks'
check "it was asked by number" grep -q '^POST /v1/objects/' "$T/requests"
not_so_if_asked_by_digest() {
	! grep -q '^POST /v1/objects ' "$T/requests"
}
lie at0 'object' <<<'/v1/objects/ numbers swap'
lie at0 'object' <<<'/v1/objects/ numbers fewer'
lie at0 'objects' <<<'/v1/objects/ numbers more'
lie at0 'object' <<<'/v1/objects/ numbers huge'
lie at0 'object' <<<'/v1/objects/ numbers flip=70'
lie at0 'objects' <<<'/v1/objects/ numbers cut=900'
lie at0 'objects' <<<'/v1/objects/ numbers endless'
lie at0 'objects' <<<'/v1/objects/ numbers status=500'
lie at0 'object' <<<"/v1/objects/ numbers frame=$T/bomb.zst"
lie at0 'object' <<<"/v1/objects/ numbers frame=$T/zeros.zst"
lie at0 'object' <<<"/v1/objects/ numbers frame=$T/cut.zst"
check "never by digest" not_so_if_asked_by_digest
client_copy at0 v
echo '/v1/objects/ numbers' >"$T/rules"
check "numbers without a lie" client v run --server "$liar"
check "numbers without a lie: is release 3" same_tree "$T/tree" "$T/root-v"

# ---- signed and bad all the same: what an origin should not publish ----

# forge DATA: release 3 with that data transcript, in $T/forged.*
forge() {
	local sum size
	sum=$(sha256sum <"$1" | cut -c 1-64)
	size=$(stat -c %s "$1")
	body "$R/release/$release3" |
		awk -v sum="$sum" -v size="$size" '$1 == "transcript" { $8 = sum; $9 = size } { print }' \
			>"$T/body"
	sign "$PECIA_KEYS/release.pem" "$T/body" >"$T/forged.release"
	body "$T/head3" | sed "s/^release .*/release $(sha256sum <"$T/forged.release" | cut -c 1-64) $(stat -c %s "$T/forged.release")/" \
		>"$T/body"
	sign "$PECIA_KEYS/head.pem" "$T/body" >"$T/forged.head"
	printf '/v1/channel file=%s\n/v1/release file=%s\n/v1/data file=%s\n' \
		"$T/forged.head" "$T/forged.release" "$1" >"$T/rules"
}
# archive MEMBER=FILE...: a data transcript
archive() {
	python3 - "$@" <<-'PYTHON' | zstd -q
		import sys, tarfile
		with tarfile.open(fileobj=sys.stdout.buffer, mode="w|", format=tarfile.PAX_FORMAT) as tar:
		    for word in sys.argv[1:]:
		        name, path = word.split("=")
		        info = tarfile.TarInfo(name)
		        with open(path, "rb") as file:
		            data = file.read()
		        info.size = len(data)
		        file = open(path, "rb")
		        tar.addfile(info, file)
	PYTHON
}
# Its content comes another way then, and it is told.
in_spite_of() { # WORD
	client_copy at2 v
	check "$1: it gets there" client v run -v --server "$liar"
	says "$1"
	check "$1: is release 3" same_tree "$T/tree" "$T/root-v"
	check "$1: nothing half done is left" nothing_begun v
}
large=$(object large)
old_large=$(gzip -dc "$R/manifest/$manifest2" | awk '$NF == "etc/large" { print $7 }')
gzip -dc "$R/manifest/$manifest3" >"$T/manifest3"
# A librsync delta of 40 KB that copies 400 KB of its basis 4,000 times.
python3 - "$T/delta.bomb" <<-'PYTHON'
	import struct, sys
	with open(sys.argv[1], "wb") as file:
	    file.write(struct.pack(">I", 0x72730236))
	    file.write((b"\x4f" + struct.pack(">QI", 0, 300000)) * 4000)
	    file.write(b"\0")
PYTHON
archive "manifest/$manifest3=$T/manifest3" "delta/$large-$old_large=$T/delta.bomb" >"$T/data"
forge "$T/data"
in_spite_of 'release 3'
archive "manifest/$manifest3=$T/manifest3" "delta/$large-$release1=$T/delta.bomb" >"$T/data"
forge "$T/data"
in_spite_of 'release 3'
archive "manifest/$manifest3-$release1=$T/delta.bomb" >"$T/data"
forge "$T/data"
in_spite_of 'release 3'
archive "manifest/$manifest3-$manifest2=$T/delta.bomb" >"$T/data"
forge "$T/data"
in_spite_of 'not used'
archive "manifest/$manifest3=$T/manifest3" "object/$new=$T/tree/etc/large" >"$T/data"
forge "$T/data"
in_spite_of 'release 3'
archive "../../etc/passwd=$T/manifest3" >"$T/data"
forge "$T/data"
in_spite_of 'not used'
zstd -q <"$T/tree/etc/large" >"$T/data"
forge "$T/data"
in_spite_of 'not used'
cp "$T/tree/etc/large" "$T/data"
forge "$T/data"
in_spite_of 'not used'

# ---- who it is ----

# A key that no roster lists: it does not learn who asks, and gets no content.
peciad --identity "$T/id-stranger" --show-identity >/dev/null
rostered=$liar
liar_up "$T/stranger.log" "$T/id-stranger" "$PECIA_REPO" "$T/state-at1/identity/cert.pem"
liar=$ready
absent() {
	! grep -Eq "$1" "$T/requests"
}
: >"$T/requests"
lie at1 'not in the roster' </dev/null
check "the stranger was asked" grep -q '^GET /v1/channel' "$T/requests"
check "and did not see our certificate" absent certificate
check "nor what we lack" absent '/v1/(manifest|data|object|release)'
# While it sees who asks if the roster lists it.
liar=$rostered
printf '' >"$T/rules"
client_copy at1 v
check "a rostered one" client v run --server "$liar"
check "sees it" grep -q 'certificate' "$T/requests"

# ---- a new machine believes nobody but the anchor ----

lie_at0() { # WORD, rules from standard input
	cat >"$T/rules"
	client_copy at0 v
	refuses 1 "$1" client v run --server "$liar"
	check "a new machine: nothing is there" test -z "$(ls -A "$T/root-v")"
}
lie_at0 '/v1/root/1' <<<'/v1/root/1 status=404'
lie_at0 '/v1/root/1' <<<"/v1/root/1 file=$T/root.other"
lie_at0 '/v1/root/1' <<<'/v1/root/1 append=70000'
lie_at0 '/v1/roster' <<<"/v1/roster file=$T/roster.other"
lie_at0 '/v1/roster' <<<'/v1/roster flip=60'

# ---- the slow ones again ----

wait "${slow[@]}"
for name in stall1 stall2 drip late; do
	check "$name: it is given up" grep -qx 'exit 1' "$T/$name.out"
	check "$name: and says why" grep -Eq 'bytes a second|no byte|stall|slow' "$T/$name.out"
	snapshot "$T/root-$name" | cmp -s "$T/before-$name" - || not_so "$name: the tree was changed"
	check "$name: nothing half done is left" nothing_begun "$name"
done
for name in stall1 stall2 drip late; do
	took=$(sed -n 's/^took //p' "$T/$name.out")
	check "$name: it is given up in time" test "$took" -lt 90
	echo "$name: given up after $took s"
done
done_checks
