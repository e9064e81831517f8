/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The order of a start, and why:
 *   1. open the volume: its lock keeps a second server out of what follows
 *   2. unmount what a dead server has left on the mount point
 *   3. mount
 *   4. serve requests; the first one makes the file usable and tells the starter
 *
 * The order of an end, which undoes whatever the start has reached:
 *   1. stop looking for users (attendance)
 *   2. let the sleepers finish the requests that they have: they reply through the session
 *   3. unmount (lazily, as a loop device may hold the file; what it still sends fails), so that no
 *      request can reach the volume any more
 *   4. stop the monitor, which reads the volume
 *   5. close the volume
 *
 * Signals are for the main thread alone, which sleeps in libfuse's loop.  They are blocked before
 * the engine creates its threads.
 */
#include "fuse-fallback/serve.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>

#include "common/base/bounds.h"
#include "common/base/error.h"
#include "common/base/logging.h"
#include "common/service/monitor.h"
#include "common/base/text.h"
#include "common/base/thread.h"
#include "fuse-fallback/attendance.h"
#include "fuse-fallback/filesystem.h"
#include "fuse-fallback/mountpoint.h"
#include "fuse-fallback/protect.h"

typedef struct {
	const ServeRequest *request;
	char *label; /* POOL/NAME, for messages */
	Filesystem fs;
	Monitor *monitor;
	Attendance *attendance;
	struct fuse_session *session;
	guint threads; /* that take requests */
	gboolean mounted, answered;
} Server;

static void server_ready(gpointer data)
{
	Server *server = data;

	server->answered = TRUE;
	log_info("volume '%s': served as %s/%s", server->label, server->request->mountpoint,
		 server->fs.name);
	if (server->request->ready && !server->request->ready()) {
		log_warning("volume '%s': the process that started the server is gone; closing",
			    server->label);
		fuse_session_exit(server->session);
	}
}

#if LIBFUSE_HAS_LOG
G_GNUC_PRINTF(2, 0)
static void libfuse_log(enum fuse_log_level level, const char *format, va_list args)
{
	char line[512];

	if (level > FUSE_LOG_WARNING) /* notes and traces */
		return;
	if (vsnprintf(line, sizeof line, format, args) >= (int)sizeof line)
		line[text_whole_length(line, sizeof line - 1)] = '\0';
	logging_write(level <= FUSE_LOG_ERR ? LOGGING_ERROR : LOGGING_WARNING, "libfuse: %s",
		      g_strchomp(line));
}

static void libfuse_log_connect(void)
{
	fuse_set_log_func(libfuse_log);
}
#else
static void libfuse_log_connect(void)
{
}
#endif

static void block_signals(int how)
{
	sigset_t signals;

	sigemptyset(&signals);
	sigaddset(&signals, SIGTERM);
	sigaddset(&signals, SIGINT);
	sigaddset(&signals, SIGHUP);
	pthread_sigmask(how, &signals, NULL);
}

static gboolean add_options(struct fuse_args *args, const char *label)
{
	g_autofree char *source = g_strdup_printf("fsname=storageos:%s", label);
	char *options = NULL;
	gboolean added = fuse_opt_add_opt(&options, "default_permissions,nosuid,nodev,noexec,"
						    "noatime,subtype=" MOUNTPOINT_TYPE) == 0 &&
			 fuse_opt_add_opt_escaped(&options, source) == 0 &&
			 fuse_opt_add_arg(args, "storageos-fuse") == 0 &&
			 fuse_opt_add_arg(args, "-o") == 0 && fuse_opt_add_arg(args, options) == 0;

	free(options);
	return added;
}

static gboolean mount_session(Server *server, GError **error)
{
	struct fuse_args args = FUSE_ARGS_INIT(0, NULL);

	if (add_options(&args, server->label))
		server->session = fuse_session_new(&args, &filesystem_ops, sizeof filesystem_ops,
						   &server->fs);
	fuse_opt_free_args(&args);
	if (!server->session || fuse_set_signal_handlers(server->session))
		return error_set(error, STORAGEOS_ERROR_IO, "libfuse: no session");
	errno = 0;
	if (fuse_session_mount(server->session, server->request->mountpoint))
		return error_set_errno(error, errno ? errno : EIO, "mount on %s",
				       server->request->mountpoint);
	server->mounted = TRUE;
	return TRUE;
}

