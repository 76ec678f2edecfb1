/* Listening sockets, made by peciad's supervisor before it gives up the right
 * to bind low ports. */
#include "common/http_server.h"

#include <arpa/inet.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>
#include <unistd.h>

#include "common/limits.h"
#include "common/text.h"

#define BACKLOG 1024

static int
listen_at(const struct addrinfo *ai, int *fd, struct err *e)
{
	const int on = 1, off = 0;
	int sock = socket(ai->ai_family,
	    ai->ai_socktype | SOCK_CLOEXEC | SOCK_NONBLOCK, ai->ai_protocol);
	int rc;

	if (sock < 0)
		return err_sys(e, "socket");
	if (setsockopt(sock, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on)) != 0)
		rc = err_sys(e, "setsockopt SO_REUSEADDR");
	else if (ai->ai_family == AF_INET6 &&
	    setsockopt(sock, IPPROTO_IPV6, IPV6_V6ONLY, &off, sizeof(off)) != 0)
		rc = err_sys(e, "setsockopt IPV6_V6ONLY");
	else if (bind(sock, ai->ai_addr, ai->ai_addrlen) != 0)
		rc = err_sys(e, "bind");
	else if (listen(sock, BACKLOG) != 0)
		rc = err_sys(e, "listen");
	else
		rc = 0;
	/* Connections have it from here, as most come with a hello at once. */
	(void)setsockopt(sock, IPPROTO_TCP, TCP_QUICKACK, &off, sizeof(off));
	if (rc != 0)
		close(sock);
	else
		*fd = sock;
	return rc;
}

int
http_listen(const char *address, int *fd, struct err *e)
{
	const struct addrinfo hints = {
		.ai_flags = AI_NUMERICHOST | AI_NUMERICSERV | AI_PASSIVE,
		.ai_socktype = SOCK_STREAM,
	};
	char host[LIMIT_HOST_BYTES + 3], service[8];
	struct addrinfo *found = NULL;
	uint16_t port = 0;
	int rc;

	if (strchr(address, ':') == NULL || address[strlen(address) - 1] == ']')
		return err_set(e, ERR_USAGE,
		    "listen on %s: no port; write ADDRESS:PORT", address);
	rc = text_host_port(address, 0, host, &port, e);
	if (rc != 0)
		return rc;
	(void)snprintf(service, sizeof(service), "%u", port);
	rc = getaddrinfo(host, service, &hints, &found);
	if (rc != 0)
		return err_set(e, ERR_USAGE,
		    "listen on %s: not a numeric address (%s)", address,
		    gai_strerror(rc));
	rc = listen_at(found, fd, e);
	freeaddrinfo(found);
	return rc == 0 ? 0 : err_prefix(e, "listen on %s", address);
}

int
http_port_of(int fd, uint16_t *port, struct err *e)
{
	struct sockaddr_storage ss = { 0 };
	socklen_t len = sizeof(ss);
	struct sockaddr_in in;
	struct sockaddr_in6 in6;

	if (getsockname(fd, (struct sockaddr *)&ss, &len) != 0)
		return err_sys(e, "getsockname");
	memcpy(&in, &ss, sizeof(in));
	memcpy(&in6, &ss, sizeof(in6));
	*port = ntohs(ss.ss_family == AF_INET6 ? in6.sin6_port : in.sin_port);
	return 0;
}
