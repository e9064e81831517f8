/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Waiting until snapshots are on the disk, with a server whose disk does not answer.
 */
#include "cli/snapshot-take.h"

#include <string.h>

#include "common/base/error.h"
#include "common/service/control-address.h"
#include "common/service/control.h"
#include "tests/harness.h"

/* A server of one volume. */
typedef struct {
	gint waits_left; /* so many are answered "not yet" */
	gint waits, deleted;
} Server;

static Json *server_answer(gpointer data, const char *command, Json *request, GError **error)
{
	Json *answer = json_object_new_object();
	Server *server = data;

	(void)request;
	(void)error;
	if (!strcmp(command, "snapshot-list"))
		json_object_object_add(answer, "snapshots", json_object_new_array());
	if (!strcmp(command, "snapshot-begin"))
		json_add_number(answer, "generation", 7);
	if (!strcmp(command, "snapshot-delete"))
		g_atomic_int_inc(&server->deleted);
	if (!strcmp(command, "snapshot-wait")) {
		g_usleep(50000);
		g_atomic_int_inc(&server->waits);
		json_add_flag(answer, "done", g_atomic_int_add(&server->waits_left, -1) <= 0);
	}
	return answer;
}

/* Takes one snapshot, and waits for it so long. */
static gboolean take(Server *server, guint seconds, GError **error)
{
	g_autofree char *directory = test_path("");
	const VolumeName name = {.pool = (char *)"default", .name = (char *)"db"};
	g_autoptr(GPtrArray) pools = g_ptr_array_new();
	const Config config = {.run_directory = directory, .pools = pools};
	g_autofree char *socket = control_name(&name);
	Control *control = control_new(&config, socket, server_answer, server, error);
	SnapshotTake one = {.name = (char *)"monday"};
	gboolean done = FALSE;

	if (CHECK(control != NULL))
		one.volume = snapshot_volume_open(&config, &name, SNAPSHOT_VOLUME_SERVED, error);
	if (CHECK(one.volume != NULL)) {
		done = snapshots_take(&config, &one, 1, POLICY_FREEZE_NEVER, TRUE, seconds, error);
		snapshot_volume_close(one.volume, NULL);
	}
	control_free(control);
	return done;
}

static void test_hangs(const void *data)
{
	g_autoptr(GError) error = NULL;
	Server server = {.waits_left = 1000};

	(void)data;
	CHECK(!take(&server, 1, &error));
	CHECK_ERROR(error, STORAGEOS_ERROR_BUSY,
		    "default/db@monday: it is not on the disk after 1 s, and given up");
	CHECK(server.waits < 1000);
	CHECK_INT(server.deleted, 1);
}

static void test_slow(const void *data)
{
	static const guint seconds[] = {0, 600};

	(void)data;
	for (guint i = 0; i < G_N_ELEMENTS(seconds); i++) {
		g_autoptr(GError) error = NULL;
		Server server = {.waits_left = 30};

		test_row("%u s", seconds[i]);
		CHECK(take(&server, seconds[i], &error));
		CHECK_NO_ERROR(error);
		CHECK_INT(server.waits, 31);
		CHECK_INT(server.deleted, 0);
	}
}

int main(int argc, char **argv)
{
	test_add("a disk that hangs", test_hangs, NULL);
	test_add("a disk that is slow", test_slow, NULL);
	return test_run(argc, argv);
}
