/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Takes off block devices what uses them: unmounts their file systems, with what is mounted below
 * these, ends swap, and removes what is stacked on them (device mapper, md), from the top.
 *
 * What is busy is tried again for BUSY_SECONDS.  At a shutdown, the services that systemd still
 * stops come first: they may need the files, even if they have none open at the moment.
 */
#pragma once

#include <glib.h>

/* For each device ("/dev/sdb").  What is left is in use still (device_use_find()); its data has
 * been synchronised, and a line says so.  Takes 25 minutes at most; ends early at a signal
 * (interrupt.h). */
void unmount_devices(const GPtrArray *devices);
