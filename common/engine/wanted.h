/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Whether anybody still waits for what the calling thread does to a volume.
 *
 * A host whose callers cannot wait for as long as a disk may take (a frozen file system) answers
 * them in the request's place.  What was answered so must not be carried out afterwards: its caller
 * may have sent it again, and something else upon it.  So the engine asks before it commits a
 * change, in the same critical section, and ends an unwanted one with -ECANCELED.
 *
 * Threading: each thread has its own.
 */
#pragma once

#include <glib.h>

/* From now on, what this thread does is unwanted once `*dropped` (atomic) is not 0.  NULL: it is
 * wanted, as in any thread that never called this. */
void wanted_until(const gint *dropped);

gboolean wanted_still(void);
