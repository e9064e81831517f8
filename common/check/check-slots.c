/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Which slots are in use: what the volume's owners claim, and what the bitmaps say.
 */
#include "common/base/bounds.h"
#include "common/check/check-private.h"

#include <errno.h>

void check_report_copy(Check *check, const char *format, ...)
{
	g_autofree char *what = NULL;
	va_list args;

	va_start(args, format);
	what = g_strdup_vprintf(format, args);
	va_end(args);
	findings_add(check->found, "%s: damaged; nothing is lost", what);
	check->result->copies++;
}

guint64 check_slot_offset(const Check *check, guint64 slot)
{
	return check->sb->groups_offset + slot * FORMAT_SLOT_SIZE;
}

gboolean check_claim_slot(Check *check, guint64 slot, const char *what, guint64 where)
{
	guint64 bit = slot_index(slot) - FORMAT_FIRST_INDEX, group = slot_group(slot);
	guint8 mask = (guint8)(1u << (bit % 8)), *byte;

	if (!slot_is_usable(slot, check->n_places) || !check->groups[group]) {
		findings_add_one(check->found, what, where, slot, "does not exist");
		check->refused++;
		return FALSE;
	}
	byte = &check->groups[group]->claimed[bit / 8];
	if (*byte & mask) {
		findings_add_one(check->found, what, where, slot, "used twice");
		check->refused++;
		return FALSE;
	}
	*byte |= mask;
	check->claimed++;
	if (check->progress && check->claimed % 4096 == 0)
		check->progress((double)check->claimed / (double)MAX(check->used, 1), check->data);
	return TRUE;
}

/* Reads all copies of a group's bitmap pages and keeps the page that counts. */
static int load_group(Check *check, guint64 number)
{
	BitmapPlace place = {check->backing, check->sb->groups_offset, &check->seal};
	g_autofree BitmapChoice *choice = g_try_new(BitmapChoice, 1);
	CheckGroup *group = g_try_new0(CheckGroup, 1);
	int r = choice && group ? 0 : -ENOMEM;

	check->groups[number] = group;
	if (!r)
		r = bitmap_choose(&place, number, check->sb->checkpoint, TRUE, choice);
	if (r)
		return r;
	if (!choice->found)
		findings_add_one(check->found, "bitmap of group", number, 0, "no copy is valid");
	for (guint copy = 0; copy < 2; copy++)
		if (choice->damaged & 1u << copy)
			check_report_copy(check, "bitmap of group %" G_GUINT64_FORMAT ", copy %u",
					  number, copy + 1);
	check->digest += choice->term;
	if (choice->newest > check->newest) {
		check->newest = choice->newest;
		check->newest_at = number;
	}
	group->disk = choice->page;
	group->found = choice->found;
	group->home = choice->home;
	group->damaged = choice->damaged;
	for (guint i = 0; i < FORMAT_BITMAP_BITS / 8; i++)
		check->used += (guint)__builtin_popcount(group->disk.bits[i]);
	return 0;
}

/* How many groups can have a bitmap page within the backing.  The last of them may lie behind the
 * backing's end: the copies of its pages are in the group before. */
static guint64 groups_in_backing(const Check *check)
{
	guint64 size = backing_size(check->backing), from = check->sb->groups_offset;

	return MIN(size > from ? (size - from) / FORMAT_GROUP_BYTES + 2 : 1, FORMAT_GROUPS_MAX);
}

int check_load_groups(Check *check)
{
	guint64 n = groups_in_backing(check);
	int r = 0;

	check->groups = g_try_new0(CheckGroup *, n);
	if (!check->groups)
		return -ENOMEM;
	check->n_places = n;
	check->n_groups = MIN(check->sb->groups, n);
	if (check->n_groups < check->sb->groups) {
		check->refused++;
		findings_add(check->found,
			     "the backing ends before group %" G_GUINT64_FORMAT
			     " of %" G_GUINT64_FORMAT,
			     check->n_groups, check->sb->groups);
	}
	for (guint64 g = 0; g < check->n_groups && !r; g++)
		r = load_group(check, g);
	if (!r && check->digest != check->sb->bitmap_digest)
		findings_add(check->found, "a bitmap page is not the one of the checkpoint");
	return r;
}

/* Reports each of the bits [bit, bit + 8) in which a group's bitmap and the map disagree. */
static void compare_byte(Check *check, guint64 number, guint bit)
{
	CheckGroup *group = check->groups[number];
	guint used = group->disk.bits[bit / 8], wrong = used ^ group->claimed[bit / 8];
	guint64 slot = (number << FORMAT_GROUP_SHIFT) + FORMAT_FIRST_INDEX + bit;

	for (; wrong; wrong >>= 1, used >>= 1, slot++) {
		if (!(wrong & 1))
			continue;
		group->leaked += used & 1;
		group->missing += !(used & 1);
		findings_add_one(check->slots_found, "slot", slot, 0,
				 used & 1 ? "in use by the bitmap, but nothing refers to it"
					  : "free by the bitmap, but the map refers to it");
	}
}

void check_compare_groups(Check *check)
{
	for (guint64 g = 0; g < check->n_groups; g++) {
		CheckGroup *group = check->groups[g];

		memcpy(group->mapped, group->claimed, sizeof group->mapped);
		for (guint bit = 0; bit < FORMAT_BITMAP_BITS; bit += 8)
			if (group->disk.bits[bit / 8] != group->claimed[bit / 8])
				compare_byte(check, g, bit);
	}
	check->result->used_slots = check->used;
	check->result->free_slots = check->n_groups * FORMAT_BITMAP_BITS - check->used;
}
