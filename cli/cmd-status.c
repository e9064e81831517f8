/* SPDX-License-Identifier: Apache-2.0 */
#include <stdio.h>
#include <string.h>

#include "cli/attachment.h"
#include "cli/cli.h"
#include "cli/facts.h"
#include "cli/known-volumes.h"
#include "cli/sample.h"
#include "cli/trouble.h"

typedef enum { COLUMN_NAME, COLUMN_STATE, COLUMN_VIA, COLUMN_DEVICE, COLUMNS } Column;

typedef struct {
	const char *cells[COLUMNS];
	Places *places;
	Attachment *attachment;
	char *device, *trouble, *failover;
} StatusRow;

static void row_free(gpointer data)
{
	StatusRow *row = data;

	places_free(row->places);
	attachment_free(row->attachment);
	g_free(row->device);
	g_free(row->trouble);
	g_free(row->failover);
	g_free(row);
}

/* "/dev/storageos/default/db (/dev/loop3)" */
static char *device_describe(const Attachment *attachment)
{
	if (!attachment->link || !attachment->device)
		return g_strdup(attachment->device);
	return g_strdup_printf("%s (%s)", attachment->link, attachment->device);
}

/* NULL for a detached volume, unless the user has `named` it. */
static StatusRow *row_new(const Config *config, const VolumeName *name, gboolean named)
{
	StatusRow *row = g_new0(StatusRow, 1);

	row->places = places_new(config, name);
	row->attachment = attachment_inspect(row->places);
	if (row->attachment->state == STATE_DETACHED && !named) {
		row_free(row);
		return NULL;
	}
	row->device = device_describe(row->attachment);
	row->trouble = trouble_find(row->attachment, row->places->text);
	if (row->attachment->sample)
		row->failover = sample_failover(row->attachment->sample);
	row->cells[COLUMN_NAME] = row->places->text;
	row->cells[COLUMN_STATE] = attachment_state_name(row->attachment->state);
	row->cells[COLUMN_VIA] = attachment_via(row->attachment);
	row->cells[COLUMN_DEVICE] = row->device;
	return row;
}

/* ---- for programs */

static void rows_print_json(const GPtrArray *rows)
{
	g_autoptr(Json) list = json_object_new_array();

	for (guint i = 0; i < rows->len; i++) {
		const StatusRow *row = g_ptr_array_index(rows, i);
		Json *object = json_object_new_object();

		json_add_text(object, "volume", row->places->text);
		attachment_to_json(row->attachment, object);
		if (row->attachment->sample)
			sample_add_state(row->attachment->sample, object);
		json_add_text(object, "trouble", row->trouble);
		json_object_array_add(list, object);
	}
	cli_print_json(list);
}

/* ---- for people */

static void cells_print(const char *const cells[COLUMNS], const int widths[COLUMNS])
{
	g_autoptr(GString) line = g_string_new(NULL);

	for (Column column = 0; column < COLUMNS; column++)
		g_string_append_printf(line, "%-*s  ", widths[column],
				       cells[column] ? cells[column] : "-");
	puts(g_strchomp(line->str));
}

static void rows_print_table(const GPtrArray *rows, gboolean verbose)
{
	static const char *const heading[COLUMNS] = {"NAME", "STATE", "VIA", "DEVICE"};
	int widths[COLUMNS];

	if (!rows->len)
		return;
	for (Column column = 0; column < COLUMNS; column++) {
		widths[column] = (int)strlen(heading[column]);
		for (guint i = 0; i < rows->len; i++) {
			const char *cell = ((StatusRow *)g_ptr_array_index(rows, i))->cells[column];
			int width = cell ? (int)strlen(cell) : 0;

			widths[column] = MAX(widths[column], width);
		}
	}
	cells_print(heading, widths);
	for (guint i = 0; i < rows->len; i++) {
		const StatusRow *row = g_ptr_array_index(rows, i);

		cells_print(row->cells, widths);
		if (row->attachment->read_only)
			puts("    for reading only");
		if (row->attachment->problem)
			printf("    %s\n", row->attachment->problem);
		if (row->trouble)
			printf("    %s\n", row->trouble);
		if (row->failover)
			printf("    %s\n", row->failover);
		if (verbose && row->attachment->reason)
			printf("    chosen because: %s\n", row->attachment->reason);
	}
}

/* ---- which */

static gboolean rows_add_named(const Config *config, const VolumeName *name, GPtrArray *rows,
			       GError **error)
{
	StatusRow *row = row_new(config, name, TRUE);

	g_ptr_array_add(rows, row);
	if (row->attachment->health != ATTACHMENT_NONE || !row->attachment->facts_error)
		return TRUE;
	/* The attachment of a volume can be shown even if its pool is not mounted. */
	g_propagate_error(error, g_error_copy(row->attachment->facts_error));
	return FALSE;
}

static void rows_add_all(const Config *config, GPtrArray *rows)
{
	g_autoptr(GPtrArray) names = known_volumes(config);

	for (guint i = 0; i < names->len; i++) {
		StatusRow *row = row_new(config, g_ptr_array_index(names, i), FALSE);

		if (row)
			g_ptr_array_add(rows, row);
	}
}

static int verb_status_run(int argc, char **argv)
{
	gboolean verbose = FALSE;
	const GOptionEntry options[] = {
		{"verbose", 'v', 0, G_OPTION_ARG_NONE, &verbose,
		 "Also show why each front end was chosen", NULL},
		{0},
	};
	g_autoptr(GPtrArray) rows = g_ptr_array_new_with_free_func(row_free);
	g_autoptr(VolumeName) name = NULL;
	g_autoptr(GError) error = NULL;
	g_auto(Cli) cli = {0};
	int status;

	if (!cli_start(&cli, &verb_status, options, 0, 1, argc, argv, &status))
		return status;
	if (cli.n_arguments) {
		name = volume_name_parse_any(cli.arguments[0], &error);
		if (!name)
			return cli_usage("status: %s", error->message);
		if (!rows_add_named(cli.config, name, rows, &error)) {
			g_prefix_error(&error, "status: ");
			return cli_failed(error);
		}
	} else {
		rows_add_all(cli.config, rows);
	}
	if (cli.json)
		rows_print_json(rows);
	else
		rows_print_table(rows, verbose);
	return CLI_DONE;
}

const Verb verb_status = {"status", "[NAME] [-v]", "show what is attached, how, and in what state",
			  verb_status_run};
