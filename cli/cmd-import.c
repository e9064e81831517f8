/* SPDX-License-Identifier: Apache-2.0 */
/*
 * import: makes a volume what a stream says, or an image holds.  The volume must not be attached.
 */
#include <errno.h>
#include <stdio.h>
#include <unistd.h>

#include "cli/cli.h"
#include "cli/import-image.h"
#include "cli/interrupt.h"
#include "cli/places.h"
#include "cli/served.h"
#include "cli/transfer.h"
#include "common/base/error.h"
#include "common/base/units.h"
#include "common/service/pool.h"
#include "common/stream/stream-receive.h"

typedef struct {
	const Cli *cli;
	VolumeName *name;
	char *text, *format_text, *size_text, *block_size_text;
	gboolean force, abort, token, other_files, no_verify, dry;
	TransferFormat format;
	guint64 size;
	guint32 block_size;
	Places *places; /* locked */
	TransferProgress progress;
} Importing;

static void importing_clear(Importing *importing)
{
	places_free(importing->places);
	volume_name_free(importing->name);
	g_free(importing->text);
	g_free(importing->format_text);
	g_free(importing->size_text);
	g_free(importing->block_size_text);
}
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(Importing, importing_clear)

/* Nobody attaches the volume from now on. */
static gboolean volume_lock(Importing *importing, GError **error)
{
	importing->places = places_new(importing->cli->config, importing->name);
	return places_lock(importing->places, error);
}

static Volume *volume_get(const Importing *importing, VolumeOpenFlags flags, GError **error)
{
	volume_set_cache_size(importing->cli->config->node_cache);
	return pool_volume_open(importing->cli->config, importing->name, flags, error);
}

/* What all of a snapshot goes to is made, unless there is a volume already.  The rest of a transfer
 * goes to the volume that has its beginning. */
static Volume *volume_get_or_make(const Importing *importing, gboolean all,
				  const VolumeParameters *parameters, GError **error)
{
	g_autoptr(GError) problem = NULL;
	Volume *volume = volume_get(importing, VOLUME_OPEN_RECEIVE, &problem);

	if (volume)
		return volume;
	if (all && g_error_matches(problem, STORAGEOS_ERROR, STORAGEOS_ERROR_NOT_FOUND))
		return pool_volume_create(importing->cli->config, importing->name, parameters, 0,
					  error)
			       ? volume_get(importing, VOLUME_OPEN_RECEIVE, error)
			       : NULL;
	g_propagate_error(error, g_steal_pointer(&problem));
	return NULL;
}

static StreamReceiveFlags receive_flags(const Importing *importing)
{
	return importing->force ? STREAM_RECEIVE_FORCE : 0;
}

/* ---- a dry run */

typedef struct {
	const char *to, *from; /* snapshots; `from` NULL: all of `to` */
	guint64 size;
	gboolean made, back; /* the volume is made; it goes back to `from` first */
} StreamForeseen;

static void stream_report_dry(const Importing *importing, const StreamForeseen *foreseen)
{
	g_autofree char *size = size_format(foreseen->size);
	g_autoptr(GString) line = g_string_new(NULL);
	Json *object = json_object_new_object();

	json_add_text(object, "volume", importing->text);
	json_add_text(object, "snapshot", foreseen->to);
	json_add_text(object, "from", foreseen->from);
	json_add_number(object, "size", foreseen->size);
	json_add_flag(object, "made", foreseen->made);
	json_add_flag(object, "rolled_back", foreseen->back);
	if (foreseen->made)
		g_string_append(line, "would be made, and ");
	if (foreseen->back)
		g_string_append_printf(line,
				       "would go back to %s, leaving a snapshot of what it holds, "
				       "and ",
				       foreseen->from);
	cli_report_dry(importing->cli, object, "%s: %swould receive snapshot %s, %s%s%s",
		       importing->text, line->str, foreseen->to, size,
		       foreseen->from ? ", from " : "", foreseen->from ? foreseen->from : "");
}

/* *ret_volume is open for reading, or NULL: what holds all of a snapshot would make it. */
static gboolean volume_look(const Importing *importing, gboolean all, Volume **ret_volume,
			    GError **error)
{
	g_autoptr(GError) problem = NULL;
	g_autofree char *path = pool_volume_path(importing->cli->config, importing->name, error);

	if (!path)
		return FALSE;
	*ret_volume = volume_get(importing, VOLUME_OPEN_READ_ONLY, &problem);
	if (*ret_volume ||
	    (all && g_error_matches(problem, STORAGEOS_ERROR, STORAGEOS_ERROR_NOT_FOUND)))
		return TRUE;
	g_propagate_error(error, g_steal_pointer(&problem));
	return FALSE;
}

