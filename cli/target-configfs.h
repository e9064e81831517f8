/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The SCSI target's objects in configfs: backstores over TCMU, loopback targets, and the disks that
 * come of them.  Needs neither targetcli nor tcmu-runner.
 */
#pragma once

#include <glib.h>

/* The directory of the TCMU backstore of that name, or NULL.  Free the result. */
char *target_backstore_find(const char *name);

/* The name of a TCMU backstore whose cfgstring is of our subtype and names this volume ("POOL/NAME"
 * or a path), or NULL.  Free the result. */
char *target_backstore_find_volume(const char *volume);

/* Its directory, or NULL.  Free the result. */
char *target_backstore_of_volume(const char *volume);

/* The volumes that TCMU backstores of our subtype name, each once or more; free with
 * g_ptr_array_unref(). */
GPtrArray *target_volumes(void);

/* Tells it the size, in bytes, that its volume has; what uses it learns it by a rescan.  Bounded in
 * time. */
gboolean target_backstore_set_size(const char *backstore, guint64 size, GError **error);

/* The disk of this machine that shows the volume ("/dev/sdb"), the first one; or NULL.  Free the
 * result. */
char *target_disk_of_volume(const char *volume);

/* Has the kernel ask each SCSI disk of this machine that shows the volume how large it is.  Bounded
 * in time; FALSE with the first that failed. */
gboolean target_rescan(const char *volume, GError **error);

gboolean target_backstore_set_serial(const char *backstore, const char *serial, GError **error);

/* The loopback target's directory, or NULL.  Free the result. */
char *target_loopback_find(const char *target_name);

/* Whether it has a LUN that leads to the backstore. */
gboolean target_loopback_has_lun(const char *target, const char *backstore);

/* "/dev/sdb", or NULL as long as there is none.  Free the result. */
char *target_loopback_device(const char *target);

/* The volume ("POOL/NAME" or a path) that the SCSI disk of that name ("sdb") shows as a LUN of a
 * loopback target, ours or anybody's; or NULL.  Free the result. */
char *target_volume_of_disk(const char *disk);

/* Fails what a SCSI disk sends, now and from now on, so that removing it waits for no more than the
 * commands that its server has. */
void target_silence(const char *device);

/* For a backstore whose server is dead, or does not answer: fails the commands that wait for it,
 * and lets no more through; removing it waits for nothing. */
void target_abandon(const char *backstore);

/* Remove them, with everything in them; bounded in time.  What is not there is no error. */
gboolean target_loopback_remove(const char *target, GError **error);
gboolean target_backstore_remove(const char *backstore, GError **error);
