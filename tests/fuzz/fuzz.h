/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A fuzz target is one file with one function, as libFuzzer calls it: whatever the bytes are, it
 * returns 0, without a crash, a leak, a hang or an answer that contradicts itself (fuzz_assert).
 *
 * tests/fuzz/run builds the targets with libFuzzer and lets them search; in an ordinary build each
 * is a test that runs what is kept in tests/fuzz/seeds/TARGET: seeds, and what was found once.
 */
#pragma once

#include <glib.h>

int LLVMFuzzerTestOneInput(const guint8 *data, gsize size);

/* Also where assertions are compiled out. */
#define fuzz_assert(condition)                                                                     \
	do {                                                                                       \
		if (!(condition))                                                                  \
			__builtin_trap();                                                          \
	} while (0)
