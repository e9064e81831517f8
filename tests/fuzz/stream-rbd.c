/* SPDX-License-Identifier: Apache-2.0 */
/* Whatever a file of `rbd export-diff` is, its reader returns an error, or ranges within its size.
 */
#include <sys/mman.h>
#include <unistd.h>

#include "common/base/autofd.h"
#include "common/base/units.h"
#include "common/stream/stream-rbd.h"
#include "tests/fuzz/fuzz.h"

int LLVMFuzzerTestOneInput(const guint8 *data, gsize size)
{
	autofd fd = memfd_create("rbd-diff", MFD_CLOEXEC);
	g_autoptr(StreamRbdReader) reader = stream_rbd_reader_new(fd);
	g_auto(StreamRbdHead) head = {0};
	StreamRange range = {.length = 1};

	fuzz_assert(write(fd, data, size) == (gssize)size);
	lseek(fd, 0, SEEK_SET);
	if (!stream_rbd_reader_begin(reader, &head, NULL))
		return 0;
	while (range.length && stream_rbd_reader_next(reader, &range, NULL)) {
		fuzz_assert(range.length <= head.size);
		fuzz_assert(range.offset <= head.size - range.length);
		fuzz_assert((range.offset | range.length) % SECTOR_SIZE == 0);
		fuzz_assert(!range.bytes || range.length <= STREAM_DATA_MAX);
	}
	return 0;
}
