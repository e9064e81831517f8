/* SPDX-License-Identifier: Apache-2.0 */
#include <stdio.h>
#include <string.h>

#include "cli/attachment.h"
#include "cli/cli.h"
#include "cli/facts.h"
#include "cli/sample.h"
#include "cli/trouble.h"
#include "common/base/error.h"
#include "common/base/units.h"
#include "common/service/property-command.h"
#include "common/service/property-rules.h"

static void info_add_facts(Json *object, const Facts *facts)
{
	json_add_text(object, "uuid", facts->uuid);
	json_add_text(object, "path", facts->path);
	json_add_number(object, "size", facts->size);
	json_add_number(object, "logical_block_size", facts->logical_block_size);
	json_add_text(object, "write_cache", facts_write_cache(facts));
	json_object_object_add(object, "properties", properties_to_json(&facts->properties));
	json_add_number(object, "allocated", facts->allocated);
	json_add_text(object, "open_in", facts->holder);
	json_add_text(object, "claimed_by", facts->claimed_by);
}

/* What only the engine knows; a volume that nobody has open is opened read-only for it. */
static void info_add_engine(Json *object, const VolumeInfo *info)
{
	json_add_number(object, "generation", info->generation);
	json_add_number(object, "data_bytes", info->data_bytes);
	json_add_number(object, "metadata_bytes", info->metadata_bytes);
	json_add_number(object, "journal_size", info->journal_size);
	json_add_number(object, "journal_used", info->journal_used);
	json_add_number(object, "scrub_time", info->scrub_time);
	json_add_number(object, "scrub_blocks", info->scrub_blocks);
	json_add_number(object, "scrub_errors", info->scrub_errors);
	json_add_number(object, "scrub_repaired", info->scrub_repaired);
}

static gboolean member_is_size(const char *key)
{
	static const char *const sizes[] = {"size",	      "allocated",    "data_bytes",
					    "metadata_bytes", "journal_size", "journal_used"};

	for (guint i = 0; i < G_N_ELEMENTS(sizes); i++)
		if (!g_strcmp0(key, sizes[i]))
			return TRUE;
	return FALSE;
}

static gboolean in_bytes;

static void info_print_size(const char *label, guint64 bytes)
{
	g_autofree char *size = size_format_exactly(bytes);

	if (in_bytes)
		printf("%-20s %" G_GUINT64_FORMAT "\n", label, bytes);
	else
		printf("%-20s %s  (%" G_GUINT64_FORMAT " bytes)\n", label, size, bytes);
}

/* Prints all scrub_ members in one line. */
static void info_print_scrub(Json *object)
{
	gint64 seconds = json_get_number(object, "scrub_time");
	g_autoptr(GDateTime) time = g_date_time_new_from_unix_local(seconds);
	g_autofree char *text = time && seconds ? g_date_time_format(time, "%F %T %z") : NULL;

	if (!text) {
		printf("%-20s never\n", "last scrub");
		return;
	}
	printf("%-20s %s, %" G_GINT64_FORMAT " blocks, %" G_GINT64_FORMAT
	       " errors, %" G_GINT64_FORMAT " copies repaired\n",
	       "last scrub", text, json_get_number(object, "scrub_blocks"),
	       json_get_number(object, "scrub_errors"), json_get_number(object, "scrub_repaired"));
}

static void info_print_properties(Json *object)
{
	Properties properties;
	Property property;
	guint at = 0;

	properties_from_json(object, &properties);
	while (properties_next(&properties, &at, &property)) {
		g_autofree char *value = property_show(&property);

		printf("%-20s %s\n", property.key, value);
	}
}

static void info_print_member(const char *key, Json *value, Json *object)
{
	g_autofree char *label = g_strdelimit(g_strdup(key), "_", ' ');

	if (!strcmp(key, "properties"))
		info_print_properties(value);
	else if (!strcmp(key, "scrub_time"))
		info_print_scrub(object);
	else if (member_is_size(key))
		info_print_size(label, (guint64)json_object_get_int64(value));
	else if (!g_str_has_prefix(key, "scrub_"))
		printf("%-20s %s\n", label, json_object_get_string(value));
}

static void info_print(Json *object)
{
	struct json_object_iterator at = json_object_iter_begin(object);
	struct json_object_iterator end = json_object_iter_end(object);

	for (; !json_object_iter_equal(&at, &end); json_object_iter_next(&at))
		info_print_member(json_object_iter_peek_name(&at), json_object_iter_peek_value(&at),
				  object);
}

/* What the volume's server reports, unless it serves another volume under this name. */
static void info_add_server(Json *object, const Attachment *attachment)
{
	if (attachment->sample && !attachment->replaced) {
		sample_add_state(attachment->sample, object);
		sample_add_engine_info(attachment->sample, object);
	} else if (attachment->sample_error) {
		json_add_text(object, "error", attachment->sample_error->message);
	}
}

static gboolean info_collect(const Config *config, const VolumeName *name, Json *object,
			     GError **error)
{
	g_autoptr(Places) places = places_new(config, name);
	g_autoptr(Attachment) attachment = attachment_inspect(places);
	g_autoptr(GError) local = NULL;
	g_autofree char *trouble = NULL;
	VolumeInfo info;
	Volume *volume;

	if (attachment->facts_error) {
		g_propagate_error(error, g_error_copy(attachment->facts_error));
		return FALSE;
	}
	json_add_text(object, "volume", places->text);
	info_add_facts(object, &attachment->facts);
	attachment_to_json(attachment, object);
	trouble = trouble_find(attachment, places->text);
	json_add_text(object, "trouble", trouble);
	if (pool_is_ceph(config, name) && !attachment->facts.holder)
		return TRUE;
	if (attachment->facts.holder) {
		info_add_server(object, attachment);
		return TRUE;
	}
	volume = pool_volume_open(config, name, VOLUME_OPEN_READ_ONLY, &local);
	if (!volume) {
		/* Somebody has opened it since, or it is damaged: the error is part of the answer.
		 */
		json_add_text(object, "error", local->message);
		return TRUE;
	}
	volume_get_info(volume, &info);
	info_add_engine(object, &info);
	return volume_close(volume, error);
}

static int verb_info_run(int argc, char **argv)
{
	const GOptionEntry options[] = {
		{"bytes", 0, 0, G_OPTION_ARG_NONE, &in_bytes, "Print sizes in bytes only", NULL},
		{0},
	};
	g_autoptr(Json) object = json_object_new_object();
	g_autoptr(VolumeName) name = NULL;
	g_autoptr(GError) error = NULL;
	g_auto(Cli) cli = {0};
	int status;

	if (!cli_start(&cli, &verb_info, options, 1, 1, argc, argv, &status))
		return status;
	name = volume_name_parse_any(cli.arguments[0], &error);
	if (!name)
		return cli_usage("info: %s", error->message);
	if (!info_collect(cli.config, name, object, &error)) {
		g_prefix_error(&error, "info: ");
		return cli_failed(error);
	}
	if (cli.json)
		cli_print_json(object);
	else
		info_print(object);
	return CLI_DONE;
}

const Verb verb_info = {"info", "NAME [--bytes]", "show everything about a volume", verb_info_run};
