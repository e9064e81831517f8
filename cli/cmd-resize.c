/* SPDX-License-Identifier: Apache-2.0 */
/*
 * resize: asks the volume's server to grow the volume, then resizes the device that users see: the
 * loop device over FUSE; the backstore and its SCSI disks over TCMU.  Each step is idempotent and
 * is repeated even if the volume has the size already, so that running the command again completes
 * an interrupted resize.
 *
 * A volume that nobody serves is opened and resized in this process; only such a volume can shrink.
 */
#include <stdio.h>

#include "cli/attachment.h"
#include "cli/cli.h"
#include "cli/facts.h"
#include "cli/interrupt.h"
#include "cli/fileio-export.h"
#include "cli/loop-device.h"
#include "cli/places.h"
#include "cli/promise.h"
#include "cli/served.h"
#include "cli/target-configfs.h"
#include "common/base/autofd.h"
#include "common/service/control-address.h"
#include "common/service/control-call.h"
#include "common/base/error.h"
#include "common/base/units.h"

#define ANSWER_SECONDS 30
#define DONE_SECONDS 3600

typedef struct {
	const Config *config;
	const VolumeName *name;
	Places *places;
	guint64 size, before;
	gboolean more; /* `size` is to be added to the present size, see size_settle() */
	gboolean force, dry;
	VolumeMapped cut_off; /* the data that was discarded */
	char *frontend;	      /* of the server; NULL: nobody serves the volume */
	char *warning;	      /* promise.h; or NULL */
} Resizing;

static void resizing_clear(Resizing *resizing)
{
	g_free(resizing->frontend);
	g_free(resizing->warning);
}
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(Resizing, resizing_clear)

/* ---- a volume that is served */

static gboolean loop_device_resize(const Resizing *resizing, GError **error)
{
	g_autofree char *loop = loop_device_find(resizing->places->file, NULL, 0);

	return !loop || loop_device_grow(loop, resizing->places->file, resizing->size, error);
}

static gboolean lun_resize(const Resizing *resizing, GError **error)
{
	g_autofree char *backstore = target_backstore_of_volume(resizing->places->text);

	if (!backstore)
		return error_set(error, STORAGEOS_ERROR_NOT_FOUND,
				 "configfs has no backstore of the volume");
	return target_backstore_set_size(backstore, resizing->size, error) &&
	       target_rescan(resizing->places->text, error);
}

/* Gives the device the size that the volume has now. */
static gboolean device_resize(const Resizing *resizing, GError **error)
{
	gboolean done = g_str_equal(resizing->frontend, "tcmu")
				? lun_resize(resizing, error)
				: loop_device_resize(resizing, error);

	if (!done)
		g_prefix_error(error, "the volume was resized, but its device was not: ");
	return done;
}

/* FALSE with NOT_FOUND: nobody serves it. */
static gboolean server_resize(Resizing *resizing, GError **error)
{
	g_autofree char *socket = control_name(resizing->name);
	gboolean done = FALSE;

	while (!done) {
		g_autoptr(Json) request = json_object_new_object();
		g_autoptr(Json) answer = NULL;

		json_add_text(request, "command", "resize");
		json_add_number(request, "size", resizing->size);
		answer = control_call(resizing->config, socket, request, ANSWER_SECONDS, error);
		if (!answer)
			return FALSE;
		if (!resizing->frontend)
			resizing->frontend = g_strdup(json_get_text(answer, "frontend"));
		done = json_get_flag(answer, "done");
		if (!done && !interrupt_check(NULL))
			return error_set(error, STORAGEOS_ERROR_BUSY,
					 "interrupted before it was done; run resize again to "
					 "complete it, its device, too");
		if (!done)
			cli_progress("resize %s: waiting for the disk", resizing->places->text);
	}
	if (resizing->frontend)
		return TRUE;
	return error_set(error, STORAGEOS_ERROR_IO, "the server's answer names no front end");
}

/* ---- a volume that nobody serves */