static gboolean look_end(const Importing *importing, Volume *volume, StreamForeseen *foreseen,
			 gboolean good)
{
	foreseen->made = !volume;
	volume_close(volume, NULL);
	if (good)
		stream_report_dry(importing, foreseen);
	return good;
}

static gboolean stream_foresee(const Importing *importing, const StreamBegin *begin, GError **error)
{
	StreamForeseen foreseen = {
		.to = begin->to.name,
		.from = begin->incremental ? begin->from.name : NULL,
		.size = begin->size,
	};
	Volume *volume;

	if (!volume_look(importing, !begin->incremental && !begin->resume, &volume, error))
		return FALSE;
	return look_end(importing, volume, &foreseen,
			!volume || stream_receive_check(volume, begin, receive_flags(importing),
							&foreseen.back, error));
}

static gboolean rbd_foresee(const Importing *importing, const StreamRbdHead *head, GError **error)
{
	StreamForeseen foreseen = {.to = head->to, .from = head->from, .size = head->size};
	Volume *volume;

	if (!volume_look(importing, !head->from, &volume, error))
		return FALSE;
	return look_end(importing, volume, &foreseen,
			!volume || stream_receive_check_rbd(volume, head, receive_flags(importing),
							    &foreseen.back, error));
}

/* ---- receiving */

/* Closes the volume, and says how an interrupted transfer goes on. */
static gboolean receive_end(const Importing *importing, Volume *volume, gboolean good,
			    GError **error)
{
	StreamToken token;
	gboolean resumable = !good && stream_receive_token(volume, &token, NULL);
	g_autofree char *text = resumable ? stream_token_format(&token) : NULL;
	g_autoptr(GError) problem = NULL;

	cli_progress_end();
	if (!volume_close(volume, &problem) && good) {
		g_propagate_error(error, g_steal_pointer(&problem));
		good = FALSE;
	}
	if (resumable && importing->format == TRANSFER_STREAM)
		cli_say("import %s: to go on, export with --resume %s", importing->text, text);
	else if (resumable)
		cli_say("import %s: to give it up: storageos import %s --abort", importing->text,
			importing->text);
	return good;
}

static gboolean receive_stream(Importing *importing, int fd, GError **error)
{
	g_autoptr(StreamReader) reader = stream_reader_new(fd);
	VolumeParameters parameters = {0};
	StreamBegin begin;
	Volume *volume;

	if (!reader)
		return error_set_errno(error, ENOMEM, "read the stream");
	if (!stream_reader_begin(reader, &begin, error))
		return FALSE;
	if (importing->dry)
		return stream_foresee(importing, &begin, error);
	parameters.size = begin.size;
	parameters.logical_block_size = begin.block_size;
	volume = volume_get_or_make(importing, !begin.incremental && !begin.resume, &parameters,
				    error);
	if (!volume)
		return FALSE;
	importing->progress.bytes = begin.bytes;
	return receive_end(importing, volume,
			   stream_receive(volume, reader, &begin, receive_flags(importing),
					  transfer_show, &importing->progress, error),
			   error);
}

static gboolean receive_rbd(Importing *importing, int fd, GError **error)
{
	g_autoptr(StreamRbdReader) reader = stream_rbd_reader_new(fd);
	g_auto(StreamRbdHead) head = {0};
	VolumeParameters parameters = {0};
	Volume *volume;

	if (!reader)
		return error_set_errno(error, ENOMEM, "read the file");
	if (!stream_rbd_reader_begin(reader, &head, error))
		return FALSE;
	if (!name_valid(head.to))
		return error_set(error, STORAGEOS_ERROR_INVALID,
				 "the file holds snapshot '%s', which is no name of a snapshot "
				 "here (" NAME_RULE "; export IMAGE@SNAP)",
				 head.to ? head.to : "");
	if (importing->dry)
		return rbd_foresee(importing, &head, error);
	parameters.size = head.size;
	volume = volume_get_or_make(importing, !head.from, &parameters, error);
	if (!volume)
		return FALSE;
	return receive_end(importing, volume,
			   stream_receive_rbd(volume, reader, &head, receive_flags(importing),
					      transfer_show, &importing->progress, error),
			   error);
}

static gboolean stream_import(Importing *importing, const char *path, GError **error)
{
	int fd = transfer_open_input(path, error);
	gboolean good;

	if (fd < 0 || !volume_lock(importing, error))
		return FALSE;
	good = importing->format == TRANSFER_RBD ? receive_rbd(importing, fd, error)
						 : receive_stream(importing, fd, error);
	if (fd != STDIN_FILENO)
		close(fd);
	return good;
}

