# Sourced by scripts that need hosts: network namespaces with an origin, sites
# behind routers, name servers, and the programs started on them.
#
#     . tests/net.sh
#     net_begin                  skips (77) where namespaces are not allowed
#     net_origin                 $NET-origin, 10.77.0.1
#     net_site a 1               $NET-a-{router,mirror,client}, 10.77.1.0/24,
#                                zone site-a.example, its name server
#     net_line OPTION...         sites that follow are behind lines as these options
#                                of tests/tool_wanem.c say
#     cut_line SITE, join_line SITE   nothing crosses it any longer; again
#     on NAME COMMAND...         runs a command on a host
#     start NAME LOG COMMAND...  runs it in the background; $started is its pid
#     wait_for SECONDS COMMAND.. until the command succeeds
#
# Everything is taken down at exit; only processes started here are ended.
# shellcheck shell=bash

NET=pecia$$
net_dir=$(mktemp -d "${TMPDIR:-/tmp}/pecia-net.XXXXXX")
net_pids=()
net_namespaces=()

net_end() {
	local pid ns
	exec 9>&-
	for pid in "${net_pids[@]}"; do
		kill "$pid" 2>/dev/null
	done
	for pid in "${net_pids[@]}"; do
		wait "$pid" 2>/dev/null
	done
	for ns in "${net_namespaces[@]}"; do
		ip netns del "$ns" 2>/dev/null
		rm -rf "/etc/netns/$ns"
	done
	rmdir /etc/netns 2>/dev/null
	rm -rf "$net_dir"
}

net_skip() {
	echo "$1"
	exit 77
}

net_add() {
	ip netns add "$1" || return 1
	net_namespaces+=("$1")
	ip -n "$1" link set lo up
}

# In a chroot / is no mount point, and `ip netns exec` wants one: the script
# begins again where it is, seen by nobody else.
net_mount_root() {
	mountpoint -q / && return
	[ -z "${NET_MOUNTED-}" ] || net_skip "the root directory cannot be made a mount point"
	# shellcheck disable=SC2016 # for the inner shell
	NET_MOUNTED=1 exec unshare -m --propagation unchanged bash -c \
		'mount --rbind / /mnt && exec chroot /mnt bash -c '\''cd "$1" && shift && exec "$@"'\'' - "$@"' \
		- "$PWD" "$0" "$@"
}

net_begin() {
	[ "$(id -u)" = 0 ] || net_skip "needs root for network namespaces"
	net_mount_root "$@"
	trap net_end EXIT
	trap 'exit 130' INT TERM
	net_add "$NET-wan" 2>/dev/null ||
		net_skip "network namespaces are not allowed here"
	ip -n "$NET-wan" link add br0 type bridge
	ip -n "$NET-wan" link set br0 up
	# Name servers live as long as this descriptor.
	mkfifo "$net_dir/alive"
	exec 9<>"$net_dir/alive"
}

# net_plug NS IF ADDRESS BRIDGE_NS PORT: a cable from NS to a bridge.
net_plug() {
	ip -n "$1" link add "$2" type veth peer name "$5" netns "$4"
	ip -n "$4" link set "$5" master br0
	ip -n "$4" link set "$5" up
	ip -n "$1" addr add "$3" dev "$2"
	ip -n "$1" link set "$2" up
}

net_origin() {
	net_add "$NET-origin"
	net_plug "$NET-origin" eth0 10.77.0.1/16 "$NET-wan" origin
	ip -n "$NET-origin" addr flush dev eth0
	ip -n "$NET-origin" addr add 10.77.0.1/24 dev eth0
}

# net_host NS SITE ADDRESS NUMBER
net_host() {
	net_add "$1"
	net_plug "$1" eth0 "$3/24" "$NET-$2-router" "p${3##*.}"
	ip -n "$1" route add default via "10.77.$4.254"
	mkdir -p "/etc/netns/$1"
	printf 'search site-%s.example\nnameserver 10.77.%s.10\n' "$2" "$4" \
		>"/etc/netns/$1/resolv.conf"
}

net_line_options=()
declare -A net_line_pid=() net_line_cut=() net_edge=()

net_line() {
	net_line_options=("$@")
}

