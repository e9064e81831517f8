/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What configfs tells of a device: the serial number that its owner gave it, what the runner makes
 * of its target port groups, and whether the kernel has reservations.  Files of the kernel's, in
 * memory: reading them takes no time worth speaking of.
 */
#pragma once

#include "handler/scsi.h"

/* `directory`: the device's, /sys/kernel/config/target/core/user_N/NAME; NULL: it is not known.
 * `implicit`: the runner deals with groups whose state is changed implicitly.  What cannot be read
 * is as if it were not there.
 *
 * Of target port groups the runner leaves default_tg_pt_gp out, which every port is in at first.
 * One that is made is of the type "Implicit and Explicit" until that is changed, and none of them
 * can the runner deal with if one is of such a type, or if it cannot tell whether a port is enabled
 * (of loopback it cannot). */
void identity_read(const char *directory, gboolean implicit, ScsiIdentity *ret_identity);
