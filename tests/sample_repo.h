/* A whole small repository to test with: root, roster, and a channel of two
 * releases with manifests, data transcripts and objects, signed as samples.h
 * says. */
#ifndef TESTS_SAMPLE_REPO_H
#define TESTS_SAMPLE_REPO_H

#include "tests/samples.h"
#include "tests/scratch.h"
#include "transcripts/repo.h"

#define SAMPLE_RELEASES 2
/* Objects of either release: the second drops one and adds one. */
#define SAMPLE_FILES 3

struct sample_repo {
	struct scratch dir; /* the repository's folder */
	struct repo *repo;
	struct root root;
	struct digest release[SAMPLE_RELEASES]; /* the older first */
	struct digest manifest[SAMPLE_RELEASES];
	struct digest data[SAMPLE_RELEASES];
	struct digest objects[SAMPLE_RELEASES][SAMPLE_FILES];
	struct head head;
};

/* Makes it in a new scratch folder, or fails the test. */
void sample_repo_make(struct sample_repo *s);
void sample_repo_remove(struct sample_repo *s);
/* Stores what `r` says and makes it the channel's head. */
void sample_repo_publish(struct sample_repo *s, const struct release *r);

#endif
