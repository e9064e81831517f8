/* SPDX-License-Identifier: Apache-2.0 */
/*
 * From a cfgstring to the open volume that it names, or to the reason why not.
 */
#pragma once

#include "common/service/pool.h"
#include "handler/cfgstring.h"

typedef struct {
	const char *cfgstring;
	const char *backstore;	/* its name; NULL: not known */
	guint64 size;		/* the device's, bytes */
	guint32 block_size;	/* the device's */
	gboolean served_before; /* the device has been served before: its volume must be there */
} OpeningDevice;

typedef struct Opening Opening;

/* Whether a new device can be opened, as far as the configuration tells: it has to list the pool,
 * which is not looked at.  TRUE also where it cannot be read at this moment (no memory, no
 * descriptor, an error of the disk): that the opening itself has to say. */
gboolean opening_check(const CfgString *cfgstring, GError **error);

/* Reads the cfgstring and the configuration, and sets the node cache's size. */
Opening *opening_new(const OpeningDevice *device, GError **error);
void opening_free(Opening *opening);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(Opening, opening_free)

/* "POOL/NAME". */
const char *opening_name(const Opening *opening);
const VolumeName *opening_volume_name(const Opening *opening);
const Config *opening_config(const Opening *opening);

/* What it shares its disk with: the pool, or the block device itself. */
const char *opening_group(const Opening *opening);

/* Opens the volume, and makes it before if it is not there and never was (registry.h), the
 * cfgstring says `create`, the device is new and it is `first` tried now.  INVALID where it is of
 * another size than the device; but where it has grown from that, the device is to get its size:
 * what was saved of the target is older.  Takes as long as the volume's recovery does. */
Volume *opening_try(const Opening *opening, gboolean first, GError **error);

/* Whether the device has been served before. */
gboolean opening_is_again(const Opening *opening);

/* Whether the pool is known to have been made, and is not there: not mounted yet. */
gboolean opening_pool_is_away(const Opening *opening);

/* Whether what failed may work later, with nobody doing anything about the device: the pool is not
 * mounted yet, somebody has the volume open, the disk is not there. */
gboolean opening_may_come(const GError *error);
