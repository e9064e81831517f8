/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/snapshot-hooks.h"

#include <string.h>
#include <unistd.h>

#include "cli/cli.h"
#include "cli/process.h"

#define DIRECTORY "snapshot.d"
#define NAME_LETTERS "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_"

struct SnapshotHooks {
	GPtrArray *paths; /* sorted */
	guint n_run;	  /* with "before" */
	GPtrArray *volumes;
};

static void hooks_free(SnapshotHooks *hooks)
{
	g_ptr_array_unref(hooks->paths);
	g_ptr_array_unref(hooks->volumes);
	g_free(hooks);
}

static gint path_compare(gconstpointer a, gconstpointer b)
{
	return strcmp(*(const char *const *)a, *(const char *const *)b);
}

/* Files that package managers and editors leave have other letters in their names. */
static GPtrArray *hooks_list(const Config *config)
{
	GPtrArray *paths = g_ptr_array_new_with_free_func(g_free);
	g_autofree char *beside = g_path_get_dirname(config->file);
	g_autofree char *directory = g_build_filename(beside, DIRECTORY, NULL);
	g_autoptr(GDir) dir = g_dir_open(directory, 0, NULL);
	const char *name;

	while (dir && (name = g_dir_read_name(dir))) {
		char *path = g_build_filename(directory, name, NULL);

		if (strspn(name, NAME_LETTERS) == strlen(name) &&
		    g_file_test(path, G_FILE_TEST_IS_REGULAR) && !access(path, X_OK))
			g_ptr_array_add(paths, path);
		else
			g_free(path);
	}
	g_ptr_array_sort(paths, path_compare);
	return paths;
}

static gboolean hook_run(const SnapshotHooks *hooks, guint i, const char *when, GError **error)
{
	g_autoptr(GPtrArray) argv = g_ptr_array_new();

	g_ptr_array_add(argv, g_ptr_array_index(hooks->paths, i));
	g_ptr_array_add(argv, (char *)when);
	for (guint j = 0; j < hooks->volumes->len; j++)
		g_ptr_array_add(argv, g_ptr_array_index(hooks->volumes, j));
	g_ptr_array_add(argv, NULL);
	return process_run((const char *const *)argv->pdata, SNAPSHOT_HOOK_SECONDS, error);
}

SnapshotHooks *snapshot_hooks_before(const Config *config, const GPtrArray *volumes, GError **error)
{
	SnapshotHooks *hooks = g_new0(SnapshotHooks, 1);
	gboolean done = TRUE;

	hooks->paths = hooks_list(config);
	hooks->volumes = g_ptr_array_new_with_free_func(g_free);
	for (guint i = 0; i < volumes->len; i++)
		g_ptr_array_add(hooks->volumes, g_strdup(g_ptr_array_index(volumes, i)));
	while (done && hooks->n_run < hooks->paths->len)
		done = hook_run(hooks, hooks->n_run++, "before", error);
	if (done)
		return hooks;
	snapshot_hooks_after(hooks);
	return NULL;
}

void snapshot_hooks_after(SnapshotHooks *hooks)
{
	if (!hooks)
		return;
	while (hooks->n_run--) {
		g_autoptr(GError) error = NULL;

		if (!hook_run(hooks, hooks->n_run, "after", &error))
			cli_say("%s: %s", (char *)g_ptr_array_index(hooks->paths, hooks->n_run),
				error->message);
	}
	hooks_free(hooks);
}
