/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What configfs says about a device: the size and the serial number that its owner gave it, its
 * target port groups, and whether the kernel has reservations switched on.  These files are in the
 * kernel's memory; reading them does not block on a disk.
 */
#pragma once

#include "handler/scsi.h"

/* `directory` is /sys/kernel/config/target/core/user_N/NAME; NULL if unknown.  `implicit`: the
 * runner can handle groups whose state changes implicitly.  A file that cannot be read counts as
 * missing.
 *
 * default_tg_pt_gp, the group that every port is in at first, is not reported.  A new group has the
 * type "Implicit and Explicit" until that is changed.  No group is reported if one has that type,
 * if more than SCSI_GROUPS_MAX exist, or if a port's identifiers or whether it is enabled cannot be
 * found out (for loopback they cannot).
 */
void identity_read(const char *directory, gboolean implicit, ScsiIdentity *ret_identity);

/* The size that the owner gave the device, in bytes; 0: unknown. */
guint64 identity_size(const char *directory);
