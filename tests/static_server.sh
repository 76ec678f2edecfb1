#!/usr/bin/env bash
# run: parallel
# run: limit 300
# A web server that knows nothing of us serves a copy of the repository under a
# rostered key: a client and a mirror use it as they use peciad.
# shellcheck disable=SC2317 # check and wait_for call functions
set -uo pipefail
cd "$(dirname "$0")/.." || exit 1
# shellcheck source=tests/e2e.sh
. tests/e2e.sh
need nginx rsync openssl
e2e_begin
[ "$(id -u)" = 0 ] || printf 'ignore = owner\n' >>"$T/client.conf"

free_port() {
	python3 -c 'import socket; s = socket.create_server(("127.0.0.1", 0)); print(s.getsockname()[1])'
}

# Any port that is free; another one, should somebody be faster.
nginx_up() {
	local try
	mkdir -p "$T/nginx"
	for try in 1 2 3 4 5; do
		port=$(free_port)
		cat >"$T/nginx/conf" <<-CONF
			daemon off;
			worker_processes 1;
			$([ "$(id -u)" != 0 ] || echo 'user root;')
			pid "$T/nginx/pid";
			error_log "$T/nginx/error.log";
			events { worker_connections 64; }
			http {
				log_format line '\$request_method \$uri \$status \$body_bytes_sent';
				access_log "$T/nginx/access.log" line;
				client_body_temp_path "$T/nginx/body";
				proxy_temp_path "$T/nginx/proxy";
				fastcgi_temp_path "$T/nginx/fastcgi";
				uwsgi_temp_path "$T/nginx/uwsgi";
				scgi_temp_path "$T/nginx/scgi";
				server {
					listen 127.0.0.1:$port ssl;
					ssl_protocols TLSv1.3;
					ssl_certificate "$T/id-static/cert.pem";
					ssl_certificate_key "$T/id-static/key.pem";
					root "$PECIA_REPO";
				}
			}
		CONF
		launch "$T/nginx/out" nginx -c "$T/nginx/conf" -e "$T/nginx/error.log"
		wait_for 20 answers_or_died "$started" || fail "nginx: $(cat "$T/nginx/"*.log)"
		kill -0 "$started" 2>/dev/null && return
	done
	fail "nginx: try $try: $(cat "$T/nginx/error.log")"
}
answers_or_died() {
	! kill -0 "$1" || openssl s_client -connect "127.0.0.1:$port" </dev/null
}
# count METHOD PATH STATUS: as nginx logged them.
count() {
	grep -c "^$1 $2[^ ]* $3 " "$T/nginx/access.log"
}

mkdir -p "$T/tree/sub"
for ((i = 0; i < 40; i++)); do
	seq "$i" $((i * 50)) >"$T/tree/sub/file$i"
done
head -c 300000 /dev/urandom >"$T/tree/large"
ln -s sub/file3 "$T/tree/link"
origin_init --org test
mirror_add static
publish "tree=$T/tree:/" --exact
nginx_up

client_init a
client_run a "127.0.0.1:$port"
check "the client has what was published" same_tree "$T/tree" "$T/root-a"
check "it asked for objects one by one" test "$(count GET /v1/object/ 200)" -ge 39
check "it tried POST once at most" test "$(count POST /v1/objects '...')" -le 1
picture_of_quiet "$T/root-a" "$T/state-a" >"$T/before"
client_run a "127.0.0.1:$port"
says "nothing to change"
picture_of_quiet "$T/root-a" "$T/state-a" >"$T/after"
check "a second run writes its summary only" diff "$T/before" "$T/after"

printf 'a line more\n' >>"$T/tree/large"
echo new >"$T/tree/sub/new"
rm "$T/tree/sub/file7"
publish "tree=$T/tree:/" --exact
objects=$(count GET /v1/object/ 200)
client_run a "127.0.0.1:$port"
check "the client has the change" same_tree "$T/tree" "$T/root-a"
check "it came as data transcript" test "$(count GET /v1/data/ 200)" = 1
check "and not as objects" test "$(count GET /v1/object/ 200)" = "$objects"

publish "tree=$T/tree:/" --exact --channel another
mirror_up m "127.0.0.1:$port"
mirror_at m 2
check "its mirror is complete" peciactl --repo "$T/mirror-m" verify
echo newer >"$T/tree/sub/newer"
publish "tree=$T/tree:/" --exact --channel another
check "one channel's answers do not hide another's" \
	wait_for 60 serial_is "$T/mirror-m" 2 another
publish "tree=$T/tree:/" --exact
mirror_at m 3
client_init b
client_run b "${mirror[m]}"
check "a client of that mirror has all" same_tree "$T/tree" "$T/root-b"

# Without long poll a mirror asks from time to time, and not all the time.
polls=$(count GET /v1/channel/ '...')
sleep 3
check "the mirror does not ask in a hurry" \
	test $(($(count GET /v1/channel/ '...') - polls)) -le 6
done_checks
