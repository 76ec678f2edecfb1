/* Tools for threads that work on contents: writers and compressors are large,
 * so that each thread gets one for a while and none is made for nothing. */
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#include "server/publish_impl.h"

#define ESTIMATE_LEVEL 3

void
publish_kit_free(struct publish_kit *kit)
{
	if (kit == NULL)
		return;
	object_writer_free(kit->writer);
	object_reader_free(kit->reader);
	object_stream_free(kit->basis);
	object_stream_free(kit->content);
	zst_encoder_free(kit->encoder);
	free(kit);
}

static int
kit_new(struct publish *p, struct publish_kit **out, struct err *e)
{
	struct publish_kit *kit = calloc(1, sizeof(*kit));
	int ret;

	if (kit == NULL)
		return err_memory(e);
	ret = object_writer_new(
	    p->o->repo, PUBLISH_OBJECT_LEVEL, &kit->writer, e);
	if (ret == 0)
		ret = object_reader_new(p->o->repo, &kit->reader, e);
	if (ret == 0)
		ret = object_stream_new(p->o->repo, &kit->basis, e);
	if (ret == 0)
		ret = object_stream_new(p->o->repo, &kit->content, e);
	if (ret == 0)
		ret = zst_encoder_new(ESTIMATE_LEVEL, &kit->encoder, e);
	if (ret == 0)
		*out = kit;
	else
		publish_kit_free(kit);
	return ret;
}

int
publish_kit_take(struct publish *p, struct publish_kit **out, struct err *e)
{
	struct publish_kit *kit;

	pthread_mutex_lock(&p->lock);
	kit = p->kits;
	if (kit != NULL)
		p->kits = kit->next;
	pthread_mutex_unlock(&p->lock);
	if (kit == NULL)
		return kit_new(p, out, e);
	*out = kit;
	return 0;
}

void
publish_kit_give(struct publish *p, struct publish_kit *kit)
{
	pthread_mutex_lock(&p->lock);
	kit->next = p->kits;
	p->kits = kit;
	pthread_mutex_unlock(&p->lock);
}

void
publish_kits_free(struct publish *p)
{
	while (p->kits != NULL) {
		struct publish_kit *kit = p->kits;

		p->kits = kit->next;
		publish_kit_free(kit);
	}
}

int
publish_read_part(
    void *part, void *dst, size_t size, size_t *got, struct err *e)
{
	struct publish_part *p = part;
	ssize_t n;

	if (size > p->left)
		size = (size_t)p->left;
	n = pread(p->fd, dst, size, (off_t)p->at);
	if (n < 0)
		return err_sys(e, "read");
	p->at += (uint64_t)n;
	p->left -= (uint64_t)n;
	*got = (size_t)n;
	return 0;
}

int
publish_scratch(struct publish *p, int *fd, struct err *e)
{
	if (!p->options->noop)
		return repo_temp_nameless(p->o->repo, fd, e);
	*fd = memfd_create("publish", MFD_CLOEXEC);
	return *fd >= 0 ? 0 : err_sys(e, "memory file");
}
