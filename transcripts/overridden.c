/* Overridden files of a layer; publishers and clients. */
#include "transcripts/overridden.h"

static void
file_free(struct overridden_file *f)
{
	if (f == NULL)
		return;
	free(f->heir);
	free(f);
}

void
overridden_release(struct overridden *o)
{
	struct table_node *node;

	while ((node = table_pop(&o->files)) != NULL)
		file_free((struct overridden_file *)node);
	table_release(&o->files);
	free(o->forgotten);
	o->forgotten = NULL;
}

/* Moves *text into the copy's own storage at *to. */
static void
own(char **to, const char **text, size_t len)
{
	memcpy(*to, *text, len);
	*text = *to;
	*to += len;
}

static int
forget(struct overridden *o, const char *path, struct err *e)
{
	o->forgotten = strdup(path);
	return o->forgotten == NULL ? err_memory(e) : 0;
}

int
overridden_add(struct overridden *o, const struct manifest_entry *m,
    size_t *room, struct err *e)
{
	size_t path = strlen(m->path) + 1, owner = strlen(m->owner) + 1;
	size_t group = strlen(m->group) + 1;
	size_t len = path + owner + group + m->xattrs.len;
	struct overridden_file *f;
	char *to;
	int rc;

	if (o->forgotten != NULL)
		return 0;
	len += sizeof(*f);
	if (len > *room)
		return forget(o, m->path, e);
	f = malloc(len);
	if (f == NULL)
		return err_memory(e);
	f->m = *m;
	f->heir = NULL;
	to = f->text;
	own(&to, &f->m.path, path);
	own(&to, &f->m.owner, owner);
	own(&to, &f->m.group, group);
	if (m->xattrs.len > 0)
		own(&to, &f->m.xattrs.text, m->xattrs.len);
	rc = table_add(&o->files, &f->node, table_hash(m->path, path), e);
	if (rc != 0) {
		file_free(f);
		return rc;
	}
	*room -= len;
	return 0;
}

int
overridden_find(const struct overridden *o, const char *path,
    struct overridden_file **file, struct err *e)
{
	size_t len = strlen(path);
	struct table_node *node =
	    table_find(&o->files, table_hash(path, len + 1));

	for (; node != NULL; node = table_find_next(node)) {
		struct overridden_file *f = (struct overridden_file *)node;

		if (strcmp(f->m.path, path) == 0) {
			*file = f;
			return 0;
		}
	}
	/* Files come in order: those before the first forgotten are known. */
	if (o->forgotten != NULL &&
	    manifest_path_cmp(path, len, o->forgotten, strlen(o->forgotten)) >=
	        0)
		return err_set(e, ERR_LIMIT,
		    "first name %.400s of a hard link: later transcripts "
		    "override "
		    "too many files to know whether they do this one",
		    path);
	*file = NULL;
	return 0;
}
