/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/frontend-fuse.h"

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <unistd.h>

#include "cli/cli.h"
#include "cli/loop-device.h"
#include "cli/mounts.h"
#include "cli/process.h"
#include "cli/service.h"
#include "common/autofd.h"
#include "common/error.h"
#include "common/files.h"

#define SERVER "storageos-fuse"
#define START_SECONDS 60
#define END_SECONDS 60
#define UNMOUNT_SECONDS 5
#define MODPROBE_SECONDS 20

/* The one that was started, if it still runs; otherwise by what it does, where there is at least
 * the directory that every server of ours is given. */
static pid_t find_server(const Places *places, const State *state, gboolean mounted)
{
	if (state && state->frontend == FRONTEND_FUSE &&
	    process_is_alive((pid_t)state->pid, state->start_time))
		return (pid_t)state->pid;
	if (!mounted && access(places->mount, F_OK))
		return 0;
	return process_find(SERVER, places->mount);
}

void frontend_fuse_look(const Places *places, const State *state, FuseParts *ret_parts)
{
	g_autofree char *type = mounts_type_at(places->mount);

	ret_parts->mounted = type != NULL;
	ret_parts->server = find_server(places, state, ret_parts->mounted);
	ret_parts->server_start = process_start_time(ret_parts->server);
	if (!ret_parts->server_start)
		ret_parts->server = 0;
	ret_parts->loop = loop_device_find(places->file, state ? state->device : NULL);
}

static gboolean load_module(const RuntimeProbe *probe, ProbeModule module, GError **error)
{
	const char *const argv[] = {"modprobe", probe_module_name(module), NULL};

	return probe->modules[module] != MODULE_LOADABLE ||
	       process_run(argv, MODPROBE_SECONDS, error);
}

static gboolean start_daemon(const Places *places, const RuntimeProbe *probe, GError **error)
{
	const char *const argv[] = {probe->fuse_program, "--pid-file",	places->pid_file,
				    places->text,	 places->mount, NULL};

	return files_make_directory(places->mount, error) &&
	       process_run(argv, START_SECONDS, error);
}

/* A process of ours would end with the session or the service that started it. */
static gboolean start_server(const Places *places, const RuntimeProbe *probe, GError **error)
{
	g_autofree char *unit = service_name(SERVER, places->text);

	cli_progress("attach %s: starting " SERVER, places->text);
	return service_available(SERVER) ? service_start(unit, START_SECONDS, error)
					 : start_daemon(places, probe, error);
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
	if (!load_module(probe, PROBE_FUSE, error) || !load_module(probe, PROBE_LOOP, error))
		return NULL;
	if (start_server(places, probe, error))
		device = loop_device_attach(places->file, facts->logical_block_size, error);
	if (!device) {
		frontend_fuse_look(places, NULL, &parts);
		frontend_fuse_detach(places, &parts, -1, NULL);
		g_free(parts.loop);
	}
	return device;
}

/* ---- taking down */

static gboolean unmount(const Places *places, gboolean server_alive, GError **error)
{
	gint64 end = g_get_monotonic_time() + UNMOUNT_SECONDS * G_USEC_PER_SEC;

	while (umount2(places->mount, UMOUNT_NOFOLLOW)) {
		if (errno == EINVAL || errno == ENOENT) /* nothing is mounted there */
			return TRUE;
		if (errno != EBUSY || g_get_monotonic_time() > end) {
			/* What is dead serves nobody who still has a file of it open. */
			if (!server_alive && !umount2(places->mount, MNT_DETACH | UMOUNT_NOFOLLOW))
				return TRUE;
			return error_set_errno(error, errno, "unmount %s", places->mount);
		}
		g_usleep(20000);
	}
	return TRUE;
}

/* The server ends by itself when its file system is unmounted, after it has closed the volume.
 * One that hangs is told to, and in the end killed: what was acknowledged is in the kernel. */
static gboolean end_server(const FuseParts *parts, GError **error)
{
	if (process_wait_end(parts->server, parts->server_start, END_SECONDS))
		return TRUE;
	kill(parts->server, SIGTERM);
	if (process_wait_end(parts->server, parts->server_start, 2))
		return TRUE;
	kill(parts->server, SIGKILL);
	return process_wait_end(parts->server, parts->server_start, 5) ||
	       error_set(error, STORAGEOS_ERROR_BUSY, SERVER " (process %d) does not end",
			 (int)parts->server);
}

gboolean frontend_fuse_detach(const Places *places, const FuseParts *parts, int claim,
			      GError **error)
{
	autofd owned = parts->loop ? -1 : claim;

	if (parts->loop && !loop_device_detach(parts->loop, claim, error))
		return FALSE;
	(void)owned;
	if (parts->mounted && !unmount(places, parts->server != 0, error))
		return FALSE;
	/* One that has not mounted yet, or whose mount somebody took away with force. */
	if (parts->server && !parts->mounted)
		kill(parts->server, SIGTERM);
	if (parts->server)
		cli_progress("detach %s: closing the volume", places->text);
	return !parts->server || end_server(parts, error);
}
