/* SPDX-License-Identifier: Apache-2.0 */
#include "common/service/claim.h"

#include <signal.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "common/base/error.h"
#include "common/base/files.h"
#include "tests/harness.h"

#define UUID "1c1f4bd2-3a0e-4a43-8d2c-0f4a3c2e1b00"
#define OTHER "1c1f4bd2-3a0e-4a43-8d2c-0f4a3c2e1b01"

static Config config;
static char *vanishing; /* atomic: the file to remove before the next flock(); NULL: none */

/* Replaces flock() in all code of this program. */
int flock(int fd, int operation)
{
	char *path = g_atomic_pointer_get(&vanishing);

	if (path && g_atomic_pointer_compare_and_exchange(&vanishing, path, NULL))
		CHECK_INT(unlink(path), 0);
	return (int)syscall(SYS_flock, fd, operation);
}

static Claim *take(const char *uuid, const char *volume, const char *as)
{
	g_autoptr(GError) error = NULL;
	Claim *claim = claim_take(&config, uuid, volume, as, &error);

	CHECK_NO_ERROR(error);
	return claim;
}

static char *path_of(const char *uuid)
{
	return g_build_filename(config.run_directory, "identity", uuid, NULL);
}

static void test_held_once(const void *data)
{
	g_autoptr(Claim) claim = take(UUID, "default/a", "the backstore db1");
	g_autoptr(Claim) other = take(OTHER, "default/c", NULL);
	g_autoptr(GError) error = NULL;
	g_autofree char *us =
		g_strdup_printf("it has the UUID of default/a, which process %d (", (int)getpid());

	(void)data;
	REQUIRE(claim && other);
	CHECK(!claim_take(&config, UUID, "default/b", NULL, &error));
	CHECK_ERROR(error, STORAGEOS_ERROR_BUSY, us);
	CHECK_CONTAINS(error->message, ") serves as the backstore db1 (a copy gets one of its own "
				       "by: storageos set default/b uuid=new)");
	g_clear_error(&error);
	test_row("asked without taking it");
	CHECK(!claim_check(&config, UUID, "default/b", &error));
	CHECK_ERROR(error, STORAGEOS_ERROR_BUSY, us);
	CHECK(claim_check(&config, UUID, "default/a", NULL));
}

static void test_released(const void *data)
{
	g_autofree char *path = path_of(UUID);
	Claim *claim = take(UUID, "default/a", NULL);

	(void)data;
	claim_release(claim);
	CHECK(access(path, F_OK));
	CHECK(claim_check(&config, UUID, "default/b", NULL));
	CHECK(!claim_holder(&config, UUID));
	claim_release(take(UUID, "default/b", NULL));
	claim_release(NULL);
}

static void test_ends_with_its_holder(const void *data)
{
	g_autofree char *path = path_of(UUID);
	int ready[2], status;
	char byte;
	pid_t pid;

	(void)data;
	REQUIRE(!pipe(ready));
	pid = fork();
	if (!pid) {
		Claim *claim = claim_take(&config, UUID, "default/a", NULL, NULL);

		if (write(ready[1], claim ? "y" : "n", 1) == 1)
			pause();
		_exit(1);
	}
	CHECK_INT(read(ready[0], &byte, 1), 1);
	CHECK_INT(byte, 'y');
	CHECK(!claim_take(&config, UUID, "default/b", NULL, NULL));
	CHECK_INT(kill(pid, SIGKILL), 0);
	CHECK_INT(waitpid(pid, &status, 0), pid);
	CHECK(!access(path, F_OK)); /* its file stays */
	claim_release(take(UUID, "default/b", NULL));
	close(ready[0]);
	close(ready[1]);
}

static void test_nobody_else_can_hold_it_up(const void *data)
{
	g_autofree char *path = path_of(UUID);
	g_autofree char *directory = g_path_get_dirname(path);
	g_autoptr(Claim) claim G_GNUC_UNUSED = take(UUID, "default/a", NULL);
	struct stat st;

	(void)data;
	CHECK_INT(stat(directory, &st), 0);
	CHECK_UINT(st.st_mode & 07777, 0700);
	CHECK_INT(stat(path, &st), 0);
	CHECK_UINT(st.st_mode & 07777, 0600);
}

/* The holder releases the claim between our open and our lock. */
static void test_file_goes(const void *data)
{
	g_autofree char *path = path_of(UUID);
	g_autoptr(Claim) claim = NULL;

	(void)data;
	CHECK(g_file_set_contents(path, "", 0, NULL));
	vanishing = path;
	claim = take(UUID, "default/a", NULL);
	REQUIRE(claim);
	CHECK(!vanishing);
	CHECK(!claim_take(&config, UUID, "default/b", NULL, NULL));
}

#define THREADS 4
#define ROUNDS 200

static gint holders; /* atomic */

static gpointer take_often(gpointer data)
{
	guint taken = 0;

	(void)data;
	for (guint i = 0; i < ROUNDS; i++) {
		Claim *claim = claim_take(&config, UUID, "default/a", NULL, NULL);

		if (!claim)
			continue;
		taken++;
		CHECK_INT(g_atomic_int_add(&holders, 1), 0);
		g_thread_yield();
		CHECK_INT(g_atomic_int_add(&holders, -1), 1);
		claim_release(claim);
	}
	return GUINT_TO_POINTER(taken);
}

static void test_race(const void *data)
{
	GThread *threads[THREADS];
	guint taken = 0;

	(void)data;
	for (guint i = 0; i < THREADS; i++)
		threads[i] = g_thread_new(NULL, take_often, NULL);
	for (guint i = 0; i < THREADS; i++)
		taken += GPOINTER_TO_UINT(g_thread_join(threads[i]));
	CHECK(taken > 0);
}

static void test_unwritable(const void *data)
{
	g_autofree char *file = test_path(".file");
	g_autoptr(GError) error = NULL;
	Config bad = {.run_directory = file};

	(void)data;
	CHECK(g_file_set_contents(file, "", 0, NULL));
	CHECK(!claim_take(&bad, UUID, "default/a", NULL, &error));
	CHECK_ERROR(error, STORAGEOS_ERROR_IO, file);
}

int main(int argc, char **argv)
{
	config.run_directory = test_path(".run");
	test_add("a claim is held once, and the refusal says by whom", test_held_once, NULL);
	test_add("a claim that was released can be taken", test_released, NULL);
	test_add("a claim ends with its holder", test_ends_with_its_holder, NULL);
	test_add("only its owner can open a claim", test_nobody_else_can_hold_it_up, NULL);
	test_add("a claim is not a file that its last holder removes", test_file_goes, NULL);
	test_add("of threads that take and release a claim one holds it", test_race, NULL);
	test_add("a run directory that cannot be written is an error", test_unwritable, NULL);
	return test_run(argc, argv);
}
