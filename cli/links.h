/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Symbolic links to a volume's device: /dev/storageos/POOL/NAME, and /dev/storageos/POOL/NAME:partN
 * for its partitions where udev runs.
 *
 * Promise: no link leads to a device that shows another volume or none.  A link is made once the
 * device works, and removed before the device can become another volume's, because the kernel uses
 * loop devices and disks again at once.  Links are made by this module and by the udev rule, which
 * asks `storageos udev`.  The volume's mark (places.h) stops the rule from making links, from
 * links_withdraw() until links_make(), places_remove(), or the end of the process.
 *
 * Threading: single-threaded; the caller must hold the volume's lock (places_lock).  Every wait is
 * bounded.
 */
#pragma once

#include "cli/places.h"

/* Makes the volume's link to the device.  Where udev runs, waits up to 10 s for its rule to make
 * the link.  If the link does not exist then, makes it here, replacing an older one. */
gboolean links_make(const Places *places, const char *device, GError **error);

/* Whether the volume's link leads to the device. */
gboolean links_lead_to(const Places *places, const char *device);

/* Removes the volume's links, and stops the rule from making them again. */
gboolean links_withdraw(const Places *places, GError **error);

/* Undoes links_withdraw(), for a device that stays; logs a failure. */
void links_restore(const Places *places, const char *device);

/* Whether a living process has withdrawn the links. */
gboolean links_are_withdrawn(const Places *places);

/* Waits until udev has no events left to handle.  FALSE if it had none. */
gboolean links_settle(void);

/* Removes links that lead to a device which shows another volume or none, as after a device was
 * removed by hand.  Skips volumes that another process is attaching or detaching. */
void links_sweep(const Config *config);
