/* SPDX-License-Identifier: Apache-2.0 */
/*
 * 1. Walks the map from its root and claims every slot that the map refers to, in a bitmap in
 *    memory (check-map.c).  A slot that is claimed twice is a finding.
 * 2. Compares the claimed slots of each group with the group's bitmap on disk (check-slots.c).
 * 3. Walks the journal's records, which claim their slots, too (check-journal.c).
 */
#include "common/check/check-private.h"

static int check_all(Check *check)
{
	const Superblock *sb = check->sb;

	if (check->pair.other == SUPERBLOCK_DAMAGED)
		check_report_copy(check, "superblock %c", "BA"[check->pair.home]);
	check_node(check, sb->levels - 1, 0, sb->map_root, FALSE);
	check_compare_groups(check);
	if (check->data_slots != sb->data_slots || check->node_slots != sb->node_slots)
		findings_add(check->found,
			     "the superblock counts %" G_GUINT64_FORMAT
			     " blocks and %" G_GUINT64_FORMAT
			     " nodes, the map has %" G_GUINT64_FORMAT " and %" G_GUINT64_FORMAT,
			     sb->data_slots, sb->node_slots, check->data_slots, check->node_slots);
	check->result->metadata_slots = check->node_slots;
	check->result->generation = sb->checkpoint;
	check->result->clean = sb->clean;
	return check_journal(check);
}

/* Puts the findings about single slots behind all others, and makes them the result's. */
static void end_findings(Check *check)
{
	CheckResult *result = check->result;

	findings_move(check->slots_found, check->found);
	result->errors = check->found->count;
	result->messages = g_ptr_array_ref(check->found->lines);
}

static CheckResult *result_new(void)
{
	CheckResult *result = g_new0(CheckResult, 1);

	result->lost = g_array_new(FALSE, FALSE, sizeof(CheckRange));
	return result;
}

static Check *check_new(Backing *backing)
{
	g_autofree guint8 *buffer = g_try_malloc(JOURNAL_PAYLOAD_MAX);
	Check *check = buffer ? g_try_new0(Check, 1) : NULL;

	if (!check)
		return NULL;
	check->backing = backing;
	check->buffer = g_steal_pointer(&buffer);
	check->result = result_new();
	check->found = findings_new();
	check->slots_found = findings_new();
	check->copies = g_array_new(FALSE, FALSE, sizeof(CheckCopy));
	check->lost_below = g_array_new(FALSE, FALSE, sizeof(CheckRange));
	check->sb = &check->pair.current;
	return check;
}

void check_free(Check *check)
{
	if (!check)
		return;
	for (guint64 g = 0; g < check->n_places; g++)
		g_free(check->groups[g]);
	g_free(check->groups);
	g_array_unref(check->copies);
	g_array_unref(check->lost_below);
	check_result_free(check->result);
	findings_free(check->found);
	findings_free(check->slots_found);
	g_free(check->buffer);
	g_free(check);
}

/* UNSUPPORTED if a later version wrote the volume: slots may belong to what this one does not know,
 * and would seem to be leaked. */
static gboolean knows_all_owners(const Check *check, GError **error)
{
	return !(check->sb->ro_compatible & ~FORMAT_RO_COMPATIBLE_KNOWN) ||
	       error_set(error, STORAGEOS_ERROR_UNSUPPORTED,
			 "%s: has features that allow this program reading only; a newer "
			 "storageos can check it",
			 check->backing->name);
}

Check *check_walk(Backing *backing, gboolean exclusive, CheckProgress progress, gpointer data,
		  GError **error)
{
	g_autoptr(Check) check = check_new(backing);
	int r;

	if (!check) {
		error_set_errno(error, ENOMEM, "%s: check", backing->name);
		return NULL;
	}
	check->progress = progress;
	check->data = data;
	if (!backing_lock(backing, exclusive, error) ||
	    !superblock_load(backing, &check->pair, error) ||
	    !superblock_fits(backing, check->sb, error) || !knows_all_owners(check, error))
		return NULL;
	check->layout = superblock_layout(check->sb);
	check->seal = (Seal){check->sb->seed};
	r = check_load_groups(check);
	if (!superblock_is_newest(backing->name, check->sb, check->newest_at, check->newest, error))
		return NULL;
	if (!r)
		r = check_all(check);
	if (r) {
		error_set_errno(error, r, "%s: check", backing->name);
		return NULL;
	}
	end_findings(check);
	return g_steal_pointer(&check);
}

CheckResult *check_run(Backing *backing, CheckProgress progress, gpointer data, GError **error)
{
	g_autoptr(Check) check = check_walk(backing, FALSE, progress, data, error);

	return check ? g_steal_pointer(&check->result) : NULL;
}

void check_result_free(CheckResult *result)
{
	if (!result)
		return;
	if (result->messages) /* NULL if the check failed */
		g_ptr_array_unref(result->messages);
	g_array_unref(result->lost);
	g_free(result);
}