static gboolean volume_resize_open(Resizing *resizing, Volume *volume, GError **error)
{
	VolumeResizeFlags flags = VOLUME_RESIZE_SHRINK;

	if (resizing->force) {
		flags |= VOLUME_RESIZE_DISCARD;
		/* Only for the report: if the data cannot be counted, it is discarded all the same.
		 */
		if (resizing->size < volume_size(volume))
			volume_mapped_behind(volume, resizing->size, &resizing->cut_off);
	}
	if (volume_resize(volume, resizing->size, flags, DONE_SECONDS, error))
		return TRUE;
	if (error && g_error_matches(*error, STORAGEOS_ERROR, STORAGEOS_ERROR_EXISTS)) {
		g_autofree char *why = g_strdup((*error)->message);

		g_clear_error(error);
		error_set(error, STORAGEOS_ERROR_EXISTS, "%s; --force discards it", why);
	}
	return FALSE;
}

static gboolean volume_resize_here(Resizing *resizing, GError **error)
{
	gboolean done, closed;
	Volume *volume;

	volume_set_cache_size(resizing->config->node_cache);
	volume = pool_volume_open(resizing->config, resizing->name, 0, error);
	if (!volume)
		return FALSE;
	cli_progress("resize %s", resizing->places->text);
	done = volume_resize_open(resizing, volume, error);
	closed = volume_close(volume, done ? error : NULL);
	return done && closed;
}

/* ---- both */

/* A broken attachment holds no lock on the volume, but its device may still be in use. */
static gboolean volume_may_shrink(const Resizing *resizing, GError **error)
{
	g_autoptr(Attachment) attachment = attachment_inspect(resizing->places);
	const char *holder = attachment->facts.holder;

	if (holder)
		return error_set(error, STORAGEOS_ERROR_BUSY,
				 "in use by %s; only a detached volume can be shrunk", holder);
	return attachment_is_gone(attachment) ||
	       error_set(error, STORAGEOS_ERROR_BUSY,
			 "still attached (%s); only a detached volume can be shrunk",
			 attachment->problem ? attachment->problem : "working");
}

/* Counts what a shrink would cut off.  EXISTS, without `force`. */
static gboolean shrink_check(Resizing *resizing, GError **error)
{
	g_autofree char *size = NULL;
	Volume *volume;
	int r;

	volume_set_cache_size(resizing->config->node_cache);
	volume = pool_volume_open(resizing->config, resizing->name, VOLUME_OPEN_READ_ONLY, error);
	if (!volume)
		return FALSE;
	r = volume_mapped_behind(volume, resizing->size, &resizing->cut_off);
	volume_close(volume, NULL);
	if (r)
		return error_set_errno(error, -r, "look for data behind the new end");
	size = size_format(resizing->cut_off.bytes);
	return !resizing->cut_off.bytes || resizing->force ||
	       error_set(error, STORAGEOS_ERROR_EXISTS,
			 "%s of data lie behind the new end, from byte %" G_GUINT64_FORMAT
			 " on; --force discards it",
			 size, resizing->cut_off.first);
}

/* Computes the requested size from the volume's present size `before`. */
static gboolean size_settle(Resizing *resizing, guint64 before, GError **error)
{
	resizing->before = before;
	if (resizing->more)
		resizing->size += before;
	resizing->more = FALSE;
	return resizing->size <= VOLUME_SIZE_MAX ||
	       error_set(error, STORAGEOS_ERROR_INVALID,
			 "%" G_GUINT64_FORMAT " bytes exceed the maximum volume size of 64 TiB",
			 resizing->size);
}

static gboolean resize_locked(Resizing *resizing, GError **error)
{
	gint64 since = g_get_monotonic_time();
	g_autoptr(GError) problem = NULL;
	g_auto(Facts) facts = {0};

	if (!served_check(resizing->config, resizing->name, error) ||
	    !facts_read(resizing->config, resizing->name, &facts, error) ||
	    !size_settle(resizing, facts.size, error))
		return FALSE;
	if (resizing->size > facts.size)
		resizing->warning = promise_warning(resizing->config, resizing->name, &facts,
						    facts.size, resizing->size);
	if (resizing->size < facts.size && !volume_may_shrink(resizing, error))
		return FALSE;
	if (resizing->dry)
		return resizing->size >= facts.size || shrink_check(resizing, error);
	do {
		if (server_resize(resizing, &problem))
			return device_resize(resizing, error);
		if (!g_error_matches(problem, STORAGEOS_ERROR, STORAGEOS_ERROR_NOT_FOUND))
			break;
		g_clear_error(&problem);
		if (volume_resize_here(resizing, &problem))
			return TRUE;
	} while (served_just_begins(since, &problem));
	g_propagate_error(error, g_steal_pointer(&problem));
	return FALSE;
}

