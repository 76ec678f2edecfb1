/* Messages between fetch.c and the fetcher process; both ends are one binary,
 * but neither trusts the other's lengths.  Numbers are big endian. */
#ifndef TRANSCRIPTS_FETCH_WIRE_H
#define TRANSCRIPTS_FETCH_WIRE_H

/* Requests. */
enum {
	WIRE_CONNECT = 1, /* u32 candidates to pass over -> TRYING* PEER |
			   * FAILED */
	WIRE_REWIND,      /* -> OK */
	WIRE_AIM,         /* u8 enum fetch_aim, HOST NUL-ended -> OK | FAILED */
	WIRE_KEYS,        /* digests, in place of those known -> OK */
	WIRE_MORE_KEYS,   /* digests, added -> OK */
	WIRE_GET,         /* get -> ANSWER DATA* OK | FAILED */
	WIRE_GET_TEXT,    /* the same, of a gzip'd text that is decoded */
	WIRE_RACE,        /* u32 count, gets -> ANSWER DATA* OK | FAILED */
	WIRE_WANT,        /* (digest, u64 size)*: collected for WIRE_OBJECTS */
	WIRE_SELECT, /* digest of a manifest, body of POST /v1/objects of it: how to
			   * ask for the same by number */
	WIRE_OBJECTS, /* u8 form, u8 whether REST is understood -> per want
			   * one of OBJECT DATA* OBJECT_END, WHOLE, MISSING;
			   * then OK | FAILED at any point.  Of the first one
			   * REST DATA* OBJECT_END too: what is left of the
			   * object in which the last request FAILED */
	WIRE_UNPACK,  /* u64 size, u8 whether texts alone are wanted, with a
			   * descriptor -> (MEMBER, then as it says)* OK |
			   * FAILED */
	WIRE_TAKE,    /* u64 size */
	WIRE_SKIP,
	WIRE_TRAFFIC,  /* -> COUNTED */
	WIRE_SESSIONS, /* -> SESSIONS_ARE */
};

/* Replies. */
enum {
	WIRE_OK = 64,
	WIRE_FAILED, /* u32 -code, text */
	WIRE_PEER,   /* u32 candidates tried so far, u32 of these beyond the
			   * search, five texts NUL-ended: source, route,
			   * address, what was passed over, the search */
	WIRE_ANSWER, /* u32 status, u32 which, u64 range start, digest of
			   * the server's key, u8 known, etag NUL-ended */
	WIRE_DATA,
	WIRE_OBJECT,     /* digest */
	WIRE_OBJECT_END, /* text: why it is bad, empty when it is not */
	WIRE_WHOLE,      /* digest, content or frame: a small object at once */
	WIRE_MISSING,    /* digest */
	WIRE_REST,       /* digest */
	WIRE_MEMBER,     /* u8 kind, u8 WIRE_MEMBER_*, digest, basis */
	WIRE_MEMBER_END, /* as OBJECT_END */
	WIRE_COUNTED,    /* u64 received, u64 sent, digest of the key of the
			   * server that answered last */
	WIRE_TRYING,     /* u32 number of the candidate, host NUL-ended */
	WIRE_COPY,       /* u64 offset, u64 bytes: the result goes on with what
			  * the basis has there */
	WIRE_SESSIONS_ARE, /* of sessions_write */
};

/* What follows a MEMBER.  A body is (DATA | COPY)* MEMBER_END. */
enum {
	WIRE_MEMBER_ASKS,  /* TAKE or SKIP is the answer; after TAKE a body */
	WIRE_MEMBER_COMES, /* a body, small enough not to ask first */
	WIRE_MEMBER_TOLD,  /* nothing */
};

#define WIRE_PIECE_BYTES     131072 /* content in one DATA or WHOLE */
#define WIRE_WANT_BYTES      40
#define WIRE_WANTS_A_MESSAGE 4096
#define WIRE_SELECT_BYTES    (DIGEST_BYTES + 4 * LIMIT_BATCH_OBJECTS)

#endif
