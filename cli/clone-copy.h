/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Cloning by a copy of the data, with several threads.
 */
#pragma once

#include "cli/cli.h"

/* Makes the volume `to` with the content of the snapshot `from`; every block is verified when it is
 * read.  Afterwards neither knows of the other.  interrupt_hold() must have been called: a signal
 * ends it, with BUSY.  FALSE: nothing is left (pool-fill.h). */
gboolean clone_copy(const Cli *cli, const VolumeName *from, const VolumeName *to, GError **error);
