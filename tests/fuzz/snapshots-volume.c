/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/fuzz/snapshots-volume.h"

#include <string.h>

#include "common/base/bytes.h"
#include "common/base/units.h"
#include "common/engine/checkpointer-private.h"
#include "common/engine/superblock.h"
#include "common/engine/volume-base.h"
#include "common/engine/volume-private.h"
#include "common/engine/volume-receive.h"
#include "tests/backing/memory.h"
#include "tests/engine/support.h"
#include "tests/fuzz/fuzz.h"

#define SIZE (272 * MIB)      /* three levels of nodes */
#define DYING_FIRST (8 * MIB) /* whole leaves that die */
#define DYING_LEAVES 4u

static guint64 place_offset(guint place)
{
	static const guint64 leaves[] = {0, 1, 2, 257};

	return leaves[place / 2] * MIB + (place % 2) * BLOCK_SIZE;
}

/* ---- the image */

typedef enum { PART_SUPERBLOCK, PART_TABLE, PART_PAGE, PART_NODE, PART_BLOCK } PartKind;
#define PART_RANKS (PART_NODE + FORMAT_LEVELS_MAX + 2)

/* Where a checksum stands: number of a part, and byte in it. */
typedef struct {
	guint part;
	gsize at;
} PartReference;

/* A 4 KiB block of the image. */
typedef struct {
	PartKind kind;
	guint64 offset, twin; /* in the backing; no second copy: 0 */
	guint level;
	guint64 index;	    /* of the node, page or block */
	GArray *references; /* of PartReference */
	guint8 bytes[BLOCK_SIZE];
} Part;

typedef struct {
	guint64 offset;
	guint8 bytes[BLOCK_SIZE];
} Filled;

typedef struct FuzzImage {
	Backing *backing; /* sound */
	GArray *filled;	  /* of Filled: its blocks that are not zeros */
	Seal seal;
	Superblock sb;
	GPtrArray *parts; /* of Part */
} FuzzImage;

/* Whoever refers to a part has a lower rank. */
static guint part_rank(const Part *part)
{
	return part->kind == PART_NODE	  ? PART_NODE + FORMAT_LEVELS_MAX - part->level
	       : part->kind == PART_BLOCK ? PART_RANKS - 1
					  : (guint)part->kind;
}

static guint64 slot_offset(const FuzzImage *image, guint64 slot)
{
	return image->sb.groups_offset + slot * FORMAT_SLOT_SIZE;
}

static guint part_find(const FuzzImage *image, guint64 offset)
{
	guint i = 0;

	while (i < image->parts->len && ((Part *)image->parts->pdata[i])->offset != offset)
		i++;
	return i;
}

static Part *part_add(FuzzImage *image, PartKind kind, guint64 offset, guint64 twin)
{
	Part *part = g_new0(Part, 1);

	part->kind = kind;
	part->offset = offset;
	part->twin = twin;
	part->references = g_array_new(FALSE, FALSE, sizeof(PartReference));
	fuzz_assert(!backing_pread(image->backing, part->bytes, BLOCK_SIZE, offset));
	g_ptr_array_add(image->parts, part);
	return part;
}

/* Adds what a pointer in a part leads to; the pointer's first byte there is `at`. */
static void pointer_follow(FuzzImage *image, guint from, gsize at, PartKind kind, guint level,
			   guint64 index)
{
	const Part *parent = image->parts->pdata[from];
	PartReference reference = {from, at + G_STRUCT_OFFSET(FormatPointer, crc)};
	gboolean twice = kind != PART_BLOCK && (kind != PART_NODE || level);
	FormatPointer pointer;
	guint64 offset;
	MapEntry entry;
	guint i;

	memcpy(&pointer, parent->bytes + at, sizeof pointer);
	entry = entry_decode(&pointer);
	if (!entry.slot)
		return;
	offset = slot_offset(image, entry.slot);
	i = part_find(image, offset);
	if (i == image->parts->len) {
		guint64 twin = offset + FORMAT_COPY_DISTANCE * (guint64)FORMAT_SLOT_SIZE;
		Part *part = part_add(image, kind, offset, twice ? twin : 0);

		part->level = level;
		part->index = index;
	}
	g_array_append_val(((Part *)image->parts->pdata[i])->references, reference);
}

