/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Finds the volume behind a block device, whoever attached it.  Reads /sys, configfs and the
 * configuration, but never the device or the volume, whose server may hang.
 */
#pragma once

#include "common/service/config.h"
#include "common/service/pool.h"

/* `disk`: the kernel's name ("sdb", "loop3").  NULL if it is no volume of storageos. */
VolumeName *shown_volume(const Config *config, const char *disk);
