/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/backing/pages.h"

#include <errno.h>

#define PAGE_BYTES 65536u
#define UNIT_BYTES 4096u
#define UNITS (PAGE_BYTES / UNIT_BYTES)

/* A page that is shared (references > 1) does not change. */
typedef struct {
	guint64 number; /* offset / PAGE_BYTES; the table's key */
	gint references;
	guint16 present; /* one bit for each unit that was written */
	guint8 bytes[PAGE_BYTES];
} Page;

struct Pages {
	GHashTable *table; /* Page.number -> Page */
	guint64 units;
};

static void page_unref(gpointer data)
{
	Page *page = data;

	if (g_atomic_int_dec_and_test(&page->references))
		g_free(page);
}

Pages *pages_new(void)
{
	Pages *pages = g_new0(Pages, 1);

	pages->table = g_hash_table_new_full(g_int64_hash, g_int64_equal, NULL, page_unref);
	return pages;
}

void pages_free(Pages *pages)
{
	if (!pages)
		return;
	g_hash_table_unref(pages->table);
	g_free(pages);
}

static void insert(Pages *pages, Page *page)
{
	g_hash_table_replace(pages->table, &page->number, page);
}

Pages *pages_clone(const Pages *pages)
{
	Pages *clone = pages_new();
	GHashTableIter iter;
	gpointer page;

	g_hash_table_iter_init(&iter, pages->table);
	while (g_hash_table_iter_next(&iter, NULL, &page)) {
		g_atomic_int_inc(&((Page *)page)->references);
		insert(clone, page);
	}
	clone->units = pages->units;
	return clone;
}

static Page *find(const Pages *pages, guint64 number)
{
	return g_hash_table_lookup(pages->table, &number);
}

/* A page that may be changed: a new page, or a copy of a shared page.  NULL without memory. */
static Page *find_own(Pages *pages, guint64 number)
{
	Page *page = find(pages, number), *own;

	if (page && g_atomic_int_get(&page->references) == 1)
		return page;
	own = page ? g_try_new(Page, 1) : g_try_new0(Page, 1);
	if (!own)
		return NULL;
	if (page) {
		memcpy(own->bytes, page->bytes, PAGE_BYTES);
		own->present = page->present;
	}
	own->number = number;
	own->references = 1;
	insert(pages, own);
	return own;
}

/* The bits of the units that [start, start + length) of a page touches. */
static guint16 units_touched(gsize start, gsize length)
{
	gsize first = start / UNIT_BYTES, end = (start + length + UNIT_BYTES - 1) / UNIT_BYTES;

	return (guint16)((1u << end) - (1u << first));
}

/* The bits of the units that lie entirely in [start, start + length) of a page. */
static guint16 units_inside(gsize start, gsize length)
{
	gsize first = (start + UNIT_BYTES - 1) / UNIT_BYTES, end = (start + length) / UNIT_BYTES;

	return first < end ? (guint16)((1u << end) - (1u << first)) : 0;
}

static void set_present(Pages *pages, Page *page, guint16 present)
{
	pages->units += __builtin_popcount(present);
	pages->units -= __builtin_popcount(page->present);
	page->present = present;
}

void pages_read(const Pages *pages, IovCursor *to, guint64 offset, gsize length)
{
	while (length) {
		gsize start = offset % PAGE_BYTES, piece = MIN(length, PAGE_BYTES - start);
		const Page *page = find(pages, offset / PAGE_BYTES);

		if (page)
			iov_copy_in(to, page->bytes + start, piece);
		else
			iov_zero(to, piece);
		offset += piece;
		length -= piece;
	}
}

int pages_write(Pages *pages, IovCursor *from, guint64 offset, gsize length)
{
	while (length) {
		gsize start = offset % PAGE_BYTES, piece = MIN(length, PAGE_BYTES - start);
		Page *page = find_own(pages, offset / PAGE_BYTES);

		if (!page)
			return -ENOMEM;
		iov_copy_out(from, page->bytes + start, piece);
		set_present(pages, page, page->present | units_touched(start, piece));
		offset += piece;
		length -= piece;
	}
	return 0;
}

/* Punches the part of [offset, end) that lies in an existing page. */
static int punch_page(Pages *pages, guint64 number, guint64 offset, guint64 end)
{
	guint64 base = number * PAGE_BYTES;
	gsize start = offset > base ? offset - base : 0;
	gsize length = MIN(end - base, PAGE_BYTES) - start;
	Page *page = find(pages, number);

	if (!page)
		return 0;
	if (!((guint16)(page->present & ~units_inside(start, length)))) {
		pages->units -= __builtin_popcount(page->present);
		g_hash_table_remove(pages->table, &number);
		return 0;
	}
	page = find_own(pages, number);
	if (!page)
		return -ENOMEM;
	memset(page->bytes + start, 0, length);
	set_present(pages, page, (guint16)(page->present & ~units_inside(start, length)));
	return 0;
}

/* The numbers of the existing pages that have a part in [offset, end). */
static GArray *pages_within(const Pages *pages, guint64 offset, guint64 end)
{
	GArray *numbers = g_array_new(FALSE, FALSE, sizeof(guint64));
	GHashTableIter iter;
	gpointer key;

	g_hash_table_iter_init(&iter, pages->table);
	while (g_hash_table_iter_next(&iter, &key, NULL)) {
		guint64 number = *(guint64 *)key;

		if (number >= offset / PAGE_BYTES && number * PAGE_BYTES < end)
			g_array_append_val(numbers, number);
	}
	return numbers;
}

int pages_punch(Pages *pages, guint64 offset, guint64 length)
{
	guint64 end = offset + length, first = offset / PAGE_BYTES;
	int result = 0;

	if (!length)
		return 0;
	if ((end - 1) / PAGE_BYTES - first < g_hash_table_size(pages->table)) {
		for (guint64 n = first; !result && n * PAGE_BYTES < end; n++)
			result = punch_page(pages, n, offset, end);
	} else {
		g_autoptr(GArray) numbers = pages_within(pages, offset, end);

		for (guint i = 0; !result && i < numbers->len; i++)
			result = punch_page(pages, g_array_index(numbers, guint64, i), offset, end);
	}
	return result;
}

guint64 pages_allocated(const Pages *pages)
{
	return pages->units * UNIT_BYTES;
}

gsize pages_fitting(const Pages *pages, guint64 offset, gsize length, guint64 budget)
{
	gsize fitting = 0;

	while (fitting < length) {
		guint64 at = offset + fitting;
		gsize piece = MIN(length - fitting, UNIT_BYTES - at % UNIT_BYTES);
		const Page *page = find(pages, at / PAGE_BYTES);
		gboolean there = page && page->present & units_touched(at % PAGE_BYTES, piece);

		if (!there && budget < UNIT_BYTES)
			break;
		if (!there)
			budget -= UNIT_BYTES;
		fitting += piece;
	}
	return fitting;
}
