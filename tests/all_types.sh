#!/usr/bin/env bash
# run: parallel
# run: limit 300
# A tree with everything a file system holds comes out as it was published: seen
# by getfattr, getfacl, lsattr, find and rsync, on ext4 and in memory.  What a
# file system lacks is named before anything changes, and can be waived.
# shellcheck disable=SC2317 # check calls functions
set -uo pipefail
cd "$(dirname "$0")/.." || exit 1
# shellcheck source=tests/e2e.sh
. tests/e2e.sh
need rsync python3 setfacl getfacl setfattr getfattr chattr lsattr setcap mkfs.ext4 unshare
[ "$(id -u)" = 0 ] || skip "needs root, for devices and owners"
# Mounts are seen by nobody else and end with the script.
[ -n "${IN_OWN_MOUNTS-}" ] || unshare -m true 2>/dev/null ||
	skip "mount namespaces are not allowed here"
[ -n "${IN_OWN_MOUNTS-}" ] ||
	IN_OWN_MOUNTS=1 exec unshare -m "$0" "$@"
e2e_begin

mkdir "$T/ext4" "$T/tmpfs" "$T/ramfs"
truncate -s 300M "$T/image"
mkfs.ext4 -q -b 4096 -I 256 "$T/image" || skip "mkfs.ext4 does not work here"
mount -o loop "$T/image" "$T/ext4" 2>"$T/out" || skip "no loop mounts: $(cat "$T/out")"
mount -t tmpfs pecia "$T/tmpfs" || skip "no tmpfs"
mount -t ramfs pecia "$T/ramfs" || skip "no ramfs"
unmount_all() {
	chattr -R -f -ia "$T/ext4" "$T/tmpfs" 2>/dev/null
	umount -l "$T/ext4" "$T/tmpfs" "$T/ramfs"
	e2e_end
}
trap unmount_all EXIT

S=$T/ext4/source
mkdir "$S"
python3 - "$S" <<'PYTHON'
import ctypes, os, socket, stat, sys
os.chdir(os.fsencode(sys.argv[1]))
def put(path, data=b"x"):
    with open(path, "wb") as f:
        f.write(data)
os.mkdir("names")
for name in (b"new\nline", b" ", b"back\\slash", b"\xff\xfe", b"\x01", b"-n", b"n" * 255, b"\xff" * 255, b"..."):
    put(b"names/" + name)
# A path of 4095 bytes; it is made from within.
here = os.getcwd()
left = 4095 - len("deep")
os.mkdir("deep")
os.chdir("deep")
while left > 1:
    n = min(255, left - 1)
    if 0 < left - 1 - n < 2:
        n -= 2
    name = "p" * n
    left -= n + 1
    if left <= 1:
        put(name)
    else:
        os.mkdir(name)
        os.chdir(name)
os.chdir(here)
os.mkdir("times")
for n, ns in enumerate((0, 1, 999999999, 1718000000123456789, 4102444800000000001, -1000000001)):
    put("times/%d" % n)
    os.utime("times/%d" % n, ns=(ns, ns))
os.symlink("nowhere", "times/link")
os.chown("times/link", 12, 34, follow_symlinks=False)
os.utime("times/link", ns=(5, 1234567890987654321), follow_symlinks=False)
os.mkdir("sparse")
for name, pieces in (("hole", ()), ("middle", (10_000_000,)), ("ends", (0, 29_999_999))):
    with open("sparse/" + name, "wb") as f:
        f.truncate(30_000_000)
        for at in pieces:
            f.seek(at)
            f.write(b"!")
os.link("sparse/middle", "sparse/middle again")
put("sparse/full", bytes(300_000))
os.mkdir("links")
put("links/00000")
for n in range(1, 10_000):
    os.link("links/00000", "links/%05d" % n)
