/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Opening what a command line names, to be read.
 *
 * Threading: single-threaded.
 */
#pragma once

#include "cli/medium.h"
#include "cli/temporary-snapshot.h"
#include "common/service/config.h"
#include "common/service/volume-name.h"

/* A volume or a snapshot.  Of a volume that is served, a snapshot is read that is taken now,
 * without freezing anything, and with signals held back from then on (interrupt.h): the caller
 * drops *ret_temporary once the medium is closed.  BUSY: somebody else has the volume open; no
 * snapshot could be taken. */
Medium *medium_open_volume(const Config *config, const VolumeName *name,
			   TemporarySnapshot *ret_temporary, GError **error);

/* A raw image, or one in a format of qemu's. */
Medium *medium_open_file(const char *path, const char *format, MediumQemuFlags flags,
			 GError **error);
