/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Attaching over TCMU: targetcli creates a backstore of type user:storageos and a loopback LUN, for
 * which the kernel creates a SCSI disk.
 *
 *     core/user_N/POOL:NAME  <-  loopback/naa.5001405.../tpgt_1/lun/lun_0  ->  /dev/sdX
 *
 * targetcli creates them, since it knows what each kernel and runner version needs.  They are found
 * and removed directly through configfs, which needs neither targetcli nor a running tcmu-runner.
 */
#pragma once

#include "cli/attachment.h"
#include "cli/facts.h"
#include "common/machine/runtime-probe.h"

void frontend_tcmu_look(const Places *places, TcmuParts *ret_parts);

/* Probes the machine.  Waits for a tcmu-runner that is alive, because the choice of the front end
 * must not depend on how busy the machine is, or until a signal is held back (interrupt.h). */
RuntimeProbe *frontend_tcmu_probe(const Places *places);

/* Loads modules, mounts configfs and starts tcmu-runner, where they are needed after this probe.
 * FALSE with UNSUPPORTED and the first thing that is missing; BUSY: TCMU may work at another time.
 */
gboolean frontend_tcmu_prepare(const Places *places, const RuntimeProbe *before, GError **error);

/* Creates the backstore and the LUN and returns the disk's path.  On failure, removes both. */
char *frontend_tcmu_attach(const Places *places, const Facts *facts, GError **error);

/* Removes the parts that exist; the runner closes the volume.  `hung`: its disk does not answer, so
 * pending commands fail with an error.  Does not wait for a runner that is dead or does not answer.
 */
gboolean frontend_tcmu_detach(const Places *places, const TcmuParts *parts, gboolean hung,
			      GError **error);

/* Starts a runner that died: it reopens every device that the kernel still has.  TRUE once the
 * volume whose Facts have this `lock` is open again. */
gboolean frontend_tcmu_revive(const Places *places, const char *lock, GError **error);
