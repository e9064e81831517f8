/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The space that is left for a volume.
 */
#pragma once

#include "handler/scsi.h"

/* `path` is the volume's file or block device, `used` the bytes that the volume takes.  FALSE if
 * the space cannot be found out.  May block on the file system. */
gboolean space_get(const char *path, guint64 used, ScsiSpace *ret_space);
