/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The objects of the kernel's SCSI target in configfs: TCMU backstores, loopback targets, and the
 * disks that they show.  Uses neither targetcli nor tcmu-runner.
 */
#pragma once

#include <glib.h>

/* The directory of the TCMU backstore of this name, or NULL.  Free the result. */
char *target_backstore_find(const char *name);

/* The name of a TCMU backstore whose cfgstring is of our subtype and names this volume ("POOL/NAME"
 * or a path), or NULL.  Free the result. */
char *target_backstore_find_volume(const char *volume);

/* The directory of that backstore, or NULL.  Free the result. */
char *target_backstore_of_volume(const char *volume);

/* The volumes of all TCMU backstores of our subtype; a volume with several backstores appears as
 * often.  Free with g_ptr_array_unref(). */
GPtrArray *target_volumes(void);

/* Sets a backstore's size to the size of its volume, in bytes.  Initiators see the new size after a
 * rescan.  Takes 60 s at most. */
gboolean target_backstore_set_size(const char *backstore, guint64 size, GError **error);

/* The first disk of this machine that shows the volume ("/dev/sdb"), or NULL.  Free the result. */
char *target_disk_of_volume(const char *volume);

/* Makes the kernel read the size of each SCSI disk of this machine that shows the volume.  Takes 60
 * s at most for each disk.  FALSE with the first error. */
gboolean target_rescan(const char *volume, GError **error);

/* Sets the unit serial number (VPD page 80h). */
gboolean target_backstore_set_serial(const char *backstore, const char *serial, GError **error);

/* The directory of the loopback target of this name, or NULL.  Free the result. */
char *target_loopback_find(const char *target_name);

/* Whether LUN 0 of the loopback target is the backstore. */
gboolean target_loopback_has_lun(const char *target, const char *backstore);

/* The disk of the loopback target ("/dev/sdb"), or NULL until it appears.  Free the result. */
char *target_loopback_device(const char *target);

/* The volume ("POOL/NAME" or a path) that the SCSI disk of this name ("sdb") shows as a LUN of any
 * loopback target, ours or another's; or NULL.  Free the result. */
char *target_volume_of_disk(const char *disk);

/* Makes all commands to a SCSI disk fail, so that removing the disk waits only for the commands
 * that its server already has.  Does its best: the removal is bounded in any case. */
void target_silence(const char *device);

/* For a backstore whose server is dead or does not answer: fails the commands that wait for the
 * server, and blocks new ones, so that removing the backstore does not wait. */
void target_abandon(const char *backstore);

/* Makes a loopback target of this name with the backstore as its LUN 0, which the kernel then asks
 * what it is.  Takes 60 s at most; fails where the target exists.  What was made stays when it
 * fails. */
gboolean target_loopback_make(const char *name, const char *backstore, GError **error);

/* Remove a target or backstore with everything in it.  Take 90 s at most.  No error if it does not
 * exist. */
gboolean target_loopback_remove(const char *target, GError **error);
gboolean target_backstore_remove(const char *backstore, GError **error);
