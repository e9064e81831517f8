/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/frontend-fuse.h"

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <unistd.h>

#include "cli/cli.h"
#include "cli/interrupt.h"
#include "cli/loop-device.h"
#include "cli/process.h"
#include "cli/service.h"
#include "common/base/autofd.h"
#include "common/base/error.h"
#include "common/base/files.h"
#include "common/machine/mounts.h"

#define SERVER "storageos-fuse"
#define START_SECONDS 60
#define END_SECONDS 60
#define END_HUNG_SECONDS 5
#define UNMOUNT_SECONDS 5
#define ABORT_SECONDS 10
#define MODPROBE_SECONDS 20

/* The process that the state file names, if it still runs and serves this directory: the process
 * number may have been reused.  Otherwise searches for a server of this directory, if that exists.
 */
static pid_t fuse_server_find(const Places *places, const State *state, gboolean mounted)
{
	if (state && state->frontend == FRONTEND_FUSE &&
	    process_is_alive((pid_t)state->pid, state->start_time) &&
	    process_is((pid_t)state->pid, SERVER, places->mount))
		return (pid_t)state->pid;
	if (!mounted && access(places->mount, F_OK))
		return 0;
	return process_find(SERVER, places->mount);
}

void frontend_fuse_look(const Places *places, const State *state, FuseParts *ret_parts)
{
	g_autoptr(MountTable) mounts = mounts_of_process("self");
	g_autofree char *type = mounts_type_at(mounts, places->mount, NULL);

	ret_parts->mounted = type != NULL;
	ret_parts->server = fuse_server_find(places, state, ret_parts->mounted);
	ret_parts->server_start = process_start_time(ret_parts->server);
	if (!ret_parts->server_start)
		ret_parts->server = 0;
	ret_parts->loop = loop_device_find(places->file, state ? state->device : NULL,
					   state ? state->sequence : 0);
}

static gboolean module_load(const RuntimeProbe *probe, ProbeModule module, GError **error)
{
	const char *const argv[] = {"modprobe", probe_module_name(module), NULL};

	return probe->modules[module] != MODULE_LOADABLE ||
	       process_run(argv, MODPROBE_SECONDS, error);
}

static gboolean daemon_start(const Places *places, const RuntimeProbe *probe, GError **error)
{
	const char *const argv[] = {
		probe->fuse_program,
		"--pid-file",
		places->pid_file,
		"--attach-lock",
		places->lock_file,
		places->text,
		places->mount,
		places_is_read_only(places) ? "--read-only" : NULL,
		NULL,
	};

	return files_make_directory(places->mount, error) &&
	       process_run(argv, START_SECONDS, error);
}

static void mounts_add(GPtrArray *mounts, MountTable *table, const char *directory)
{
	g_autofree char *type = NULL, *mount = mounts_around(table, directory, &type);

	if (mount && strcmp(mount, "/") &&
	    !g_ptr_array_find_with_equal_func(mounts, mount, g_str_equal, NULL))
		g_ptr_array_add(mounts, g_steal_pointer(&mount));
}

/* Where the file systems are mounted in which the server has files open.  The bases of a linked
 * clone may be in any pool; these are not asked, as one may not answer. */
static GPtrArray *mounts_needed(const Places *places, const Facts *facts)
{
	GPtrArray *mounts = g_ptr_array_new_with_free_func(g_free);
	g_autoptr(MountTable) table = mounts_of_process("self");

	for (guint i = 0; i < places->config->pools->len; i++) {
		const ConfigPool *pool = g_ptr_array_index(places->config->pools, i);
		gboolean own = !g_strcmp0(pool->name, places->name->pool);
		g_autofree char *directory =
			own ? files_real_path(pool->path) : g_strdup(pool->path);

		if (!pool->ceph && (own || facts->depth))
			mounts_add(mounts, table, directory);
	}
	return mounts;
}

static gboolean unit_start(const Places *places, const Facts *facts, GError **error)
{
	g_autofree char *unit = service_name(SERVER, places->text);
	g_autoptr(GPtrArray) mounts = mounts_needed(places, facts);
	g_autoptr(GError) order = NULL;

	if (!service_order(unit, mounts, &order))
		cli_say("attach %s: at a shutdown, the file system of the pool will be unmounted "
			"too early: %s",
			places->text, order->message);
	return service_start(unit, START_SECONDS, error);
}

