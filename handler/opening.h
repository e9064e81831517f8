/* SPDX-License-Identifier: Apache-2.0 */
/*
 * From a cfgstring to the open volume that it names, or to the reason why it cannot be opened.
 */
#pragma once

#include "common/service/pool.h"
#include "handler/cfgstring.h"

/* The device that a volume is opened for. */
typedef struct {
	const char *cfgstring;
	const char *backstore;	/* its name; NULL if unknown */
	guint64 size;		/* bytes */
	guint32 block_size;	/* bytes */
	gboolean served_before; /* so the volume must exist already */
} OpeningDevice;

typedef struct Opening Opening;

/* Whether a new device can be opened, as far as the configuration tells: it must list the pool.
 * The pool's directory is not looked at.  TRUE also when the configuration cannot be read at the
 * moment (no memory, no descriptor, an I/O error): opening the device reports that. */
gboolean opening_check(const CfgString *cfgstring, GError **error);

/* Parses the cfgstring, reads the configuration and sets the size of the node cache. */
Opening *opening_new(const OpeningDevice *device, GError **error);
void opening_free(Opening *opening);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(Opening, opening_free)

/* "POOL/NAME", or "POOL/NAME@SNAP". */
const char *opening_name(const Opening *opening);
const VolumeName *opening_volume_name(const Opening *opening);
const Config *opening_config(const Opening *opening);

/* A snapshot, or a volume that the cfgstring wants so. */
gboolean opening_is_read_only(const Opening *opening);

/* Whether several gateways may have the volume open, and one at a time changes it (failover.h). */
gboolean opening_has_failover(const Opening *opening);

/* What the volume shares its disk with: the pool, or the block device itself. */
const char *opening_group(const Opening *opening);

/* Opens the volume; takes as long as its recovery does.  One with failover is on standby then.
 *
 * Creates the volume before if all of this holds: it does not exist and never did (registry.h), the
 * cfgstring says `create`, the device is new, and this is the `first` attempt.
 *
 * AWAITED instead of waiting for another machine on the `first` attempt.
 *
 * INVALID if the volume's size is not the device's.  A device of a size that the volume had before
 * it grew is accepted, because a saved target may be older than the volume; the device then gets
 * the volume's size. */
Volume *opening_try(const Opening *opening, gboolean first, GError **error);

gboolean opening_served_before(const Opening *opening);

/* Whether the pool is known to exist but is missing now, by the `reason` for which the volume could
 * not be opened: probably not mounted yet; or its cluster does not answer yet. */
gboolean opening_pool_is_missing(const Opening *opening, const GError *reason);

/* Whether a later attempt may succeed although nobody changes the device: the pool is not mounted
 * yet, another process has the volume open, or the disk fails. */
gboolean opening_may_come(const GError *error);
