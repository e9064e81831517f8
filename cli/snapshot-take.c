/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/snapshot-take.h"

#include "cli/attachment.h"
#include "cli/cli.h"
#include "cli/fs-freeze.h"
#include "cli/fs-watchdog.h"
#include "cli/interrupt.h"
#include "cli/snapshot-hooks.h"
#include "cli/snapshot-space.h"
#include "cli/target-configfs.h"
#include "common/base/error.h"

typedef struct {
	const Config *config;
	SnapshotTake *takes;
	guint n;
	PolicyFreeze freeze;
	gboolean by_policy;
	guint seconds;
	gint64 created;
	guint64 group; /* 0: one snapshot alone */
} Taking;

/* ---- freezing */

/* The block device that shows the volume on this machine, or NULL. */
static char *device_find(const SnapshotVolume *volume)
{
	g_autoptr(Places) places = places_new(volume->config, volume->name);
	g_autoptr(Attachment) attachment = attachment_inspect(places);

	return attachment->device ? g_strdup(attachment->device)
				  : target_disk_of_volume(volume->text);
}

/* The devices of the volumes; *ret_takes[i] is the index of the snapshot that device i belongs to.
 */
static GPtrArray *devices_find(const Taking *taking, GArray *takes)
{
	GPtrArray *devices = g_ptr_array_new_with_free_func(g_free);

	for (guint i = 0; i < taking->n; i++) {
		const SnapshotVolume *volume = taking->takes[i].volume;
		char *device = volume->volume ? NULL : device_find(volume);

		if (!device)
			continue;
		g_ptr_array_add(devices, device);
		g_array_append_val(takes, i);
	}
	return devices;
}

/* Whether file systems of all volumes are frozen; otherwise *error names one that has none. */
static gboolean all_are_frozen(const Taking *taking, GError **error)
{
	for (guint i = 0; i < taking->n; i++)
		if (!taking->takes[i].frozen)
			return error_set(error, STORAGEOS_ERROR_NOT_FOUND,
					 "no file system of %s is mounted on this machine",
					 taking->takes[i].volume->text);
	return TRUE;
}

static FsFreeze *freeze_devices(const Taking *taking, GError **error)
{
	g_autoptr(GArray) takes = g_array_new(FALSE, FALSE, sizeof(guint));
	g_autoptr(GPtrArray) devices = devices_find(taking, takes);
	FsFreeze *freeze;

	if (devices->len && taking->freeze == POLICY_FREEZE_AUTO && !fs_freeze_is_safe()) {
		error_set(error, STORAGEOS_ERROR_UNSUPPORTED,
			  "before Linux 5.17 that is not safe (--freeze require does it)");
		return NULL;
	}
	freeze = fs_freeze_begin(taking->config, devices, error);
	for (guint i = 0; freeze && i < takes->len; i++)
		taking->takes[g_array_index(takes, guint, i)].frozen = fs_freeze_holds(freeze, i);
	return freeze;
}

/* FALSE: it is required, and cannot be done.  *ret_freeze may be NULL otherwise, too. */
static gboolean freeze_begin(const Taking *taking, FsFreeze **ret_freeze, GError **error)
{
	g_autoptr(GError) problem = NULL;

	*ret_freeze = NULL;
	if (taking->freeze == POLICY_FREEZE_NEVER)
		return TRUE;
	*ret_freeze = freeze_devices(taking, &problem);
	if (taking->freeze == POLICY_FREEZE_AUTO) {
		if (problem &&
		    !g_error_matches(problem, STORAGEOS_ERROR, STORAGEOS_ERROR_NOT_FOUND))
			cli_say("file systems are not frozen: %s", problem->message);
		return TRUE;
	}
	if (*ret_freeze && all_are_frozen(taking, &problem))
		return TRUE;
	fs_freeze_end(g_steal_pointer(ret_freeze));
	g_propagate_error(error, g_steal_pointer(&problem));
	return FALSE;
}

/* ---- the instant */

static gboolean snapshot_begin(const Taking *taking, SnapshotTake *take, GError **error)
{
	Json *request = json_object_new_object();
	g_autoptr(Json) answer = NULL;

	json_add_text(request, "name", take->name);
	json_add_number(request, "created", (guint64)taking->created);
	json_add_number(request, "group", taking->group);
	json_add_flag(request, "frozen", take->frozen);
	json_add_flag(request, "by_policy", taking->by_policy);
	take->asked = TRUE;
	answer = snapshot_volume_ask(take->volume, "snapshot-begin", request, error);
	if (!answer) {
		g_prefix_error(error, "%s@%s: ", take->volume->text, take->name);
		return FALSE;
	}
	take->generation = (guint64)json_get_number(answer, "generation");
	take->begun = TRUE;
	return TRUE;
}

static Json *gate_request(const char *action, gint64 ticket)
{
	Json *request = json_object_new_object();

	json_add_text(request, "action", action);
	json_add_number(request, "ticket", (guint64)ticket);
	return request;
}

/* Opens the gates that have a ticket.  FALSE if one of them has opened by itself. */
static gboolean gates_open(const Taking *taking, const gint64 *tickets, GError **error)
{
	gboolean all = TRUE;

	for (guint i = 0; i < taking->n; i++) {
		g_autoptr(Json) answer = NULL;

		if (!tickets[i])
			continue;
		answer = snapshot_volume_ask(taking->takes[i].volume, "snapshot-gate",
					     gate_request("open", tickets[i]), NULL);
		all = json_get_flag(answer, "closed") && all;
	}
	return all || error_set(error, STORAGEOS_ERROR_BUSY,
				"the snapshots took too long to be of one instant; none is kept");
}

