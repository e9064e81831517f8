/* SPDX-License-Identifier: Apache-2.0 */
/*
 * export: writes a snapshot, or what changed since another, to a file or a pipe; or a volume, as an
 * image.
 */
#include <string.h>

#include "cli/cli.h"
#include "cli/export-image.h"
#include "cli/served.h"
#include "cli/snapshot-pair.h"
#include "cli/transfer.h"
#include "common/base/error.h"
#include "common/base/units.h"
#include "common/service/pool.h"
#include "common/stream/stream-send.h"

typedef struct {
	char *from, *format_text, *token_text;
	gboolean no_verify;
	TransferFormat format;
	StreamToken token; /* if token_text is set */
	TransferProgress progress;
} Exporting;

static void exporting_clear(Exporting *exporting)
{
	g_free(exporting->from);
	g_free(exporting->format_text);
	g_free(exporting->token_text);
}
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(Exporting, exporting_clear)

static gboolean pair_send(Exporting *exporting, const SnapshotPair *pair, int fd, GError **error)
{
	StreamSource source = snapshot_pair_source(pair);
	const char *from = pair->from ? json_get_text(pair->from, "name") : NULL;
	StreamBegin begin;

	source.first = exporting->token.next;
	switch (exporting->format) {
	case TRANSFER_RBD:
		return stream_send_rbd(&source, from, json_get_text(pair->to, "name"), fd,
				       transfer_show, &exporting->progress, error);
	case TRANSFER_RAW:
		return stream_send_raw(&source, fd, transfer_show, &exporting->progress, error);
	case TRANSFER_QEMU: /* image_export() does that */
	case TRANSFER_STREAM:
		break;
	}
	begin = snapshot_pair_begin(pair, exporting->token.next);
	return stream_send(&source, &begin, fd, transfer_show, &exporting->progress, error);
}

static gboolean token_check(const Exporting *exporting, const SnapshotPair *pair, GError **error)
{
	return !exporting->token_text ||
	       !g_strcmp0(exporting->token.to, json_get_text(pair->to, "uuid")) ||
	       error_set(error, STORAGEOS_ERROR_INVALID,
			 "the token is of another snapshot, of UUID %s", exporting->token.to);
}

static gboolean is_standard(const char *path)
{
	return !path || !strcmp(path, "-");
}

/* ---- to a file, a device, or a pipe */

static gboolean export_to_descriptor(Exporting *exporting, const SnapshotPair *pair,
				     const char *path, GError **error)
{
	gboolean raw = exporting->format == TRANSFER_RAW, good;
	int fd = transfer_open_output(path, raw, error);

	if (fd < 0)
		return FALSE;
	good = pair_send(exporting, pair, fd, error);
	cli_progress_end();
	if (good && raw && !is_standard(path) && !exporting->no_verify)
		good = image_verify(pair->to_volume, path, &exporting->progress, error);
	return transfer_close_output(fd, path, good, error) && good;
}

static gboolean export_carry_out(Exporting *exporting, const SnapshotPair *pair, const char *path,
				 GError **error)
{
	exporting->progress.bytes = snapshot_pair_bytes(pair);
	if (exporting->format == TRANSFER_QEMU)
		return image_export(pair->to_volume, path, exporting->format_text,
				    !exporting->no_verify, &exporting->progress, error);
	return export_to_descriptor(exporting, pair, path, error);
}

static void export_report(const Cli *cli, const Exporting *exporting, const SnapshotPair *pair,
			  const char *path)
{
	g_autofree char *size = size_format(exporting->progress.data);
	Json *object = json_object_new_object();

	json_add_text(object, "snapshot", pair->text);
	json_add_text(object, "from", pair->from ? json_get_text(pair->from, "name") : NULL);
	json_add_text(object, "file", path);
	json_add_number(object, "bytes", exporting->progress.data);
	cli_report(cli, object, "%s: exported to %s, %s", pair->text, path, size);
}

/* Exports what `pair` has opened. */
static gboolean pair_export(const Cli *cli, Exporting *exporting, const SnapshotPair *pair,
			    GError **error)
{
	const char *path = cli->arguments[1];

	if (!export_carry_out(exporting, pair, path, error))
		return FALSE;
	if (!is_standard(path))
		export_report(cli, exporting, pair, path);
	return TRUE;
}

/* ---- a volume */

/* The same command again, on a snapshot. */
static gboolean changing_export(const Cli *cli, const Exporting *exporting, const VolumeName *name,
				int *ret_status, GError **error)
{
	const char *path = cli->arguments[1] ? cli->arguments[1] : "-";
	const char *argv[8] = {path, "--format", exporting->format_text};
	guint n = 3;

	if (exporting->no_verify)
		argv[n++] = "--no-verify";
	if (cli->json)
		argv[n++] = "--json";
	if (cli->quiet)
		argv[n++] = "--quiet";
	return pool_check_thin(cli->config, name, error) &&
	       export_by_snapshot(cli, name, argv, ret_status, error);
}

