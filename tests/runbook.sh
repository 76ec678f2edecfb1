#!/usr/bin/env bash
# run: parallel
# run: limit 180
# Every block of commands in doc/runbook.md, as it stands there, on an origin, two
# sites and their clients.  systemctl is ours: it runs that host's peciad.
# shellcheck disable=SC2317 # functions that check and wait_for call
set -uo pipefail
cd "$(dirname "$0")/.." || exit 1
# shellcheck source=tests/net.sh
. tests/net.sh
# shellcheck source=tests/e2e.sh
. tests/e2e.sh
net_begin "$@"
e2e_begin
chmod 711 "$T"
trap 'runbook_end; e2e_end; net_end' EXIT
net_origin
net_site a 1
net_site b 2

# The blocks of the document: $T/blocks/SECTION.NUMBER, SECTION without blanks.
mkdir "$T/blocks" "$T/bin" "$T/ran"
awk -v to="$T/blocks/" '
	/^##+ / { section = $0; gsub(/^#+ |[^A-Za-z0-9 ]/, "", section); gsub(/ /, "-", section); n = 0 }
	/^```$/ { inside = 0 }
	inside { print >file }
	/^```sh$/ { inside = 1; file = to section "." ++n }' doc/runbook.md

# ---- hosts ----

cat >"$T/bin/systemctl" <<'STUB'
#!/bin/bash
# systemctl start|stop|restart peciad
pid=$(cat "$HOST_DIR/pid" 2>/dev/null)
if [ "$1" != start ] && [ -n "$pid" ]; then
	kill "$pid" 2>/dev/null
	# It lets requests end; nobody's are worth waiting for here.
	for ((i = 0; i < 10; i++)); do
		kill -0 "$pid" 2>/dev/null || break
		sleep 0.02
	done
	kill -KILL "$pid" 2>/dev/null
	while kill -0 "$pid" 2>/dev/null; do sleep 0.02; done
	rm -f "$HOST_DIR/pid"
fi
[ "$1" = stop ] && exit
: >"$HOST_DIR/log" # an earlier one was ready, too
peciad --config "$CONF" >"$HOST_DIR/log" 2>&1 </dev/null &
echo "$!" >"$HOST_DIR/pid"
disown
until grep -q '^ready ' "$HOST_DIR/log"; do
	kill -0 "$!" 2>/dev/null || { cat "$HOST_DIR/log" && exit 1; }
	sleep 0.02
done
STUB
cat >"$T/bin/pecia" <<STUB
#!/bin/bash
exec "$BUILD/pecia" --config "\$HOST_DIR/pecia.conf" --root "\$HOST_DIR/root" --state "\$HOST_DIR/state" "\$@"
STUB
chmod +x "$T/bin/"*

runbook_end() {
	local file
	for file in "$T"/hosts/*/pid; do
		[ ! -e "$file" ] || kill "$(cat "$file")" 2>/dev/null
	done
}

# host NAME COMMAND...: with the variables that the document has.
host() {
	local dir=$T/hosts/$1
	mkdir -p "$dir"
	on "$1" env PATH="$T/bin:$PATH" HOST_DIR="$dir" REPO="$dir/repo" KEYS="$dir/keys" \
		IDENTITY="$dir/identity" CONF="$dir/peciad.conf" BACKUP="$T/safe/backup" \
		PASS="$T/safe/passphrase" MEDIUM="$T/medium" ANCHOR="$anchor" UPSTREAM="$upstream" \
		RELEASE="$T/site.conf" KEY="$key" NAME="$rostered" ADDRESS="$address" \
		PECIA_REPO="$dir/repo" PECIA_KEYS="$dir/keys" "${@:2}" 9>&-
}
key='' rostered='' address='' upstream=''

# block HOST SECTION NUMBER: must succeed; what it printed is in $T/out.
block() {
	local file=$T/blocks/${2// /-}.$3
	[ -s "$file" ] || fail "the document has no block $3 in $2"
	: >"$T/ran/${file##*/}"
	check "$2, block $3" host "$1" bash -euc "$(cat "$file")"
}
repo() {
	echo "$T/hosts/$1/repo"
}
serial() {
	serial_of "$(repo "$1")"
}
# complete HOST: it has the origin's serial, and all below it.
complete() {
	wait_for 40 serial_is "$(repo "$1")" "$serial" || {
		cp "$T/hosts/$1/log" "$T/out"
		fail "$1 does not get serial $serial"
	}
}
edit() { # the tree says so from the next release on
	echo "$1" >"$T/tree/motd"
}
gets() { # CLIENT TEXT: a run gives it that
	check "$1 runs" host "$1" pecia run
	cp "$T/out" "$T/run.out"
	check "$1 has $2" grep -qx "$2" "$T/hosts/$1/root/data/motd"
}
publishes() { # HOST TEXT
	edit "$2"
	check "$1 publishes $2" host "$1" peciactl publish "$T/site.conf"
	serial=$(serial "$1")
}
new_key() {
	key=$(grep -o 'sha256:[0-9a-f]*' "$T/out" | tail -n 1)
}
is_rostered() { # HOST KEY: its roster has this key
	grep -q "${2#sha256:}" "$(repo "$1")/v1/roster"
}

