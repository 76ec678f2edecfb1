/* A TLS server on loopback whose answers a test writes out word by word.  It
 * is a child process with one thread a connection. */
#ifndef TESTS_TLS_SERVER_H
#define TESTS_TLS_SERVER_H

#include <stdint.h>
#include <sys/types.h>

#include "common/crypto_tls.h"

struct tls_server_counts {    /* shared with the child */
	unsigned accepted;    /* sockets */
	unsigned connections; /* handshakes that came to an end */
	unsigned requests;
	unsigned resumed;
	unsigned certificates; /* clients that showed one */
};

struct tls_server {
	pid_t pid;
	uint16_t port;
	volatile struct tls_server_counts *counts;
	int family;
};

/* One connection, as its script sees it. */
struct tls_peer {
	struct ssl_st *ssl;
	volatile struct tls_server_counts *counts;
	unsigned number;    /* of the connection, from 1 */
	char request[8192]; /* the newest header */
};

typedef void (*tls_server_script)(struct tls_peer *p, const void *arg);

/* On this loopback address, any port; fails the test when it cannot. */
void tls_server_start(struct tls_server *s, const char *address,
    const struct tls_identity *id, tls_server_script script, const void *arg);
void tls_server_stop(struct tls_server *s);
/* A socket connected to it, by a connect that blocks or one that does not. */
int tls_server_dial(const struct tls_server *s, bool blocking);

/* For scripts.  Reads the next request's header; false at the end. */
bool tls_peer_request(struct tls_peer *p);
bool tls_peer_send(struct tls_peer *p, const void *data, size_t len);
bool tls_peer_say(struct tls_peer *p, const char *text);
/* Reads and drops this many bytes of a body; the sum of them. */
unsigned tls_peer_read_body(struct tls_peer *p, size_t len);
/* Says nothing until the client goes. */
void tls_peer_hang(struct tls_peer *p);

#endif
