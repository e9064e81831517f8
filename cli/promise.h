/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Whether a pool can keep what its volumes' sizes promise.
 */
#pragma once

#include "cli/facts.h"

/* One line about a volume that was made or grows, from `before` bytes (0: it is new) to `size`; or
 * NULL.  There is one if the file system has less free than the volume may still take; or else if
 * the sizes of the pool's volumes together have just passed the pool's size, or its double, its
 * triple and so on: who promises more than there is on purpose is not told at each volume.
 *
 * `facts`: of the volume, whose pool is a directory; of others there is no warning.  Takes 10 s at
 * most.  Free the result. */
char *promise_warning(const Config *config, const VolumeName *name, const Facts *facts,
		      guint64 before, guint64 size);
