/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/name-uses.h"

#include <string.h>

#include "cli/expected.h"
#include "common/base/files.h"
#include "common/service/policy-config.h"

static gboolean is_of_volume(const VolumeName *name, const VolumeName *volume)
{
	return !g_strcmp0(name->pool, volume->pool) && !strcmp(name->name, volume->name);
}

static void services_add(const Places *places, GPtrArray *lines)
{
	g_autoptr(GPtrArray) uses = expected_uses();

	for (guint i = 0; i < uses->len; i++) {
		const ExpectedUse *use = g_ptr_array_index(uses, i);

		if (is_of_volume(use->name, places->name))
			g_ptr_array_add(lines, g_strdup(use->where));
	}
}

static void policies_add(const Places *places, GPtrArray *lines)
{
	g_autoptr(Policies) policies = policies_load(places->config, NULL);

	for (guint i = 0; policies && i < policies->volumes->len; i++) {
		const PolicyVolume *volume = g_ptr_array_index(policies->volumes, i);

		if (is_of_volume(volume->name, places->name))
			g_ptr_array_add(lines, g_strdup_printf("[volume %s] in %s", places->text,
							       places->config->file));
	}
}

/* The link of the volume, of a snapshot (LINK@SNAP), or of a partition (LINK:part1). */
static gboolean is_link_of_volume(const char *word, const char *link)
{
	gsize length = strlen(link);

	return !strncmp(word, link, length) && strchr("@:", word[length]);
}

/* Both files have a device and others in words between blanks. */
static void table_add_uses(const char *file, const char *link, GPtrArray *lines)
{
	g_autofree char *text = files_read(file, FILES_TEXT_MAX, NULL, NULL);
	g_auto(GStrv) rows = text ? g_strsplit(text, "\n", -1) : NULL;

	for (guint i = 0; rows && rows[i]; i++) {
		g_auto(GStrv) words = g_strsplit_set(rows[i], " \t", -1);

		if (*g_strchug(rows[i]) == '#')
			continue;
		for (guint j = 0; words[j]; j++)
			if (is_link_of_volume(words[j], link))
				g_ptr_array_add(lines, g_strdup_printf("%s in line %u of %s",
								       words[j], i + 1, file));
	}
}

GPtrArray *name_uses(const Places *places)
{
	GPtrArray *lines = g_ptr_array_new_with_free_func(g_free);

	services_add(places, lines);
	policies_add(places, lines);
	table_add_uses("/etc/fstab", places->link, lines);
	table_add_uses("/etc/crypttab", places->link, lines);
	return lines;
}
