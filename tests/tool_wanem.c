/* A line between two network namespaces: this kernel's tc has no netem.
 *
 *   tool_wanem [--delay US] [--jitter US] [--rate BITS] [--queue BYTES]
 *              [--loss PPM] [--seed N] [--mtu BYTES] [--gso] NS_A NS_B DEVICE
 *
 * Makes a TUN device of that name in each namespace and carries IP packets
 * between them.  Each direction: a queue of so many bytes that is emptied at so
 * many bits a second (0: at once) and drops what finds it full, then a delay of
 * so many microseconds and up to so many more (order is kept), then loss of so
 * many packets in a million.  Prints "ready" when both devices are there.
 * With --gso, TCP hands over what it would cut into packets of the MTU, up to 64
 * kB, and gets it so: it behaves as on a line of that MTU, and carrying costs
 * little.  SIGUSR1 cuts the line and joins it again.
 *
 * SIGUSR2, while nothing is on its way, prints "rounds N": how many round trips of
 * TCP followed from one another since the last time.  A packet is one step later
 * than the latest one that had reached its sender, and two steps are a round trip.
 * That counts what a delay costs without a clock, if the delay is long beside all
 * else.  SIGTERM ends, and prints what was carried, and rounds. */
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <inttypes.h>
#include <linux/if_tun.h>
#include <linux/virtio_net.h>
#include <net/if.h>
#include <netinet/in.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <time.h>
#include <unistd.h>

#define SLOTS       8192 /* packets on their way, a direction; a power of 2 */
#define LARGE_SLOTS 1024 /* where they are larger than MTU */
#define MTU         1500
#define MTU_MAX     65535
#define BURST       64 /* packets read before time is looked at again */
#define NEVER       UINT64_MAX
#define GSO_BYTES   sizeof(struct virtio_net_hdr) /* before each packet */

struct line {
	uint64_t delay_ns, jitter_ns, rate, queue_bytes, loss_ppm;
	uint64_t random; /* state of the generator, not 0 */
	size_t mtu;
	bool gso;
};

struct packet {
	uint64_t leaves, arrives; /* the queue; the other side: monotonic ns */
	uint64_t step;            /* 0: not of TCP */
	size_t len;
	unsigned char *data;
};

/* Packets first..end are on their way; those before `queue` left the queue. */
struct direction {
	struct packet *slots;
	unsigned char *room; /* for their data */
	unsigned count;      /* slots */
	unsigned first, queue, end;
	uint64_t queued_bytes, free_at; /* the queue is empty then */
	uint64_t step;                  /* the latest that arrived */
	uint64_t carried, carried_bytes, dropped, lost;
};

static volatile sig_atomic_t stop, is_cut, tell;

static void
on_signal(int sig)
{
	if (sig == SIGUSR1)
		is_cut = is_cut == 0;
	else if (sig == SIGUSR2)
		tell = 1;
	else
		stop = 1;
}

static uint64_t
now_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

/* xorshift64: the same losses for the same seed. */
static uint64_t
random_below(struct line *l, uint64_t bound)
{
	l->random ^= l->random << 13;
	l->random ^= l->random >> 7;
	l->random ^= l->random << 17;
	return (l->random >> 16) % bound;
}

static struct packet *
slot(const struct direction *d, unsigned i)
{
	return &d->slots[i % d->count];
}

static void
drain(struct direction *d, uint64_t now)
{
	while (d->queue != d->end && slot(d, d->queue)->leaves <= now)
		d->queued_bytes -= slot(d, d->queue++)->len;
}

/* What arrives by now goes to `to`; returns when the next one does. */
static uint64_t
deliver(struct direction *d, int to, uint64_t now)
{
	drain(d, now);
	while (d->first != d->queue && slot(d, d->first)->arrives <= now) {
		const struct packet *p = slot(d, d->first++);

		if (is_cut == 0 &&
		    write(to, p->data, p->len) == (ssize_t)p->len) {
			d->carried++;
			d->carried_bytes += p->len;
			if (p->step > d->step)
				d->step = p->step;
		} else {
			d->lost++;
		}
	}
	if (d->first == d->end)
		return NEVER;
	return d->first == d->queue ? slot(d, d->first)->leaves
	                            : slot(d, d->first)->arrives;
}

