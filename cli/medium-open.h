/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Opening what a command line names, to be read.
 *
 * Threading: single-threaded.
 */
#pragma once

#include "cli/medium.h"
#include "common/service/config.h"
#include "common/service/volume-name.h"

/* A snapshot, whoever serves its volume, or a volume that nobody serves.  BUSY: somebody does; the
 * message says what to do instead. */
Medium *medium_open_volume(const Config *config, const VolumeName *name, GError **error);

/* A raw image, or one in a format of qemu's. */
Medium *medium_open_file(const char *path, const char *format, MediumQemuFlags flags,
			 GError **error);
