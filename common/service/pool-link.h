/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Making a linked clone (volume-base.h) of a snapshot.
 */
#pragma once

#include "common/engine/volume-base.h"
#include "common/service/pool.h"

/* Puts the hold of the clone with that UUID on the base, durably, or releases it (`hold` FALSE).
 * The volume of the base may be served, which only the caller knows. */
typedef gboolean (*PoolLinkHold)(gpointer data, const BaseIdentity *base, const char *uuid,
				 gboolean hold, GError **error);

/* Makes the volume `to`, a linked clone of the snapshot `from`.  `to` may be a block device, which
 * must be empty.  TRUE: the clone and the hold are durable.  FALSE: neither is left.  If the
 * process dies in between, or the hold cannot be released, a hold may be left whose clone does not
 * exist; never a clone without a hold.
 *
 * Errors: NOT_FOUND, EXISTS, INVALID (the new name; there are too many bases below), NO_SPACE, IO,
 * those of `hold`. */
gboolean pool_volume_link(const Config *config, const VolumeName *from, const VolumeName *to,
			  PoolLinkHold hold, gpointer data, GError **error);
