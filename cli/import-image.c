/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/import-image.h"

#include <string.h>
#include <unistd.h>

#include "cli/attachment.h"
#include "cli/image-copy.h"
#include "cli/interrupt.h"
#include "cli/medium-open.h"
#include "cli/served.h"
#include "common/base/bounds.h"
#include "common/base/error.h"
#include "common/base/units.h"
#include "common/engine/volume-snapshots.h"
#include "common/service/pool-fill.h"

#define RESIZE_SECONDS 3600
#define PIPE_SIZE GIB /* of a volume at first that is written from a pipe */

typedef struct {
	ImageImport *import;
	Medium *from;
	Volume *volume;
} Importing;

/* ---- sizes */

static guint64 size_of_volume(const ImageImport *import, guint64 image)
{
	guint64 blocks = (image + import->block_size - 1) / import->block_size;

	return max_u64(VOLUME_SIZE_MIN, blocks * import->block_size);
}

static gboolean size_fail(guint64 image, guint64 room, const char *what, GError **error)
{
	return error_set(error, STORAGEOS_ERROR_INVALID,
			 "the image has %" G_GUINT64_FORMAT " bytes, %s %" G_GUINT64_FORMAT, image,
			 what, room);
}

/* Of what comes from a pipe.  Grows a new volume by half at least, so that it does so seldom. */
static gboolean volume_fit(gpointer data, guint64 size, gboolean exactly, GError **error)
{
	Importing *importing = data;
	ImageImport *import = importing->import;
	guint64 have = volume_size(importing->volume), want = size_of_volume(import, size);

	if (!size) /* whoever was to write the image has failed, more likely than not */
		return error_set(error, STORAGEOS_ERROR_INVALID, "standard input is empty");
	if (size > VOLUME_SIZE_MAX)
		return size_fail(size, VOLUME_SIZE_MAX, "a volume at most", error);
	if (import->undo && want > have)
		return size_fail(size, have, "the volume", error);
	import->image_size = size;
	if (import->undo || (!exactly && want <= have))
		return TRUE;
	want = exactly ? max_u64(want, import->size)
		       : min_u64(max_u64(want, have + have / 2 / MIB * MIB), VOLUME_SIZE_MAX);
	return want == have ||
	       volume_resize(importing->volume, want, VOLUME_RESIZE_SHRINK, RESIZE_SECONDS, error);
}

/* ---- the content */

static gboolean content_copy(Importing *importing, GError **error)
{
	ImageImport *import = importing->import;
	g_autoptr(Medium) to = medium_new_in_volume(importing->volume);
	ImageCopy copy = {
		.from = importing->from,
		.to = to,
		.resize = volume_fit,
		.data = importing,
		.verify = import->verify,
		.progress = import->progress,
	};

	if (!image_copy(&copy, error) || !interrupt_check(error))
		return FALSE;
	import->volume_size = volume_size(importing->volume);
	return TRUE;
}

static gboolean volume_fill(gpointer data, Volume *volume, GError **error)
{
	Importing *importing = data;

	importing->volume = volume;
	return content_copy(importing, error);
}

static gboolean volume_make(Importing *importing, GError **error)
{
	const ImageImport *import = importing->import;
	guint64 size = medium_is_pipe(importing->from) ? PIPE_SIZE : import->image_size;
	const VolumeParameters parameters = {
		.size = max_u64(size_of_volume(import, size), import->size),
		.logical_block_size = import->block_size};

	return pool_volume_create_filled(import->config, import->places->name, &parameters,
					 volume_fill, importing, error);
}

/* ---- a volume that is there */

static gboolean undo_take(Importing *importing, GError **error)
{
	g_autoptr(GDateTime) now = g_date_time_new_now_utc();
	g_autofree char *time = g_date_time_format(now, "%Y%m%dt%H%M%Sz");
	g_autofree char *name = g_strconcat("before-import-", time, NULL);
	const VolumeSnapshotParameters parameters = {.name = name};
	guint64 generation;

	if (!volume_snapshot_begin(importing->volume, &parameters, &generation, error) ||
	    !volume_snapshot_wait(importing->volume, generation, RESIZE_SECONDS, error))
		return FALSE;
	importing->import->undo = g_steal_pointer(&name);
	return TRUE;
}

/* Goes back to what the volume held. */
static void undo_use(Importing *importing, GError **error)
{
	g_autofree char *undo = g_steal_pointer(&importing->import->undo);
	g_autoptr(GError) problem = NULL;

	if (volume_rollback(importing->volume, undo, VOLUME_ROLLBACK_DISCARD, NULL, &problem) &&
	    volume_snapshot_delete(importing->volume, undo, 0, &problem))
		return;
	g_prefix_error(error,
		       "the volume's content is still to be had from its snapshot '%s' (%s): ",
		       undo, problem->message);
}

