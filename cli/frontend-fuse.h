/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Attaching over FUSE: storageos-fuse serves the volume as a file, and a loop device turns the file
 * into a block device.  Under systemd the server is the unit storageos-fuse@, otherwise a daemon.
 */
#pragma once

#include "cli/attachment.h"
#include "cli/facts.h"
#include "common/machine/runtime-probe.h"

void frontend_fuse_look(const Places *places, const State *state, FuseParts *ret_parts);

/* Starts the server, makes the loop device and returns its path.  On failure, undoes both. */
char *frontend_fuse_attach(const Places *places, const RuntimeProbe *probe, const Facts *facts,
			   GError **error);

/* Takes down the parts that exist: the loop device, the mount, then the server, which closes the
 * volume.  `hung`: the disk or the server does not answer, so pending requests fail with an error.
 * A server that even SIGKILL cannot end stays, which is reported: it keeps the volume open until
 * its disk answers.  `claim`: the caller's exclusive descriptor of the device, or -1; always
 * closed. */
gboolean frontend_fuse_detach(const Places *places, const FuseParts *parts, gboolean hung,
			      int claim, GError **error);
