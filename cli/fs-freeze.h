/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Freezes the file systems that are mounted from volumes on this machine, so that a snapshot taken
 * meanwhile has them clean: they mount from it without recovery.
 *
 * Everybody who writes to a frozen file system waits.  A process of its own (fs-watchdog.h) thaws
 * them when this one dies, or after FS_WATCHDOG_SECONDS.
 *
 * Threading: single-threaded.
 */
#pragma once

#include "common/service/config.h"

typedef struct FsFreeze FsFreeze;

/* Whether the kernel lets a server of a frozen volume die without leaving its users waiting for
 * ever: from Linux 5.17 on. */
gboolean fs_freeze_is_safe(void);

/* Freezes all file systems on these devices ("/dev/sdb").  Frozen file systems are in no other
 * command's way once this returns NULL.  Errors: NOT_FOUND (nothing is mounted), UNSUPPORTED (a
 * file system cannot be frozen, or must not: it holds the root, a pool, the run or state directory,
 * or the configuration), BUSY (somebody else has frozen it, or it takes too long), IO. */
FsFreeze *fs_freeze_begin(const Config *config, const GPtrArray *devices, GError **error);

/* Whether one of them is on the device with this index. */
gboolean fs_freeze_holds(const FsFreeze *freeze, guint device);

/* Thaws them.  FALSE if they have not been frozen until now.  Frees `freeze`; NULL is allowed. */
gboolean fs_freeze_end(FsFreeze *freeze);
