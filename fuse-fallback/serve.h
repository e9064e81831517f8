/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Serves one volume on one mount point, from its opening to its close.
 */
#pragma once

#include "common/service/config.h"
#include "common/service/pool.h"

typedef struct {
	const Config *config;
	const VolumeName *volume;
	const char *mountpoint; /* absolute */
	/* Called once, by another thread, when the file can be used.  FALSE: the server must end.
	 */
	gboolean (*ready)(void);
	const char *attach_lock; /* attendance.h; or NULL */
	gboolean read_only;	 /* nothing is written to the volume's file */
} ServeRequest;

/* Serves until told to end: by SIGTERM, SIGINT, SIGHUP or an unmount.  TRUE: the volume is closed,
 * everything in it is durable, and the mount is gone.  FALSE: *error says what failed, and nothing
 * is left mounted.  To be called once in a process. */
gboolean serve(const ServeRequest *request, GError **error);
