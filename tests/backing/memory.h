/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A backing in memory: the reference for what the table of operations promises, and the fast one
 * for tests.  Sparse: 64 KiB pages come when written and go when punched.  Any size up to 2^62
 * bytes; flush() does nothing.  Nothing of it outlives backing_free().
 */
#pragma once

#include "common/backing/backing.h"

/* `limit` bytes is the most that grow() allows, and pages beyond it are refused with -ENOSPC;
 * 0 for no limit.  The size is 0 at first. */
Backing *backing_memory_new(guint64 limit);
