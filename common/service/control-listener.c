/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A new socket is bound under a temporary name and then renamed or linked to its own, so that there
 * is always a socket under that name.
 */
#include "common/service/control-listener.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/base/autofd.h"
#include "common/base/bounds.h"
#include "common/service/control-address.h"
#include "common/base/error.h"
#include "common/base/fd.h"

#define BACKLOG 16
/* The time between looks, microseconds; it doubles each time while there is no name. */
#define SHORTEST (G_USEC_PER_SEC / 8)
#define LONGEST (4 * G_USEC_PER_SEC)

void control_listener_init(ControlListener *listener, const Config *config, const char *name)
{
	*listener = (ControlListener){
		.run_directory = g_strdup(config->run_directory),
		.name = g_strdup(name),
		.directory = -1,
		.fd = -1,
		.pause = SHORTEST,
	};
}

static void close_fd(int *fd)
{
	if (*fd >= 0)
		close(*fd);
	*fd = -1;
}

/* Whether the socket in the directory of that path is ours now: either may have been replaced. */
static gboolean listener_has_name(const ControlListener *listener)
{
	const Config config = {.run_directory = listener->run_directory};
	autofd now = listener->fd < 0 ? -1 : control_directory_open(&config);
	struct stat st;

	return now >= 0 && !fstatat(now, listener->name, &st, AT_SYMLINK_NOFOLLOW) &&
	       st.st_dev == listener->dev && st.st_ino == listener->ino;
}

void control_listener_clear(ControlListener *listener)
{
	if (listener_has_name(listener))
		unlinkat(listener->directory, listener->name, 0);
	close_fd(&listener->fd);
	close_fd(&listener->directory);
	g_free(listener->run_directory);
	g_free(listener->name);
}

/* Whether a server answers under the name; a full backlog (EAGAIN) is a server's, too. */
static gboolean name_is_answered(const ControlListener *listener)
{
	autofd fd = fd_above_stdio(socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
	struct sockaddr_un address;

	control_address(listener->directory, listener->name, &address);
	return fd >= 0 &&
	       (!connect(fd, (const struct sockaddr *)&address, sizeof address) || errno == EAGAIN);
}

/* Removes the socket of a dead process.  A file that is no socket was put there by somebody, and
 * stays. */
static void socket_remove_dead(const ControlListener *listener)
{
	struct stat st;

	if (!fstatat(listener->directory, listener->name, &st, AT_SYMLINK_NOFOLLOW) &&
	    S_ISSOCK(st.st_mode))
		unlinkat(listener->directory, listener->name, 0);
}

/* Listens under the temporary name `aside`. */
static gboolean socket_listen_aside(ControlListener *listener, const char *aside, GError **error)
{
	struct sockaddr_un address;
	struct stat st;

	control_address(listener->directory, aside, &address);
	unlinkat(listener->directory, aside, 0);
	listener->fd =
		fd_above_stdio(socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
	/* bind() gives the file the socket's mode; the process's umask is not ours to set. */
	if (listener->fd < 0 || fchmod(listener->fd, 0600) ||
	    bind(listener->fd, (struct sockaddr *)&address, sizeof address))
		return error_set_errno(error, errno, "listen");
	if (listen(listener->fd, BACKLOG) ||
	    fstatat(listener->directory, aside, &st, AT_SYMLINK_NOFOLLOW)) {
		int err = errno;

		unlinkat(listener->directory, aside, 0);
		return error_set_errno(error, err, "listen");
	}
	listener->dev = st.st_dev;
	listener->ino = st.st_ino;
	return TRUE;
}

/* Gives the socket its name; `by_force`: even if another file has it, else EEXIST. */
static gboolean socket_give_name(ControlListener *listener, const char *aside, gboolean by_force,
				 GError **error)
{
	int err = 0;

	if (by_force)
		err = renameat(listener->directory, aside, listener->directory, listener->name);
	else
		err = linkat(listener->directory, aside, listener->directory, listener->name, 0);
	err = err ? errno : 0;
	if (err || !by_force)
		unlinkat(listener->directory, aside, 0);
	return !err || error_set_errno(error, err, "name it");
}

static gboolean listener_open_directory(ControlListener *listener, GError **error)
{
	const Config config = {.run_directory = listener->run_directory};

	close_fd(&listener->directory);
	listener->directory = control_directory_make(&config, error);
	return listener->directory >= 0;
}

static gboolean listener_take(ControlListener *listener, gboolean by_force, GError **error)
{
	g_autofree char *aside = NULL;

	close_fd(&listener->fd);
	if (!listener_open_directory(listener, error))
		return FALSE;
	if (!by_force && name_is_answered(listener))
		return error_set(error, STORAGEOS_ERROR_BUSY, "another server answers there");
	if (!by_force)
		socket_remove_dead(listener);
	aside = g_strdup_printf(".%d.%d", (int)getpid(), listener->directory);
	if (socket_listen_aside(listener, aside, error) &&
	    socket_give_name(listener, aside, by_force, error))
		return TRUE;
	close_fd(&listener->fd);
	return FALSE;
}

gboolean control_listener_take(ControlListener *listener, GError **error)
{
	listener->due = g_get_monotonic_time() + SHORTEST;
	if (listener_take(listener, TRUE, error))
		return TRUE;
	g_prefix_error(error, "control socket %s/control/%s: ", listener->run_directory,
		       listener->name);
	return FALSE;
}

int control_listener_look(ControlListener *listener)
{
	gint64 now = g_get_monotonic_time();

	if (now >= listener->due) {
		gboolean had = listener->fd >= 0;
		gboolean has = listener_has_name(listener) || listener_take(listener, FALSE, NULL);

		if (has)
			listener->pause = LONGEST;
		else
			listener->pause =
				had ? SHORTEST
				    : (gint64)min_u64((guint64)listener->pause * 2, LONGEST);
		listener->due = now + listener->pause;
	}
	return (int)((listener->due - now) / 1000) + 1;
}