os.mkdir("modes")
for mode in (0o0, 0o400, 0o1644, 0o2755, 0o4755, 0o6755, 0o7777):
    put("modes/%04o" % mode)
    os.chown("modes/%04o" % mode, 1234, 54321)
    os.chmod("modes/%04o" % mode, mode)
    os.mkdir("modes/d%04o" % mode)
    os.chmod("modes/d%04o" % mode, mode)
os.mkfifo("fifo", 0o620)
os.mknod("char", stat.S_IFCHR | 0o666, os.makedev(1, 3))
os.mknod("block", stat.S_IFBLK | 0o660, os.makedev(4095, 1048575))
os.mkdir("attributes")
put("attributes/all")
put("attributes/acl")
for path in ("attributes", "attributes/all"):
    os.setxattr(path, "user.colour", b"red\0\n\xff")
    os.setxattr(path, "user.empty", b"")
    os.setxattr(path, "trusted.pecia", b"t")
    os.setxattr(path, "security.pecia", b"s" * 1000)
os.symlink("all", "attributes/link")
os.setxattr("attributes/link", "trusted.pecia", b"on a link", follow_symlinks=False)
s = socket.socket(socket.AF_UNIX)
s.bind("socket")
PYTHON
setfacl -m u:daemon:rx,g:bin:rw "$S/attributes/acl"
setfacl -d -m u:daemon:rwx "$S/attributes"
echo privileged >"$S/attributes/capable"
setcap cap_net_raw+ep "$S/attributes/capable" || skip "no file capabilities"
mkdir "$S/flags" "$S/flags/append"
for name in append/in immutable both; do
	echo $name >"$S/flags/$name"
done
touch -d @1500000000.987654321 "$S/flags/append" "$S/flags" "$S/attributes"
set_flags() {
	chattr +a "$S/flags/append" "$S/flags/append/in" &&
		chattr +i "$S/flags/immutable" && chattr +ai "$S/flags/both" &&
		chattr +i "$S/flags"
}
set_flags || skip "no flags of chattr"

cat >"$T/release.conf" <<CONF
[transcript all]
source = $S
target = /
mode = exact
owner = numeric
devices = yes
[profile default]
transcripts = all
[host *]
profile = default
CONF
origin_init --org test
publish "$T/release.conf"
check "the socket is told of" grep -q "socket" "$T/publish.out"
rm "$S/socket"
publish "$T/release.conf"
origin_up

