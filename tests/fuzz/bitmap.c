/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A group's four bitmap pages, of any age, some of them damaged or of another group.  The newest
 * page that is whole and not newer than the checkpoint must count, must be found again by its term,
 * and once the damaged copies are mended, nothing must be left to mend.
 *
 *     u8        bit 0: the group's number
 *     u8        the checkpoint's generation
 *     4 times   u8 kind (0 to 3: sound; then: damaged, of another group, zeros), u8 generation,
 *               u8 content
 */
#include <string.h>

#include "tests/backing/memory.h"
#include "common/engine/bitmap-pages.h"
#include "tests/fuzz/fuzz.h"

#define SEED 11
#define GROUPS_OFFSET (FORMAT_JOURNAL_OFFSET + FORMAT_JOURNAL_MIN)
#define HEAD 2
#define PAGE 3

static const Seal seal = {SEED};

typedef struct {
	FormatBitmap page;
	gboolean counts; /* whole, of this group, and not newer than the checkpoint */
	guint64 generation;
} BitmapPage;

static void make_page(BitmapPage *page, const guint8 *in, guint64 group, guint64 checkpoint)
{
	guint kind = in[0] % 7;

	memset(&page->page, 0, sizeof page->page);
	page->generation = in[1];
	page->counts = kind < 4 && page->generation <= checkpoint;
	memset(page->page.bits, in[2], sizeof page->page.bits);
	bitmap_seal(&page->page, &seal, group ^ (kind == 5), page->generation);
	if (kind == 4)
		((guint8 *)&page->page)[in[2] * 16 + in[0] % 16] ^= 1;
	if (kind == 6)
		memset(&page->page, 0, sizeof page->page);
}

/* The offset of home `home` of copy `copy`, as docs/disk-format.md defines it. */
static guint64 offset_of(guint64 group, guint copy, guint home)
{
	guint64 slot = group * FORMAT_GROUP_SLOTS + home;

	if (copy && !group)
		return FORMAT_FIRST_COPIES + home * sizeof(FormatBitmap);
	if (copy)
		slot = (group - 1) * FORMAT_GROUP_SLOTS + FORMAT_BITMAP_COPIES + home;
	return GROUPS_OFFSET + slot * FORMAT_SLOT_SIZE;
}

static Backing *memory_of_two_groups(void)
{
	static Backing *memory;

	if (!memory) {
		memory = backing_memory_new(0);
		fuzz_assert(memory &&
			    !backing_grow(memory, GROUPS_OFFSET + 2 * FORMAT_GROUP_BYTES));
	}
	return memory;
}

static void check_choice(const BitmapPlace *place, guint64 group, guint64 checkpoint,
			 const BitmapPage *newest, BitmapChoice *choice)
{
	FormatBitmap page;
	guint64 generation;

	fuzz_assert(choice->found == (newest != NULL));
	if (!newest)
		return;
	fuzz_assert(bitmap_verify(&choice->page, &seal, group, &generation));
	fuzz_assert(generation == newest->generation);
	fuzz_assert(!bitmap_read(place, group, choice->home, choice->term, &page));
	fuzz_assert(bitmap_term(&page, group) == choice->term);
	fuzz_assert(!bitmap_mend(place, group, choice));
	fuzz_assert(!bitmap_choose(place, group, checkpoint, TRUE, choice));
	fuzz_assert(choice->found && !choice->damaged);
}

int LLVMFuzzerTestOneInput(const guint8 *data, gsize size)
{
	BitmapPlace place = {memory_of_two_groups(), GROUPS_OFFSET, &seal};
	const BitmapPage *newest = NULL;
	BitmapChoice choice;
	BitmapPage pages[4];
	guint64 group;

	if (size < HEAD + 4 * PAGE)
		return 0;
	group = data[0] & 1;
	for (guint i = 0; i < 4; i++) {
		BitmapPage *page = &pages[i];

		make_page(page, data + HEAD + i * PAGE, group, data[1]);
		fuzz_assert(!backing_pwrite(place.backing, &page->page, sizeof page->page,
					    offset_of(group, i / 2, i % 2)));
		if (page->counts && (!newest || page->generation > newest->generation))
			newest = page;
	}
	fuzz_assert(!bitmap_choose(&place, group, data[1], TRUE, &choice));
	check_choice(&place, group, data[1], newest, &choice);
	fuzz_assert(!bitmap_choose(&place, group, data[1], FALSE, &choice));
	fuzz_assert(choice.found == (newest != NULL));
	return 0;
}
