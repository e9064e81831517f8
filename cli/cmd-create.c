/* SPDX-License-Identifier: Apache-2.0 */
#include <string.h>

#include "cli/cli.h"
#include "cli/device-content.h"
#include "cli/facts.h"
#include "cli/interrupt.h"
#include "cli/promise.h"
#include "cli/set-stored.h"
#include "common/base/error.h"
#include "common/base/units.h"
#include "common/service/pool-fill.h"

typedef struct {
	VolumeName *name;
	char *text;
	VolumeParameters parameters;
	Properties properties;
	Property reserve; /* if `reserved` */
	gboolean reserved, force;
} Creating;

static void creating_clear(Creating *creating)
{
	volume_name_free(creating->name);
	g_free(creating->text);
}
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(Creating, creating_clear)

/* ---- options */

static gboolean parameters_read(const char *size, const char *block_size, const char *write_cache,
				VolumeParameters *parameters)
{
	if (write_cache && strcmp(write_cache, "on") != 0 && strcmp(write_cache, "off") != 0) {
		cli_usage("create: invalid write cache '%s' (on or off)", write_cache);
		return FALSE;
	}
	parameters->write_through = !g_strcmp0(write_cache, "off");

	return cli_volume_size("create", size, &parameters->size) &&
	       cli_block_size("create", block_size, parameters->size,
			      &parameters->logical_block_size);
}

/* What --set and --reserve ask for; an array of Property. */
static GArray *changes_parse(char *const *assignments, gboolean whole, GError **error)
{
	const Property full = {VOLUME_RESERVE, VOLUME_RESERVE_FULL};
	char *none[] = {NULL};
	GArray *changes = set_stored_parse(assignments ? assignments : none, error);

	if (changes && whole)
		g_array_append_val(changes, full);
	return changes;
}

/* A reserve has its space before the volume appears; the other properties are written with it. */
static gboolean changes_split(const GArray *changes, Creating *creating, GError **error)
{
	for (guint i = 0; i < changes->len; i++) {
		const Property *change = &g_array_index(changes, Property, i);

		if (!strcmp(change->key, VOLUME_RESERVE)) {
			creating->reserve = *change; /* the last one counts */
			creating->reserved = TRUE;
		} else if (!properties_change(&creating->properties, change, error)) {
			return FALSE;
		}
	}
	return TRUE;
}

/* ---- making */

static gboolean volume_create(const Config *config, Creating *creating, GError **error)
{
	g_autofree char *what = g_strconcat("create ", creating->text, NULL);
	const VolumeReserveWatch watch = {.progress = set_stored_show_reserve, .data = what};
	gboolean done;

	interrupt_hold();
	if (!creating->reserved)
		return pool_volume_create(config, creating->name, &creating->parameters,
					  creating->force ? POOL_CREATE_FORCE : 0, error);
	done = pool_volume_create_reserved(config, creating->name, &creating->parameters,
					   &creating->reserve, &watch, error);
	cli_progress_end();
	return done;
}

static void create_report(const Cli *cli, const Creating *creating)
{
	guint64 size = creating->parameters.size;
	g_autofree char *size_text = size_format(size);
	Json *object = json_object_new_object();
	g_autofree char *warning = NULL;
	g_auto(Facts) facts = {0};

	/* Fails if the volume has been deleted meanwhile; then the report lacks its UUID. */
	facts_read(cli->config, creating->name, &facts, NULL);
	json_add_text(object, "volume", creating->text);
	json_add_text(object, "uuid", *facts.uuid ? facts.uuid : NULL);
	json_add_text(object, "path", facts.path);
	json_add_number(object, "size", size);
	warning = facts.path ? promise_warning(cli->config, creating->name, &facts, 0, size) : NULL;
	cli_warn(verb_create.name, warning, object);
	cli_report(cli, object, "%s: created, %s", creating->text, size_text);
}

/* Where a device is not empty, says what it holds, too. */
static int create_failed(const VolumeName *name, GError *error)
{
	g_autofree char *content = NULL, *message = NULL;

	if (!name->pool && g_error_matches(error, STORAGEOS_ERROR, STORAGEOS_ERROR_EXISTS))
		content = device_content_describe(name->name);
	if (content) {
		message = g_steal_pointer(&error->message);
		error->message = g_strdup_printf("%s; it holds %s", message, content);
	}
	return cli_failed(error);
}

static int verb_create_run(int argc, char **argv)
{
	g_autofree char *size = NULL, *block_size = NULL, *write_cache = NULL;
	g_auto(Creating) creating = {0};
	g_auto(GStrv) set = NULL;
	g_autoptr(GArray) changes = NULL;
	gboolean whole = FALSE;
	const GOptionEntry options[] = {
		{"size", 's', 0, G_OPTION_ARG_FILENAME, &size, "Size, 1MiB to 64TiB (required)",
		 "SIZE"},
		{"block-size", 0, 0, G_OPTION_ARG_FILENAME, &block_size,
		 "Logical block size, 512 (default) or 4096", "BYTES"},
		{"write-cache", 0, 0, G_OPTION_ARG_FILENAME, &write_cache,
		 "on (default), or off: every write is durable before it is acknowledged",
		 "on|off"},
		{"reserve", 0, 0, G_OPTION_ARG_NONE, &whole,
		 "Reserve space for all of it; the same as --set reserve=full", NULL},
		{"set", 0, 0, G_OPTION_ARG_FILENAME_ARRAY, &set,
		 "A property, as of `set`; repeatable", "KEY=VALUE"},
		{"force", 0, 0, G_OPTION_ARG_NONE, &creating.force,
		 "Overwrite whatever a block device holds", NULL},
		{0},
	};
	g_autoptr(GError) error = NULL;
	g_auto(Cli) cli = {0};
	int status;

	if (!cli_start(&cli, &verb_create, options, 1, 1, argc, argv, &status))
		return status;
	if (!size)
		return cli_usage("create: --size is required (usage: storageos create %s)",
				 verb_create.arguments);
	if (!parameters_read(size, block_size, write_cache, &creating.parameters))
		return CLI_USAGE;
	creating.parameters.properties = &creating.properties;
	creating.name = volume_name_parse(cli.arguments[0], &error);
	changes = creating.name ? changes_parse(set, whole, &error) : NULL;
	if (!changes)
		return cli_usage("create: %s", error->message);
	creating.text = volume_name_format(creating.name);
	if (!set_stored_check(cli.config, creating.name, changes, &error))
		return create_failed(creating.name, error);
	if (!changes_split(changes, &creating, &error))
		return cli_usage("create: %s", error->message);
	if (creating.reserved && !creating.name->pool)
		return cli_usage(
			"create: a block device has no reserve: it is wholly the volume's");
	if (!volume_create(cli.config, &creating, &error))
		return create_failed(creating.name, error);
	create_report(&cli, &creating);
	return CLI_DONE;
}

const Verb verb_create = {"create",
			  "NAME --size SIZE [--reserve] [--write-cache off] [--set KEY=VALUE]...",
			  "create a volume", verb_create_run};
