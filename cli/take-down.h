/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Taking an attached volume down, from its links to the process that serves it.
 *
 * The links go first: what the volume had may belong to another one while its server still closes
 * it.  Where it fails before the device has gone they come back.  A step that was done is not done
 * again by the next attempt, so that one goes on where this one ended or died.
 */
#pragma once

#include "cli/attachment.h"

/* Nobody uses the device; `claim` is an exclusive descriptor of it that keeps it so (device-use.h),
 * or -1; it is closed.  Every part is bounded in time. */
gboolean take_down(const Places *places, const Attachment *attachment, int claim, GError **error);
