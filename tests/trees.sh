#!/usr/bin/env bash
# run: parallel
# run: also as nobody
# run: limit 300
# What a tree may hold, and how it may change from one release to the next: each
# time the client's is the published one, as far as rsync can see.
# shellcheck disable=SC2317 # check and wait_for call functions
set -uo pipefail
cd "$(dirname "$0")/.." || exit 1
# shellcheck source=tests/e2e.sh
. tests/e2e.sh
need rsync python3 setfacl setfattr
e2e_begin
is_root() {
	[ "$(id -u)" = 0 ]
}

S=$T/tree
R=$T/root-a
mkdir "$S"
origin_init --org test

# release WHAT [NAME=DIR OPTION...]: published, applied, the same, and again.
release() {
	local what=$1
	shift
	[ $# -gt 0 ] || set -- "tree=$S:/" --exact
	publish "$@" --message "$what"
	client_run a "$origin"
	check "$what: the same" same_tree "$S" "$R"
	picture_of_quiet "$R" "$T/state-a" >"$T/before"
	client_run a "$origin"
	cp "$T/out" "$T/said"
	picture_of_quiet "$R" "$T/state-a" >"$T/after"
	check "$what: then nothing to change" grep -q "nothing to change" "$T/said"
	check "$what: and nothing is written" diff "$T/before" "$T/after"
	check "$what: verify finds nothing" client a verify
}

publish "tree=$S:/" --exact
origin_up
client_init a

# ---- an empty tree, then all that there is ----

release "an empty tree"
: >"$S/empty"
mkdir "$S/empty directory"
python3 - "$S" <<'PYTHON'
import os, sys
os.chdir(os.fsencode(sys.argv[1]))
os.mkdir(b"names")
for name in (b"new\nline", b"tab\t", b" ", b"trailing ", b"back\\slash", b"\\012", b"-n", b"*", b"[a]",
             b"\xff\xfe not utf-8", b"\x7f\x01", "\u00e9t\u00e9".encode(), b"'\"$(x)`", b"#1", b"...",
             b"a" * 255, b"\xff" * 255, b"d x", b"h", b"--", b"a", b"a.b", b"a-b", b"A"):
    with open(b"names/" + name, "wb") as f:
        f.write(b"named " + name)
    os.symlink(name, b"names/l" + name[:254])
for sub in (b"a!", b"a/", b"a0"):  # around '/' in the order of paths
    os.makedirs(b"names/dirs/" + sub.strip(b"/") + b"/x")
path = b"deep"
for n in range(40):
    path += b"/" + b"d" * 40
    os.mkdir(path) if os.path.isdir(os.path.dirname(path)) else os.makedirs(path)
with open(path + b"/file", "w") as f:
    f.write("deep")
os.mkdir("times")
for n, ns in enumerate((0, 1, 999999999, 1718000000123456789, 4102444800000000001, -1000000001)):
    with open("times/%d" % n, "w") as f:
        f.write("at %d" % ns)
    os.utime("times/%d" % n, ns=(ns, ns))
os.symlink("dangling", "times/link")
os.utime("times/link", ns=(5, 1234567890987654321), follow_symlinks=False)
os.utime("times", ns=(0, 987654321123456789))
with open("sparse", "wb") as f:
    f.truncate(30_000_000)
    f.seek(20_000_000)
    f.write(b"middle")
with open("sparse again", "wb") as f:  # copied from the first
    f.truncate(30_000_000)
    f.seek(20_000_000)
    f.write(b"middle")
with open("zeros", "wb") as f:  # no holes
    f.write(bytes(1_000_000))
PYTHON
mkdir "$S/modes"
for mode in 0000 0400 0644 0755 1644 2755 4755 6755 7777; do
	echo $mode >"$S/modes/$mode"
	# Unreadable ones cannot be published by an ordinary user.
	is_root || [ $mode != 0000 ] || rm "$S/modes/0000"
	[ ! -e "$S/modes/$mode" ] || chmod $mode "$S/modes/$mode"
done
mkdir "$S/modes/sticky" "$S/modes/setgid" "$S/modes/private"
chmod 1777 "$S/modes/sticky"
chmod 2755 "$S/modes/setgid"
chmod 0700 "$S/modes/private"
mkdir "$S/links"
echo linked >"$S/links/m"
ln "$S/links/m" "$S/links/a"
ln "$S/links/m" "$S/links/z"
ln "$S/links/m" "$S/a link elsewhere"
ln -s m "$S/links/soft"
ln -s /nowhere/at/all "$S/links/absolute"
ln -s ../../../../outside "$S/links/up"
mkfifo "$S/fifo"
setfattr -n user.colour -v red "$S/empty" "$S/modes" 2>/dev/null || echo "no user attributes here"
setfacl -m u:daemon:rx "$S/modes/0755" 2>/dev/null || echo "no ACLs here"
setfacl -d -m u:daemon:rwx "$S/modes/private" 2>/dev/null
if is_root; then
	chown daemon:bin "$S/empty"
	chown -h games "$S/links/soft"
	setcap cap_net_raw+ep "$S/modes/0755" 2>/dev/null
fi
release "all kinds"
blocks() {
	stat -c %b "$1/sparse" "$1/sparse again" "$1/zeros"
}
check "holes stay holes, and zeros zeros" test "$(blocks "$R")" = "$(blocks "$S")"
check "setuid" test -u "$R/modes/4755"
check "one inode" test "$(stat -c %i "$R/links/a" "$R/links/m" "$R/links/z" \
	"$R/a link elsewhere" | sort -u | wc -l)" = 1
check "nanoseconds" test "$(stat -c %.9Y "$R/times/3")" = 1718000000.123456789

# ---- changes of type, of links, of metadata only ----

mkdir "$S/t"
echo file >"$S/t/file-to-dir"
mkdir -p "$S/t/dir-to-link/with/content"
echo inner >"$S/t/dir-to-link/with/content/file"
ln -s file-to-dir "$S/t/link-to-file"
mkdir "$S/t/dir-to-file"
echo inner >"$S/t/dir-to-file/inner"
ln -s dir-to-file "$S/t/link-to-dir"
mkfifo "$S/t/fifo-to-file"
echo moved >"$S/t/moved"
release "before types change"
rm "$S/t/file-to-dir"
mkdir "$S/t/file-to-dir"
echo inner >"$S/t/file-to-dir/inner"
rm -r "$S/t/dir-to-link"
ln -s file-to-dir "$S/t/dir-to-link"
rm "$S/t/link-to-file"
echo file >"$S/t/link-to-file"
rm -r "$S/t/dir-to-file"
echo file >"$S/t/dir-to-file"
rm "$S/t/link-to-dir"
mkdir "$S/t/link-to-dir"
mv "$S/t/moved" "$S/t/link-to-dir/moved"
rm "$S/t/fifo-to-file"
echo file >"$S/t/fifo-to-file"
release "types change"
rm -r "$S/t/file-to-dir" && echo file >"$S/t/file-to-dir"
rm "$S/t/dir-to-link" && mkdir "$S/t/dir-to-link"
release "and back"
rm "$S/links/a"
echo not linked any more >"$S/links/z.new"
mv "$S/links/z.new" "$S/links/z"
ln "$S/links/z" "$S/links/y"
ln "$S/t/fifo-to-file" "$S/links/b"
release "hard links change"
echo "more" >>"$S/links/m"
release "content of hard links"
chmod 700 "$S/modes/0644"
chmod 755 "$S/modes/private"
touch -d @1000000000.000000001 "$S/names" "$S/links/z" "$S/modes/4755"
touch -h -d @1000000000.000000002 "$S/links/soft"
chmod u-s "$S/modes/4755"
setfattr -n user.colour -v blue "$S/empty" 2>/dev/null
setfattr -x user.colour "$S/modes" 2>/dev/null
setfacl -b "$S/modes/0755" 2>/dev/null
! is_root || chown bin:daemon "$S/names" "$S/modes/6755"
release "only metadata"
mv "$S/names" "$S/renamed"
mv "$S/deep" "$S/renamed/deeper"
release "renamed directories"
find "$S" -mindepth 1 -delete
release "all removed"

# ---- a local change of each kind is put right ----

mkdir "$S/d"
echo one >"$S/d/one"
ln "$S/d/one" "$S/d/two"
ln -s one "$S/d/soft"
release "few files"
rm -r "$R/d"
ln -s /etc "$R/d"
client_run a "$origin"
check "a directory that became a link" same_tree "$S" "$R"
rm "$R/d/two"
cp -p "$R/d/one" "$R/d/two"
client_run a "$origin"
check "a hard link that was parted" same_tree "$S" "$R"
mkdir -p "$R/d/extra/deep"
echo x >"$R/d/extra/deep/file"
ln -s /etc "$R/d/extra/etc"
client_run a "$origin"
check "what is not listed goes" same_tree "$S" "$R"
check "and nothing behind links" test -e /etc/passwd

# ---- overlay, exact, exclude ----

mkdir -p "$T/over/etc" "$T/exact/sub"
echo 1 >"$T/over/etc/mine"
echo 2 >"$T/over/etc/dropped"
mkdir "$T/over/etc/dropped dir"
echo 3 >"$T/over/etc/dropped dir/file"
echo 4 >"$T/exact/listed"
cat >"$T/site.conf" <<-CONF
	[transcript over]
	source = over
	target = /o
	[transcript exact]
	source = exact
	target = /x
	mode = exact
	exclude = *.local
	exclude = sub/kept
CONF
publish "$T/site.conf"
client_init b
B=$T/root-b
client_run b "$origin"
echo foreign >"$B/o/etc/foreign"
echo foreign >"$B/o/etc/dropped dir/foreign"
echo kept >"$B/x/a.local"
mkdir "$B/x/sub/kept" "$B/x/sub/gone"
echo kept >"$B/x/sub/kept/file"
echo gone >"$B/x/gone"
client_run b "$origin"
for path in o/etc/foreign "o/etc/dropped dir/foreign" x/a.local x/sub/kept/file; do
	check "$path is left alone" test -e "$B/$path"
done
check "what an exact target does not list goes" test ! -e "$B/x/gone" -a ! -e "$B/x/sub/gone"
rm -r "$T/over/etc/dropped" "$T/over/etc/dropped dir"
publish "$T/site.conf"
client_run b "$origin"
check "overlay: what the former release listed goes" test ! -e "$B/o/etc/dropped" \
	-a ! -e "$B/o/etc/dropped dir/file"
check "overlay: a directory with foreign files stays" test -e "$B/o/etc/dropped dir/foreign"
check "overlay: foreign files stay" test -e "$B/o/etc/foreign"
check "a second run" client b run --server "$origin"
says "nothing to change"

# ---- layers, profiles, hosts ----

mkdir -p "$T/base/etc" "$T/web/etc" "$T/web/srv"
echo base >"$T/base/etc/name"
echo base >"$T/base/etc/base"
mkdir "$T/base/etc/was a directory"
echo base >"$T/base/etc/was a directory/file"
echo web >"$T/web/etc/name"
echo web >"$T/web/srv/index"
echo web >"$T/web/etc/was a directory"
cat >"$T/layers.conf" <<-CONF
	[transcript base]
	source = base
	target = /
	[transcript web]
	source = web
	target = /
	[profile plain]
	transcripts = base
	[profile webserver]
	transcripts = base web
	[host www[0-9]*.example]
	profile = webserver
	[host *.example]
	profile = plain
CONF
publish "$T/layers.conf" --channel layers
client_init web
client_init plain
hosted() { # NAME HOST
	client_run "$1" "$origin" --channel layers --host "$2"
}
hosted web WWW12.example
says "profile webserver"
hosted plain db.example
says "profile plain"
check "the later transcript wins" grep -q web "$T/root-web/etc/name"
check "and the file over the directory" test -f "$T/root-web/etc/was a directory"
check "the other profile has none of it" test ! -e "$T/root-plain/srv"
check "and its directory" test -f "$T/root-plain/etc/was a directory/file"
refuses 1 "elsewhere.test" client plain run --server "$origin" --channel layers \
	--host elsewhere.test
hosted web db.example
check "another profile takes away what it does not list" diff -r "$T/root-plain" "$T/root-web"

# ---- owners by number, devices ----

if is_root; then
	chown 12345:54321 "$S/d/one"
	printf '[transcript tree]\nsource = tree\ntarget = /\nmode = exact\nowner = numeric\ndevices = yes\n' \
		>"$T/numeric.conf"
	mknod "$S/null" c 1 3
	release "owners by number" "$T/numeric.conf"
	check "the number" test "$(stat -c %u:%g "$R/d/one")" = 12345:54321
	check "the device" test "$(stat -c %t:%T "$R/null")" = 1:3
	rm "$S/null"
fi

# ---- sources that cannot be read ----

is_root || {
	echo secret >"$S/d/secret"
	chmod 000 "$S/d/secret"
	refuses 1 d/secret peciactl publish "tree=$S:/" --exact
	rm -f "$S/d/secret"
}
# A writer that never pauses; the file is long enough to be met by it.
head -c 150000000 /dev/zero >"$S/busy"
python3 -c '
import sys
with open(sys.argv[1], "r+b", buffering=0) as f:
    print("writing", flush=True)
    while True:
        f.write(b"x")
        f.seek(0)' "$S/busy" >"$T/writer" &
writer=$!
running+=("$writer")
wait_for 20 test -s "$T/writer"
serial=$(serial_of "$PECIA_REPO")
refuses 1 busy peciactl publish "tree=$S:/" --exact
matches "chang"
check "the channel is as it was" serial_is "$PECIA_REPO" "$serial"
stop "$writer"
rm "$S/busy"
release "then again"
check "the repository is whole" peciactl verify --anchor "$anchor"
done_checks
