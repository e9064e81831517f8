/* SPDX-License-Identifier: Apache-2.0 */
/*
 * map: which bytes of a volume or a snapshot are mapped.
 */
#include <stdio.h>

#include "cli/cli.h"
#include "cli/interrupt.h"
#include "cli/medium-open.h"

typedef struct {
	gboolean json;
	guint64 printed;
	MediumState state; /* of the range that is not printed yet */
	guint64 first, end;
} Printing;

static void range_print(Printing *printing)
{
	const char *type = medium_state_name(printing->state);
	guint64 length = printing->end - printing->first;

	if (!length)
		return;
	if (printing->json)
		printf("%s\n  {\"type\": \"%s\", \"offset\": %" G_GUINT64_FORMAT
		       ", \"length\": %" G_GUINT64_FORMAT "}",
		       printing->printed ? "," : "", type, printing->first, length);
	else
		printf("%s %" G_GUINT64_FORMAT " %" G_GUINT64_FORMAT "\n", type, printing->first,
		       length);
	printing->printed++;
	printing->first = printing->end;
}

/* Neighbours in the same state are one range. */
static gboolean map_print(Medium *medium, Printing *printing, GError **error)
{
	guint64 size = medium_size(medium), length;
	MediumState state;

	for (guint64 at = 0; at < size; at += length) {
		if (!interrupt_check(error) || !medium_extent(medium, at, &state, &length, error))
			return FALSE;
		if (state != printing->state)
			range_print(printing);
		printing->state = state;
		printing->end = at + length;
	}
	range_print(printing);
	return TRUE;
}

static int verb_map_run(int argc, char **argv)
{
	g_auto(Cli) cli = {0};
	g_auto(TemporarySnapshot) temporary = {0}; /* dropped after the medium */
	g_autoptr(VolumeName) name = NULL;
	g_autoptr(Medium) medium = NULL;
	g_autoptr(GError) error = NULL;
	Printing printing = {0};
	int status;

	if (!cli_start(&cli, &verb_map, NULL, 1, 1, argc, argv, &status))
		return status;
	name = volume_name_parse_any(cli.arguments[0], &error);
	if (!name)
		return cli_usage("map: %s", error->message);
	printing.json = cli.json;
	medium = medium_open_volume(cli.config, name, &temporary, &error);
	if (medium && cli.json)
		printf("[");
	if (!medium || !map_print(medium, &printing, &error)) {
		g_prefix_error(&error, "map: ");
		return cli_failed(error);
	}
	if (cli.json)
		puts("\n]");
	return CLI_DONE;
}

const Verb verb_map = {"map", "NAME|VOLUME@SNAP", "list the bytes that are mapped", verb_map_run};