/* The fileio backstore reads its file's size only once, when the backstore is created. */
static void export_warn(const Resizing *resizing)
{
	g_autofree char *backstore = fileio_export_find(resizing->places->text);

	if (backstore)
		cli_say("resize %s: the fileio backstore %s still has the old size: delete it and "
			"its LUNs, then create them again",
			resizing->places->text, backstore);
}

static void resize_report(const Cli *cli, const Resizing *resizing)
{
	Json *object = json_object_new_object();
	g_autofree char *size = size_format_exactly(resizing->size);
	g_autofree char *before = size_format_exactly(resizing->before);
	g_autofree char *cut_off = size_format(resizing->cut_off.bytes);

	json_add_text(object, "volume", resizing->places->text);
	json_add_number(object, "size", resizing->size);
	json_add_number(object, "before", resizing->before);
	json_add_number(object, "cut_off", resizing->cut_off.bytes);
	json_add_text(object, "frontend", resizing->frontend);
	cli_warn(verb_resize.name, resizing->warning, object);
	if (resizing->dry) {
		cli_report_dry(cli, object, "%s: would be %s, is %s%s%s%s", resizing->places->text,
			       size, before, resizing->cut_off.bytes ? "; " : "",
			       resizing->cut_off.bytes ? cut_off : "",
			       resizing->cut_off.bytes ? " of data would be discarded" : "");
		return;
	}
	cli_report(cli, object, "%s: %s, was %s%s%s%s", resizing->places->text, size, before,
		   resizing->cut_off.bytes ? "; " : "", resizing->cut_off.bytes ? cut_off : "",
		   resizing->cut_off.bytes ? " of data discarded" : "");
}

static gboolean resize_volume(Resizing *resizing, GError **error)
{
	gboolean locked = places_lock(resizing->places, error), done;

	interrupt_hold();
	done = locked && resize_locked(resizing, error);

	if (!done)
		g_prefix_error(error, "resize %s: ", resizing->places->text);
	return done;
}

/* "20G" sets the size, "+2G" adds to it.  FALSE: the error has been printed. */
static gboolean size_parse_argument(const char *text, Resizing *resizing)
{
	resizing->more = *text == '+';
	if (!resizing->more)
		return cli_volume_size(verb_resize.name, text, &resizing->size);
	if (size_parse(text + 1, &resizing->size) && resizing->size % SECTOR_SIZE == 0 &&
	    resizing->size <= VOLUME_SIZE_MAX)
		return TRUE;
	cli_usage("resize: invalid size to add '%s' (a multiple of %u bytes, for example +10G)",
		  text, SECTOR_SIZE);
	return FALSE;
}

static int verb_resize_run(int argc, char **argv)
{
	gboolean force = FALSE, dry = FALSE;
	const GOptionEntry options[] = {
		{"force", 0, 0, G_OPTION_ARG_NONE, &force, "Discard data beyond the new end", NULL},
		CLI_DRY_RUN(&dry),
		{0},
	};
	g_autoptr(VolumeName) name = NULL;
	g_autoptr(Places) places = NULL;
	g_autoptr(GError) error = NULL;
	g_auto(Resizing) resizing = {0};
	g_auto(Cli) cli = {0};
	int status;

	if (!cli_start(&cli, &verb_resize, options, 2, 2, argc, argv, &status))
		return status;
	name = volume_name_parse(cli.arguments[0], &error);
	if (!name)
		return cli_usage("resize: %s", error->message);
	if (!size_parse_argument(cli.arguments[1], &resizing))
		return CLI_USAGE;
	places = places_new(cli.config, name);
	resizing.config = cli.config;
	resizing.name = name;
	resizing.places = places;
	resizing.force = force;
	resizing.dry = dry;
	if (!resize_volume(&resizing, &error))
		return cli_failed(error);
	if (!dry)
		export_warn(&resizing);
	resize_report(&cli, &resizing);
	return CLI_DONE;
}

const Verb verb_resize = {"resize", "NAME [+]SIZE [-n] [--force]",
			  "grow a volume, even in use; shrink it", verb_resize_run};
