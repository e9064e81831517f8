/* SPDX-License-Identifier: Apache-2.0 */
/*
 * diff: in which bytes two snapshots of a volume differ.
 */
#include <stdio.h>

#include "cli/cli.h"
#include "cli/snapshot-pair.h"

typedef struct {
	gboolean json;
	guint64 n, data, zero;
} Printing;

static gboolean range_print(gpointer data, const StreamRange *range, gboolean zeros, GError **error)
{
	Printing *printing = data;
	const char *type = zeros ? "zero" : "data";

	(void)error;
	if (printing->json)
		printf("%s\n  {\"type\": \"%s\", \"offset\": %" G_GUINT64_FORMAT
		       ", \"length\": %" G_GUINT64_FORMAT "}",
		       printing->n ? "," : "", type, range->offset, range->length);
	else
		printf("%s %" G_GUINT64_FORMAT " %" G_GUINT64_FORMAT "\n", type, range->offset,
		       range->length);
	printing->n++;
	return TRUE;
}

static int verb_diff_run(int argc, char **argv)
{
	g_auto(SnapshotPair) pair = {0};
	g_autoptr(VolumeName) name = NULL;
	g_autoptr(GError) error = NULL;
	g_auto(Cli) cli = {0};
	Printing printing = {0};
	StreamSource source;
	int status;

	if (!cli_start(&cli, &verb_diff, NULL, 2, 2, argc, argv, &status))
		return status;
	name = volume_name_parse_any(cli.arguments[1], &error);
	if (!name || !name->snapshot)
		return cli_usage("diff: %s",
				 error ? error->message
				       : "two snapshots are compared: FROM VOLUME@SNAPSHOT");
	volume_set_cache_size(cli.config->node_cache);
	printing.json = cli.json;
	if (!snapshot_pair_open(cli.config, name, cli.arguments[0], &pair, &error)) {
		g_prefix_error(&error, "diff: ");
		return cli_failed(error);
	}
	source = snapshot_pair_source(&pair);
	if (cli.json)
		printf("[");
	if (!stream_source_list(&source, range_print, &printing, &error)) {
		g_prefix_error(&error, "diff: ");
		return cli_failed(error);
	}
	if (cli.json)
		puts("\n]");
	return CLI_DONE;
}

const Verb verb_diff = {"diff", "FROM VOLUME@SNAP", "list the bytes in which two snapshots differ",
			verb_diff_run};
