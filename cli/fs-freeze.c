/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/fs-freeze.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "cli/fs-watchdog.h"
#include "cli/mounted-on.h"
#include "cli/process.h"
#include "common/base/error.h"
#include "common/base/fd.h"
#include "common/machine/kernel-modules.h"

#define BEGIN_SECONDS 60 /* most of it for writing back what is dirty */
#define END_SECONDS (FS_WATCHDOG_SECONDS + 5)

struct FsFreeze {
	GPtrArray *mounted; /* of MountedOn * */
	FsWatched watched[FS_WATCHDOG_MAX];
	GPtrArray *protected; /* of char *, NULL-terminated */
	FsWatchdogOrder order;
	pid_t watchdog;
	int socket;
};

gboolean fs_freeze_is_safe(void)
{
	return kernel_is_at_least(5, 17);
}

static void freeze_free(FsFreeze *freeze)
{
	if (freeze->socket >= 0)
		close(freeze->socket);
	g_ptr_array_unref(freeze->mounted);
	g_ptr_array_unref(freeze->protected);
	g_free(freeze);
}

/* What a server of the volume, or this program, may have to write to. */
static GPtrArray *protected_paths(const Config *config)
{
	GPtrArray *paths = g_ptr_array_new_with_free_func(g_free);

	g_ptr_array_add(paths, g_strdup("/"));
	g_ptr_array_add(paths, g_strdup(config->run_directory));
	g_ptr_array_add(paths, g_strdup(config->state_directory));
	g_ptr_array_add(paths, g_path_get_dirname(config->file));
	for (guint i = 0; i < config->pools->len; i++) {
		const ConfigPool *pool = g_ptr_array_index(config->pools, i);

		if (!pool->ceph)
			g_ptr_array_add(paths, g_strdup(pool->path));
	}
	g_ptr_array_add(paths, NULL);
	return paths;
}

static FsFreeze *freeze_new(const Config *config, const GPtrArray *devices)
{
	FsFreeze *freeze = g_new0(FsFreeze, 1);

	freeze->socket = -1;
	freeze->protected = protected_paths(config);
	freeze->mounted = mounted_on_devices(devices);
	for (guint i = 0; i < freeze->mounted->len && i < FS_WATCHDOG_MAX; i++) {
		const MountedOn *mounted = g_ptr_array_index(freeze->mounted, i);

		freeze->watched[i] = (FsWatched){mounted->directory, mounted->number};
	}
	freeze->order = (FsWatchdogOrder){freeze->watched, freeze->mounted->len,
					  (const char *const *)freeze->protected->pdata};
	return freeze;
}

/* ---- the watchdog */

static gboolean watchdog_start(FsFreeze *freeze, GError **error)
{
	int ends[2];

	if (fd_socketpair(ends))
		return error_set_errno(error, errno, "start the watchdog of frozen file systems");
	freeze->watchdog = fork();
	if (!freeze->watchdog) {
		dup2(ends[1], 3);
		fd_close_from(4);
		for (int fd = 0; fd < 3; fd++)
			close(fd);
		fd_fill_stdio();
		fs_watchdog_main(&freeze->order, 3);
	}
	close(ends[1]);
	freeze->socket = ends[0];
	return freeze->watchdog > 0 ||
	       error_set_errno(error, errno, "start the watchdog of frozen file systems");
}

/* FALSE if no report comes within the time, or the watchdog has been killed (*ret_died). */
static gboolean report_receive(const FsFreeze *freeze, guint seconds, FsWatchdogReport *ret_report,
			       gboolean *ret_died)
{
	gint64 end = g_get_monotonic_time() + seconds * G_USEC_PER_SEC;
	struct pollfd poll_fd = {.fd = freeze->socket, .events = POLLIN};
	gint64 left;
	int n;

	do {
		left = end - g_get_monotonic_time();
		n = poll(&poll_fd, 1, left > 0 ? (int)(left / 1000) + 1 : 0);
	} while (n < 0 && errno == EINTR);
	if (n <= 0)
		return FALSE;
	*ret_died = recv(freeze->socket, ret_report, sizeof *ret_report, MSG_WAITALL) !=
		    sizeof *ret_report;
	return !*ret_died;
}

static int thaw_call(gconstpointer data)
{
	return fs_watchdog_thaw(data);
}

/* Ends the connection, at which a watchdog that lives thaws.  One that has `reported` its end, or
 * `died`, is gone in a moment. */
