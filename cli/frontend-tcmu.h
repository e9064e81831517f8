/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Attaching over TCMU: targetcli makes a backstore of the plugin's and a loopback LUN, the kernel
 * makes a SCSI disk.
 *
 *     core/user_N/POOL:NAME  <-  loopback/naa.5001405.../tpgt_1/lun/lun_0  ->  /dev/sdX
 *
 * targetcli makes them, since it knows the kernel's and the runner's ways; they are found and taken
 * down through configfs itself, which needs neither targetcli nor a living runner.
 */
#pragma once

#include "cli/attachment.h"
#include "cli/facts.h"
#include "common/machine/runtime-probe.h"

void frontend_tcmu_look(const Places *places, TcmuParts *ret_parts);

/* Loads modules, mounts configfs, starts tcmu-runner, as far as each is needed and there.  FALSE
 * with UNSUPPORTED and the first thing that is not. */
gboolean frontend_tcmu_prepare(const Places *places, GError **error);

/* Makes backstore and LUN and returns the device's path; what was made is undone where it fails. */
char *frontend_tcmu_attach(const Places *places, const Facts *facts, GError **error);

/* Takes down what is there; the runner closes the volume.  `hung`: its disk does not answer, so
 * what waits for it is ended with an error.  A runner that is dead, or does not answer, is not
 * waited for. */
gboolean frontend_tcmu_detach(const Places *places, const TcmuParts *parts, gboolean hung,
			      GError **error);

/* Starts the runner where it is dead: it takes up again what the kernel still has.  TRUE once the
 * volume at `path` is open again. */
gboolean frontend_tcmu_revive(const Places *places, const char *path, GError **error);
