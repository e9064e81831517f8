/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/temporary-snapshot.h"

#include <string.h>

#include "cli/cli.h"
#include "cli/snapshot-take.h"
#include "common/base/error.h"

#define PREFIX "temporary-"
#define TIME_FORMAT "%Y%m%dt%H%M%Sz"
#define DISK_SECONDS 300u /* until it is durable; then its command opens it at once */
#define LEFT_SECONDS 600u

/* ---- names */

static char *name_begin(gint64 time)
{
	g_autoptr(GDateTime) at = g_date_time_new_from_unix_utc(time);
	g_autofree char *text = g_date_time_format(at, TIME_FORMAT);

	return g_strconcat(PREFIX, text, "-", NULL);
}

/* Whether a command has taken the snapshot of that name, before `limit`, which is a name_begin().
 */
static gboolean name_is_before(const char *name, const char *limit)
{
	return g_regex_match_simple("^" PREFIX "[0-9]{8}t[0-9]{6}z-[0-9a-f]{8}$", name, 0, 0) &&
	       strncmp(name, limit, strlen(limit)) < 0;
}

/* ---- deleting */

static gboolean snapshot_delete_in(SnapshotVolume *volume, const char *name, GError **error)
{
	Json *request = json_object_new_object();
	g_autoptr(Json) answer = NULL;

	json_add_text(request, "name", name);
	answer = snapshot_volume_ask(volume, "snapshot-delete", request, error);
	return answer != NULL;
}

/* One that is being read cannot be deleted: its command lives. */
static void left_ones_delete(SnapshotVolume *volume, gint64 now)
{
	g_autofree char *limit = name_begin(now - LEFT_SECONDS);

	for (guint i = 0; i < snapshot_volume_count(volume); i++) {
		Json *snapshot = snapshot_volume_get(volume, i);
		const char *name = json_get_text(snapshot, "name");

		if (!snapshot_is_deleting(snapshot) && name && name_is_before(name, limit) &&
		    snapshot_delete_in(volume, name, NULL))
			cli_say("%s@%s is deleted: the command that had taken it was killed",
				volume->text, name);
	}
}

static gboolean snapshot_delete_it(const TemporarySnapshot *snapshot, GError **error)
{
	SnapshotVolume *volume = snapshot_volume_open(snapshot->config, snapshot->name,
						      SNAPSHOT_VOLUME_CHANGE, error);
	gboolean done = volume && snapshot_delete_in(volume, snapshot->name->snapshot, error);

	return volume && snapshot_volume_close(volume, done ? error : NULL) && done;
}

void temporary_snapshot_drop(TemporarySnapshot *snapshot)
{
	g_autofree char *text = snapshot->name ? volume_name_format(snapshot->name) : NULL;
	g_autoptr(GError) error = NULL;

	if (snapshot->name && !snapshot_delete_it(snapshot, &error))
		cli_say("the snapshot %s is left (storageos snapshot delete %s): %s", text, text,
			error->message);
	g_clear_pointer(&snapshot->name, volume_name_free);
}

/* ---- taking */

gboolean temporary_snapshot_take(const Config *config, const VolumeName *volume, gboolean served,
				 PolicyFreeze freeze, TemporarySnapshot *ret_snapshot,
				 GError **error)
{
	gint64 now = g_get_real_time() / G_USEC_PER_SEC;
	g_autofree char *begin = name_begin(now), *text = NULL;
	SnapshotVolume *of = snapshot_volume_open(
		config, volume, served ? SNAPSHOT_VOLUME_SERVED : SNAPSHOT_VOLUME_CHANGE, error);
	SnapshotTake take = {.volume = of};
	gboolean done;

	if (!of)
		return FALSE;
	left_ones_delete(of, now);
	take.name = text = g_strdup_printf("%s%08x", begin, g_random_int());
	done = snapshots_take(config, &take, 1, freeze, FALSE, DISK_SECONDS, error);
	if (!snapshot_volume_close(of, done ? error : NULL) || !done)
		return FALSE;
	ret_snapshot->config = config;
	ret_snapshot->name = g_new0(VolumeName, 1);
	*ret_snapshot->name = (VolumeName){g_strdup(volume->pool), g_strdup(volume->name),
					   g_steal_pointer(&text)};
	return TRUE;
}
