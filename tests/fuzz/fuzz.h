/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A fuzz target is one file with the one function that libFuzzer calls.  Whatever the bytes are,
 * the function must return 0, without a crash, a leak, a hang or a broken fuzz_assert().
 *
 * tests/fuzz/run builds the targets with libFuzzer and lets them search; in an ordinary build each
 * is a test that runs the inputs in tests/fuzz/seeds/TARGET: seeds, and inputs that once failed.
 */
#pragma once

#include <glib.h>

int LLVMFuzzerTestOneInput(const guint8 *data, gsize size);

/* Works in builds without assertions, too. */
#define fuzz_assert(condition)                                                                     \
	do {                                                                                       \
		if (!(condition))                                                                  \
			__builtin_trap();                                                          \
	} while (0)
