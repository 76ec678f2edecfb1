/* Every bound on what comes from outside, in one place: unit and reason beside
 * each.  Nothing is allocated, written or looped over past these. */
#ifndef COMMON_LIMITS_H
#define COMMON_LIMITS_H

/* Names and paths, bytes. */
#define LIMIT_NAME_BYTES      64 /* channel, transcript, profile, mirror, site */
#define LIMIT_COMPONENT_BYTES 255  /* NAME_MAX of every Linux file system */
#define LIMIT_PATH_BYTES      4095 /* PATH_MAX less the NUL */
#define LIMIT_PATH_DEPTH      2048 /* components: PATH_MAX of one-byte names */
#define LIMIT_TEXT_BYTES      4096 /* author, message, pattern, argument */
#define LIMIT_HOST_BYTES      253  /* DNS name, RFC 1035 */

/* Statements, bytes and counts. */
#define LIMIT_ROOT_BYTES       65536
#define LIMIT_ROSTER_BYTES     4194304 /* 10,000 mirrors */
#define LIMIT_HEAD_BYTES       8192
#define LIMIT_RELEASE_BYTES    8388608 /* 50,000 host lines */
#define LIMIT_SIGNATURES       64
#define LIMIT_KEYS             64   /* keys of a trust root */
#define LIMIT_ROOT_VERSIONS    1024 /* root updates followed in one run */
#define LIMIT_CHANNELS         64
#define LIMIT_MIRRORS          10000
#define LIMIT_MIRROR_KEYS      4 /* keys of one mirror: now, next, spare */
#define LIMIT_MIRROR_ADDRESSES 16
#define LIMIT_TRANSCRIPTS      256 /* transcripts of one release */
#define LIMIT_PROFILES         4096
#define LIMIT_HOSTS            50000
#define LIMIT_EXCLUDES         1024 /* patterns of one transcript */

#define LIMIT_PROTECT 1024 /* patterns of what no run touches */

/* Backups of an origin's keys and policy. */
#define LIMIT_BACKUP_BYTES    16777216 /* of the file, and of what is in it */
#define LIMIT_BACKUP_ENTRIES  2048
#define LIMIT_SECRET_BYTES    65536 /* passphrase or key file */
#define LIMIT_SCRYPT_LOG      18    /* N of a backup read: 256 MiB of memory */
#define LIMIT_SCRYPT_PARALLEL 4     /* p: 4 times as long */

/* Manifests. */
#define LIMIT_MANIFEST_BYTES (8ULL << 30) /* text of one: 50 million entries */
#define LIMIT_MANIFEST_LINE  262144       /* escaped paths, or one xattr */
#define LIMIT_XATTR_NAME     255
#define LIMIT_WAIVED_BYTES   4096     /* names of waived attributes */
#define LIMIT_XATTR_BYTES    65536    /* XATTR_SIZE_MAX */
#define LIMIT_XATTRS         256      /* of one object */
#define LIMIT_XATTR_TEXT     1048576  /* manifest lines of one object's */
#define LIMIT_DIR_ENTRIES    10000000 /* names of one directory, in memory */

/* Content. */
#define LIMIT_ZSTD_WINDOW_LOG 27   /* 128 MiB: more is refused by the decoder */
#define LIMIT_CHAIN           8    /* releases followed by data transcripts */
#define LIMIT_BATCH_OBJECTS   8192 /* digests of one POST /v1/objects */
/* Objects asked for by number, POST /v1/objects/<sha256>. */
#define LIMIT_SELECT_FILES     131072   /* of a manifest: 4 MiB of digests */
#define LIMIT_SELECT_TEXT      33554432 /* bytes of it: read in 0.2 s */
#define LIMIT_SELECT_MANIFESTS 4        /* kept by a worker */
#define LIMIT_DELTA_MEMBERS    10000000
#define LIMIT_CLOSURE          67108864 /* files that kept releases need: 512 MiB */

/* Keeping a repository. */
#define LIMIT_KEPT_RELEASES    100000   /* that retention tells apart */
#define LIMIT_KEPT_BYTES       16777216 /* of the list of them */
#define LIMIT_QUARANTINE_FILES 1000
#define LIMIT_QUARANTINE_BYTES (1ULL << 30) /* but for one larger file */