static bool
is_tcp(const struct line *l, const struct packet *p)
{
	const unsigned char *ip = p->data + (l->gso ? GSO_BYTES : 0);

	return ip[0] >> 4 == 4 ? ip[9] == IPPROTO_TCP : ip[6] == IPPROTO_TCP;
}

/* The packet that was read into the slot at `end` sets out, or is dropped; `heard`
 * is the latest step that its sender knows. */
static void
set_out(struct direction *d, struct line *l, size_t len, uint64_t heard,
    uint64_t now)
{
	struct packet *p = slot(d, d->end);
	uint64_t begins = d->free_at > now ? d->free_at : now;

	drain(d, now);
	if (d->queued_bytes + len > l->queue_bytes) {
		d->dropped++;
		return;
	}
	p->len = len;
	p->step = is_tcp(l, p) ? heard + 1 : 0;
	p->leaves = begins + (l->rate > 0 ? len * 8000000000u / l->rate : 0);
	d->free_at = p->leaves;
	if (l->loss_ppm > 0 && random_below(l, 1000000) < l->loss_ppm) {
		d->lost++;
		return;
	}
	p->arrives = p->leaves + l->delay_ns;
	if (l->jitter_ns > 0)
		p->arrives += random_below(l, l->jitter_ns);
	if (d->end != d->first && p->arrives < slot(d, d->end - 1)->arrives)
		p->arrives = slot(d, d->end - 1)->arrives;
	d->queued_bytes += len;
	d->end++;
}

static void
take(struct direction *d, struct line *l, uint64_t heard, int from)
{
	const size_t most = l->gso ? MTU_MAX + GSO_BYTES : l->mtu;

	for (unsigned i = 0; i < BURST && d->end - d->first < d->count; i++) {
		ssize_t n = read(from, slot(d, d->end)->data, most);

		if (n <= 0)
			return;
		set_out(d, l, (size_t)n, heard, now_ns());
	}
}

static void
tell_rounds(struct direction d[2])
{
	uint64_t step = d[0].step > d[1].step ? d[0].step : d[1].step;

	(void)printf("rounds %" PRIu64 "\n", (step + 1) / 2);
	(void)fflush(stdout);
	d[0].step = d[1].step = 0;
	tell = 0;
}

static void
carry(struct direction d[2], struct line *l, const int fds[2])
{
	while (stop == 0) {
		struct pollfd polled[2] = { { .fd = fds[0], .events = POLLIN },
			{ .fd = fds[1], .events = POLLIN } };
		uint64_t now = now_ns();
		uint64_t a = deliver(&d[0], fds[1], now);
		uint64_t b = deliver(&d[1], fds[0], now);
		uint64_t next = a < b ? a : b,
		         wait = next > now ? next - now : 0;
		struct timespec t = { (time_t)(wait / 1000000000u),
			(long)(wait % 1000000000u) };

		if (ppoll(polled, 2, next == NEVER ? NULL : &t, NULL) < 0 &&
		    errno != EINTR)
			return;
		take(&d[0], l, d[1].step, fds[0]);
		take(&d[1], l, d[0].step, fds[1]);
		if (tell != 0)
			tell_rounds(d);
	}
}

/* ---- opening ---- */

static _Noreturn void
fail(const char *what)
{
	(void)fprintf(stderr, "tool_wanem: %s: %s\n", what, strerror(errno));
	exit(1);
}

/* A TUN device in a namespace; this process comes back `home`. */
static int
open_device(const char *ns, const char *device, bool gso, int home)
{
	struct ifreq request = { .ifr_flags = IFF_TUN | IFF_NO_PI };
	const unsigned long offload = TUN_F_CSUM | TUN_F_TSO4 | TUN_F_TSO6;
	char path[256];
	int there, fd;

	(void)snprintf(path, sizeof(path), "/run/netns/%s", ns);
	there = open(path, O_RDONLY | O_CLOEXEC);
	if (there < 0 || setns(there, CLONE_NEWNET) != 0)
		fail(path);
	close(there);
	fd = open("/dev/net/tun", O_RDWR | O_NONBLOCK | O_CLOEXEC);
	(void)snprintf(request.ifr_name, IFNAMSIZ, "%s", device);
	if (gso)
		request.ifr_flags |= IFF_VNET_HDR;
	if (fd < 0 || ioctl(fd, TUNSETIFF, &request) != 0 ||
	    (gso && ioctl(fd, TUNSETOFFLOAD, offload) != 0))
		fail("/dev/net/tun");
	if (setns(home, CLONE_NEWNET) != 0)
		fail("setns");
	return fd;
}

