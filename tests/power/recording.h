/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A recording in a file: what many threads did at once cannot be done again, so a disk of it that
 * fails is made again from there.  The file is for the program that wrote it.
 */
#pragma once

#include "tests/power/history.h"

/* FALSE, with errno, if the file cannot be written. */
gboolean recording_save(const char *path, Disk *disk, const History *history);

/* FALSE if the file cannot be read, or is not a recording. */
gboolean recording_load(const char *path, Disk **ret_disk, History **ret_history);