static void part_follow(FuzzImage *image, guint i)
{
	const Part *part = image->parts->pdata[i];
	const FormatTablePage *page = (const void *)part->bytes;
	guint level = part->level;
	guint64 index = part->index;

	if (part->kind == PART_SUPERBLOCK) {
		pointer_follow(image, i, G_STRUCT_OFFSET(FormatSuperblock, snapshot_root),
			       PART_TABLE, 0, 0);
		pointer_follow(image, i, G_STRUCT_OFFSET(FormatSuperblock, map_root), PART_NODE,
			       image->sb.levels - 1, 0);
	} else if (part->kind == PART_TABLE) {
		for (guint p = 0; p < FORMAT_TABLE_PAGES; p++)
			pointer_follow(image, i, p * sizeof(FormatPointer), PART_PAGE, 0, p);
	} else if (part->kind == PART_PAGE) {
		for (guint r = 0; r < FORMAT_TABLE_RECORDS; r++)
			if (snapshot_record_kind(&page->records[r]) ==
			    FORMAT_SNAPSHOT_KIND_SNAPSHOT)
				pointer_follow(image, i,
					       r * sizeof(FormatSnapshot) +
						       G_STRUCT_OFFSET(FormatSnapshot, root),
					       PART_NODE, image->sb.levels - 1, 0);
	} else if (part->kind == PART_NODE) {
		for (guint p = 0; p < FORMAT_POINTERS_MAX; p++)
			pointer_follow(image, i, p * sizeof(FormatPointer),
				       level ? PART_NODE : PART_BLOCK, level ? level - 1 : 0,
				       index << 8 | p);
	}
}

static GArray *filled_blocks(Backing *backing)
{
	static const guint8 zeros[BLOCK_SIZE];
	GArray *filled = g_array_new(FALSE, FALSE, sizeof(Filled));
	Filled block = {0};

	for (; block.offset + BLOCK_SIZE <= backing_size(backing); block.offset += BLOCK_SIZE) {
		fuzz_assert(!backing_pread(backing, block.bytes, BLOCK_SIZE, block.offset));
		if (memcmp(block.bytes, zeros, BLOCK_SIZE) != 0)
			g_array_append_val(filled, block);
	}
	return filled;
}

static FuzzImage *image_new(Backing *backing)
{
	FuzzImage *image = g_new0(FuzzImage, 1);
	SuperblockPair pair;

	fuzz_assert(superblock_load(backing, &pair, NULL));
	image->backing = backing;
	image->filled = filled_blocks(backing);
	image->sb = pair.current;
	image->seal = (Seal){pair.current.seed};
	image->parts = g_ptr_array_new();
	part_add(image, PART_SUPERBLOCK, FORMAT_SUPERBLOCK_A, FORMAT_SUPERBLOCK_B);
	for (guint i = 0; i < image->parts->len; i++)
		part_follow(image, i);
	return image;
}

/* ---- life */

static void put(Volume *volume, FuzzContent *head, guint place, guint8 value)
{
	fuzz_assert(!volume_put_value(volume, value, BLOCK_SIZE, place_offset(place)));
	head->values[place] = value;
}

static void snapshot_take(FuzzVolume *fuzz, Volume *volume, const char *name)
{
	const VolumeSnapshotParameters parameters = {.name = name, .created = 1796000000};
	FuzzContent *content = &fuzz->contents[fuzz->n_contents++];
	guint64 generation;

	fuzz_assert(volume_snapshot_begin(volume, &parameters, &generation, NULL));
	fuzz_assert(volume_snapshot_wait(volume, generation, 60, NULL));
	*content = fuzz->head;
	g_strlcpy(content->name, name, sizeof content->name);
}

