/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/export-image.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/wait.h>

#include "cli/image-copy.h"
#include "cli/interrupt.h"
#include "cli/temporary-snapshot.h"
#include "common/base/error.h"
#include "common/base/fd.h"
#include "common/base/output.h"

/* ---- a snapshot */

/* Fills the image, which is there and is empty. */
static gboolean image_fill(Volume *snapshot, const char *path, const char *format, gboolean verify,
			   TransferProgress *progress, GError **error)
{
	guint64 size = volume_size(snapshot);
	g_autoptr(Medium) from = medium_new_in_volume(snapshot);
	Medium *to = medium_qemu_create(path, format, size, error)
			     ? medium_new_of_qemu(path, format, MEDIUM_QEMU_WRITE, error)
			     : NULL;
	ImageCopy copy = {.from = from, .to = to, .verify = verify, .progress = progress};
	gboolean done, closed;

	if (!to)
		return FALSE;
	done = medium_size(to) >= size ||
	       error_set(error, STORAGEOS_ERROR_UNSUPPORTED,
			 "an image of format %s cannot have %" G_GUINT64_FORMAT " bytes", format,
			 size);
	done = done && image_copy(&copy, error) && interrupt_check(error);
	closed = medium_close(to, done ? error : NULL);
	return done && closed;
}

gboolean image_export(Volume *snapshot, const char *path, const char *format, gboolean verify,
		      TransferProgress *progress, GError **error)
{
	int fd = transfer_open_output(path, FALSE, error);
	gboolean done;

	if (fd < 0)
		return FALSE;
	interrupt_hold();
	done = image_fill(snapshot, path, format, verify, progress, error);
	return transfer_close_output(fd, path, done, error) && done;
}

gboolean image_verify(Volume *snapshot, const char *path, TransferProgress *progress,
		      GError **error)
{
	int fd = fd_open(path, O_RDONLY, 0);
	g_autoptr(Medium) file = NULL;
	g_autoptr(Medium) volume = medium_new_in_volume(snapshot);
	g_autofree char *what = g_strconcat(progress->what, ": verifying", NULL);
	TransferProgress shown = {.what = what, .bytes = progress->bytes};
	ImageDifference difference;

	if (fd < 0)
		return error_set_errno(error, errno, "%s", path);
	file = medium_new_of_file(fd, path, error);
	if (!file || !image_compare(volume, file, &shown, &difference, error))
		return FALSE;
	return !difference.differ ||
	       error_set(error, STORAGEOS_ERROR_CORRUPT,
			 "%s does not read as it was written, from byte %" G_GUINT64_FORMAT " on",
			 path, difference.first);
}

/* ---- a volume */

static void child_begin(gpointer data)
{
	(void)data;
	output_child();
	interrupt_child();
	prctl(PR_SET_PDEATHSIG, SIGTERM);
}

/* Waits for the child, and gives on the signals that are held back here.  They stay noticed: this
 * process ends by them, too, when it has tidied up. */
static int child_await(GPid pid)
{
	gboolean told = FALSE;
	int status;

	while (waitpid(pid, &status, WNOHANG) == 0) {
		if (!told && !interrupt_check(NULL)) {
			kill(pid, SIGTERM);
			told = TRUE;
		}
		g_usleep(G_USEC_PER_SEC / 50);
	}
	return status;
}

static gboolean snapshot_export(const VolumeName *name, const char *const argv[], int *ret_status,
				GError **error)
{
	g_autofree char *text = volume_name_format(name);
	g_autoptr(GPtrArray) arguments = g_ptr_array_new();
	g_autoptr(GError) problem = NULL;
	int status;
	GPid pid;

	g_ptr_array_add(arguments, (gpointer) "/proc/self/exe");
	g_ptr_array_add(arguments, (gpointer) "export");
	g_ptr_array_add(arguments, text);
	for (guint i = 0; argv[i]; i++)
		g_ptr_array_add(arguments, (gpointer)argv[i]);
	g_ptr_array_add(arguments, NULL);
	if (!g_spawn_async(NULL, (char **)arguments->pdata, NULL,
			   G_SPAWN_DO_NOT_REAP_CHILD | G_SPAWN_CHILD_INHERITS_STDIN, child_begin,
			   NULL, &pid, &problem))
		return error_set(error, STORAGEOS_ERROR_IO, "%s", problem->message);
	status = child_await(pid);
	*ret_status = WIFEXITED(status) ? WEXITSTATUS(status) : CLI_FAILED;
	return TRUE;
}

gboolean export_by_snapshot(const Cli *cli, const VolumeName *name, const char *const argv[],
			    int *ret_status, GError **error)
{
	g_auto(TemporarySnapshot) snapshot = {0};

	interrupt_hold();
	return temporary_snapshot_take(cli->config, name, FALSE, POLICY_FREEZE_AUTO, &snapshot,
				       error) &&
	       snapshot_export(snapshot.name, argv, ret_status, error);
}
