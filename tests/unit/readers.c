/* SPDX-License-Identifier: Apache-2.0 */
#include "common/service/readers.h"

#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include "common/base/autofd.h"
#include "common/base/error.h"
#include "tests/harness.h"

#define UUID "1c1f4bd2-3a0e-4a43-8d2c-0f4a3c2e1b00"
#define OTHER "1c1f4bd2-3a0e-4a43-8d2c-0f4a3c2e1b01"

static void test_readers_and_deleters(const void *data)
{
	g_autofree char *run = test_path(".run");
	g_autoptr(GError) in_use = NULL, deleted = NULL, error = NULL;

	(void)data;
	autofd first = readers_join(run, UUID, 7, &error);
	autofd second = readers_join(run, UUID, 7, &error);
	autofd beside = readers_exclude(run, UUID, 8, &error);
	autofd elsewhere = readers_exclude(run, OTHER, 7, &error);
	CHECK_NO_ERROR(error);
	CHECK(first >= 0 && second >= 0 && beside >= 0 && elsewhere >= 0);
	close(autofd_steal(&first));
	CHECK_INT(readers_exclude(run, UUID, 7, &in_use), -1);
	CHECK_ERROR(in_use, STORAGEOS_ERROR_BUSY, "the snapshot is in use by process ");
	close(autofd_steal(&second));
	autofd deleter = readers_exclude(run, UUID, 7, &error);
	CHECK_NO_ERROR(error);
	CHECK(deleter >= 0);
	CHECK_INT(readers_join(run, UUID, 7, &deleted), -1);
	CHECK_ERROR(deleted, STORAGEOS_ERROR_BUSY, "is being deleted");
	readers_forget(run, UUID, 7);
}

static void test_death(const void *data)
{
	g_autofree char *run = test_path(".run");
	int ends[2];
	char byte;
	pid_t pid;

	(void)data;
	REQUIRE(!pipe(ends));
	pid = fork();
	if (!pid) {
		if (readers_join(run, UUID, 7, NULL) >= 0 && write(ends[1], "r", 1) == 1)
			pause();
		_exit(1);
	}
	CHECK_INT(read(ends[0], &byte, 1), 1);
	CHECK_INT(readers_exclude(run, UUID, 7, NULL), -1);
	kill(pid, SIGKILL);
	waitpid(pid, NULL, 0);
	autofd deleter = readers_exclude(run, UUID, 7, NULL);
	CHECK(deleter >= 0);
	close(ends[0]);
	close(ends[1]);
}

static void test_no_directory(const void *data)
{
	g_autoptr(GError) error = NULL;
	g_autofree char *file = test_path("");

	(void)data;
	CHECK(g_file_set_contents(file, "", 0, NULL));
	CHECK_INT(readers_join(file, UUID, 7, &error), -1);
	CHECK(error != NULL);
}

int main(int argc, char **argv)
{
	test_add("many read, or one deletes", test_readers_and_deleters, NULL);
	test_add("a reader that was killed keeps nothing", test_death, NULL);
	test_add("a run directory that is none", test_no_directory, NULL);
	return test_run(argc, argv);
}