static void
make_room(struct direction *d, const struct line *l)
{
	const size_t most = l->gso ? MTU_MAX + GSO_BYTES : l->mtu;

	d->count = most > MTU ? LARGE_SLOTS : SLOTS;
	d->slots = calloc(d->count, sizeof(*d->slots));
	d->room = calloc(d->count, most);
	if (d->slots == NULL || d->room == NULL)
		fail("memory");
	for (unsigned i = 0; i < d->count; i++)
		d->slots[i].data = d->room + i * most;
}

static const struct option long_options[] = {
	{ "delay", required_argument, NULL, 'd' },
	{ "jitter", required_argument, NULL, 'j' },
	{ "rate", required_argument, NULL, 'r' },
	{ "queue", required_argument, NULL, 'q' },
	{ "loss", required_argument, NULL, 'l' },
	{ "seed", required_argument, NULL, 's' },
	{ "mtu", required_argument, NULL, 'm' },
	{ "gso", no_argument, NULL, 'g' },
	{ NULL, 0, NULL, 0 },
};

static bool
read_options(int argc, char *argv[], struct line *l)
{
	int opt;

	while ((opt = getopt_long(argc, argv, "", long_options, NULL)) != -1) {
		uint64_t n = optarg == NULL ? 0 : strtoull(optarg, NULL, 10);

		switch (opt) {
		case 'd':
			l->delay_ns = n * 1000;
			break;
		case 'j':
			l->jitter_ns = n * 1000;
			break;
		case 'r':
			l->rate = n;
			break;
		case 'q':
			l->queue_bytes = n;
			break;
		case 'l':
			l->loss_ppm = n;
			break;
		case 's':
			l->random = n * 2 + 1;
			break;
		case 'm':
			l->mtu = n;
			break;
		case 'g':
			l->gso = true;
			break;
		default:
			return false;
		}
	}
	return argc - optind == 3 && l->mtu > 0 && l->mtu <= MTU_MAX;
}

int
main(int argc, char *argv[])
{
	struct line l = { .queue_bytes = 262144, .random = 1, .mtu = MTU };
	struct sigaction sa = { .sa_handler = on_signal };
	struct direction d[2] = { { 0 } };
	int home, fds[2];

	if (!read_options(argc, argv, &l)) {
		(void)fputs(
		    "usage: tool_wanem [OPTION...] NS_A NS_B DEVICE\n", stderr);
		return 64;
	}
	home = open("/proc/self/ns/net", O_RDONLY | O_CLOEXEC);
	for (int i = 0; i < 2; i++) {
		fds[i] = open_device(
		    argv[optind + i], argv[optind + 2], l.gso, home);
		make_room(&d[i], &l);
	}
	sigaction(SIGTERM, &sa, NULL);
	sigaction(SIGINT, &sa, NULL);
	sigaction(SIGUSR1, &sa, NULL);
	sigaction(SIGUSR2, &sa, NULL);
	(void)prctl(PR_SET_TIMERSLACK, 1000UL);
	(void)puts("ready");
	(void)fflush(stdout);
	carry(d, &l, fds);
	for (int i = 0; i < 2; i++) {
		(void)printf("%s carried %" PRIu64 " packets, %" PRIu64
		             " bytes; dropped %" PRIu64 ", lost %" PRIu64 "\n",
		    i == 0 ? "there" : "back", d[i].carried, d[i].carried_bytes,
		    d[i].dropped, d[i].lost);
		free(d[i].slots);
		free(d[i].room);
	}
	tell_rounds(d);
	return 0;
}
