/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Cloning by a copy: a stream (stream-format.h) from the snapshot to a new volume, inside this
 * process.
 */
#pragma once

#include "cli/cli.h"

/* Makes the volume `to` with the content of the snapshot `from`; every block is verified on the
 * way. Afterwards neither knows of the other.  FALSE: nothing is left. */
gboolean clone_copy(const Cli *cli, const VolumeName *from, const VolumeName *to, GError **error);
