/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A broken invariant ends the process in a build for tests.  In a release it fails that one
 * volume, to whose backing nothing more is written.
 */
#include <errno.h>
#include <signal.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "common/engine/checked.h"
#include "tests/backing/memory.h"
#include "tests/engine/support.h"

#define SIZE ((guint64)16 << 20)
#define JOURNAL ((guint64)256 << 10)

static void test_condition_that_holds(const void *data)
{
	g_autoptr(Backing) backing = backing_memory_new(SIZE);

	(void)data;
	CHECK(CHECKED(backing, 1 + 1 == 2, "sums"));
	CHECK(!backing_condemned(backing));
}

static void test_ends_a_build_for_tests(const void *data)
{
	g_autoptr(Backing) backing = backing_memory_new(SIZE);
	pid_t child = fork();
	int status = 0;

	(void)data;
	if (!child) {
		close(STDERR_FILENO);
		checked_broken(backing, "I5: a child's", TRUE);
		_exit(0);
	}
	CHECK(waitpid(child, &status, 0) == child);
	CHECK(WIFSIGNALED(status) && WTERMSIG(status) == SIGABRT);
}

static void test_condemned_backing_is_written_no_more(const void *data)
{
	g_autoptr(Backing) backing = backing_memory_new(SIZE);
	guint8 byte = 1;

	(void)data;
	CHECK_INT(backing_grow(backing, 8192), 0);
	CHECK_INT(backing_pwrite(backing, &byte, 1, 0), 0);
	CHECK(!checked_broken(backing, "first", FALSE));
	CHECK(!checked_broken(backing, "second", FALSE));
	CHECK_STR(backing_condemned(backing), "first");
	byte = 2;
	CHECK_INT(backing_pwrite(backing, &byte, 1, 0), -ESHUTDOWN);
	CHECK_INT(backing_pwritev(backing, &(struct iovec){&byte, 1}, 1, 0, BACKING_NOWAIT),
		  -ESHUTDOWN);
	CHECK_INT(backing_punch(backing, 0, 4096), -ESHUTDOWN);
	CHECK_INT(backing_grow(backing, 16384), -ESHUTDOWN);
	CHECK_INT(backing_flush(backing), -ESHUTDOWN);
	CHECK_INT(backing_pread(backing, &byte, 1, 0), 0);
	CHECK_INT(byte, 1);
}

/* The volume keeps its content and is FAILED; the next open finds nothing wrong. */
static void test_volume_fails_and_keeps_what_was_flushed(const void *data)
{
	g_autoptr(Place) place = place_new_memory();
	g_autofree char *why = NULL;
	Backing *backing;
	Volume *volume;

	(void)data;
	if (!CHECK(place_format(place, SIZE, JOURNAL)))
		return;
	backing = place_backing(place);
	volume = volume_open(backing, "test", 0, NULL);
	if (!CHECK(volume != NULL))
		return;
	CHECK_INT(volume_put_value(volume, 7, 8192, 0), 0);
	CHECK_INT(volume_flush(volume), 0);
	CHECK(!checked_broken(backing, "I5: a slot is free twice", FALSE));
	CHECK_INT(volume_put_value(volume, 8, 4096, 0), -ESHUTDOWN);
	CHECK_INT(volume_flush(volume), -ESHUTDOWN);
	why = volume_failure(volume);
	CHECK_CONTAINS(why, "I5: a slot is free twice");
	CHECK(check_value(volume, 7, 8192, 0));
	volume_close(volume, NULL);
	CHECK(place_check(place));
	volume = place_open(place);
	CHECK(check_value(volume, 7, 8192, 0));
	close_volume(volume);
}

int main(int argc, char **argv)
{
	test_add("a condition that holds is TRUE", test_condition_that_holds, NULL);
	test_add("a condition that is broken ends a build for tests", test_ends_a_build_for_tests,
		 NULL);
	test_add("nothing more is written to a condemned backing",
		 test_condemned_backing_is_written_no_more, NULL);
	test_add("the volume of a condemned backing is FAILED, and keeps what was flushed",
		 test_volume_fails_and_keeps_what_was_flushed, NULL);
	return test_run(argc, argv);
}
