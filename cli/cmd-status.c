/* SPDX-License-Identifier: Apache-2.0 */
#include <stdio.h>

#include "cli/attachment.h"
#include "cli/cli.h"
#include "cli/facts.h"
#include "cli/sample.h"
#include "cli/target-configfs.h"
#include "cli/trouble.h"
#include "common/registry.h"

/* `sample` of what serves it, or NULL. */
static void print_line(const Places *places, const Attachment *attachment, const Sample *sample,
		       const char *trouble)
{
	const char *failure = sample ? sample_failure(sample) : NULL;
	gboolean ours =
		attachment->health == ATTACHMENT_WORKING || attachment->health == ATTACHMENT_BROKEN;

	printf("%s: %s", places->text, attachment_health_name(attachment->health));
	if (ours && attachment->frontend != FRONTEND_AUTO)
		printf(" over %s", attachment->frontend == FRONTEND_TCMU ? "TCMU" : "FUSE");
	if (ours && attachment->device)
		printf(" as %s (%s)", attachment->link ? attachment->link : attachment->device,
		       attachment->device);
	if (attachment->problem)
		printf(": %s", attachment->problem);
	if (failure)
		printf(": FAILED, can only be read: %s", failure);
	if (trouble)
		printf("; %s", trouble);
	if (ours && attachment->reason)
		printf("; chosen because: %s", attachment->reason);
	putchar('\n');
}

/* One that there was and whose file is not there: its pool is away, or it was removed by other means
 * than `delete`.  FALSE: there never was one, as far as is known. */
static gboolean show_missing(const Config *config, const VolumeName *name, const GError *why,
			     Json *list)
{
	g_autofree char *text = volume_name_format(name);
	g_autofree char *history = NULL, *problem = NULL;
	RegistryEntry entry;
	Json *object;

	if (!name->pool || !registry_find(config, name, &entry, NULL) || entry.deleted)
		return FALSE;
	history = registry_describe(&entry);
	problem = g_strdup_printf("%s; %s", why->message, history);
	if (!list) {
		printf("%s: missing: %s\n", text, problem);
		return TRUE;
	}
	object = json_object_new_object();
	json_add_text(object, "volume", text);
	json_add_text(object, "state", "missing");
	json_add_text(object, "problem", problem);
	json_object_array_add(list, object);
	return TRUE;
}

/* A backstore whose volume cannot be opened. */
static void add_reason(Attachment *attachment, const GError *why)
{
	g_autofree char *problem = g_steal_pointer(&attachment->problem);

	attachment->problem = g_strdup_printf("%s; its volume is not there: %s", problem,
					      why->message);
}

/* Adds to `list`, or prints where that is NULL.  With `named` also what is detached; then it is an
 * error if there is no such volume. */
static gboolean show(const Config *config, const VolumeName *name, gboolean named, Json *list,
		     GError **error)
{
	g_autoptr(Places) places = places_new(config, name);
	g_autoptr(Attachment) attachment = attachment_inspect(places);
	g_autofree char *trouble = trouble_find(attachment, places->text);
	const Sample *sample = attachment->sample;
	Json *object;

	/* Of a volume whose pool is away the attachment can still be told. */
	if (attachment->health == ATTACHMENT_NONE) {
		if (named && attachment->facts_error)
			g_propagate_error(error, g_error_copy(attachment->facts_error));
		if (!named && attachment->facts_error)
			return show_missing(config, name, attachment->facts_error, list);
		if (!named || (error && *error))
			return FALSE;
	}
	if (attachment->health == ATTACHMENT_FOREIGN && attachment->facts_error)
		add_reason(attachment, attachment->facts_error);
	if (!list) {
		print_line(places, attachment, sample, trouble);
		return TRUE;
	}
	object = json_object_new_object();
	json_add_text(object, "volume", places->text);
	attachment_to_json(attachment, object);
	if (sample)
		sample_add_state(sample, object);
	json_add_text(object, "trouble", trouble);
	json_object_array_add(list, object);
	return TRUE;
}

static void add_name(GHashTable *seen, GPtrArray *names, const VolumeName *name)
{
	char *text = volume_name_format(name);

	if (g_hash_table_add(seen, text))
		g_ptr_array_add(names, volume_name_parse(text, NULL));
}

static void add_names(GHashTable *seen, GPtrArray *names, GPtrArray *more)
{
	for (guint i = 0; i < more->len; i++)
		add_name(seen, names, g_ptr_array_index(more, i));
}

/* Every volume that could be attached: those of the pools, those that were attached, those that there
 * were, and those that somebody has made a backstore for. */
static GPtrArray *all_names(const Config *config)
{
	GPtrArray *names = g_ptr_array_new_with_free_func((GDestroyNotify)volume_name_free);
	g_autoptr(GHashTable) seen = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
	g_autoptr(GPtrArray) known = places_known(config);
	g_autoptr(GPtrArray) registered = registry_list(config);
	g_autoptr(GPtrArray) exported = target_volumes();

	for (guint i = 0; i < config->pools->len; i++) {
		const ConfigPool *pool = g_ptr_array_index(config->pools, i);
		g_autoptr(GPtrArray) volumes = pool_list(pool, NULL);

		for (guint j = 0; volumes && j < volumes->len; j++) {
			const VolumeName name = {pool->name, g_ptr_array_index(volumes, j)};

			add_name(seen, names, &name);
		}
	}
	add_names(seen, names, known);
	add_names(seen, names, registered);
	for (guint i = 0; i < exported->len; i++) {
		g_autoptr(VolumeName) name = volume_name_parse(g_ptr_array_index(exported, i), NULL);

		if (name)
			add_name(seen, names, name);
	}
	return names;
}

static int run(int argc, char **argv)
{
	g_autoptr(GPtrArray) names = NULL;
	g_autoptr(VolumeName) name = NULL;
	g_autoptr(GError) error = NULL;
	g_autoptr(Json) list = NULL;
	g_auto(Cli) cli = {0};
	int status;

	if (!cli_start(&cli, &verb_status, NULL, 0, 1, argc, argv, &status))
		return status;
	list = cli.json ? json_object_new_array() : NULL;
	if (cli.n_arguments) {
		name = volume_name_parse(cli.arguments[0], &error);
		if (!name)
			return cli_usage("status: %s", error->message);
		if (!show(cli.config, name, TRUE, list, &error)) {
			g_prefix_error(&error, "status: ");
			return cli_failed(error);
		}
	} else {
		names = all_names(cli.config);
		for (guint i = 0; i < names->len; i++)
			show(cli.config, g_ptr_array_index(names, i), FALSE, list, NULL);
	}
	if (list)
		cli_print_json(list);
	return CLI_DONE;
}

const Verb verb_status = {"status", "[NAME]", "what is attached, how and why, and in what state",
			  run};
