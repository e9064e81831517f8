/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What configfs says about a device: the serial number that its owner gave it, whether the runner
 * can handle its target port groups, and whether the kernel has reservations switched on.  These
 * files are in the kernel's memory; reading them does not block on a disk.
 */
#pragma once

#include "handler/scsi.h"

/* `directory` is /sys/kernel/config/target/core/user_N/NAME; NULL if unknown.  `implicit`: the
 * runner can handle groups whose state changes implicitly.  A file that cannot be read counts as
 * missing.
 *
 * The runner ignores default_tg_pt_gp, the group that every port is in at first.  A new group has
 * the type "Implicit and Explicit" until that is changed.  The runner cannot handle any group if
 * one has that type, or if it cannot find out whether a port is enabled (it cannot for loopback).
 */
void identity_read(const char *directory, gboolean implicit, ScsiIdentity *ret_identity);