static gboolean volume_export(const Cli *cli, Exporting *exporting, const VolumeName *name,
			      int *ret_status, GError **error)
{
	g_auto(SnapshotPair) pair = {0};

	if (!served_only_for_reading(cli->config, name))
		return changing_export(cli, exporting, name, ret_status, error);
	*ret_status = CLI_DONE;
	return snapshot_pair_open_volume(cli->config, name, &pair, error) &&
	       pair_export(cli, exporting, &pair, error);
}

static gboolean snapshot_export(const Cli *cli, Exporting *exporting, const VolumeName *name,
				int *ret_status, GError **error)
{
	const char *from = exporting->token_text && *exporting->token.from ? exporting->token.from
									   : exporting->from;
	g_auto(SnapshotPair) pair = {0};

	*ret_status = CLI_DONE;
	return snapshot_pair_open(cli->config, name, from, &pair, error) &&
	       token_check(exporting, &pair, error) && pair_export(cli, exporting, &pair, error);
}

/* ---- the verb */

/* FALSE: the error has been printed. */
static gboolean options_check(const Cli *cli, Exporting *exporting)
{
	g_autoptr(GError) error = NULL;
	gboolean image;

	if (!transfer_format_parse("export", exporting->format_text, &exporting->format))
		return FALSE;
	image = exporting->format == TRANSFER_RAW || exporting->format == TRANSFER_QEMU;
	if (exporting->token_text &&
	    !stream_token_parse(exporting->token_text, &exporting->token, &error)) {
		cli_usage("export: %s", error->message);
		return FALSE;
	}
	if (exporting->token_text && (exporting->from || exporting->format != TRANSFER_STREAM))
		cli_usage("export: --resume says from where; it excludes --from and --format");
	else if (exporting->from && image)
		cli_usage("export: an image holds all: --format %s excludes --from",
			  exporting->format_text);
	else if (exporting->no_verify && !image)
		cli_usage("export: --no-verify is for images");
	else if (exporting->format == TRANSFER_QEMU && is_standard(cli->arguments[1]))
		cli_usage("export: qemu writes %s to a file only, not to standard output",
			  exporting->format_text);
	else
		return TRUE;
	return FALSE;
}

static int verb_export_run(int argc, char **argv)
{
	g_auto(Exporting) exporting = {0};
	const GOptionEntry options[] = {
		{"from", 0, 0, G_OPTION_ARG_FILENAME, &exporting.from,
		 "Only what changed since this snapshot or bookmark", "NAME|UUID"},
		{"format", 0, 0, G_OPTION_ARG_FILENAME, &exporting.format_text,
		 "stream (default), rbd-diff (for Ceph), raw, qcow2, vmdk, vdi, vhdx, vpc...",
		 "FORMAT"},
		{"no-verify", 0, 0, G_OPTION_ARG_NONE, &exporting.no_verify,
		 "Do not read back the image that was written", NULL},
		{"resume", 0, 0, G_OPTION_ARG_FILENAME, &exporting.token_text,
		 "The rest of a stream that was interrupted (see import --token)", "TOKEN"},
		{0},
	};
	g_autoptr(VolumeName) name = NULL;
	g_autoptr(GError) error = NULL;
	g_autofree char *what = NULL;
	g_auto(Cli) cli = {0};
	gboolean image, done;
	int status;

	if (!cli_start(&cli, &verb_export, options, 1, 2, argc, argv, &status))
		return status;
	if (!options_check(&cli, &exporting))
		return CLI_USAGE;
	image = exporting.format == TRANSFER_RAW || exporting.format == TRANSFER_QEMU;
	name = volume_name_parse_any(cli.arguments[0], &error);
	if (!name || (!name->snapshot && !image))
		return cli_usage("export: %s",
				 error ? error->message
				       : "a snapshot is exported, VOLUME@SNAPSHOT; of a volume, an "
					 "image (--format raw)");
	volume_set_cache_size(cli.config->node_cache);
	what = g_strconcat("export ", cli.arguments[0], NULL);
	exporting.progress.what = what;
	done = name->snapshot ? snapshot_export(&cli, &exporting, name, &status, &error)
			      : volume_export(&cli, &exporting, name, &status, &error);
	if (done)
		return status;
	g_prefix_error(&error, "%s: ", what);
	return cli_failed(error);
}

const Verb verb_export = {"export", "NAME|VOLUME@SNAP [FILE] [--format raw|qcow2...]",
			  "write a snapshot, or an image, to a file or a pipe", verb_export_run};
