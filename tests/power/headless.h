/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Disks that a loss of power left, and then lost their first MiB, with both superblocks.  The
 * volume has what it must have, or is refused: then it had no far copies of its superblock yet.
 *
 * Threading: any number of threads.
 */
#pragma once

#include "tests/power/trial.h"

/* Tries a share of the disks, and the first ones all, but none of a recovery that had not ended:
 * what that had found was promised to nobody, and C may be the superblock before.  `hash` is the
 * image's; `cut` and `all` are as for history_check().  What is wrong, or NULL; owned by the
 * caller. */
char *headless_try(Image *image, guint64 hash, const Recording *from, guint64 cut, gboolean all);

/* Tells how many were read, and how many were refused. */
void headless_report(void);
