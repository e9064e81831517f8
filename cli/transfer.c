/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/transfer.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cli/cli.h"
#include "cli/medium.h"
#include "common/base/autofd.h"
#include "common/base/error.h"
#include "common/base/fd.h"
#include "common/base/files.h"
#include "common/base/units.h"

#define PIPE_BYTES (1 << 20)
#define SHOW_USEC (G_USEC_PER_SEC / 4)

gboolean transfer_format_parse(const char *verb, const char *text, TransferFormat *ret_format)
{
	static const char *const names[] = {"stream", "rbd-diff", "raw"};

	for (guint i = 0; i < G_N_ELEMENTS(names); i++)
		if (!strcmp(text ? text : "stream", names[i])) {
			*ret_format = (TransferFormat)i;
			return TRUE;
		}
	if (medium_qemu_knows(text)) {
		*ret_format = TRANSFER_QEMU;
		return TRUE;
	}
	cli_usage("%s: unknown format '%s'", verb, text);
	return FALSE;
}

static gboolean is_standard(const char *path)
{
	return !path || !strcmp(path, "-");
}

const char *transfer_format_detect(const char *path)
{
	static const char qcow2[] = {'Q', 'F', 'I', (char)0xfb};
	autofd fd = is_standard(path) ? -1 : fd_open(path, O_RDONLY | O_NONBLOCK, 0);
	char magic[sizeof qcow2];

	return fd >= 0 && pread(fd, magic, sizeof magic, 0) == sizeof magic &&
			       !memcmp(magic, qcow2, sizeof magic)
		       ? "qcow2"
		       : "stream";
}

/* A pipe takes a frame at once, where the system allows that; otherwise it stays as it is. */
static int refuse_terminal(int fd, GError **error)
{
	if (!isatty(fd)) {
		(void)fcntl(fd, F_SETPIPE_SZ, PIPE_BYTES);
		return fd;
	}
	error_set(error, STORAGEOS_ERROR_INVALID,
		  "standard %s is a terminal: name a file, or use a pipe",
		  fd == STDIN_FILENO ? "input" : "output");
	return -1;
}

int transfer_open_output(const char *path, gboolean device, GError **error)
{
	struct stat st;
	gboolean is_device =
		device && !is_standard(path) && !stat(path, &st) && S_ISBLK(st.st_mode);
	int fd;

	if (is_standard(path))
		return refuse_terminal(STDOUT_FILENO, error);
	fd = fd_open(path, O_WRONLY | O_EXCL | (is_device ? 0 : O_CREAT), 0600);
	if (fd < 0)
		error_set_errno(error, errno, "%s", path);
	return fd;
}

gboolean transfer_close_output(int fd, const char *path, gboolean good, GError **error)
{
	struct stat st;
	gboolean is_new = !is_standard(path) && !fstat(fd, &st) && S_ISREG(st.st_mode);

	if (is_standard(path))
		return TRUE;
	if (good && fsync(fd) && errno != EINVAL)
		good = error_set_errno(error, errno, "%s", path);
	close(fd);
	if (is_new && good)
		good = files_sync_parent(path, error);
	if (is_new && !good)
		unlink(path);
	return good;
}

int transfer_open_input(const char *path, GError **error)
{
	int fd;

	if (is_standard(path))
		return refuse_terminal(STDIN_FILENO, error);
	fd = fd_open(path, O_RDONLY, 0);
	if (fd < 0)
		error_set_errno(error, errno, "%s", path);
	return fd;
}

void transfer_show(gpointer data, const StreamTotals *totals)
{
	TransferProgress *progress = data;
	gint64 now = g_get_monotonic_time();
	g_autofree char *done = NULL, *all = NULL, *speed = NULL;

	progress->data = totals->data;
	if (!progress->begun)
		progress->begun = now;
	if (now - progress->shown < SHOW_USEC || now - progress->begun < SHOW_USEC)
		return;
	progress->shown = now;
	done = size_format(totals->data);
	all = size_format(progress->bytes);
	speed = size_format(totals->data * G_USEC_PER_SEC / (guint64)(now - progress->begun));
	cli_progress("%s: %s%s%s, %s/s", progress->what, done,
		     progress->bytes ? " of at most " : "", progress->bytes ? all : "", speed);
}
