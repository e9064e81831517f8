/* SPDX-License-Identifier: Apache-2.0 */
#include "common/engine/bitmap-pages.h"

#include <errno.h>

/* The offset of copy `copy` of home A; home B follows it. */
static guint64 copy_offset(const BitmapPlace *place, guint64 group, guint copy)
{
	guint64 slot = group << FORMAT_GROUP_SHIFT;

	if (copy && !group)
		return FORMAT_FIRST_COPIES;
	if (copy)
		slot = ((group - 1) << FORMAT_GROUP_SHIFT) + FORMAT_BITMAP_COPIES;
	return place->groups_offset + slot * FORMAT_SLOT_SIZE;
}

/* Reads both homes of one copy.  A page that cannot be read is replaced by zeros, which are never
 * valid. */
static void read_homes(const BitmapPlace *place, guint64 group, guint copy, FormatBitmap *pages,
		       int *problem)
{
	guint64 offset = copy_offset(place, group, copy);

	if (!backing_pread(place->backing, pages, 2 * sizeof *pages, offset))
		return;
	for (guint home = 0; home < 2; home++) {
		int r = backing_pread(place->backing, &pages[home], sizeof *pages,
				      offset + home * sizeof *pages);

		if (r)
			memset(&pages[home], 0, sizeof *pages);
		if (r && r != -ENXIO)
			*problem = r;
	}
}

/* Chooses the page if it counts and is newer than the page chosen so far.  Returns whether the page
 * is valid. */
static gboolean consider(const BitmapPlace *place, guint64 group, guint64 checkpoint, guint home,
			 const FormatBitmap *page, BitmapChoice *choice, guint64 *best)
{
	guint64 generation;

	if (!bitmap_verify(page, place->seal, group, &generation))
		return FALSE;
	choice->newest = MAX(choice->newest, generation);
	if (generation > checkpoint) {
		choice->future = TRUE;
	} else if (!choice->found || generation > *best) {
		choice->found = TRUE;
		choice->home = home;
		choice->page = *page;
		*best = generation;
	}
	return TRUE;
}

int bitmap_choose(const BitmapPlace *place, guint64 group, guint64 checkpoint, gboolean thorough,
		  BitmapChoice *ret_choice)
{
	FormatBitmap pages[2][2];
	guint64 best = 0;
	guint valid = 0;
	int problem = 0;

	memset(ret_choice, 0, sizeof *ret_choice);
	for (guint copy = 0; copy < 2 && (thorough || valid < 2); copy++) {
		read_homes(place, group, copy, pages[copy], &problem);
		for (guint home = 0; home < 2; home++)
			valid += consider(place, group, checkpoint, home, &pages[copy][home],
					  ret_choice, &best);
		thorough = thorough || valid < 2;
	}
	if (!ret_choice->found)
		return problem;
	ret_choice->term = bitmap_term(&ret_choice->page, group);
	for (guint copy = 0; copy < 2 && thorough; copy++)
		if (memcmp(&pages[copy][ret_choice->home], &ret_choice->page, sizeof **pages))
			ret_choice->damaged |= 1u << copy;
	return 0;
}

int bitmap_read(const BitmapPlace *place, guint64 group, guint home, guint64 term,
		FormatBitmap *ret_page)
{
	int r = -EBADMSG;

	for (guint copy = 0; copy < 2; copy++) {
		guint64 generation;
		int read = backing_pread(place->backing, ret_page, sizeof *ret_page,
					 copy_offset(place, group, copy) + home * sizeof *ret_page);

		if (!read && bitmap_verify(ret_page, place->seal, group, &generation) &&
		    bitmap_term(ret_page, group) == term)
			return 0;
		r = read ? read : r;
	}
	return r;
}

static int write_copy(const BitmapPlace *place, guint64 group, guint home, guint copy,
		      const FormatBitmap *page)
{
	return backing_pwrite(place->backing, page, sizeof *page,
			      copy_offset(place, group, copy) + home * sizeof *page);
}

int bitmap_write(const BitmapPlace *place, guint64 group, guint home, const FormatBitmap *page)
{
	int r = write_copy(place, group, home, 0, page);

	return r ? r : write_copy(place, group, home, 1, page);
}

int bitmap_mend(const BitmapPlace *place, guint64 group, const BitmapChoice *choice)
{
	int r = 0;

	for (guint copy = 0; copy < 2 && !r; copy++)
		if (choice->damaged & 1u << copy)
			r = write_copy(place, group, choice->home, copy, &choice->page);
	return r;
}
