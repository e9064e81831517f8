/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What configfs tells of a device: the serial number that its owner gave it, and how its access
 * state is changed.  Files of the kernel's, in memory: reading them takes no time worth speaking
 * of.
 */
#pragma once

#include "handler/scsi.h"

/* `directory`: the device's, /sys/kernel/config/target/core/user_N/NAME; NULL: it is not known.
 * What cannot be read is as if it were not there. */
void identity_read(const char *directory, ScsiIdentity *ret_identity);
