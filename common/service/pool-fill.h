/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Creating a volume together with its content.
 */
#pragma once

#include "common/engine/volume-properties.h"
#include "common/service/pool.h"

/* Writes the content of the new, empty volume, which is open.  May change its size. */
typedef gboolean (*PoolFill)(gpointer data, Volume *volume, GError **error);

/* As pool_volume_create(), but the volume appears under its name only once `fill` has returned TRUE
 * and the volume is closed: whenever this process dies, there is the whole volume or none.  What
 * it leaves of a volume in a pool, the next creation there removes.  A block device, which has no
 * other name, holds a volume with a part of the content meanwhile; if `fill` fails, it is wiped. */
gboolean pool_volume_create_filled(const Config *config, const VolumeName *name,
				   const VolumeParameters *parameters, PoolFill fill, gpointer data,
				   GError **error);

/* The same of an empty volume in a pool that has these properties, one of them VOLUME_RESERVE: with
 * its space, which `watch` (may be NULL) sees allocated. */
gboolean pool_volume_create_reserved(const Config *config, const VolumeName *name,
				     const VolumeParameters *parameters, const Property *reserve,
				     const VolumeReserveWatch *watch, GError **error);
