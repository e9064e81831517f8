/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The CPU's instruction folds in eight bytes and takes three cycles for it, but a new one can
 * start each cycle.  So long inputs are cut in three lanes that run side by side; at the end the
 * lanes' checksums are brought together by carry-less multiplication with x^(8 * distance) mod P.
 * A 4096-byte block is one round of long lanes and two single steps.
 *
 * Without the instruction: eight tables, eight bytes a step ("slicing by 8").
 */
#include "common/engine/crc32c.h"

#include <pthread.h>

#include "common/base/bytes.h"

#define POLYNOMIAL 0x82F63B78u
#define LANE_LONG 1360u /* bytes; three of them are 4080 */
#define LANE_SHORT 168u

static pthread_once_t once = PTHREAD_ONCE_INIT;
static guint32 tables[8][256];
static Crc32cFunction chosen;

#if defined(__x86_64__)

#include <nmmintrin.h>
#include <wmmintrin.h>

#define HARDWARE __attribute__((target("sse4.2,pclmul")))

static gboolean cpu_has_it(void)
{
	return __builtin_cpu_supports("sse4.2") && __builtin_cpu_supports("pclmul");
}

HARDWARE static inline guint64 fold8(guint64 crc, guint64 data)
{
	return _mm_crc32_u64(crc, data);
}

HARDWARE static inline guint64 fold1(guint64 crc, guint8 data)
{
	return _mm_crc32_u8((guint32)crc, data);
}

HARDWARE static inline guint64 multiply(guint64 a, guint64 b)
{
	return _mm_cvtsi128_si64(
		_mm_clmulepi64_si128(_mm_cvtsi64_si128(a), _mm_cvtsi64_si128(b), 0));
}

#elif defined(__aarch64__) && defined(__linux__)

#include <arm_acle.h>
#include <arm_neon.h>
#include <asm/hwcap.h>
#include <sys/auxv.h>

#define HARDWARE __attribute__((target("+crc+crypto")))

static gboolean cpu_has_it(void)
{
	const unsigned long wanted = HWCAP_CRC32 | HWCAP_PMULL;

	return (getauxval(AT_HWCAP) & wanted) == wanted;
}

HARDWARE static inline guint64 fold8(guint64 crc, guint64 data)
{
	return __crc32cd((guint32)crc, data);
}

HARDWARE static inline guint64 fold1(guint64 crc, guint8 data)
{
	return __crc32cb((guint32)crc, data);
}

HARDWARE static inline guint64 multiply(guint64 a, guint64 b)
{
	return (guint64)vmull_p64(a, b);
}

#endif

#ifdef HARDWARE

/* x^(8 * lane - 33) and x^(16 * lane - 33) mod P: what moves a checksum over one lane and over
 * two.  The product of two reflected values is one bit short, and folding it in multiplies by
 * x^32: hence the 33. */
static guint64 over_long[2], over_short[2];

static guint64 power_of_x(guint n)
{
	guint32 value = 0x80000000u; /* x^0, reflected */

	while (n--)
		value = value >> 1 ^ (value & 1 ? POLYNOMIAL : 0);
	return value;
}

HARDWARE static inline guint64 three_lanes(guint64 crc, const guint8 *p, gsize lane,
					   const guint64 over[2])
{
	guint64 a = crc, b = 0, c = 0;
	const guint8 *last = p + lane - 8;

	for (; p < last; p += 8) {
		a = fold8(a, get_le64(p));
		b = fold8(b, get_le64(p + lane));
		c = fold8(c, get_le64(p + 2 * lane));
	}
	a = fold8(a, get_le64(p));
	b = fold8(b, get_le64(p + lane));
	return fold8(c, get_le64(p + 2 * lane) ^ multiply(a, over[1]) ^ multiply(b, over[0]));
}

HARDWARE static guint32 with_instruction(guint32 crc, const void *data, gsize length)
{
	const guint8 *p = data;
	guint64 state = ~crc;

	for (; length >= 3 * LANE_LONG; p += 3 * LANE_LONG, length -= 3 * LANE_LONG)
		state = three_lanes(state, p, LANE_LONG, over_long);
	for (; length >= 3 * LANE_SHORT; p += 3 * LANE_SHORT, length -= 3 * LANE_SHORT)
		state = three_lanes(state, p, LANE_SHORT, over_short);
	for (; length >= 8; p += 8, length -= 8)
		state = fold8(state, get_le64(p));
	for (; length; p++, length--)
		state = fold1(state, *p);
	return ~(guint32)state;
}

static Crc32cFunction find_hardware(void)
{
	if (!cpu_has_it())
		return NULL;
	for (guint i = 0; i < 2; i++) {
		over_long[i] = power_of_x(8 * LANE_LONG * (i + 1) - 33);
		over_short[i] = power_of_x(8 * LANE_SHORT * (i + 1) - 33);
	}
	return with_instruction;
}

#else

static Crc32cFunction find_hardware(void)
{
	return NULL;
}

#endif

static void fill_tables(void)
{
	for (guint32 i = 0; i < 256; i++) {
		guint32 value = i;

		for (guint bit = 0; bit < 8; bit++)
			value = value >> 1 ^ (value & 1 ? POLYNOMIAL : 0);
		tables[0][i] = value;
	}
	for (guint t = 1; t < 8; t++)
		for (guint i = 0; i < 256; i++)
			tables[t][i] = tables[t - 1][i] >> 8 ^ tables[0][tables[t - 1][i] & 0xff];
}

static void initialize(void)
{
	Crc32cFunction hardware = find_hardware();

	fill_tables();
	g_atomic_pointer_set(&chosen, hardware ? hardware : crc32c_portable);
}

guint32 crc32c_portable(guint32 crc, const void *data, gsize length)
{
	const guint8 *p = data;

	pthread_once(&once, initialize);
	crc = ~crc;
	for (; length >= 8; p += 8, length -= 8) {
		guint32 low = get_le32(p) ^ crc, high = get_le32(p + 4);

		crc = tables[7][low & 0xff] ^ tables[6][low >> 8 & 0xff] ^
		      tables[5][low >> 16 & 0xff] ^ tables[4][low >> 24] ^ tables[3][high & 0xff] ^
		      tables[2][high >> 8 & 0xff] ^ tables[1][high >> 16 & 0xff] ^
		      tables[0][high >> 24];
	}
	for (; length; p++, length--)
		crc = crc >> 8 ^ tables[0][(crc ^ *p) & 0xff];
	return ~crc;
}

Crc32cFunction crc32c_hardware(void)
{
	Crc32cFunction function;

	pthread_once(&once, initialize);
	function = g_atomic_pointer_get(&chosen);
	return function == crc32c_portable ? NULL : function;
}

guint32 crc32c(guint32 crc, const void *data, gsize length)
{
	Crc32cFunction function = g_atomic_pointer_get(&chosen);

	if (G_UNLIKELY(!function)) {
		pthread_once(&once, initialize);
		function = g_atomic_pointer_get(&chosen);
	}
	return function(crc, data, length);
}