/* Prefers the systemd unit: a child of this process would end with the user's session or with the
 * service that ran `attach`. */
static gboolean fuse_server_start(const Places *places, const RuntimeProbe *probe,
				  const Facts *facts, GError **error)
{
	cli_progress("attach %s: starting " SERVER, places->text);
	return service_available(SERVER) ? unit_start(places, facts, error)
					 : daemon_start(places, probe, error);
}

char *frontend_fuse_attach(const Places *places, const RuntimeProbe *probe, const Facts *facts,
			   GError **error)
{
	g_autofree char *obstacle = runtime_probe_fuse_obstacle(probe);
	FuseParts parts = {0};
	char *device = NULL;

	if (obstacle) {
		error_set(error, STORAGEOS_ERROR_UNSUPPORTED, "%s", obstacle);
		return NULL;
	}
	if (!module_load(probe, PROBE_FUSE, error) || !module_load(probe, PROBE_LOOP, error))
		return NULL;
	if (fuse_server_start(places, probe, facts, error) && interrupt_check(error))
		device = loop_device_attach(places->file, facts->logical_block_size,
					    places->name->snapshot || places_is_read_only(places),
					    error);
	if (!device) {
		frontend_fuse_look(places, NULL, &parts);
		frontend_fuse_detach(places, &parts, FALSE, -1, NULL);
		g_free(parts.loop);
	}
	return device;
}

/* ---- taking down */

static gboolean mount_remove(const Places *places, gboolean served, GError **error)
{
	gint64 end = g_get_monotonic_time() + UNMOUNT_SECONDS * G_USEC_PER_SEC;

	while (umount2(places->mount, UMOUNT_NOFOLLOW)) {
		if (errno == EINVAL || errno == ENOENT) /* nothing is mounted there */
			return TRUE;
		if (errno != EBUSY || g_get_monotonic_time() > end) {
			/* What is dead serves nobody who still has a file of it open. */
			if (!served && !umount2(places->mount, MNT_DETACH | UMOUNT_NOFOLLOW))
				return TRUE;
			return error_set_errno(error, errno, "unmount %s", places->mount);
		}
		g_usleep(20000);
	}
	return TRUE;
}

/* Fails every request that waits for the server; the file system stays mounted. */
static int requests_abort(gconstpointer mount)
{
	return umount2(mount, MNT_FORCE | UMOUNT_NOFOLLOW) && errno != EBUSY ? errno : 0;
}

/* Waits for the server, which closes the volume and exits once its file system is unmounted.  A
 * server that hangs gets SIGTERM and then SIGKILL; every acknowledged write (I2) is in the kernel.
 */
static void fuse_server_end(const Places *places, const FuseParts *parts, gboolean hung)
{
	guint seconds = hung ? END_HUNG_SECONDS : END_SECONDS;

	cli_progress("detach %s: closing the volume", places->text);
	if (process_wait_end(parts->server, parts->server_start, seconds))
		return;
	process_signal(parts->server, parts->server_start, SIGTERM);
	if (process_wait_end(parts->server, parts->server_start, 2))
		return;
	process_signal(parts->server, parts->server_start, SIGKILL);
	if (!process_wait_end(parts->server, parts->server_start, 5))
		cli_say("detach %s: the device is gone, but " SERVER
			" (process %d) is waiting for a disk that does not answer, and keeps "
			"the volume open until it does",
			places->text, (int)parts->server);
}

gboolean frontend_fuse_detach(const Places *places, const FuseParts *parts, gboolean hung,
			      int claim, GError **error)
{
	g_autofree char *unit = service_name(SERVER, places->text);
	autofd owned = claim;

	if (hung && parts->mounted)
		process_call(requests_abort, places->mount, ABORT_SECONDS);
	if (parts->loop && !loop_device_detach(parts->loop, autofd_steal(&owned), error))
		return FALSE;
	if (parts->mounted && !mount_remove(places, parts->server && !hung, error))
		return FALSE;
	/* The server has not mounted yet, or somebody has unmounted its file system by force. */
	if (parts->server && !parts->mounted)
		process_signal(parts->server, parts->server_start, SIGTERM);
	if (parts->server)
		fuse_server_end(places, parts, hung);
	if (service_available(SERVER))
		service_forget(unit);
	return TRUE;
}
