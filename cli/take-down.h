/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Taking an attached volume down, from its links to the process that serves it.
 *
 * What was written to the device is flushed first.  Where that fails (the volume has FAILED, its
 * disk is full, its disk does not answer) it is said and gone on: nothing else can be done, since
 * the kernel has dropped what the disk refused, and nobody can do more with the device than wait.
 *
 * The links go before the device: what the volume had may belong to another one while its server
 * still closes it.  Where it fails before the device has gone they come back.  A step that was done
 * is not done again by the next attempt, so that one goes on where this one ended or died.
 *
 * Every wait is bounded; all of it takes FLUSH_TOTAL_SECONDS and a few minutes at most, and as long
 * as nothing stands still.
 */
#pragma once

#include "cli/attachment.h"

/* Nobody uses the device, or BUSY with who does. */
gboolean take_down(const Places *places, const Attachment *attachment, GError **error);
