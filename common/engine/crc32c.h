/* SPDX-License-Identifier: Apache-2.0 */
/*
 * CRC32C (Castagnoli, reflected polynomial 0x82F63B78; RFC 3720 appendix B.4), with the CPU's own
 * instructions where it has them (SSE4.2, ARMv8 CRC), portable code where not.  Chosen once, at
 * first use; thread-safe.
 */
#pragma once

#include <glib.h>

/* Continues `crc` (0 to start; the inversions are inside) over `length` bytes:
 * crc32c(crc32c(0, a, n), b, m) is the CRC32C of a followed by b. */
guint32 crc32c(guint32 crc, const void *data, gsize length);

/* One implementation by itself, for tests and for the benchmark.  The hardware one is NULL where
 * this CPU has none. */
typedef guint32 (*Crc32cFunction)(guint32 crc, const void *data, gsize length);
guint32 crc32c_portable(guint32 crc, const void *data, gsize length);
Crc32cFunction crc32c_hardware(void);
