#!/usr/bin/env bash
# run: parallel
# Mirrors that are spread: news are heard at once and fetched later, by the
# host's own share of splay; what is newer meanwhile takes that turn.
# shellcheck disable=SC2317 # functions that check and wait_for call
set -uo pipefail
cd "$(dirname "$0")/.." || exit 1
# shellcheck source=tests/e2e.sh
. tests/e2e.sh
need python3 rsync
e2e_begin

serial_is() { # REPO SERIAL
	grep -qx "serial $2" "$1/v1/channel/production"
}
release() { # N
	echo "$1" >"$T/tree/motd"
	publish "tree=$T/tree:/data" --exact
}
heard() { # SERIAL: of the upstream
	metrics_of "${mirror[m1]}" >"$T/metrics"
	grep -q "^pecia_upstream_serial{.*} $1$" "$T/metrics"
}
# A splay of which this host's share is so much.
splay_of() { # SECONDS
	python3 - "$1" <<-'PYTHON'
		import hashlib, os, sys
		name = hashlib.sha256(os.uname().nodename.encode()).hexdigest()
		share = int(sys.argv[1])
		print(next(n for n in range(share + 1, 86401) if int(name[:16], 16) % n == share))
	PYTHON
}

printf '[main]\nsplay = 2d\n' >"$T/bad.conf"
refuses 64 "splay: more than a day" peciad --config "$T/bad.conf" --repo "$T/x" \
	--identity "$T/x" --upstream x

mkdir -p "$T/tree"
origin_init --org test --address 127.0.0.1
release 1
origin_up
splay=$(splay_of 8)
[ -n "$splay" ] || splay=$(splay_of 9)
[ -n "$splay" ] || skip "this host's name has no small share of a day"
printf '[main]\nsplay = %s\n' "$splay" >"$T/none.conf"
mirror_up m1 "$origin" --workers 1
check "the first does not wait" wait_for 6 serial_is "$T/mirror-m1" 1
release 2
check "news are heard at once" wait_for 6 heard 2
check "and wait" serial_is "$T/mirror-m1" 1
release 3
check "the next is heard" wait_for 6 heard 3
check "and waits" serial_is "$T/mirror-m1" 1
check "the turn comes" wait_for 20 serial_is "$T/mirror-m1" 3
replicated() { # TIMES SERIAL
	[ "$(grep -c "replicated channel=production serial=$2" "$T/mirror-m1.log")" = "$1" ]
}
check "for the newest" replicated 1 3
check "and not for the one before it" replicated 0 2
printf '[main]\n' >"$T/none.conf"
kill -HUP "${mirror_pid[m1]}"
release 4
check "without splay nothing waits" wait_for 20 serial_is "$T/mirror-m1" 4
done_checks
