/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A whole volume that is damaged: the input is a list of changes to a sound volume.
 *
 *     u16 place     number of the 4 KiB block, among the blocks that are in use (modulo)
 *     u16 offset    in the block; the highest bit: correct the block's own checksum afterwards
 *     u8 length     of the bytes that follow, 16 at most
 *
 * Whatever was changed, opening, reading, checking and writing must end.  Unless a checksum was
 * corrected, each read must return the data that was written, or an error.
 */
#include <string.h>

#include "tests/backing/memory.h"
#include "common/base/bounds.h"
#include "common/base/bytes.h"
#include "common/check/check.h"
#include "common/engine/codec.h"
#include "common/engine/volume.h"
#include "tests/engine/support.h"
#include "tests/fuzz/fuzz.h"

#define SIZE (2 * MIB)
#define WRITTEN (256 * KIB) /* the first bytes of the volume; block i is full of i + 1 */
#define IMAGE_SLOTS 4000u   /* the sound volume uses no slot of the first group beyond these */

typedef struct {
	guint64 offset;
	guint8 bytes[BLOCK_SIZE];
} Block;

static GArray *sound; /* of Block: the blocks that are not zero */
static guint64 sound_size;
static Seal seal;

static void write_something(Volume *volume)
{
	for (guint64 i = 0; i < WRITTEN / BLOCK_SIZE; i++)
		fuzz_assert(!volume_put_value(volume, (guint8)(i + 1), BLOCK_SIZE, i * BLOCK_SIZE));
}

static void keep(Backing *memory)
{
	Superblock sb;
	Block block;

	sound = g_array_new(FALSE, FALSE, sizeof(Block));
	sound_size = backing_size(memory);
	fuzz_assert(!backing_pread(memory, block.bytes, BLOCK_SIZE, 0) &&
		    superblock_decode((FormatSuperblock *)block.bytes, &sb, "fuzz", NULL));
	seal = (Seal){sb.seed};
	for (guint64 at = 0; at < sb.groups_offset + IMAGE_SLOTS * BLOCK_SIZE; at += BLOCK_SIZE) {
		static const guint8 zeros[BLOCK_SIZE];

		block.offset = at;
		fuzz_assert(!backing_pread(memory, block.bytes, BLOCK_SIZE, at));
		if (memcmp(block.bytes, zeros, BLOCK_SIZE) != 0)
			g_array_append_val(sound, block);
	}
}

/* Half of the data is in the map on disk; all of it is in the journal as well. */
static void make_sound(void)
{
	const VolumeParameters parameters = {.size = SIZE, .journal_size = FORMAT_JOURNAL_MIN};
	Backing *memory = backing_memory_new(0);
	Volume *volume;

	fuzz_assert(volume_format(memory, &parameters, NULL));
	volume = volume_open(backing_borrow(memory), "fuzz", 0, NULL);
	fuzz_assert(volume);
	write_something(volume);
	fuzz_assert(!volume_checkpoint(volume));
	write_something(volume);
	fuzz_assert(!volume_flush(volume));
	volume_abandon(volume);
	keep(memory);
	backing_free(memory);
}

/* Corrects the block's own checksum: superblocks have it at the end, bitmap pages and records at
 * the start.  The checksum of a node is in the pointer to the node. */
static void make_right(Block *block)
{
	guint8 *bytes = block->bytes;

	if (block->offset <= FORMAT_SUPERBLOCK_B)
		put_le32(bytes + BLOCK_SIZE - 4, seal_superblock((const void *)bytes));
	else if (get_le32(bytes + 4) == FORMAT_BITMAP_MAGIC)
		put_le32(bytes, seal_bitmap(&seal, 0, (const void *)bytes));
	else if (get_le32(bytes + 12) == FORMAT_RECORD_MAGIC)
		put_le32(bytes,
			 seal_record(&seal, get_le64(bytes + 16), bytes,
				     (guint32)clamp_u64(get_le32(bytes + 8), 8, BLOCK_SIZE)));
}

/* Applies the input's changes.  TRUE if a checksum was corrected. */
static gboolean change(GArray *blocks, const guint8 *data, gsize size)
{
	gboolean sealed = FALSE;

	while (size >= 5) {
		guint at = get_le16(data + 2);
		gsize length = MIN(MIN(data[4], 16), size - 5);
		Block *block = &g_array_index(blocks, Block, get_le16(data) % blocks->len);
		gsize offset = MIN(at & (BLOCK_SIZE - 1), BLOCK_SIZE - 16);

		memcpy(block->bytes + offset, data + 5, length);
		if (at & 0x8000) {
			make_right(block);
			sealed = TRUE;
		}
		data += 5 + length;
		size -= 5 + length;
	}
	return sealed;
}

static Backing *image(const GArray *blocks)
{
	Backing *memory = backing_memory_new(0);

	fuzz_assert(memory && !backing_grow(memory, sound_size));
	for (guint i = 0; i < blocks->len; i++) {
		const Block *block = &g_array_index(blocks, Block, i);

		fuzz_assert(!backing_pwrite(memory, block->bytes, BLOCK_SIZE, block->offset));
	}
	return memory;
}

/* Reads everything.  If `trusted`, each read must return the data that was written, or an error. */
static void read_all(Volume *volume, gboolean trusted)
{
	guint8 bytes[BLOCK_SIZE], wanted[BLOCK_SIZE];

	for (guint64 i = 0; i < volume_size(volume) / BLOCK_SIZE && i < SIZE / BLOCK_SIZE; i++) {
		if (volume_get(volume, bytes, BLOCK_SIZE, i * BLOCK_SIZE) || !trusted)
			continue;
		memset(wanted, i < WRITTEN / BLOCK_SIZE ? (int)(i + 1) : 0, BLOCK_SIZE);
		fuzz_assert(!memcmp(bytes, wanted, BLOCK_SIZE));
	}
}

static void use(Backing *memory, gboolean trusted)
{
	Volume *volume = volume_open(backing_borrow(memory), "fuzz", 0, NULL);

	if (!volume)
		return;
	read_all(volume, trusted);
	volume_discard(volume, 0, min_u64(64 * KIB, volume_size(volume)));
	volume_put_value(volume, 200, 8 * KIB, 4096);
	volume_flush(volume);
	volume_close(volume, NULL);
}

int LLVMFuzzerTestOneInput(const guint8 *data, gsize size)
{
	g_autoptr(GArray) blocks = NULL;
	g_autoptr(CheckResult) result = NULL;
	Backing *memory;
	Volume *volume;
	gboolean trusted;

	if (!sound)
		make_sound();
	blocks = g_array_sized_new(FALSE, FALSE, sizeof(Block), sound->len);
	g_array_append_vals(blocks, sound->data, sound->len);
	trusted = !change(blocks, data, size);
	memory = image(blocks);
	result = check_run(memory, NULL, NULL, NULL);
	volume = volume_open(backing_borrow(memory), "fuzz", VOLUME_OPEN_READ_ONLY, NULL);
	if (volume) {
		read_all(volume, trusted);
		volume_close(volume, NULL);
	}
	use(memory, trusted);
	backing_free(memory);
	return 0;
}
