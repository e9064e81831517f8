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
	/* From another thread, once, when the file can be used; FALSE: it is to end. */
	gboolean (*ready)(void);
	const char *attach_lock; /* attendance.h; or NULL */
} ServeRequest;

/* Returns TRUE after it was told to end (SIGTERM, SIGINT, SIGHUP, or an unmount), the volume was
 * closed with all of it durable, and the mount is gone.  On FALSE nothing is left mounted either;
 * *error says what could not be done.  Once for a process. */
gboolean serve(const ServeRequest *request, GError **error);
