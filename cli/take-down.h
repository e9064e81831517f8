/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Detaches a volume: removes its links, its device, and the process that serves it.
 *
 * The device is flushed first.  If the flush fails (the volume has FAILED, its disk is full or does
 * not answer), a message says so and the work continues: the kernel has already dropped the data
 * that the disk refused, and waiting longer would not bring it back.
 *
 * The links are removed before the device, because the kernel may give the device to another volume
 * while the old server still closes.  If a step fails while the device still exists, the links are
 * restored.  Completed steps are not repeated: a second attempt continues where the first one
 * failed or died.
 *
 * Every wait is bounded.  The flush may take FLUSH_TOTAL_SECONDS while it makes progress;
 * everything else takes a few minutes at most.
 */
#pragma once

#include "cli/attachment.h"

/* Fails with BUSY, and what uses the device, if it is in use. */
gboolean take_down(const Places *places, const Attachment *attachment, GError **error);
