/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Attaching over FUSE: storageos-fuse shows the volume as a file, a loop device makes that a block
 * device.  Where systemd runs the server is the unit storageos-fuse@, elsewhere a daemon.
 */
#pragma once

#include "cli/attachment.h"
#include "cli/facts.h"
#include "common/machine/runtime-probe.h"

void frontend_fuse_look(const Places *places, const State *state, FuseParts *ret_parts);

/* Serves it and returns the device's path; what was made is undone where it fails. */
char *frontend_fuse_attach(const Places *places, const RuntimeProbe *probe, const Facts *facts,
			   GError **error);

/* Takes down what is there, from the device to the server, which closes the volume.  `hung`: its
 * disk or its server does not answer, so what waits for it is ended with an error.  A server that
 * the kernel keeps is left behind, which is said: it has the volume open until its disk answers.
 * `claim`: the caller's exclusive descriptor of the device, or -1; it is closed. */
gboolean frontend_fuse_detach(const Places *places, const FuseParts *parts, gboolean hung,
			      int claim, GError **error);