static void stream_report(const Importing *importing)
{
	g_autofree char *size = size_format(importing->progress.data);
	Json *object = json_object_new_object();

	json_add_text(object, "volume", importing->text);
	json_add_number(object, "bytes", importing->progress.data);
	cli_report(importing->cli, object, "%s: imported, %s", importing->text, size);
}

/* ---- images */

static void image_report(const Importing *importing, const ImageImport *import)
{
	g_autofree char *data = size_format(importing->progress.data);
	g_autofree char *size = size_format(import->volume_size);
	g_autoptr(GString) line = g_string_new(NULL);
	Json *object = json_object_new_object();

	json_add_text(object, "volume", importing->text);
	json_add_number(object, "bytes", importing->progress.data);
	json_add_number(object, "size", import->volume_size);
	json_add_number(object, "image_size", import->image_size);
	json_add_flag(object, "verified", import->verify);
	json_add_text(object, "undo", import->undo);
	g_string_printf(line, "%s: imported, %s of data in %s%s", importing->text, data, size,
			import->verify ? ", verified" : "");
	if (import->volume_size != import->image_size)
		g_string_append_printf(line, " (the image has %" G_GUINT64_FORMAT " bytes)",
				       import->image_size);
	if (import->undo)
		g_string_append_printf(line, "; what it held is the snapshot %s@%s",
				       importing->text, import->undo);
	cli_report(importing->cli, object, "%s", line->str);
}

static void image_report_dry(const Importing *importing, const ImageImport *import)
{
	g_autofree char *size = size_format(import->volume_size);
	Json *object = json_object_new_object();

	json_add_text(object, "volume", importing->text);
	json_add_number(object, "size", import->volume_size);
	json_add_number(object, "image_size", import->image_size);
	cli_report_dry(importing->cli, object,
		       "%s: would be %s, %s; the image has %" G_GUINT64_FORMAT " bytes",
		       importing->text, import->force ? "written over" : "imported", size,
		       import->image_size);
}

static gboolean image_import_and_report(Importing *importing, const char *path, GError **error)
{
	ImageImport import = {
		.config = importing->cli->config,
		.path = path,
		.format = importing->format_text,
		.size = importing->size,
		.block_size = importing->block_size,
		.force = importing->force,
		.other_files = importing->other_files,
		.verify = !importing->no_verify,
		.dry = importing->dry,
		.progress = &importing->progress,
	};
	gboolean done;

	if (!volume_lock(importing, error))
		return FALSE;
	import.places = importing->places;
	interrupt_hold();
	volume_set_cache_size(importing->cli->config->node_cache);
	done = image_import(&import, error);
	if (done && importing->dry)
		image_report_dry(importing, &import);
	else if (done)
		image_report(importing, &import);
	g_free(import.undo);
	return done;
}

static gboolean import_run(Importing *importing, const char *path, GError **error)
{
	if (importing->format == TRANSFER_RAW || importing->format == TRANSFER_QEMU)
		return image_import_and_report(importing, path, error);
	if (!stream_import(importing, path, error))
		return FALSE;
	if (!importing->dry)
		stream_report(importing);
	return TRUE;
}

/* ---- what is under way */

static gboolean token_print(Importing *importing, GError **error)
{
	g_autoptr(Json) object = json_object_new_object();
	Volume *volume = volume_get(importing, VOLUME_OPEN_READ_ONLY, error);
	g_autofree char *text = NULL;
	StreamToken token;
	gboolean good;

	if (!volume)
		return FALSE;
	good = stream_receive_token(volume, &token, error);
	volume_close(volume, NULL);
	if (!good)
		return FALSE;
	text = stream_token_format(&token);
	json_add_text(object, "token", text);
	if (importing->cli->json)
		cli_print_json(object);
	else
		puts(text);
	return TRUE;
}

static gboolean import_abort(Importing *importing, GError **error)
{
	gboolean empty = FALSE, good;
	Json *object = json_object_new_object();
	Volume *volume = volume_lock(importing, error)
				 ? volume_get(importing, VOLUME_OPEN_RECEIVE, error)
				 : NULL;

	json_add_text(object, "volume", importing->text);
	good = volume && stream_receive_abort(volume, &empty, error);
	if (volume)
		good = volume_close(volume, good ? error : NULL) && good;
	json_add_flag(object, "empty", empty);
	if (good && empty)
		cli_report(importing->cli, object,
			   "%s: gave the import up; the volume is empty (to delete it: storageos "
			   "delete %s)",
			   importing->text, importing->text);
	else if (good)
		cli_report(importing->cli, object,
			   "%s: gave the import up, and went back to what it began with",
			   importing->text);
	else
		json_object_put(object);
	return good;
}

