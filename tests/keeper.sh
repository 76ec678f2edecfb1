#!/usr/bin/env bash
# The keeper: a bit is flipped in every kind of stored file, of an origin and of
# a mirror; it is found, put into quarantine and fetched again from the other.
# run: parallel
# shellcheck disable=SC2317 # functions that check and wait_for call
set -uo pipefail
# shellcheck source=tests/faults.sh
. "$(dirname "$0")/faults.sh"
need python3 rsync
faults_begin

is_well() { # REPO
	peciactl --repo "$1" verify --anchor "$anchor"
}
in_quarantine() { # REPO PATH...: these and no others
	diff <(cd "$1/quarantine" 2>/dev/null && find . -type f -printf '%P\n' | sort) \
		<(printf '%s\n' "${@:2}" | sort)
}
# Well, with what was wrong in quarantine.
is_mended() { # REPO PATH...
	local file
	for file in "${@:2}"; do
		[ -e "$1/$file" ] || return 1
	done
	in_quarantine "$@" && is_well "$1"
}

mkdir "$T/tree"
for i in $(seq 20); do
	seq "$i" $((i * 100)) >"$T/tree/file$i"
done
head -c 6000000 /dev/urandom >"$T/tree/large"
origin_init --org test
publish "tree=$T/tree:/" --exact
printf '[main]\nkeeper_delay = 0\nscrub_rate = 1G\nscrub_interval = 1\ncollect_interval = 1\n' \
	>"$T/none.conf"
origin_up
mirror_up m "$origin"
mirror_at m 1
echo "a small file" >"$T/tree/small"
publish "tree=$T/tree:/" --exact
mirror_at m 2
peciactl mirror remove m >"$T/out" 2>&1 || fail "mirror remove"
peciactl mirror add m --site site-m --address "${mirror[m]}" \
	--key "$(peciad --identity "$T/id-m" --show-identity)" >"$T/out" 2>&1 || fail "mirror add"

kinds=("$(object_of "$T/tree/small")" "$(object_of "$T/tree/large")"
	"v1/manifest/$(of_release manifest)" "v1/data/$(of_release data)"
	"v1/release/$(of_release release)" "v1/release/$(of_release previous)")

# ---- an origin, from its mirror ----

# With it whoever writes next would remove by himself what is not whole.
check "publishers leave no mark" test ! -e "$PECIA_REPO/unsynced"
for file in "${kinds[@]}"; do
	flip "$PECIA_REPO/$file"
done
check "the origin mends itself" wait_for 60 is_mended "$PECIA_REPO" "${kinds[@]}"
for file in "${kinds[@]}"; do
	check "it was told: $file" grep -q "damaged file path=$file " "$T/origin.log"
done
check "and from where" wait_for 10 grep -q "repaired from=.* files=" "$T/origin.log"
client_init c
check "a client" client c run --server "$origin"
check "has all" same_tree "$T/tree" "$T/root-c"

# What it signs itself stays: a publisher without a head would begin again.
cp "$PECIA_REPO/v1/channel/production" "$T/head"
flip "$PECIA_REPO/v1/channel/production"
check "a wrong head of an origin is told" wait_for 20 \
	grep -q 'damaged file path=v1/channel/production .*by hand' "$T/origin.log"
check "and not moved" test -e "$PECIA_REPO/v1/channel/production"
refuses 1 production peciactl publish "tree=$T/tree:/" --exact
cp "$T/head" "$T/head.new"
mv "$T/head.new" "$PECIA_REPO/v1/channel/production"

# ---- a mirror, from its upstream: what is signed, too ----

copy=$T/mirror-m
all=("${kinds[@]}" v1/root/1 v1/roster v1/channel/production)
for file in "${all[@]}"; do
	flip "$copy/$file"
done
check "the mirror mends itself" wait_for 60 is_mended "$copy" "${all[@]}"
for file in "${all[@]}"; do
	check "it was told: $file" grep -q "damaged file path=$file " "$T/mirror-m.log"
done
client_init d
check "a client of it" client d run --server "${mirror[m]}"
check "has all" same_tree "$T/tree" "$T/root-d"

# ---- what is missing, and a restart ----

stop "$origin_pid" KILL
rm "$PECIA_REPO/${kinds[0]}" "$PECIA_REPO/${kinds[2]}"
origin_up
check "what vanished is fetched again" wait_for 60 is_well "$PECIA_REPO"

# ---- nobody has it ----

stop "${mirror_pid[m]}"
stop "$origin_pid" KILL
mv "$PECIA_REPO/${kinds[1]}" "$T/kept"
origin_up
check "what nobody has is told" wait_for 20 grep -q "files lacking files=1$" "$T/origin.log"
check "the rest is served" peciactl show
mv "$T/kept" "$PECIA_REPO/${kinds[1]}"
stop "$origin_pid"

# ---- what makes no sense ----

for line in "keep_releases = many" "keep_age = never" "keep_bytes = 1X" "scrub_rate = fast" "keeper_delay = x"; do
	printf '[main]\n%s\n' "$line" >"$T/wrong.conf"
	refuses 64 "${line%% *}" peciad --config "$T/wrong.conf" --repo "$PECIA_REPO" \
		--identity "$PECIA_KEYS/identity" --listen "$listen"
done
done_checks
