/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/snapshot-usage.h"

#include "cli/cli.h"
#include "cli/interrupt.h"
#include "common/base/error.h"
#include "common/base/units.h"

/* A server counts at its own pace, so that requests do not wait. */
static Json *usage_ask(SnapshotVolume *volume, guint64 from, guint64 to, gboolean begin,
		       GError **error)
{
	Json *request = json_object_new_object();

	if (to) {
		json_add_number(request, "from", from);
		json_add_number(request, "to", to);
	}
	json_add_flag(request, "begin", begin);
	if (volume->volume)
		json_add_number(request, "rate", 0);
	return snapshot_volume_ask(volume, "snapshot-usage", request, error);
}

static double fraction_get(Json *answer)
{
	Json *value = json_get_typed(answer, "fraction", json_type_double);

	return value ? json_object_get_double(value) : 0;
}

static Json *usage_follow(SnapshotVolume *volume, guint64 from, guint64 to, GError **error)
{
	g_autoptr(Json) answer = usage_ask(volume, from, to, TRUE, error);

	while (answer && !json_get_flag(answer, "done")) {
		cli_progress("%s: counting what snapshots use, %.0f %% (may be interrupted)",
			     volume->text, 100 * fraction_get(answer));
		json_object_put(g_steal_pointer(&answer));
		if (!interrupt_check(error))
			return NULL;
		answer = usage_ask(volume, from, to, FALSE, error);
	}
	return answer ? json_object_get(json_get_list(answer, "counts")) : NULL;
}

Json *snapshot_usage(SnapshotVolume *volume, guint64 from, guint64 to, GError **error)
{
	g_autoptr(GError) problem = NULL;
	Json *counts = usage_follow(volume, from, to, &problem);

	cli_progress_end();
	if (counts)
		return counts;
	if (g_error_matches(problem, STORAGEOS_ERROR, STORAGEOS_ERROR_UNSUPPORTED))
		error_set(error, STORAGEOS_ERROR_UNSUPPORTED,
			  "%s is served by an older version, which cannot count what snapshots use "
			  "(attach it anew)",
			  volume->text);
	else
		g_propagate_error(error, g_steal_pointer(&problem));
	return NULL;
}

char *snapshot_usage_format(guint64 bytes, gboolean moving)
{
	g_autofree char *size = size_format(bytes);

	return g_strconcat(moving ? ">= " : "", size, NULL);
}