/* ---- the verb */

/* FALSE: the error has been printed. */
static gboolean options_check(const Cli *cli, Importing *importing)
{
	g_autoptr(GError) error = NULL;
	gboolean image;

	if (!importing->format_text)
		importing->format_text = g_strdup(transfer_format_detect(cli->arguments[1]));
	if (!transfer_format_parse("import", importing->format_text, &importing->format) ||
	    (importing->size_text &&
	     !cli_volume_size("import", importing->size_text, &importing->size)) ||
	    !cli_block_size("import", importing->block_size_text, importing->size,
			    &importing->block_size))
		return FALSE;
	image = importing->format == TRANSFER_RAW || importing->format == TRANSFER_QEMU;
	if (image ? importing->abort || importing->token
		  : importing->size || importing->block_size_text || importing->other_files ||
			    importing->no_verify) {
		cli_usage("import: --token and --abort are for streams, --size, --block-size, "
			  "--allow-backing and --no-verify for images");
		return FALSE;
	}
	if (importing->force && importing->block_size_text) {
		cli_usage("import: a volume that is there keeps its block size: --force excludes "
			  "--block-size");
		return FALSE;
	}
	if (importing->abort + importing->token + importing->force > 1 ||
	    ((cli->n_arguments > 1 || importing->dry) && (importing->abort || importing->token))) {
		cli_usage("import: --abort and --token exclude FILE, --force, --dry-run and each "
			  "other");
		return FALSE;
	}
	importing->name = volume_name_parse(cli->arguments[0], &error);
	if (importing->name)
		return TRUE;
	cli_usage("import: %s", error->message);
	return FALSE;
}

static int verb_import_run(int argc, char **argv)
{
	g_auto(Importing) importing = {0};
	const GOptionEntry options[] = {
		{"force", 0, 0, G_OPTION_ARG_NONE, &importing.force,
		 "If the volume has changed, or an image is to be written over it, keep what it "
		 "holds as a snapshot",
		 NULL},
		{"abort", 0, 0, G_OPTION_ARG_NONE, &importing.abort,
		 "Give up an import that was interrupted", NULL},
		{"token", 0, 0, G_OPTION_ARG_NONE, &importing.token,
		 "Print where an interrupted import goes on, for export --resume", NULL},
		{"format", 0, 0, G_OPTION_ARG_FILENAME, &importing.format_text,
		 "stream (default), rbd-diff (of Ceph), raw, qcow2, vmdk, vdi, vhdx, vpc...",
		 "FORMAT"},
		{"size", 0, 0, G_OPTION_ARG_FILENAME, &importing.size_text,
		 "Size of a new volume, if an image is smaller", "SIZE"},
		{"block-size", 0, 0, G_OPTION_ARG_FILENAME, &importing.block_size_text,
		 "Logical block size of a new volume, 512 (default) or 4096", "BYTES"},
		{"allow-backing", 0, 0, G_OPTION_ARG_NONE, &importing.other_files,
		 "Read the other files that an image names, whichever those are", NULL},
		{"no-verify", 0, 0, G_OPTION_ARG_NONE, &importing.no_verify,
		 "Do not read back what was written", NULL},
		CLI_DRY_RUN(&importing.dry),
		{0},
	};
	g_autoptr(GError) error = NULL;
	g_autofree char *what = NULL;
	g_auto(Cli) cli = {0};
	gboolean good;
	int status;

	if (!cli_start(&cli, &verb_import, options, 1, 2, argc, argv, &status))
		return status;
	if (!options_check(&cli, &importing))
		return CLI_USAGE;
	importing.cli = &cli;
	importing.text = volume_name_format(importing.name);
	what = g_strconcat("import ", importing.text, NULL);
	importing.progress.what = what;
	if (!pool_check_thin(cli.config, importing.name, &error))
		good = FALSE;
	else if (importing.token)
		good = token_print(&importing, &error);
	else if (importing.abort)
		good = import_abort(&importing, &error);
	else
		good = import_run(&importing, cli.arguments[1], &error);
	if (!good) {
		g_prefix_error(&error, "%s: ", what);
		return cli_failed(error);
	}
	return CLI_DONE;
}

const Verb verb_import = {"import", "VOLUME [FILE] [--format raw|qcow2...]",
			  "make a volume of an image or a stream", verb_import_run};