static void watchdog_end(FsFreeze *freeze, gboolean reported, gboolean died)
{
	if (died)
		process_call(thaw_call, &freeze->order, END_SECONDS);
	close(freeze->socket);
	freeze->socket = -1;
	waitpid(freeze->watchdog, NULL, reported || died ? 0 : WNOHANG);
}

/* ---- beginning */

static gboolean refusal_explain(const FsFreeze *freeze, const FsWatchdogReport *report,
				GError **error)
{
	const MountedOn *mounted = g_ptr_array_index(freeze->mounted, report->index);
	const char *where = mounted->directory;

	switch (report->state) {
	case FS_WATCHDOG_MOVED:
		return error_set(error, STORAGEOS_ERROR_BUSY,
				 "%s is no longer, or not only, the file system of %s", where,
				 mounted->device);
	case FS_WATCHDOG_PROTECTED:
		return error_set(error, STORAGEOS_ERROR_UNSUPPORTED,
				 "%s (%s) is never frozen: it holds %s", where, mounted->device,
				 freeze->order.protected[report->protected]);
	case FS_WATCHDOG_REFUSED:
		if (report->error == EBUSY)
			return error_set(error, STORAGEOS_ERROR_BUSY,
					 "%s is frozen already, by somebody else (to thaw it: "
					 "fsfreeze --unfreeze %s)",
					 where, where);
		if (report->error == EOPNOTSUPP)
			return error_set(error, STORAGEOS_ERROR_UNSUPPORTED,
					 "the file system of %s cannot be frozen", where);
		return error_set_errno(error, report->error, "freeze %s", where);
	case FS_WATCHDOG_FROZEN:
	case FS_WATCHDOG_LATE:
	case FS_WATCHDOG_THAWED:
		break;
	}
	return error_set(error, STORAGEOS_ERROR_BUSY,
			 "to freeze %s took longer than %d s; it is thawed again", where,
			 FS_WATCHDOG_SECONDS);
}

static gboolean freeze_all(FsFreeze *freeze, GError **error)
{
	FsWatchdogReport report = {0};
	gboolean died = FALSE;

	if (!watchdog_start(freeze, error))
		return FALSE;
	if (report_receive(freeze, BEGIN_SECONDS, &report, &died)) {
		if (report.state == FS_WATCHDOG_FROZEN)
			return TRUE;
		watchdog_end(freeze, TRUE, FALSE);
		return refusal_explain(freeze, &report, error);
	}
	watchdog_end(freeze, FALSE, died);
	return died ? error_set(error, STORAGEOS_ERROR_IO, "the process that freezes was killed")
		    : error_set(error, STORAGEOS_ERROR_BUSY,
				"what is dirty was not written back within %d s", BEGIN_SECONDS);
}

static gboolean mounts_check(const FsFreeze *freeze, GError **error)
{
	if (!freeze->mounted->len)
		return error_set(error, STORAGEOS_ERROR_NOT_FOUND,
				 "no file system of it is mounted on this machine");
	return freeze->mounted->len <= FS_WATCHDOG_MAX ||
	       error_set(error, STORAGEOS_ERROR_UNSUPPORTED,
			 "%u file systems are mounted; no more than %u are frozen at once",
			 freeze->mounted->len, FS_WATCHDOG_MAX);
}

FsFreeze *fs_freeze_begin(const Config *config, const GPtrArray *devices, GError **error)
{
	FsFreeze *freeze = freeze_new(config, devices);

	if (mounts_check(freeze, error) && freeze_all(freeze, error))
		return freeze;
	freeze_free(freeze);
	return NULL;
}

gboolean fs_freeze_holds(const FsFreeze *freeze, guint device)
{
	for (guint i = 0; i < freeze->mounted->len; i++) {
		const GArray *of = ((const MountedOn *)g_ptr_array_index(freeze->mounted, i))->of;

		for (guint j = 0; j < of->len; j++)
			if (g_array_index(of, guint, j) == device)
				return TRUE;
	}
	return FALSE;
}

gboolean fs_freeze_end(FsFreeze *freeze)
{
	FsWatchdogReport report = {0};
	gboolean died = FALSE, reported;

	if (!freeze)
		return TRUE;
	send(freeze->socket, "", 1, MSG_NOSIGNAL);
	reported = report_receive(freeze, END_SECONDS, &report, &died);
	watchdog_end(freeze, reported, died);
	freeze_free(freeze);
	return reported && report.state == FS_WATCHDOG_THAWED;
}
