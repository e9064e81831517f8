/* SPDX-License-Identifier: Apache-2.0 */
/* A journal record of any content with a correct checksum.  A record that is accepted, and each of
 * its parts, must be as long as the record says. */
#include <string.h>

#include "common/engine/codec.h"
#include "tests/fuzz/fuzz.h"

#define SEQUENCE 3

static const Seal seal = {7};

static void make_right(guint8 *bytes, gsize size)
{
	FormatRecord *header = (void *)bytes;
	gsize length = size < sizeof *header ? 0 : GUINT32_FROM_LE(header->length);

	if (length < sizeof *header || length > size)
		return;
	header->magic = GUINT32_TO_LE(FORMAT_RECORD_MAGIC);
	header->sequence = GUINT64_TO_LE(SEQUENCE);
	header->crc = GUINT32_TO_LE(seal_record(&seal, SEQUENCE, bytes, (guint32)length));
}

int LLVMFuzzerTestOneInput(const guint8 *data, gsize size)
{
	g_autofree guint8 *bytes = g_malloc(size ? size : 1);
	SlotRun runs[FORMAT_RECORD_BLOCKS_MAX];
	guint32 crcs[FORMAT_RECORD_BLOCKS_MAX];
	Record record;
	guint32 length;
	guint64 blocks = 0;

	memcpy(bytes, data, size);
	make_right(bytes, size);
	length = record_decode(bytes, size, &seal, SEQUENCE, &record, runs, crcs);
	fuzz_assert(length <= size);
	if (!length)
		return 0;
	fuzz_assert(length % FORMAT_RECORD_ALIGN == 0 && record.sequence == SEQUENCE);
	if (record.kind != FORMAT_RECORD_WRITE)
		return 0;
	fuzz_assert(record.blocks <= FORMAT_RECORD_BLOCKS_MAX && record.n_runs <= record.blocks);
	for (guint i = 0; i < record.n_runs; i++) {
		fuzz_assert(record.runs[i].count > 0);
		fuzz_assert(slot_index(record.runs[i].slot) >= FORMAT_FIRST_INDEX);
		fuzz_assert(slot_index(record.runs[i].slot) + record.runs[i].count - 1 <=
			    FORMAT_LAST_INDEX);
		blocks += record.runs[i].count;
	}
	fuzz_assert(blocks == record.blocks);
	return 0;
}
