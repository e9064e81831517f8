/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Checksums and the places on which they depend.  The values were computed from the formula of
 * docs/disk-format.md by an independent program.  A change of any value makes every existing volume
 * unreadable.
 */
#include "common/engine/seal.h"
#include "common/base/units.h"
#include "tests/harness.h"

static const Seal seal = {.seed = 0x0123456789abcdef};

typedef enum {
	BLOCK,
	NODE,
	BITMAP,
	RECORD,
	TABLE_PAGE,
	TABLE_ROOT,
} Kind;

typedef struct {
	const char *name;
	Kind kind;
	guint level;
	guint64 number; /* of the block, node, group or record */
	guint32 crc;
} Place;

static const Place places[] = {
	{"first block", BLOCK, 0, 0, 0x9368aa89},
	{"second block", BLOCK, 0, 1, 0x302062c7},
	{"last block of 64 TiB", BLOCK, 0, ((guint64)1 << 34) - 1, 0xf1875668},
	{"first leaf", NODE, 0, 0, 0x6ef76acb},
	{"second leaf", NODE, 0, 1, 0xcdbfa285},
	{"first node above the leaves", NODE, 1, 0, 0x6dbb5cfc},
	{"a node of the highest level", NODE, 4, 3, 0x7689def3},
	{"bitmap of the first group", BITMAP, 0, 0, 0x2c0fbe63},
	{"bitmap of the second group", BITMAP, 0, 1, 0x6c6a9084},
	{"bitmap of the sixth group", BITMAP, 0, 5, 0x68125de9},
	{"first page of the snapshot table", TABLE_PAGE, 0, 0, 0xa7abc9f9},
	{"last page of the snapshot table", TABLE_PAGE, 0, 255, 0x384729a3},
	{"root of the snapshot table", TABLE_ROOT, 0, 0, 0x5a3409bb},
	{"record 0", RECORD, 0, 0, 0x89302b82},
	{"record 1", RECORD, 0, 1, 0x95290fb9},
	{"record of a high sequence", RECORD, 0, ((guint64)1 << 63) + 7, 0x65543e76},
};

typedef union {
	guint8 bytes[BLOCK_SIZE];
	FormatNode node;
	FormatBitmap page;
	FormatTablePage table;
	FormatSuperblock superblock;
} Bytes;

static Bytes some_bytes(void)
{
	Bytes bytes;

	for (guint i = 0; i < BLOCK_SIZE; i++)
		bytes.bytes[i] = (guint8)(i % 251);
	return bytes;
}

static guint32 seal_place(const Seal *with, const Place *place, const Bytes *bytes)
{
	switch (place->kind) {
	case BLOCK:
		return seal_block(with, place->number, bytes);
	case NODE:
		return seal_node(with, place->level, place->number, &bytes->node);
	case BITMAP:
		return seal_bitmap(with, place->number, &bytes->page);
	case RECORD:
		return seal_record(with, place->number, bytes->bytes, 64);
	case TABLE_PAGE:
		return seal_table_page(with, (guint)place->number, &bytes->table);
	case TABLE_ROOT:
		return seal_table_root(with, &bytes->node);
	}
	return 0;
}

static void test_known_answers(const void *data)
{
	Bytes bytes = some_bytes();

	(void)data;
	for (guint i = 0; i < G_N_ELEMENTS(places); i++) {
		test_row("%s", places[i].name);
		CHECK_UINT(seal_place(&seal, &places[i], &bytes), places[i].crc);
	}
	test_row("superblock");
	CHECK_UINT(seal_superblock(&bytes.superblock), 0xa59c8bcf);
}

/* No structure of another volume matches.  A superblock is not seeded, because it holds the seed.
 */
static void test_other_volume(const void *data)
{
	const Seal other = {.seed = seal.seed + 1};
	Bytes bytes = some_bytes();

	(void)data;
	for (guint i = 0; i < G_N_ELEMENTS(places); i++) {
		test_row("%s", places[i].name);
		CHECK(seal_place(&other, &places[i], &bytes) != places[i].crc);
	}
}

static void test_fits(const void *data)
{
	Bytes bytes = some_bytes();
	guint32 block = seal_block(&seal, 7, &bytes), node = seal_node(&seal, 1, 7, &bytes.node);

	(void)data;
	CHECK(seal_block_fits(&seal, 7, &bytes, block));
	CHECK(!seal_block_fits(&seal, 8, &bytes, block));
	CHECK(seal_node_fits(&seal, 1, 7, &bytes.node, node));
	CHECK(!seal_node_fits(&seal, 2, 7, &bytes.node, node));
	CHECK(!seal_node_fits(&seal, 1, 8, &bytes.node, node));
	for (guint i = 0; i < BLOCK_SIZE; i += 511) {
		test_row("byte %u", i);
		bytes.bytes[i] ^= 1;
		CHECK(!seal_block_fits(&seal, 7, &bytes, block));
		CHECK(!seal_node_fits(&seal, 1, 7, &bytes.node, node));
		bytes.bytes[i] ^= 1;
	}
}

/* A block's checksum does not depend on how the vector is cut into pieces. */
static void test_vector(const void *data)
{
	Bytes bytes[2] = {some_bytes(), some_bytes()};
	guint8 *whole = (guint8 *)bytes;

	(void)data;
	bytes[1].bytes[100] = 1;
	for (gsize cut = 0; cut <= 2 * BLOCK_SIZE; cut += 585) {
		struct iovec iov[] = {{whole, cut}, {whole + cut, 2 * BLOCK_SIZE - cut}};
		IovCursor write = iov_cursor(iov, 2), read = write;

		test_row("cut at %zu", cut);
		for (guint i = 0; i < 2; i++) {
			guint32 crc = seal_block(&seal, 5 + i, &bytes[i]);

			CHECK_UINT(seal_block_vector(&seal, 5 + i, &write), crc);
			CHECK(seal_block_vector_fits(&seal, 5 + i, &read, crc));
		}
	}
}

/* A block that does not match moves the cursor like any other. */
static void test_vector_goes_on(const void *data)
{
	Bytes bytes[2] = {some_bytes(), some_bytes()};
	struct iovec iov = {bytes, sizeof bytes};
	IovCursor cursor = iov_cursor(&iov, 1);

	(void)data;
	CHECK(!seal_block_vector_fits(&seal, 0, &cursor, ~places[0].crc));
	CHECK(seal_block_vector_fits(&seal, 1, &cursor, places[1].crc));
}

int main(int argc, char **argv)
{
	test_add("every place has the checksum that the format says", test_known_answers, NULL);
	test_add("a structure of another volume does not match", test_other_volume, NULL);
	test_add("another place or a flipped bit does not match", test_fits, NULL);
	test_add("blocks of a vector match, however the vector is cut", test_vector, NULL);
	test_add("a vector continues behind a block that does not match", test_vector_goes_on,
		 NULL);
	return test_run(argc, argv);
}
