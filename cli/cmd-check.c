/* SPDX-License-Identifier: Apache-2.0 */
#include <stdio.h>

#include "cli/cli.h"
#include "common/backing/file.h"
#include "common/check.h"
#include "common/units.h"

static void show_progress(double fraction, gpointer data)
{
	static gint64 last;
	gint64 now = g_get_monotonic_time();

	if (now - last < G_USEC_PER_SEC / 4)
		return;
	last = now;
	cli_progress("check %s: %.0f %%", (const char *)data, fraction * 100);
}

static CheckResult *check(const Config *config, const VolumeName *name, char *text, GError **error)
{
	g_autofree char *path = pool_volume_path(config, name, error);
	g_autoptr(Backing) backing =
		path ? backing_file_open(path, BACKING_FILE_READ_ONLY, error) : NULL;
	CheckResult *result = NULL;

	if (backing)
		result = check_run(backing, show_progress, text, error);
	cli_progress_end();
	return result;
}

static void print_json(const char *text, const CheckResult *result)
{
	g_autoptr(Json) object = json_object_new_object();
	Json *messages = json_object_new_array();

	json_add_text(object, "volume", text);
	json_add_flag(object, "whole", !result->errors);
	json_add_number(object, "errors", result->errors);
	for (guint i = 0; i < result->messages->len; i++)
		json_object_array_add(
			messages, json_object_new_string(g_ptr_array_index(result->messages, i)));
	json_object_object_add(object, "messages", messages);
	json_add_flag(object, "clean", result->clean);
	json_add_number(object, "generation", result->generation);
	json_add_number(object, "nodes", result->nodes);
	json_add_number(object, "blocks", result->blocks);
	json_add_number(object, "dead_blocks", result->dead_blocks);
	json_add_number(object, "journal_records", result->records);
	json_add_number(object, "free_slots", result->free_slots);
	json_add_number(object, "used_slots", result->used_slots);
	json_add_number(object, "metadata_slots", result->metadata_slots);
	cli_print_json(object);
}

static void print_text(const char *text, const CheckResult *result)
{
	g_autofree char *data = size_format(blocks_to_bytes(result->blocks));

	for (guint i = 0; i < result->messages->len; i++)
		printf("%s: %s\n", text, (const char *)g_ptr_array_index(result->messages, i));
	if (result->errors > result->messages->len)
		printf("%s: and %" G_GUINT64_FORMAT " more\n", text,
		       result->errors - result->messages->len);
	printf("%s: %s; %" G_GUINT64_FORMAT " blocks (%s) and %" G_GUINT64_FORMAT
	       " map nodes verified, %" G_GUINT64_FORMAT
	       " journal records, generation %" G_GUINT64_FORMAT "%s\n",
	       text, result->errors ? "DAMAGED" : "whole", result->blocks, data, result->nodes,
	       result->records, result->generation,
	       result->clean ? "" : ", not closed in order (the next open recovers)");
}

static int run(int argc, char **argv)
{
	g_autoptr(CheckResult) result = NULL;
	g_autoptr(VolumeName) name = NULL;
	g_autoptr(GError) error = NULL;
	g_autofree char *text = NULL;
	g_auto(Cli) cli = {0};
	int status;

	if (!cli_start(&cli, &verb_check, NULL, 1, 1, argc, argv, &status))
		return status;
	name = volume_name_parse(cli.arguments[0], &error);
	if (!name)
		return cli_usage("check: %s", error->message);
	text = volume_name_format(name);
	result = check(cli.config, name, text, &error);
	if (!result) {
		g_prefix_error(&error, "check %s: ", text);
		return cli_failed(error);
	}
	if (cli.json)
		print_json(text, result);
	else
		print_text(text, result);
	return result->errors ? CLI_FAILED : CLI_DONE;
}

const Verb verb_check = {"check", "NAME", "prove that a volume that nobody has open is whole", run};
