/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Devices for tests of the plugin, over volumes in a pool of the test's own.
 */
#pragma once

#include "common/base/json.h"
#include "tests/runner-host/host.h"
#include "tests/runner-host/system.h"

#define SIZE ((guint64)64 << 20) /* of every device, unless a test says otherwise */

/* Loads the plugin that argv[1] names and makes the pool; argv + 1 is then for test_run().  FALSE
 * where that cannot be done: says so. */
gboolean fixture_init(int argc, char **argv);

/* The path of a file in the pool's directory; free the result. */
char *fixture_path(const char *name, const char *suffix);

/* Removes a volume and its entry in the registry, as if it had never existed. */
void fixture_forget(const char *name);

/* Asks the server of a volume for something (control.h).  The caller must release the answer. */
Json *fixture_ask(const char *volume, Json *request);

/* Sets properties of a volume that is served: pairs of keys and values, up to NULL. */
void fixture_set(const char *volume, ...) G_GNUC_NULL_TERMINATED;

void dev_init(Dev *dev, const char *cfgstring, guint64 size);

/* Opens a volume of the default pool; creates it if it does not exist. */
gboolean dev_open(Dev *dev, const char *name);

/* Whether the device can be read within ten seconds. */
gboolean dev_becomes_ready(Dev *dev);

/* Until when to send short writes of which the dispatch thread is to wait for some: it does for
 * most on an idle machine with several processors, and tries would go on to no end on a busy one,
 * or under a tool. */
gint64 fixture_awaiting_end(void);

/* As fork(), once no thread of the plugin is left, as of earlier tests, that nobody joins: what it
 * has locked, such as a sanitizer's allocator, would be locked for ever in the child, and the
 * thread sanitizer has no threads in the child of several. */
pid_t fixture_fork(void);

/* Whether the plugin has logged that. */
gboolean log_has(const char *text);

/* Whether the command ended with that: sense key, additional sense code and qualifier. */
#define CHECK_SENSE(command, status, key, code)                                                    \
	do {                                                                                       \
		CHECK_INT(status, STS_SENSE);                                                      \
		CHECK_UINT(command_sense(command), (guint)(key) << 16 | (code));                   \
	} while (0)
guint command_sense(const Command *command);

/* The tests of each file here. */
void commands_tests(void);
void descriptors_tests(void);
void devices_tests(void);
void erasing_tests(void);
void hangs_tests(void);
void idle_tests(void);
void lifecycle_tests(void);
void limits_tests(void);
void resize_tests(void);
void restart_tests(void);
void snapshots_tests(void);
void stats_tests(void);
void write_through_tests(void);