static gboolean open_volume(Server *server, GError **error)
{
	const ServeRequest *request = server->request;
	const MonitorMore more = {.limiter = &server->fs.limited.limiter};

	volume_set_cache_size(request->config->node_cache);
	server->fs.volume =
		pool_volume_serve(request->config, request->volume,
				  request->read_only ? VOLUME_OPEN_READ_ONLY : 0, NULL, error);
	if (!server->fs.volume)
		return FALSE;
	server->monitor = monitor_new(request->config, request->volume, "fuse", server->fs.volume,
				      &server->fs.metrics, &more);
	return filesystem_start(&server->fs, server->threads, error);
}

static gboolean watch_users(Server *server, GError **error)
{
	if (!server->request->attach_lock)
		return TRUE;
	server->attendance =
		attendance_watch(server->request->attach_lock, &server->fs.users, error);
	return server->attendance != NULL;
}

/* Serves until told to end.  libfuse's loop returns 0 after an unmount, the signal's number after a
 * signal, and a negative errno on failure: of these only the last is an error.  But a server that
 * was told to end before the kernel sent its first request has served nobody. */
static gboolean serve_requests(Server *server, GError **error)
{
	int r;

	block_signals(SIG_UNBLOCK);
	r = libfuse_loop(server->session, server->threads);
	if (r < 0)
		return error_set_errno(error, r, "requests from the kernel");
	return server->answered ||
	       error_set(error, STORAGEOS_ERROR_IO, "stopped before it could serve");
}

static void end_session(Server *server)
{
	if (!server->session)
		return;
	fuse_remove_signal_handlers(server->session);
	if (server->mounted)
		fuse_session_unmount(server->session);
	fuse_session_destroy(server->session);
	/* libfuse leaves the mount if the kernel's connection was aborted. */
	if (server->mounted && !mountpoint_clear(server->request->mountpoint))
		log_warning("volume '%s': cannot unmount %s: %s", server->label,
			    server->request->mountpoint, g_strerror(errno));
}

/* The start, and service until told to end. */
static gboolean server_start_and_run(Server *server, GError **error)
{
	if (!open_volume(server, error))
		return FALSE; /* the engine's errors name the volume */
	if (mountpoint_prepare(server->request->mountpoint, error) &&
	    mount_session(server, error) && watch_users(server, error) &&
	    serve_requests(server, error))
		return TRUE;
	g_prefix_error(error, "serve volume '%s': ", server->label);
	return FALSE;
}

/* The end, from wherever the start has got to.  FALSE if the volume could not be closed, and *error
 * unless that is NULL. */
static gboolean server_end(Server *server, GError **error)
{
	attendance_free(server->attendance);
	filesystem_stop(&server->fs);
	end_session(server);
	monitor_free(server->monitor);
	return volume_close(server->fs.volume, error);
}

/* One for each processor, as more are slower, and one that is free while these write (sleepers.h).
 */
static guint threads_wanted(void)
{
	return (guint)clamp_u64(thread_processors(), 1, 16) + 1;
}

gboolean serve(const ServeRequest *request, GError **error)
{
	g_autofree char *label = volume_name_format(request->volume);
	g_autofree char *file = g_path_get_basename(label);
	Server server = {
		.request = request,
		.label = label,
		.threads = threads_wanted(),
		.fs = {.name = file,
		       .label = label,
		       .ready = server_ready,
		       .started = g_get_real_time() / 1000000},
	};
	gboolean done, closed;

	server.fs.ready_data = &server;
	block_signals(SIG_BLOCK);
	libfuse_log_connect();
	protect_process(label);
	done = server_start_and_run(&server, error);
	closed = server_end(&server, done ? error : NULL); /* the first error counts */
	if (done && closed)
		log_info("volume '%s': closed", label);
	return done && closed;
}