static void walk_one_step(Engine *engine, gpointer data)
{
	const Checkpointer *cp = data;

	(void)engine;
	fuzz_assert(snapshot_walk_step(cp->walk) >= 0);
}

/* Snapshots one and two, bookmark mark. */
static void live(FuzzVolume *fuzz, Volume *volume)
{
	for (guint i = 0; i < FUZZ_PLACES; i++)
		put(volume, &fuzz->head, i, (guint8)(10 + i));
	snapshot_take(fuzz, volume, "one");
	fuzz_assert(volume_snapshot_hold(volume, "one", "user", NULL));
	put(volume, &fuzz->head, 0, 20);
	put(volume, &fuzz->head, 6, 21);
	snapshot_take(fuzz, volume, "mark");
	put(volume, &fuzz->head, 0, 30);
	fuzz_assert(volume_snapshot_delete(volume, "mark", VOLUME_SNAPSHOT_DELETE_BOOKMARK, NULL));
	fuzz_assert(volume_settled(volume, volume_settle(volume), 60));
	fuzz->n_contents--;
	snapshot_take(fuzz, volume, "two");
	put(volume, &fuzz->head, 0, 40);
	put(volume, &fuzz->head, 2, 41);
}

static void live_deleting(FuzzVolume *fuzz, Volume *volume)
{
	put(volume, &fuzz->head, 6, 42);
	fuzz_assert(volume_snapshot_delete(volume, "two", 0, NULL));
	fuzz->n_contents--;
	checkpointer_call(volume->checkpointer, walk_one_step, volume->checkpointer);
	fuzz_assert(!volume_checkpoint(volume));
}

static void live_dying(FuzzVolume *fuzz, Volume *volume)
{
	for (guint i = 0; i < DYING_LEAVES; i++)
		fuzz_assert(!volume_put_value(volume, 9, BLOCK_SIZE, DYING_FIRST + i * MIB));
	fuzz_assert(!volume_checkpoint(volume));
	fuzz_assert(!volume_discard(volume, DYING_FIRST, DYING_LEAVES * MIB));
	snapshot_take(fuzz, volume, "three");
	checkpointer_call(volume->checkpointer, walk_one_step, volume->checkpointer);
	fuzz_assert(volume_rollback(volume, "one", VOLUME_ROLLBACK_DISCARD, NULL, NULL));
	memcpy(fuzz->head.values, fuzz->contents[0].values, FUZZ_PLACES);
}

static void live_receiving(FuzzVolume *fuzz, Volume *volume)
{
	const VolumeSnapshotParameters to = {.name = "to", .created = 1796000001};

	snapshot_take(fuzz, volume, "three");
	fuzz_assert(volume_receive_begin(volume, &to, SIZE, NULL));
	put(volume, &fuzz->head, 0, 50);
	fuzz_assert(volume_receive_mark(volume, 512, NULL));
}

/* ---- a linked clone */

static const VolumeParameters parameters = {.size = SIZE, .journal_size = FORMAT_JOURNAL_MIN};

/* Has all places. */
static Backing *base_memory(void)
{
	static Backing *memory;
	const VolumeSnapshotParameters snapshot = {.name = "base", .created = 1796000000};
	guint64 generation;
	Volume *volume;

	if (memory)
		return memory;
	memory = backing_memory_new(0);
	fuzz_assert(volume_format(memory, &parameters, NULL));
	volume = volume_open(backing_borrow(memory), "base", 0, NULL);
	for (guint i = 0; i < FUZZ_PLACES; i++)
		fuzz_assert(
			!volume_put_value(volume, (guint8)(100 + i), BLOCK_SIZE, place_offset(i)));
	fuzz_assert(volume_snapshot_begin(volume, &snapshot, &generation, NULL));
	fuzz_assert(volume_snapshot_wait(volume, generation, 60, NULL));
	volume_close(volume, NULL);
	return memory;
}

