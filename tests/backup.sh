#!/usr/bin/env bash
# run: parallel
# run: limit 120
# peciactl backup and restore: what is in it, who can open it, what is refused.
# shellcheck disable=SC2317 # check and refuses call functions
set -uo pipefail
cd "$(dirname "$0")/.." || exit 1
# shellcheck source=tests/e2e.sh
. tests/e2e.sh
need python3 openssl tar cmp
e2e_begin

K=$PECIA_KEYS
B=$T/vault/backup
mkdir "$T/vault" "$T/tree" "$T/etc"
echo one >"$T/tree/file"
origin_init --org test
publish "base=$T/tree:/data"
printf '[release]\n' >"$T/etc/site.conf"
echo 'correct horse battery staple' >"$T/pass"
echo 'wrong' >"$T/wrong"
head -c 32 /dev/urandom >"$T/key"
head -c 32 /dev/urandom >"$T/other-key"

by_pass=(--passphrase-file "$T/pass")
by_key=(--key-file "$T/key")
is() {
	[ "$1" = "$2" ] || { echo "$1 is not $2" && return 1; }
}

# ---- made, listed, restored ----

check "a backup" peciactl backup "$B" "$T/etc/site.conf" "${by_key[@]}"
for entry in keys/root.pem keys/release.pem keys/head.pem identity/key.pem identity/cert.pem \
	policy/site.conf repository/root/1 repository/roster repository/channel/production; do
	says "  $entry"
done
check "is private" is "$(stat -c %a "$B")" 600
check "leaves nothing beside it" is "$(ls -A "$T/vault")" backup
check "is listed" peciactl backup --list "$B" "${by_key[@]}"
says "keys/root.pem"
check "without keys in clear" sh -c "! grep -aq 'PRIVATE KEY' '$B'"
cp "$B" "$T/first"
refuses 1 "--force replaces it" peciactl backup "$B" "${by_key[@]}"
check "is what it was" cmp "$B" "$T/first"
check "--force" peciactl backup "$B" --force "${by_key[@]}"
check "takes *.conf beside the keys" peciactl backup --list "$B" "${by_key[@]}"
says policy/client.conf
check "another salt each time" sh -c "! cmp -s '$B' '$T/first'"

check "restored elsewhere" peciactl --keys "$T/new/keys" restore "$B" "${by_key[@]}"
says "6 files restored"
for file in root.pem release.pem head.pem identity/key.pem identity/cert.pem; do
	check "$file is the same" cmp "$K/$file" "$T/new/keys/$file"
	check "$file is private" is "$(stat -c %a "$T/new/keys/$file")" 600
done
check "policy is beside them" cmp "$T/client.conf" "$T/new/keys/policy/client.conf"
check "restored again" peciactl --keys "$T/new/keys" restore "$B" "${by_key[@]}"
says "0 files restored, 6 were there"
rm "$T/new/keys/head.pem" "$T/new/keys/identity/key.pem"
check "what a cut left out" peciactl --keys "$T/new/keys" restore "$B" "${by_key[@]}"
says "2 files restored, 4 were there"
check "publishes" peciactl --keys "$T/new/keys" publish "base=$T/tree:/data" -m again

# ---- refused, and nothing changed ----

refuses 1 "wrong key file" peciactl backup --list "$B" --key-file "$T/other-key"
refuses 1 "give --key-file" peciactl backup --list "$B" "${by_pass[@]}"
refuses 1 "random ones at least" peciactl backup "$T/x" --key-file "$T/wrong"
refuses 2 "not both" peciactl backup "$T/x" "${by_key[@]}" "${by_pass[@]}"
refuses 2 "needs a FILE" peciactl restore
: >"$T/empty"
refuses 1 "its first line is empty" peciactl backup "$T/x" --passphrase-file "$T/empty"
refuses 1 "no terminal to ask" peciactl backup "$T/x"
refuses 1 "no key is in" peciactl --keys "$T/none" backup "$T/x" "${by_key[@]}"
refuses 1 "lost.conf" peciactl backup "$T/x" "$T/lost.conf" "${by_key[@]}"
check "no file after all that" test ! -e "$T/x"

