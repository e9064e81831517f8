/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The threads that open volumes in the background: a few for each group of volumes that share a
 * disk (a pool, that is one file system).  So a thousand volumes are opened a few at a time, and a
 * disk that does not answer holds up the volumes of its own group only.
 *
 * Threading: any.
 */
#pragma once

#include "common/base/workers.h"

typedef struct Openers Openers;

/* The group's, which are made for the first caller.  NULL with *error if there is no memory or
 * thread. */
Openers *openers_get(const char *group, GError **error);

Workers *openers_workers(Openers *openers);

/* The last one who leaves waits for the items that are under way.  NULL is allowed. */
void openers_leave(Openers *openers);
