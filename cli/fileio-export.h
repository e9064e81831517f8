/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Volumes that storageos-fuse serves and the target's fileio backstore exports: what to do with LIO
 * where there is no TCMU.
 */
#pragma once

#include <glib.h>

/* The name of such a backstore of the volume ("POOL/NAME"), or NULL.  Asks configfs and the table
 * of mounts only, and not the file, whose server may be dead.  Free the result. */
char *fileio_export_find(const char *volume);
