/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/snapshot-hooks.h"

#include "cli/cli.h"
#include "cli/hooks.h"
#include "cli/process.h"

#define DIRECTORY "snapshot.d"

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

	hooks->paths = hooks_find(config, DIRECTORY);
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