static Volume *base_open(const BaseIdentity *base, gpointer data, GError **error)
{
	const VolumeSnapshotOpening opening = {.uuid = base->snapshot};

	(void)data;
	return volume_open_snapshot_linked(backing_borrow(base_memory()), "base", &opening, error);
}

Volume *fuzz_volume_open(Backing *memory, VolumeOpenFlags flags)
{
	return volume_open_linked(backing_borrow(memory), "fuzz", flags, base_open, NULL, NULL);
}

Volume *fuzz_snapshot_open(Backing *memory, const char *name)
{
	const VolumeSnapshotOpening opening = {.name = name, .open_base = base_open};

	return volume_open_snapshot_linked(backing_borrow(memory), "fuzz", &opening, NULL);
}

static void clone_format(FuzzVolume *fuzz, Backing *memory)
{
	const VolumeSnapshotOpening opening = {.name = "base"};
	Volume *base =
		volume_open_snapshot_linked(backing_borrow(base_memory()), "base", &opening, NULL);
	BaseIdentity identity;

	fuzz_assert(base);
	volume_as_base(base, "pool/origin@base", &identity);
	fuzz_assert(volume_format_linked(memory, &parameters, &identity, NULL));
	volume_close(base, NULL);
	for (guint i = 0; i < FUZZ_PLACES; i++)
		fuzz->head.values[i] = (guint8)(100 + i);
}

static void size_change(Volume *volume, guint64 size)
{
	fuzz_assert(volume_resize(volume, size, VOLUME_RESIZE_SHRINK | VOLUME_RESIZE_DISCARD, 60,
				  NULL));
}

/* The last leaf is the base's in snapshot one alone; a block and a leaf are zeros. */
static void live_linked(FuzzVolume *fuzz, Volume *volume)
{
	snapshot_take(fuzz, volume, "one");
	fuzz_assert(volume_snapshot_hold(volume, "one", "user", NULL));
	put(volume, &fuzz->head, 0, 40);
	fuzz_assert(!volume_discard(volume, place_offset(3), BLOCK_SIZE));
	fuzz_assert(!volume_discard(volume, 2 * MIB, MIB));
	size_change(volume, 200 * MIB);
	size_change(volume, SIZE);
	memset(fuzz->head.values + 3, 0, FUZZ_PLACES - 3);
	snapshot_take(fuzz, volume, "two");
}

static void volume_make(FuzzVolume *fuzz, guint number)
{
	Backing *memory = backing_memory_new(0);
	Volume *volume;

	if (number == 3)
		clone_format(fuzz, memory);
	else
		fuzz_assert(volume_format(memory, &parameters, NULL));
	volume = fuzz_volume_open(memory, 0);
	fuzz_assert(volume);
	(number == 3 ? live_linked : live)(fuzz, volume);
	checkpointer_hold(volume->checkpointer, TRUE);
	if (number == 0)
		live_deleting(fuzz, volume);
	else if (number == 1)
		live_dying(fuzz, volume);
	else if (number == 2)
		live_receiving(fuzz, volume);
	if (number != 2) {
		put(volume, &fuzz->head, 4, 60);
		fuzz_assert(!volume_flush(volume));
	}
	volume_abandon(volume);
	fuzz->image = image_new(memory);
}

const FuzzVolume *fuzz_volume(guint number)
{
	static FuzzVolume volumes[4];
	FuzzVolume *fuzz = &volumes[number % G_N_ELEMENTS(volumes)];

	if (!fuzz->image)
		volume_make(fuzz, number % G_N_ELEMENTS(volumes));
	return fuzz;
}

/* ---- changes */

