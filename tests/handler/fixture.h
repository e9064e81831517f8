/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Devices for tests of the plugin, over volumes in a pool of the test's own.
 */
#pragma once

#include "tests/handler/runner.h"

#define SIZE ((guint64)64 << 20) /* of every device, unless a test says otherwise */

/* Statuses, as the runner numbers them. */
enum {
	STS_OK = 0,
	STS_SENSE = 2,
	STS_TIMEOUT = 11,
	STS_HW_ERR = 13,
	STS_RANGE = 14,
};

/* Loads the plugin that argv[1] names and makes the pool; argv + 1 is then for test_run().  FALSE
 * where that cannot be done: says so. */
gboolean fixture_init(int argc, char **argv);

/* The path of a file in the pool's directory; free the result. */
char *fixture_path(const char *name, const char *suffix);

void dev_init(Dev *dev, const char *cfgstring, guint64 size);

/* Opens a volume of the default pool; makes it if it is not there. */
gboolean dev_open(Dev *dev, const char *name);

/* Whether the plugin has logged that. */
gboolean log_has(const char *text);

/* A command of this opcode that the runner makes an unmap of. */
int run_unmap(Dev *dev, guint8 opcode, guint8 *block, guint64 offset, guint64 length);