damage() { # NAME WORD PYTHON: of the bytes b
	python3 -c "b = bytearray(open('$B', 'rb').read())
$3
open('$T/damaged', 'wb').write(b)"
	refuses 1 "$2" peciactl --keys "$T/never" restore "$T/damaged" "${by_key[@]}"
	check "$1: nothing was written" test ! -e "$T/never"
}
damage "a bit of the content" "or the file was changed" 'b[len(b) // 2] ^= 1'
damage "a bit of the seal" "or the file was changed" 'b[-1] ^= 0x80'
damage "the date" "or the file was changed" 'b = b.replace(b"made 20", b"made 21", 1)'
damage "cut short" "was it cut short" 'del b[-1]'
damage "longer" "was it cut short" 'b += b"x"'
damage "another format" "not a backup" 'b = b"PK" + b"x" * 100000'
damage "a gigabyte for scrypt" "scrypt" 'b = b.replace(b"scrypt 16384 8 1", b"scrypt 1048576 8 1", 1)'
damage "years of scrypt" "scrypt" 'b = b.replace(b"scrypt 16384 8 1", b"scrypt 16384 8 999", 1)'

echo >>"$T/new/keys/head.pem"
rm "$T/new/keys/root.pem"
refuses 1 "head.pem is there already and differs" peciactl --keys "$T/new/keys" restore "$B" "${by_key[@]}"
check "and the missing one was not written" test ! -e "$T/new/keys/root.pem"

peciactl --repo "$T/stranger" --keys "$T/stranger-keys" init >"$T/out" 2>&1 || fail "init"
refuses 1 "of another repository" peciactl --repo "$T/stranger" --keys "$T/never" restore "$B" "${by_key[@]}"
check "nothing was written" test ! -e "$T/never"
check "without a repository it is restored" peciactl --repo "$T/no-repo" --keys "$T/alone" restore "$B" "${by_key[@]}"
says "not compared with a repository"

# ---- without root.pem, with a passphrase ----

mv "$K/root.pem" "$T/usb.pem"
check "without root.pem" peciactl backup "$T/pass-backup" "${by_pass[@]}"
says "root.pem is not there and not in the backup"
mv "$T/usb.pem" "$K/root.pem"
refuses 1 "wrong passphrase" peciactl --keys "$T/never" restore "$T/pass-backup" --passphrase-file "$T/wrong"
refuses 1 "no key file" peciactl --keys "$T/never" restore "$T/pass-backup" "${by_key[@]}"

# Asked for at a terminal: what was typed is not shown, and two must be the same.
cat >"$T/type_in.py" <<'PYTHON'
import os, pty, sys
answers, command = sys.argv[1].encode().decode("unicode_escape").split("|"), sys.argv[2:]
pid, fd = pty.fork()
if pid == 0:
    os.execvp(command[0], command)
shown = b""
for answer in answers:
    while not shown.endswith(b": "):
        shown += os.read(fd, 1)
    os.write(fd, answer.encode())
    shown += b"\n"
try:
    while part := os.read(fd, 4096):
        shown += part
except OSError:
    pass
_, status = os.waitpid(pid, 0)
print(shown.decode())
sys.exit(os.waitstatus_to_exitcode(status))
PYTHON
typed() { # ANSWERS COMMAND...
	python3 "$T/type_in.py" "$@"
}
refuses 1 "these two differ" typed 'one\n|two\n' peciactl backup "$T/typed"
refuses 1 "protects nothing" typed '\n' peciactl backup "$T/typed"
refuses 1 "no passphrase was given" typed '\x03' peciactl backup "$T/typed"
check "none was made" test ! -e "$T/typed"
check "typed twice" typed 'gu ess\n|gu ess\n' peciactl backup "$T/typed"
check "is not shown" sh -c "! grep -q 'gu ess' '$T/out'"
check "asked once" typed 'gu ess\n' peciactl backup --list "$T/typed"
says keys/release.pem

# ---- with stock tools, as doc/formats.md says ----

sed -n '/^## Opening a backup by hand/,$p' doc/formats.md | sed -n 's/^    //p' >"$T/by-hand.sh"
mkdir "$T/hand"
check "the document's commands" env FILE="$B" SECRET="$T/key" sh -euc "cd '$T/hand' && . '$T/by-hand.sh'"
check "give the key" cmp "$K/release.pem" "$T/hand/keys/release.pem"
damage "by hand" "or the file was changed" 'b[len(b) // 2] ^= 1'
check_exit 1 "and find what was changed" \
	env FILE="$T/damaged" SECRET="$T/key" sh -euc "cd '$T/hand' && . '$T/by-hand.sh'"

# ---- no place for it ----

mkdir -m 500 "$T/closed"
[ "$(id -u)" = 0 ] ||
	refuses 1 "Permission denied" peciactl backup "$T/closed/b" "${by_key[@]}"
refuses 1 "No such file" peciactl backup "$T/nowhere/b" "${by_key[@]}"

done_checks
