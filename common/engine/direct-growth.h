/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Makes the backing of a direct volume larger, in a thread: it may have to wait for a cluster that
 * does not answer, for which a host's main thread must not wait.
 *
 * Threading: any; one growth at a time.
 */
#pragma once

#include "common/backing/backing.h"

typedef struct DirectGrowth DirectGrowth;

/* NULL: there is no memory. */
DirectGrowth *direct_growth_new(Backing *backing);

/* Waits for what is under way, as every close of such a backing does.  NULL is allowed. */
void direct_growth_free(DirectGrowth *growth);

/* Grows the backing to `size` bytes, durably.  Waits `seconds` at most.  0; -EBUSY: it goes on, or
 * a growth to another size does; the same call tells later how it ended.  Or what the backing says;
 * -EAGAIN: no thread can be started. */
int direct_growth_run(DirectGrowth *growth, guint64 size, guint seconds);