/* Programs that are run. */
#define LIMIT_ARGUMENTS        256   /* words of a command line */
#define LIMIT_COMMAND_OUTPUT   65536 /* kept of what one prints */
#define LIMIT_COMMAND_S        86400 /* the longest time-out */
#define LIMIT_ACTIONS          256   /* triggers, and checks, of one release */
#define LIMIT_TRIGGER_PATHS    256   /* patterns of one trigger */
#define LIMIT_CHECK_ATTEMPTS   100
#define LIMIT_CHECK_INTERVAL_S 3600 /* between attempts */
#define LIMIT_INTERVAL_S       2592000 /* from run to run of pecia daemon: 30 days */

#define LIMIT_CONFIRM_S 86400 /* that a change may wait to be confirmed */

/* Processes and the network. */
#define LIMIT_IPC_BYTES         262144 /* one message between our processes */
#define LIMIT_HTTP_HEADER_BYTES 16384
#define LIMIT_HTTP_BODY_BYTES   262144 /* request body: a batch of digests */
#define LIMIT_SEARCH_DOMAINS    32
#define LIMIT_CANDIDATES        64
#define LIMIT_ADDRESSES         32 /* of one candidate */
#define LIMIT_DNS_BYTES         65535
#define LIMIT_CONNECT_MS        5000  /* one connection attempt */
#define LIMIT_STAGGER_MS        250   /* RFC 8305 section 5 */
#define LIMIT_STALL_MS          15000 /* no byte for so long: the peer is gone */
#define LIMIT_MIN_RATE          1024 /* bytes a second, in every 30 s of a transfer */
#define LIMIT_LOSSES            16 /* servers lost in a run before none is gone back to */
#define LIMIT_WAIT_S            300  /* longest long poll */
#define LIMIT_LOOK_MIRRORS      16   /* asked before an origin signs */
#define LIMIT_LOOK_MS           5000 /* all of them together, at once */

/* TLS sessions that are taken up again. */
#define LIMIT_RESUME_S      86400 /* then keys are proven by signatures again */
#define LIMIT_TICKET_KEY_S  43200 /* that one key seals, and opens after that */
#define LIMIT_SESSIONS      16    /* kept at once, each of another server */
#define LIMIT_SESSION_BYTES 8192  /* of one; ours have 1,000 */

/* What is sent behind a head, so that it need not be asked for. */
#define LIMIT_NEWS_BYTES         2097152 /* all of it: held in memory */
#define LIMIT_NEWS_RELEASE_BYTES 65536   /* of these the release */
#define LIMIT_NEWS_LIST_BYTES    2048 /* names of transcripts, with the NUL */
#define LIMIT_NEWS_MS            15000 /* longer than that it is not waited for */

/* Peers of a server: an IPv4 address, or an IPv6 /64.  Each of one worker. */
#define LIMIT_PEERS               16384 /* remembered, 100 bytes each */
#define LIMIT_PEER_CONNECTIONS    512 /* unless configured: a site behind NAT */
#define LIMIT_PEER_CONNECTS_S     100 /* a handshake costs 0.3 ms; past it closed */
#define LIMIT_PEER_CONNECTS_BURST 1024 /* ... after so many at once */
#define LIMIT_PEER_REQUESTS_S     2000 /* past it a request waits */
#define LIMIT_PEER_REQUESTS_BURST 20000
#define LIMIT_PEER_BODIES_BYTES   33554432 /* request bodies: 128 full batches */
#define LIMIT_BODIES_BYTES        100663296 /* ... of all peers; past it 503 */
#define LIMIT_REPLIES_BYTES       67108864 /* replies queued; past it in pieces of */
#define LIMIT_SMALL_PIECE_BYTES   16384
#define LIMIT_RETIRE_S            3600 /* transfers under way when HUP replaces workers */
#define LIMIT_RETIRING            128 /* workers that still end such transfers */
#define LIMIT_HEALTH_COMMAND_S    30  /* on_healthy, on_unhealthy */
#define LIMIT_HEALTH_HOLD         1000   /* judgements before they are run */
#define LIMIT_STATUS_BYTES        262144 /* /status of a daemon */
#define LIMIT_CONFIG_BYTES        8388608

/* The line between sites. */
#define LIMIT_RATE_LINES 32
#define LIMIT_RATE_MIN   8000 /* bytes a second: below it peers look dead */
#define LIMIT_UPSTREAMS  64   /* that a mirror goes through in one round */

#endif
