/* SPDX-License-Identifier: Apache-2.0 */
/*
 * How long the kernel waits for the answer to a command: unless it was told otherwise 30 s, from
 * when the command comes into the ring.  Then it answers "communication failure" itself, which
 * initiators take for an error at once, and goes on as if nobody were at work on the command any
 * more.
 *
 * That is wrong in both cases that there are.  A runner that has died comes back, and a file system
 * whose flush has failed meanwhile can only be read.  One that is slow, since the disk below is,
 * may carry a command out after the initiator has given it up and written something else there.
 * Without that time-out the kernel waits: for the answer, or for the next runner, which has the
 * initiators send again what was under way.  An initiator's own time-outs stay as they are; a
 * command that it aborts is over for it only when it is over here.
 */
#pragma once

#include <glib.h>

/* Switches it off for a device that is new and has no LUN yet (the kernel refuses later), of which
 * `directory` is the one in configfs, or NULL: then nothing is done.  It stays as it is where it is
 * not 30 s, as somebody wants it so, and where the kernel has no way to take back what waits for a
 * runner that is gone for good (before 4.16). */
void timeout_disable(const char *directory);
