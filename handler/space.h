/* SPDX-License-Identifier: Apache-2.0 */
/*
 * How much space there is left for a volume.
 */
#pragma once

#include "handler/scsi.h"

/* `path`: the volume's file, or its block device; `used`: what it takes.  FALSE where that cannot
 * be told.  May sleep for the file system. */
gboolean space_get(const char *path, guint64 used, ScsiSpace *ret_space);