# net_far_end SITE NUMBER: the provider's router, and the line to the site's.
net_far_end() {
	local router=$NET-$1-router far=$NET-$1-far log=$net_dir/line-$1
	net_add "$far"
	net_plug "$far" wan "10.77.0.$((100 + $2))/24" "$NET-wan" "site-$1"
	ip netns exec "$far" sysctl -qw net.ipv4.ip_forward=1
	tool_wanem "${net_line_options[@]}" "$far" "$router" "line-$1" >"$log" 2>&1 9>&- &
	net_line_pid[$1]=$!
	net_pids+=($!)
	wait_for 10 grep -q ready "$log" || net_skip "no TUN devices here: $(cat "$log")"
	ip -n "$router" link set "line-$1" name wan
	ip -n "$router" addr add "10.78.$2.2/32" peer "10.78.$2.1" dev wan
	ip -n "$router" link set wan up
	ip -n "$router" route add default dev wan
	ip -n "$far" addr add "10.78.$2.1/32" peer "10.78.$2.2" dev "line-$1"
	ip -n "$far" link set "line-$1" up
	ip -n "$far" route add "10.77.$2.0/24" dev "line-$1"
	net_edge[$1]=$far
}

cut_line() {
	[ -n "${net_line_cut[$1]-}" ] || kill -USR1 "${net_line_pid[$1]}"
	net_line_cut[$1]=1
}

join_line() {
	[ -z "${net_line_cut[$1]-}" ] || kill -USR1 "${net_line_pid[$1]}"
	net_line_cut[$1]=
}

# net_site SITE NUMBER: router, mirror (with the name server) and client.
net_site() {
	local router=$NET-$1-router edge other
	net_add "$router"
	ip -n "$router" link add br0 type bridge
	ip -n "$router" link set br0 up
	ip -n "$router" addr add "10.77.$2.254/24" dev br0
	ip netns exec "$router" sysctl -qw net.ipv4.ip_forward=1
	if [ ${#net_line_options[@]} -eq 0 ]; then
		net_plug "$router" wan "10.77.0.$((100 + $2))/24" "$NET-wan" "site-$1"
		net_edge[$1]=$router
	else
		net_far_end "$1" "$2"
	fi
	edge=${net_edge[$1]}
	net_host "$NET-$1-mirror" "$1" "10.77.$2.10" "$2"
	net_host "$NET-$1-client" "$1" "10.77.$2.100" "$2"
	ip -n "$NET-origin" route add "10.77.$2.0/24" via "10.77.0.$((100 + $2))"
	for other in "${net_sites[@]}"; do
		ip -n "$edge" route add "10.77.$other.0/24" via "10.77.0.$((100 + other))"
		ip -n "${net_edge[${net_site_of[$other]}]}" route add \
			"10.77.$2.0/24" via "10.77.0.$((100 + $2))"
	done
	net_sites+=("$2")
	net_site_of[$2]=$1
	net_names "$1" "$2"
}
net_sites=()
declare -A net_site_of=()

# The zones are the same at each site's name server: only search lists differ.
net_names() {
	cat >"$net_dir/rules" <<-RULES
		origin.example A a=10.77.0.1
		pecia.site-a.example A a=10.77.1.10
		pecia.site-b.example A a=10.77.2.10
		pecia.site-c.example A a=10.77.3.10
		_pecia._tcp.up.example SRV srv=0,0,7440,origin.example
		*.example * nxdomain
		*.site-a.example * nxdomain
		*.site-b.example * nxdomain
		*.site-c.example * nxdomain
	RULES
	ip netns exec "$NET-$1-mirror" python3 tests/dnsd.py --address "10.77.$2.10" \
		--port 53 "$net_dir/rules" "$net_dir/dns-$1.log" \
		<"$net_dir/alive" >"$net_dir/dns-$1.out" 9>&- &
	net_pids+=($!)
	wait_for 10 grep -q ready "$net_dir/dns-$1.out"
}

on() {
	ip netns exec "$NET-$1" "${@:2}"
}

start() {
	: >"$2" # what an earlier process said must not pass for this one's
	ip netns exec "$NET-$1" "${@:3}" >"$2" 2>&1 9>&- &
	started=$!
	net_pids+=("$started")
}

# end PID [SIGNAL]: ends a process that start began.
end() {
	kill "-${2:-TERM}" "$1" 2>/dev/null
	wait "$1" 2>/dev/null
	return 0
}

wait_for() {
	local until=$((SECONDS + $1))
	shift
	until "$@" >/dev/null 2>&1; do
		if [ "$SECONDS" -ge "$until" ]; then
			echo "waited in vain for: $*" >&2
			return 1
		fi
		sleep 0.05
	done
}

# wan_bytes SITE: bytes that crossed the site's line so far, both ways.
wan_bytes() {
	ip netns exec "$NET-$1-router" cat \
		/sys/class/net/wan/statistics/{rx,tx}_bytes | awk '{ n += $1 } END { print n }'
}
