/* Where in a repository a thing is; the paths of URLs are the same. */
#include <string.h>

#include "common/text.h"
#include "transcripts/repo.h"

void
repo_path_root(char path[REPO_PATH_BYTES], uint64_t version)
{
	(void)snprintf(
	    path, REPO_PATH_BYTES, "v1/root/%llu", (unsigned long long)version);
}

void
repo_path_roster(char path[REPO_PATH_BYTES])
{
	(void)snprintf(path, REPO_PATH_BYTES, "v1/roster");
}

int
repo_path_channel(
    char path[REPO_PATH_BYTES], const char *channel, struct err *e)
{
	if (!text_is_name(channel, strlen(channel)))
		return err_set(
		    e, ERR_USAGE, "'%.80s' is no channel's name", channel);
	(void)snprintf(path, REPO_PATH_BYTES, "v1/channel/%s", channel);
	return 0;
}

static void
path_of(char path[REPO_PATH_BYTES], const char *folder, const struct digest *d)
{
	char hex[DIGEST_HEX];

	digest_hex(d, hex);
	(void)snprintf(path, REPO_PATH_BYTES, "v1/%s/%s", folder, hex);
}

void
repo_path_release(char path[REPO_PATH_BYTES], const struct digest *d)
{
	path_of(path, "release", d);
}

void
repo_path_manifest(char path[REPO_PATH_BYTES], const struct digest *d)
{
	path_of(path, "manifest", d);
}

void
repo_path_data(char path[REPO_PATH_BYTES], const struct digest *d)
{
	path_of(path, "data", d);
}

void
repo_path_object(char path[REPO_PATH_BYTES], const struct digest *d)
{
	char hex[DIGEST_HEX];

	digest_hex(d, hex);
	(void)snprintf(path, REPO_PATH_BYTES, "v1/object/%.2s/%s", hex, hex);
}
