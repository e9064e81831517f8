/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A backing in memory: the reference for what the table of operations promises, and the fast one
 * for tests.  Sparse: 64 KiB pages are allocated when they are written and freed when they are
 * punched. Any size up to 2^62 bytes; flush() does nothing.  The content ends with backing_free().
 */
#pragma once

#include "common/backing/backing.h"

/* grow() beyond `limit` bytes, and pages beyond `limit` bytes in all, are refused with -ENOSPC; 0
 * for no limit.  The size is 0 at first. */
Backing *backing_memory_new(guint64 limit);
