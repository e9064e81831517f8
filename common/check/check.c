/* SPDX-License-Identifier: Apache-2.0 */
/*
 * 1. Reads the snapshot table (check-table.c).
 * 2. Walks the trees of all snapshots, the oldest first, and then the volume's own (check-map.c).
 *    Each claims every slot that it refers to and does not share with an older one, in a bitmap in
 *    memory.  A slot that is claimed twice is a finding.
 * 3. Compares the claimed slots of each group with the group's bitmap on disk (check-slots.c).
 * 4. Walks the journal's records, which claim their slots, too (check-journal.c).
 */
#include "common/check/check-private.h"

#include <errno.h>

/* The table must have been read. */
static int check_all(Check *check)
{
	const Superblock *sb = check->sb;

	if (check->pair.other == SUPERBLOCK_DAMAGED)
		check_report_copy(check, "superblock %c", "BA"[check->pair.home]);
	check_roots_init(check);
	if (check->roots->len > 1 && !(check->counts = check_counts_new()))
		return -ENOMEM;
	for (guint i = 0; i < check->roots->len && !check->problem; i++)
		check_map(check, check_root(check, i));
	if (check->problem)
		return check->problem;
	check_compare_groups(check);
	check_roots_compare(check);
	check->result->metadata_slots = check->node_slots;
	check->result->generation = sb->checkpoint;
	check->result->clean = sb->clean;
	return check_journal(check);
}

static CheckLoss *loss_new(const char *name, GArray *lost)
{
	CheckLoss *loss = g_new0(CheckLoss, 1);

	loss->snapshot = g_strdup(name);
	loss->lost = g_array_ref(lost);
	return loss;
}

static void loss_free(gpointer data)
{
	CheckLoss *loss = data;

	g_free(loss->snapshot);
	g_array_unref(loss->lost);
	g_free(loss);
}

/* Puts the findings about single slots behind all others, and makes them the result's. */
static void end_findings(Check *check)
{
	CheckResult *result = check->result;

	findings_move(check->slots_found, check->found);
	result->errors = check->found->count;
	result->messages = g_ptr_array_ref(check->found->lines);
}

/* Tells who has lost what. */
static void end_losses(Check *check)
{
	CheckResult *result = check->result;

	for (guint i = 0; i < check->roots->len; i++) {
		const CheckRoot *root = check_root(check, i);
		const Snapshot *snapshot = root->snapshot;

		if (!snapshot)
			g_array_append_vals(result->lost, root->lost->data, root->lost->len);
		else if (root->lost->len && snapshot->state == FORMAT_SNAPSHOT_ALIVE)
			g_ptr_array_add(result->losses, loss_new(snapshot->name, root->lost));
	}
	result->snapshots = check->snapshots->len;
}

static CheckResult *result_new(void)
{
	CheckResult *result = g_new0(CheckResult, 1);

	result->lost = g_array_new(FALSE, FALSE, sizeof(CheckRange));
	result->losses = g_ptr_array_new_with_free_func(loss_free);
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
	check->snapshots = g_array_new(FALSE, FALSE, sizeof(Snapshot));
	check->holds = g_array_new(FALSE, FALSE, sizeof(SnapshotHold));
	check->roots = g_ptr_array_new();
	check->table_slots = g_array_new(FALSE, FALSE, sizeof(guint64));
	check->given_up = g_ptr_array_new_with_free_func(g_free);
	check->sb = &check->pair.current;
	return check;
}

void check_free(Check *check)
{
	if (!check)
		return;
	tenure_end(check->tenure, TRUE);
	for (guint64 g = 0; g < check->n_places; g++)
		g_free(check->groups[g]);
	g_free(check->groups);
	g_array_unref(check->copies);
	g_array_unref(check->snapshots);
	g_array_unref(check->holds);
	g_ptr_array_unref(check->roots);
	g_array_unref(check->table_slots);
	g_ptr_array_unref(check->given_up);
	check_counts_free(check->counts);
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

static gboolean load_superblock(gpointer data, GError **error)
{
	Check *check = data;

	return superblock_load(check->backing, &check->pair, error) &&
	       superblock_fits(check->backing, check->sb, error) && knows_all_owners(check, error);
}

Check *check_walk(Backing *backing, gboolean exclusive, const char *const *give_up,
		  CheckProgress progress, gpointer data, GError **error)
{
	g_autoptr(Check) check = check_new(backing);
	int r;

	if (!check) {
		error_set_errno(error, ENOMEM, "%s: check", backing->name);
		return NULL;
	}
	check->progress = progress;
	check->data = data;
	if (!tenure_lock(backing, exclusive, 0, load_superblock, check, &check->tenure, error))
		return NULL;
	check->result->claimed_by = exclusive ? NULL : tenure_describe(backing);
	check->layout = superblock_layout(check->sb);
	check->seal = (Seal){check->sb->seed};
	r = check_load_groups(check);
	if (!superblock_is_newest(backing->name, check->sb, check->newest_at, check->newest, error))
		return NULL;
	if (!r) {
		check->said = *check->sb;
		check_table(check);
		if (give_up && !check_give_up(check, give_up, error))
			return NULL;
		r = check_all(check);
	}
	if (r) {
		error_set_errno(error, r, "%s: check", backing->name);
		return NULL;
	}
	end_findings(check);
	end_losses(check);
	return g_steal_pointer(&check);
}

CheckResult *check_run(Backing *backing, CheckProgress progress, gpointer data, GError **error)
{
	g_autoptr(Check) check = check_walk(backing, FALSE, NULL, progress, data, error);

	return check ? g_steal_pointer(&check->result) : NULL;
}

void check_result_free(CheckResult *result)
{
	if (!result)
		return;
	if (result->messages) /* NULL if the check failed */
		g_ptr_array_unref(result->messages);
	g_array_unref(result->lost);
	g_ptr_array_unref(result->losses);
	g_free(result->claimed_by);
	g_free(result);
}