# seen DIR [LESS]: all that independent tools say of it; LESS without
# attributes and flags.
seen() (
	cd "$1" || exit
	find . -printf '%p\001%y %m %U %G %T@ %l\0' | sort -z | tr '\0' '\n'
	find . ! -type d -printf '%p\001%n %s\0' | sort -z | tr '\0' '\n'
	stat -c '%t:%T' char block
	[ -n "${2-}" ] && return
	stat -c '%n %b' sparse/*
	# These know no paths as long as the longest.
	find . -path ./deep -prune -o -path ./links -prune -o -print0 | sort -z >"$T/paths"
	xargs -0 getfattr -h -d -m - -e hex -- <"$T/paths" 2>&1
	find . -path ./deep -prune -o -path ./links -prune -o ! -type l -print0 | sort -z |
		xargs -0 getfacl -n -p -- 2>&1
	# How ext4 stores something is its own business.
	find . -path ./deep -prune -o -path ./links -prune -o \( -type f -o -type d \) -print0 |
		sort -z | xargs -0 lsattr -d -- 2>&1 | sed ':again; s/^\([-a-zA-Z]*\)[eIN]/\1-/; t again'
)
# same ROOT [LESS]
same() {
	seen "$S" "${2-}" >"$T/source.seen"
	seen "$1" "${2-}" >"$T/root.seen"
	diff -a "$T/source.seen" "$T/root.seen" | head -n 20 | cut -c 1-200
	cmp -s "$T/source.seen" "$T/root.seen" || return 1
	if [ -n "${2-}" ]; then
		rsync -naHic --delete "$S/" "$1/" >"$T/rsync.out" 2>&1
	else
		rsync -naAXHic --delete "$S/" "$1/" >"$T/rsync.out" 2>&1
	fi && [ ! -s "$T/rsync.out" ] && return
	head -n 20 "$T/rsync.out" | cut -c 1-200
	return 1
}

# target NAME DIR: a client whose root is there.
target() {
	mkdir "$2" && ln -s "$2" "$T/link" && client_init "$1"
	rm -rf "$T/root-$1" "$T/link"
	ln -s "$2" "$T/root-$1"
}

# round_trip NAME DIR [LESS]: applied, the same, and nothing to do any more.
round_trip() {
	check "$1: applied" client "$1" run --server "$origin"
	check "$1: nothing differs" same "$2" "${3-}"
	check "$1: nothing to change" client "$1" run --server "$origin"
	says "nothing to change"
	check "$1: verify" client "$1" verify
}

target disk "$T/ext4/root"
round_trip disk "$T/ext4/root"

# ---- changed where nothing may be, and brought back ----

R=$T/ext4/root
chattr -i "$R/flags" "$R/flags/immutable" && rm "$R/flags/immutable"
chattr -a "$R/flags/append"
rm -r "$R/attributes/all" && mkdir "$R/attributes/all" && echo >"$R/attributes/all/x" &&
	chattr +i "$R/attributes/all/x" "$R/attributes/all"
rm "$R/fifo" && ln -s flags "$R/fifo"
rm "$R/times/0" && mkfifo "$R/times/0"
mkdir "$R/unlisted" && echo >"$R/unlisted/x" && chattr +i "$R/unlisted/x" && chattr +a "$R/unlisted"
chattr +a "$R/times/1"
setfattr -x user.colour "$R/attributes"
round_trip disk "$R"

# ---- one by one out of what was kept ----

flags_of() {
	lsattr -d "$R/$1" | cut -d ' ' -f 1 | tr -dc ia
}
# restored PATH FLAGS
restored() {
	check "restore $1" client disk bucket restore "$1"
	check "its flags are '$2'" test "$(flags_of "$1")" = "$2"
}
restored unlisted a
restored unlisted/x i
restored times/1 a
restored times/1 a # in its own way
restored flags/append ""
check "what holds it keeps its flags" test "$(flags_of flags)" = i
round_trip disk "$R"

# ---- in memory: all the same, or named and waived ----

waive() {
	printf '[main]\nignore = %s\n' "$*" >"$T/client.conf"
}

target memory "$T/tmpfs/root"
if client memory run --server "$origin" >"$T/out" 2>&1; then
	round_trip memory "$T/tmpfs/root"
else
	matches '(attributes|flags)/.*: (attribute|flags).*ignore = '
	check "nothing is left" test -z "$(ls -A "$T/tmpfs/root")"
	waive 'xattr:* flags'
	round_trip memory "$T/tmpfs/root" less
fi

# A file system with no attributes, ACLs or flags at all.
waive owner
target bare "$T/ramfs/root"
check_exit 1 "no flags" client bare run --server "$origin"
matches 'flags: flags \(.ignore = flags. leaves them out\)'
check "nothing is left" test -z "$(ls -A "$T/ramfs/root")"
waive flags
check_exit 1 "no attributes" client bare run --server "$origin"
matches '^pecia: attributes.*: attribute .* \(.ignore = xattr:.*. leaves it out\)'
check "nothing is left" test -z "$(ls -A "$T/ramfs/root")"
waive 'xattr:*' flags
round_trip bare "$T/ramfs/root" less

# What is there already is tried out as well, before anything changes.
setfattr -n user.late -v x "$S/links/00000" && echo new >"$S/names/-n"
publish "$T/release.conf"
waive flags
picture "$T/ramfs/root" >"$T/before"
check_exit 1 "a new attribute" client bare run --server "$origin"
matches 'attribute'
picture "$T/ramfs/root" >"$T/after"
check "nothing has changed" diff "$T/before" "$T/after"
done_checks
