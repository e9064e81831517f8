/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The names of a volume's device: /dev/storageos/POOL/NAME, and :partN behind it for partitions
 * where udev runs.
 *
 * Promise: none leads to a device that shows another volume, or nothing.  It is made when the
 * device works, and gone before the device may become another's: loop devices and disks are used
 * again at once.  Makers are this module and the udev rule, which asks `storageos udev`; a volume's
 * mark (places.h) keeps that from making one from links_withdraw() until links_make(),
 * places_remove(), or the end of the process.
 *
 * Threading: none; the caller holds the volume's lock (places_lock).  Every wait is bounded.
 */
#pragma once

#include "cli/places.h"

/* Lets the volume's link lead to the device.  Where udev runs this is for its rule to do, which is
 * waited for, 10 s at most; where it does not, or has no such rule, the link is made here and
 * replaces what was there. */
gboolean links_make(const Places *places, const char *device, GError **error);

/* Whether it does. */
gboolean links_lead_to(const Places *places, const char *device);

/* Takes the volume's links away; the rule makes them no more. */
gboolean links_withdraw(const Places *places, GError **error);

/* The opposite, for a device that stays after all. */
void links_restore(const Places *places, const char *device);

/* Whether somebody does so now. */
gboolean links_are_withdrawn(const Places *places);

/* Waits until udev has done what it has to do, where it has; FALSE where there was nothing. */
gboolean links_settle(void);

/* Takes away the links of all volumes that lead to a device which shows another one, or nothing:
 * somebody took it away by hand.  Leaves out those that somebody attaches or detaches now. */
void links_sweep(const Config *config);
