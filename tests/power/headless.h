/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Disks that a loss of power left, and then lost their first MiB, with both superblocks.  The
 * volume has what it must have, or is refused: then it had no far copies of its superblock yet.
 *
 * Threading: any number of threads.
 */
#pragma once

#include "tests/power/trial.h"

/* Tries a share of the disks, and the first ones all.  `hash` is the image's; `cut` and `all` are
 * as for history_check().  What a recovery found that was cut before its end is promised to nobody:
 * of that, what was promised at the cut before is asked for.  What is wrong, or NULL; owned by the
 * caller. */
char *headless_try(Image *image, guint64 hash, const Recording *from, guint64 cut, gboolean all);

/* Tells how many were read, and how many were refused. */
void headless_report(void);