static gboolean gates_close(const Taking *taking, gint64 *tickets, GError **error)
{
	for (guint i = 0; i < taking->n; i++) {
		SnapshotVolume *volume = taking->takes[i].volume;
		g_autoptr(Json) answer = NULL;

		if (volume->volume) /* nobody else can change it */
			continue;
		answer = snapshot_volume_ask(volume, "snapshot-gate", gate_request("close", 0),
					     error);
		if (!answer) {
			g_prefix_error(error, "%s: ", volume->text);
			return FALSE;
		}
		tickets[i] = json_get_number(answer, "ticket");
	}
	return TRUE;
}

static gboolean group_begin(const Taking *taking, GError **error)
{
	g_autofree gint64 *tickets = g_new0(gint64, taking->n);
	gboolean done = taking->n < 2 || gates_close(taking, tickets, error);

	for (guint i = 0; done && i < taking->n; i++)
		done = snapshot_begin(taking, &taking->takes[i], error);
	return gates_open(taking, tickets, done ? error : NULL) && done;
}

static gboolean instant_take(const Taking *taking, GError **error)
{
	FsFreeze *freeze;
	gboolean done;

	if (!freeze_begin(taking, &freeze, error))
		return FALSE;
	done = group_begin(taking, error);
	if (fs_freeze_end(freeze) || !done)
		return done;
	return error_set(error, STORAGEOS_ERROR_BUSY,
			 "it took longer than %d s, and the file systems were thawed before; "
			 "--freeze never does without",
			 FS_WATCHDOG_SECONDS);
}

/* ---- until they are durable, or gone */

static gboolean snapshot_wait(const Taking *taking, const SnapshotTake *take, gint64 until,
			      GError **error)
{
	gboolean done = FALSE;

	while (!done) {
		Json *request = json_object_new_object();
		g_autoptr(Json) answer = NULL;

		json_add_number(request, "generation", take->generation);
		answer = snapshot_volume_ask(take->volume, "snapshot-wait", request, error);
		if (!answer) {
			g_prefix_error(error, "%s@%s: ", take->volume->text, take->name);
			return FALSE;
		}
		done = json_get_flag(answer, "done");
		if (!done && !interrupt_check(error))
			return FALSE;
		if (!done && g_get_monotonic_time() > until)
			return error_set(error, STORAGEOS_ERROR_BUSY,
					 "%s@%s: it is not on the disk after %u s, and given up",
					 take->volume->text, take->name, taking->seconds);
		if (!done)
			cli_progress("%s@%s: waiting for the disk", take->volume->text, take->name);
	}
	return TRUE;
}

static gboolean snapshots_wait(const Taking *taking, GError **error)
{
	gint64 until = taking->seconds
			       ? g_get_monotonic_time() + taking->seconds * G_TIME_SPAN_SECOND
			       : G_MAXINT64;

	for (guint i = 0; i < taking->n; i++)
		if (!snapshot_wait(taking, &taking->takes[i], until, error))
			return FALSE;
	return TRUE;
}

static gboolean snapshot_delete_it(const SnapshotTake *take, GError **error)
{
	Json *request = json_object_new_object();
	g_autoptr(Json) answer = NULL;

	json_add_text(request, "name", take->name);
	answer = snapshot_volume_ask(take->volume, "snapshot-delete", request, error);
	return answer != NULL;
}

/* Deletes a snapshot that is not wanted, unless it never came to be, as on a full disk. */
static void snapshot_drop(const SnapshotTake *take)
{
	const char *volume = take->volume->text;
	g_autoptr(GError) error = NULL;

	if (take->begun && snapshot_delete_it(take, &error))
		return;
	if (!snapshot_volume_relist(take->volume, NULL))
		cli_say("%s@%s may have been taken all the same, as its server does not answer "
			"(once it does: storageos snapshot list %s)",
			volume, take->name, volume);
	else if (take->begun && snapshot_volume_find(take->volume, take->name, NULL))
		cli_say("%s@%s could not be deleted: %s", volume, take->name, error->message);
}

static void snapshots_drop(const Taking *taking)
{
	for (guint i = 0; i < taking->n; i++)
		if (taking->takes[i].asked)
			snapshot_drop(&taking->takes[i]);
}

static gboolean prepared_take(const Taking *taking, GError **error)
{
	g_autoptr(GPtrArray) names = g_ptr_array_new();
	SnapshotHooks *hooks = NULL;
	gboolean done;

	for (guint i = 0; i < taking->n; i++)
		g_ptr_array_add(names, taking->takes[i].volume->text);
	if (taking->freeze != POLICY_FREEZE_NEVER) {
		hooks = snapshot_hooks_before(taking->config, names, error);
		if (!hooks)
			return FALSE;
	}
	done = interrupt_check(error) && instant_take(taking, error);
	snapshot_hooks_after(hooks);
	return done && snapshots_wait(taking, error);
}

gboolean snapshots_take(const Config *config, SnapshotTake *takes, guint n, PolicyFreeze freeze,
			gboolean by_policy, guint seconds, GError **error)
{
	const Taking taking = {.config = config,
			       .takes = takes,
			       .n = n,
			       .freeze = freeze,
			       .by_policy = by_policy,
			       .seconds = seconds,
			       .created = g_get_real_time() / G_USEC_PER_SEC,
			       .group = n > 1 ? (guint64)g_random_int() << 31 | 1 : 0};

	for (guint i = 0; i < n; i++)
		if (!snapshot_space_suffices(takes[i].volume, error))
			return FALSE;
	if (prepared_take(&taking, error))
		return TRUE;
	snapshots_drop(&taking);
	return FALSE;
}
