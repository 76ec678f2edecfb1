/* The files of an identity: made once, the same ever after. */
#include "common/crypto_identity.h"

#include <check.h>
#include <sys/wait.h>
#include <unistd.h>

#include "common/fsat.h"
#include "tests/identity.h"

static struct scratch scratch;
static struct tls_identity *server_id;

static void
set_up(void)
{
	scratch_make(&scratch);
	server_id = identity_in(&scratch, "server");
}

static void
tear_down(void)
{
	tls_identity_free(server_id);
	scratch_remove(&scratch);
}

static void
assert_digest_of(const struct digest *d, const struct tls_identity *id)
{
	struct digest want;

	tls_identity_digest(id, &want);
	ck_assert(digest_equal(d, &want));
}

static int
reopen(const char *name, bool create, struct err *e)
{
	struct tls_identity *id = NULL;
	char path[512];
	int ret;

	(void)snprintf(path, sizeof(path), "%s/%s", scratch.path, name);
	ret = tls_identity_open(path, create, &id, e);
	tls_identity_free(id);
	return ret;
}

START_TEST(an_identity_stays_the_same)
{
	struct tls_identity *again = identity_in(&scratch, "server");
	struct digest d;
	struct err e = ERR_INIT;
	struct fsat_stat st;

	tls_identity_digest(again, &d);
	assert_digest_of(&d, server_id);
	tls_identity_free(again);
	ck_assert_int_eq(fsat_stat(scratch.fd, "server", &st, &e), 0);
	ck_assert_uint_eq(st.mode & 07777, 0700);
	ck_assert_int_eq(fsat_stat(scratch.fd, "server/key.pem", &st, &e), 0);
	ck_assert_uint_eq(st.mode & 07777, 0600);
	ck_assert_int_eq(reopen("server", false, &e), 0);
}
END_TEST

START_TEST(a_lost_certificate_is_made_again_for_the_same_key)
{
	struct tls_identity *again;
	struct err e = ERR_INIT;
	struct digest d;

	ck_assert_int_eq(fsat_unlink(scratch.fd, "server/cert.pem", &e), 0);
	ck_assert_int_eq(reopen("server", false, &e), ERR_NOT_FOUND);
	again = identity_in(&scratch, "server");
	tls_identity_digest(again, &d);
	assert_digest_of(&d, server_id);
	tls_identity_free(again);
}
END_TEST

START_TEST(a_certificate_of_another_key_is_an_error)
{
	struct err e = ERR_INIT;

	tls_identity_free(identity_in(&scratch, "other"));
	ck_assert_int_eq(fsat_rename(scratch.fd, "other/cert.pem", scratch.fd,
	                     "server/cert.pem", &e),
	    0);
	ck_assert_int_eq(reopen("server", true, &e), ERR_VERIFY);
	ck_assert_ptr_nonnull(strstr(e.msg, "/server: cert.pem is not for"));
}
END_TEST

START_TEST(a_key_that_everybody_may_read_is_an_error)
{
	struct err e = ERR_INIT;

	ck_assert_int_eq(fsat_chmod(scratch.fd, "server/key.pem", 0644, &e), 0);
	ck_assert_int_eq(reopen("server", true, &e), ERR_USAGE);
	ck_assert_ptr_nonnull(strstr(e.msg, "key.pem: mode 644"));
}
END_TEST

START_TEST(damaged_files_are_errors_and_stay)
{
	static const char *const files[] = { "server/key.pem",
		"server/cert.pem" };
	struct err e = ERR_INIT;
	struct buf now;

	for (size_t i = 0; i < 2; i++) {
		ck_assert_int_eq(
		    fsat_write_file(scratch.fd, files[i], 0600, "junk", 4, &e),
		    0);
		ck_assert_int_eq(reopen("server", true, &e), ERR_FORMAT);
		buf_init(&now, 100);
		ck_assert_int_eq(
		    fsat_read_file(scratch.fd, files[i], 100, &now, &e), 0);
		ck_assert_str_eq(buf_str(&now), "junk");
		buf_release(&now);
		ck_assert_int_eq(fsat_unlink(scratch.fd, files[i], &e), 0);
		ck_assert_int_eq(
		    reopen("server", true, &e), i == 0 ? ERR_VERIFY : 0);
		if (i == 0)
			ck_assert_int_eq(
			    fsat_unlink(scratch.fd, "server/cert.pem", &e), 0);
	}
}
END_TEST

START_TEST(those_who_make_it_at_once_get_the_same)
{
	enum {
		MAKERS = 4
	};
	struct tls_identity *id;
	struct digest mine;
	int said[2];

	ck_assert_int_eq(pipe(said), 0);
	for (int i = 0; i < MAKERS; i++) {
		pid_t pid = fork();

		ck_assert_int_ge(pid, 0);
		if (pid != 0)
			continue;
		id = identity_in(&scratch, "fresh");
		tls_identity_digest(id, &mine);
		_exit(write(said[1], &mine, sizeof(mine)) == sizeof(mine) ? 0
		                                                          : 1);
	}
	for (int i = 0; i < MAKERS; i++)
		ck_assert_int_gt(wait(NULL), 0);
	close(said[1]);
	id = identity_in(&scratch, "fresh");
	for (int i = 0; i < MAKERS; i++) {
		ck_assert_int_eq(
		    read(said[0], &mine, sizeof(mine)), sizeof(mine));
		assert_digest_of(&mine, id);
	}
	tls_identity_free(id);
	close(said[0]);
}
END_TEST

int
main(void)
{
	Suite *suite = suite_create("identity");
	TCase *t = tcase_create("identity");
	SRunner *runner;
	int failed;

	tcase_set_timeout(t, 60);
	tcase_add_checked_fixture(t, set_up, tear_down);
	tcase_add_test(t, an_identity_stays_the_same);
	tcase_add_test(t, a_lost_certificate_is_made_again_for_the_same_key);
	tcase_add_test(t, a_certificate_of_another_key_is_an_error);
	tcase_add_test(t, a_key_that_everybody_may_read_is_an_error);
	tcase_add_test(t, damaged_files_are_errors_and_stay);
	tcase_add_test(t, those_who_make_it_at_once_get_the_same);
	suite_add_tcase(suite, t);
	runner = srunner_create(suite);
	srunner_run_all(runner, CK_NORMAL);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed == 0 ? 0 : 1;
}
