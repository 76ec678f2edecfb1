/* Small trees for tests: one list says what a directory holds, or what a
 * manifest wants of it. */
#ifndef TESTS_TREES_H
#define TESTS_TREES_H

#include "transcripts/layer.h"

#define SPEC_SEC 1500000000

struct spec {
	char type;         /* as in manifests; 0 ends a list */
	const char *path;  /* "." for metadata of the tree itself */
	const char *text;  /* content; target of a link */
	unsigned mode;     /* 0: 0755 for a directory, 0777 a symlink, 0644 */
	const char *xattr; /* value of user.pecia, or NULL */
	time_t sec;        /* 0: SPEC_SEC */
	long nsec;
	const char *owner; /* NULL: our own */
	const char *group;
	unsigned minor; /* of a device of major 1; of 'c' and 'b' */
	unsigned flags; /* of chattr: MANIFEST_APPEND, ... */
};

/* One of a list: path, text; the rest by name. */
#define SPEC(letter, ...)               \
 {                                      \
  .type = (letter), .path = __VA_ARGS__ \
 }
#define F(...) SPEC('f', __VA_ARGS__)
#define D(...) SPEC('d', __VA_ARGS__)
#define L(...) SPEC('l', __VA_ARGS__)
#define H(...) SPEC('h', __VA_ARGS__)
#define P(...) SPEC('p', __VA_ARGS__)
#define C(...) SPEC('c', __VA_ARGS__)
#define B(...) SPEC('b', __VA_ARGS__)
#define END \
 {          \
  0         \
 }

/* Whether user.* attributes and devices can be made in this directory. */
bool spec_has_xattrs(int dir);
bool spec_has_devices(int dir);
/* The same of chattr's flags. */
bool spec_has_flags(int dir);

/* Makes in a held directory what the list says, with all metadata but foreign
 * owners; directories that are not listed are made on the way. */
void specs_make(int root, const struct spec *specs);
/* Takes all flags off what the list names and is there. */
void specs_unflag(int root, const struct spec *specs);
/* Fails the test unless the directory holds what the list says, metadata
 * included, and nothing else.  Directories that are not listed may lead to
 * what is. */
void specs_expect(int root, const struct spec *specs);

struct source {
	const struct spec *specs;
	const char *target; /* NULL: "/" */
	bool overlay;
	const char *excludes[4];
};

/* The manifests of some sources, layered. */
#define WANTED_SOURCES 4
struct wanted {
	struct buf texts[WANTED_SOURCES];
	struct layer_source sources[WANTED_SOURCES];
	struct reader readers[WANTED_SOURCES];
	size_t count;
	struct layer *layer; /* at its beginning */
};
/* `sources` must outlive it. */
void wanted_open(struct wanted *w, const struct source *sources, size_t count);
void wanted_rewind(struct wanted *w);
void wanted_close(struct wanted *w);
/* The manifest's text for a list. */
void specs_manifest(const struct spec *specs, struct buf *text);

/* Our own names, or "#id". */
const char *own_user(void);
const char *own_group(void);

#endif
