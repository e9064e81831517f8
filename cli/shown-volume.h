/* SPDX-License-Identifier: Apache-2.0 */
/*
 * From a block device to the volume that it shows, whoever made it.  Reads /sys, configfs and the
 * configuration, and asks neither the device nor the volume, whose server may be dead.
 */
#pragma once

#include "common/service/config.h"
#include "common/service/pool.h"

/* `disk` as the kernel names it ("sdb", "loop3").  NULL where it shows no volume of ours. */
VolumeName *shown_volume(const Config *config, const char *disk);