static gboolean volume_overwrite(Importing *importing, GError **error)
{
	Volume *volume = importing->volume;
	int r;

	if (!medium_is_pipe(importing->from) &&
	    size_of_volume(importing->import, importing->import->image_size) > volume_size(volume))
		return size_fail(importing->import->image_size, volume_size(volume), "the volume",
				 error);
	if (!undo_take(importing, error))
		return FALSE;
	r = volume_discard(volume, 0, volume_size(volume));
	if ((!r || error_set_errno(error, -r, "discard the volume's content")) &&
	    content_copy(importing, error))
		return TRUE;
	cli_progress_end();
	undo_use(importing, error);
	return FALSE;
}

/* NOT_FOUND: there is none. */
static gboolean volume_overwrite_opened(Importing *importing, GError **error)
{
	const ImageImport *import = importing->import;
	gboolean done, closed;

	if (!attachment_require_gone(import->places, "import into it", error))
		return FALSE;
	importing->volume = pool_volume_open(import->config, import->places->name, 0, error);
	if (!importing->volume)
		return FALSE;
	done = volume_overwrite(importing, error);
	closed = volume_close(importing->volume, done ? error : NULL);
	return done && closed;
}

/* ---- */

static Medium *source_open(const ImageImport *import, GError **error)
{
	int fd;

	if (import->path && strcmp(import->path, "-") != 0)
		return medium_open_file(import->path, import->format,
					import->other_files ? MEDIUM_QEMU_OTHER_FILES : 0, error);
	if (strcmp(import->format, "raw") != 0) {
		error_set(error, STORAGEOS_ERROR_INVALID,
			  "qemu reads %s from a file only, not from standard input",
			  import->format);
		return NULL;
	}
	fd = transfer_open_input(NULL, error);
	return fd < 0 ? NULL : medium_new_of_pipe(fd);
}

static gboolean volume_import(Importing *importing, GError **error)
{
	g_autoptr(GError) problem = NULL;

	if (importing->import->force) {
		if (volume_overwrite_opened(importing, &problem))
			return TRUE;
		if (!g_error_matches(problem, STORAGEOS_ERROR, STORAGEOS_ERROR_NOT_FOUND)) {
			g_propagate_error(error, g_steal_pointer(&problem));
			return FALSE;
		}
	}
	if (volume_make(importing, error))
		return TRUE;
	if (error && g_error_matches(*error, STORAGEOS_ERROR, STORAGEOS_ERROR_EXISTS)) {
		g_autofree char *text = g_strdup((*error)->message);

		g_clear_error(error);
		error_set(
			error, STORAGEOS_ERROR_EXISTS,
			"%s (--force writes over a volume, and keeps what it holds as a snapshot)",
			text);
	}
	return FALSE;
}

/* Whether the volume can be made, or written over; changes nothing. */
static gboolean target_check(ImageImport *import, GError **error)
{
	const VolumeName *name = import->places->name;
	Volume *volume = NULL;
	g_autoptr(GError) problem = NULL;

	g_autofree char *path = pool_volume_path(import->config, name, error);

	if (!path ||
	    (import->force && !attachment_require_gone(import->places, "import into it", error)))
		return FALSE;
	if (!import->image_size)
		return error_set(error, STORAGEOS_ERROR_INVALID,
				 "a dry run does not read a pipe to its end");
	import->volume_size = max_u64(size_of_volume(import, import->image_size), import->size);
	volume = pool_volume_open(import->config, name, VOLUME_OPEN_READ_ONLY, &problem);
	if (!volume && g_error_matches(problem, STORAGEOS_ERROR, STORAGEOS_ERROR_NOT_FOUND))
		return TRUE;
	if (volume) {
		guint64 have = volume_size(volume);

		volume_close(volume, NULL);
		if (import->force && size_of_volume(import, import->image_size) > have)
			return size_fail(import->image_size, have, "the volume", error);
		import->volume_size = have;
	}
	if (import->force && volume)
		return TRUE;
	if (!import->force)
		return error_set(error, STORAGEOS_ERROR_EXISTS,
				 "the volume exists (--force writes over it, and keeps what it "
				 "holds as a snapshot)");
	g_propagate_error(error, g_steal_pointer(&problem));
	return FALSE;
}

gboolean image_import(ImageImport *import, GError **error)
{
	Importing importing = {.import = import};
	g_autoptr(Medium) from = NULL;

	if (!served_check(import->config, import->places->name, error))
		return FALSE;
	from = importing.from = source_open(import, error);
	if (!from)
		return FALSE;
	if (!medium_is_pipe(from)) {
		import->image_size = medium_size(from);
		import->progress->bytes = import->image_size;
		if (import->image_size > VOLUME_SIZE_MAX)
			return size_fail(import->image_size, VOLUME_SIZE_MAX, "a volume at most",
					 error);
	}
	return import->dry ? target_check(import, error) : volume_import(&importing, error);
}