static guint32 part_seal(const FuzzImage *image, const Part *part)
{
	switch (part->kind) {
	case PART_TABLE:
		return seal_table_root(&image->seal, (const void *)part->bytes);
	case PART_PAGE:
		return seal_table_page(&image->seal, (guint)part->index, (const void *)part->bytes);
	case PART_NODE:
		return seal_node(&image->seal, part->level, part->index, (const void *)part->bytes);
	case PART_BLOCK:
		return seal_block(&image->seal, part->index, part->bytes);
	case PART_SUPERBLOCK:
		break;
	}
	return seal_superblock((const void *)part->bytes);
}

static void part_seal_in(const FuzzImage *image, Part *const *parts, Part *part)
{
	guint32 crc = part_seal(image, part);

	for (guint r = 0; r < part->references->len; r++) {
		const PartReference *at = &g_array_index(part->references, PartReference, r);

		put_le32(parts[at->part]->bytes + at->at, crc);
	}
	if (part->kind == PART_SUPERBLOCK)
		put_le32(part->bytes + BLOCK_SIZE - 4, crc);
}

/* Makes all checksums right, from the blocks up. */
static void parts_seal(const FuzzImage *image, Part *const *parts)
{
	for (guint rank = PART_RANKS; rank-- > 0;)
		for (guint i = 0; i < image->parts->len; i++)
			if (part_rank(parts[i]) == rank)
				part_seal_in(image, parts, parts[i]);
}

static void parts_change(const FuzzImage *image, Part *const *parts, const guint8 *data, gsize size)
{
	while (size >= 5) {
		gsize length = MIN(MIN(data[4], 16), size - 5);
		guint at = get_le16(data + 2) & (BLOCK_SIZE - 1);

		at = MIN(at, BLOCK_SIZE - 16);
		memcpy(parts[get_le16(data) % image->parts->len]->bytes + at, data + 5, length);
		data += 5 + length;
		size -= 5 + length;
	}
}

static Backing *image_copy(const FuzzImage *image)
{
	Backing *copy = backing_memory_new(0);

	fuzz_assert(copy && !backing_grow(copy, backing_size(image->backing)));
	for (guint i = 0; i < image->filled->len; i++) {
		const Filled *block = &g_array_index(image->filled, Filled, i);

		fuzz_assert(!backing_pwrite(copy, block->bytes, BLOCK_SIZE, block->offset));
	}
	return copy;
}

Backing *fuzz_volume_change(const FuzzVolume *volume, const guint8 *changes, gsize size,
			    gboolean sealed)
{
	const FuzzImage *image = volume->image;
	Backing *copy = image_copy(image);
	g_autoptr(GPtrArray) parts = g_ptr_array_new_with_free_func(g_free);

	for (guint i = 0; i < image->parts->len; i++) {
		Part *part = g_new(Part, 1);

		*part = *(const Part *)image->parts->pdata[i];
		g_ptr_array_add(parts, part);
	}
	parts_change(image, (Part *const *)parts->pdata, changes, size);
	if (sealed)
		parts_seal(image, (Part *const *)parts->pdata);
	for (guint i = 0; i < parts->len; i++) {
		const Part *part = parts->pdata[i];

		if (!memcmp(part->bytes, ((Part *)image->parts->pdata[i])->bytes, BLOCK_SIZE))
			continue;
		fuzz_assert(!backing_pwrite(copy, part->bytes, BLOCK_SIZE, part->offset));
		if (sealed && part->twin)
			fuzz_assert(!backing_pwrite(copy, part->bytes, BLOCK_SIZE, part->twin));
	}
	return copy;
}

void fuzz_content_read(Volume *volume, const FuzzContent *content, gboolean trusted)
{
	guint8 bytes[BLOCK_SIZE], wanted[BLOCK_SIZE];

	for (guint i = 0; i < FUZZ_PLACES; i++) {
		if (volume_get(volume, bytes, BLOCK_SIZE, place_offset(i)) || !trusted)
			continue;
		memset(wanted, content->values[i], BLOCK_SIZE);
		fuzz_assert(!memcmp(bytes, wanted, BLOCK_SIZE));
	}
}
