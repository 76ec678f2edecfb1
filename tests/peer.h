/* A raw HTTP peer for tests of servers: sends what it is told, byte for byte,
 * and reads replies strictly.  What goes wrong fails the test. */
#ifndef TESTS_PEER_H
#define TESTS_PEER_H

#include "common/buf.h"

struct peer {
	int fd;
	struct buf in; /* received, not yet read as a reply */
};

struct peer_reply {
	unsigned status;
	struct buf head; /* all of it, with the empty line */
	struct buf body;
	bool chunked;
	bool whole; /* false: the connection ended first */
};

/* Connects to 127.0.0.1; waits at most 20 s for any byte later. */
void peer_connect(struct peer *p, uint16_t port);
void peer_close(struct peer *p);
void peer_send(struct peer *p, const void *data, size_t len);
/* "<request line>\r\nHost: t\r\n<fields>\r\n": fields are whole lines. */
void peer_ask(struct peer *p, const char *request_line, const char *fields);
/* One reply; one to HEAD has no body.  Release with peer_reply_release. */
void peer_read(struct peer *p, bool to_head, struct peer_reply *out);
void peer_reply_release(struct peer_reply *r);
/* Asks and reads. */
void peer_get(struct peer *p, const char *path, const char *fields,
    struct peer_reply *out);
/* On a connection of its own; returns the status. */
unsigned peer_status(
    uint16_t port, const char *request_line, const char *fields);
/* The value of a header of the reply ("" when there is none); static. */
const char *peer_field(const struct peer_reply *r, const char *name);
/* The server closed the connection, and nothing more came. */
void peer_expect_end(struct peer *p);
/* Bytes received by now, without waiting. */
size_t peer_poll(struct peer *p);

/* Waits until cond is true; the test fails after 20 s. */
#define PEER_WAIT(cond)                                            \
 do {                                                              \
  int tries_ = 0;                                                  \
  while (!(cond)) {                                                \
   ck_assert_msg(tries_++ < 4000, "waited in vain for %s", #cond); \
   peer_nap();                                                     \
  }                                                                \
 } while (0)
void peer_nap(void); /* 5 ms */

/* Ends a server process and expects that it ends well. */
void peer_stop(int pid);
/* The most memory that a process ever held, in kB. */
unsigned long peer_memory_kb(int pid);

#endif