# ---- as it is on a good day ----

mkdir "$T/tree" "$T/safe" "$T/medium"
echo "a long passphrase" >"$T/safe/passphrase"
printf '[transcript base]\nsource = %s\ntarget = /data\n' "$T/tree" >"$T/site.conf"
for c in a b; do
	mkdir -p "$T/hosts/$c-client/root"
	printf '[main]\nmax_delete = none\nwan_fallback = always\nfallback = 10.77.1.10 10.77.2.10\n' \
		>"$T/hosts/$c-client/pecia.conf"
done
host origin peciactl init --org test --identity "$T/hosts/origin/identity" --address 10.77.0.1 \
	>"$T/init.out" 2>&1 || fail "init"
anchor=$(sed -n 's/^anchor //p' "$T/init.out")
mv "$T/hosts/origin/keys/root.pem" "$T/medium"
cat >"$T/hosts/origin/peciad.conf" <<-END
	[main]
	repo = $T/hosts/origin/repo
	identity = $T/hosts/origin/identity
	keys = $T/hosts/origin/keys
	listen = [::]:7440
END
edit one
host origin peciactl publish "$T/site.conf" >"$T/out" 2>&1 || fail "publish"
host origin systemctl start peciad || fail "the origin's peciad"
upstream=10.77.0.1
serial=1
for n in 1 2; do
	[ "$n" = 1 ] && rostered=a || rostered=b
	address=10.77.$n.10
	host "$rostered-mirror" peciad --identity "$T/hosts/$rostered-mirror/identity" --show-identity >"$T/out"
	new_key
	host origin peciactl mirror add "$rostered" --site "$rostered" --key "$key" --address "$address" >"$T/out" 2>&1 ||
		fail "mirror add $rostered"
	block "$rostered-mirror" "A site is lost" 4
	complete "$rostered-mirror"
	host "$rostered-client" pecia init --anchor "$anchor" >"$T/out" 2>&1 || fail "client $rostered"
	gets "$rostered-client" one
done

block origin "Before anything is lost" 1
says keys/release.pem
says policy/peciad.conf

# ---- keys are stolen ----

rostered=a address=10.77.1.10
block a-mirror "The identity of a mirror" 1
new_key
block origin "The identity of a mirror" 2
check "a has the roster with its new key" wait_for 30 is_rostered a-mirror "$key"
publishes origin two
complete a-mirror
gets a-client two
check "from its own site" grep -qF "10.77.1.10" "$T/run.out"

cp "$T/hosts/origin/keys/release.pem" "$T/stolen.pem"
block origin "releasepem or headpem" 1
check "the stolen key is worth nothing" sh -c "! cmp -s '$T/stolen.pem' '$T/hosts/origin/keys/release.pem'"
serial=3
complete b-mirror
gets b-client two
cp "$T/medium/root.pem" "$T/stolen.pem"
block origin "rootpem" 1
check "nor is the root key" sh -c "! cmp -s '$T/stolen.pem' '$T/medium/root.pem'"
serial=4
complete a-mirror
complete b-mirror
gets a-client two

# ---- a disk, a site ----

rm -rf "$T/hosts/a-mirror/repo"
block a-mirror "A mirrors" 1
complete a-mirror
check "it is whole" host a-mirror peciactl verify --anchor "$anchor"

host b-mirror systemctl stop peciad
rm -rf "$T/hosts/b-mirror"
publishes origin three
complete a-mirror
block b-client "A site is lost" 1
check "from the other site" grep -qx three "$T/hosts/b-client/root/data/motd"
rostered=b address=10.77.2.10
block b-mirror "A site is lost" 2
new_key
block origin "A site is lost" 3
block b-mirror "A site is lost" 4
complete b-mirror
block b-mirror "A site is lost" 5
gets b-client three

# ---- the origin ----

rm -rf "$T/hosts/origin/repo"
upstream=10.77.1.10
block origin "The origins" 1
complete origin
block origin "The origin is lost" 1
says "release 5 goes on as serial 6"
publishes origin four
complete a-mirror
gets a-client four

host origin systemctl stop peciad
block a-mirror "The origin is lost" 1
says "release 7 goes on as serial 8"
serial=8
block b-mirror "The origin is lost" 2
complete b-mirror
edit five
block a-mirror "The origin is lost" 3
serial=9
complete b-mirror
gets b-client five

edit six
refuses 1 "another origin publishes now" host origin peciactl publish "$T/site.conf"
block origin "The lost origin comes back" 1
complete origin
check "it is whole" host origin peciactl verify --anchor "$anchor"

host a-mirror systemctl stop peciad
block b-mirror "The origin is lost and so is the backup" 1
says "release 9 goes on as serial 10"
publishes b-mirror seven
gets b-client seven
gets a-client seven

check "every block was run" diff <(ls "$T/blocks") <(ls "$T/ran")
done_checks
