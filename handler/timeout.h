/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The kernel's time-out for a command: by default 30 s after the command has entered the ring.
 * Then the kernel itself answers "communication failure", which initiators take for an error
 * without a retry, and assumes that nobody works on the command any more.
 *
 * That is wrong for a runner that has died, because it is restarted, while a file system whose
 * flush has failed meanwhile is read-only.  It is wrong for a runner that is slow because its disk
 * is: it may carry the command out after the initiator has given it up and written something else
 * to the same blocks.
 *
 * Without the time-out the kernel waits for the answer, or for the next runner, which makes
 * initiators send again what was under way.  Initiators keep their own time-outs; a command that an
 * initiator aborts ends for it only when it ends here.
 */
#pragma once

#include <glib.h>

/* Switches the time-out off for a new device without LUNs (later the kernel refuses).  `directory`
 * is the device's directory in configfs; NULL: does nothing.
 *
 * The time-out stays if it is not 30 s, because somebody has chosen it, and on kernels before 4.16,
 * which cannot take commands back from a runner that is gone for good. */
void timeout_disable(const char *directory);
