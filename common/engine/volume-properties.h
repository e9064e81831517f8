/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The properties that a volume keeps for its users (properties.h): in its superblock; of a direct
 * volume, where the backing keeps them (BackingOps.read_properties), as the same text.  They say
 * nothing about the content: no stream carries them, and a snapshot has none.
 *
 * Threading: any thread, while the volume is in use.
 */
#pragma once

#include "common/engine/properties.h"
#include "common/engine/volume-reserve.h"
#include "common/engine/volume.h"

/* As they are now: what the last change that returned TRUE left, or what a change that is under way
 * makes of them.  Does not wait for the disk.  Of a direct volume: as they were when it was opened,
 * or when they were last changed here; whoever else has it open may have changed them since. */
void volume_get_properties(Volume *volume, Properties *ret_properties);

/* Makes all of these changes or none, in this order.  Durable when it returns TRUE; after a crash
 * during the call, all changes are there or none.  Waits for a checkpoint.
 *
 * A change of VOLUME_RESERVE has the reserve allocated first (volume-reserve.h).
 *
 * Errors: INVALID, NO_SPACE (properties_change()), and those of volume_reserve_change(): nothing is
 * changed.  IO, or NO_SPACE with "not durably" in the message: they are changed, and the next
 * checkpoint that succeeds makes that durable.
 *
 * Of a direct volume this needs no lock, so it works on standby, too; what others have changed
 * meanwhile stays.  A change of VOLUME_RESERVE has no effect.  Waits for the storage, but not
 * without end.  UNSUPPORTED: the backing has no place for properties.  BUSY: others change them all
 * the time.  IO: also if the storage does not answer, and then they may still be changed. */
gboolean volume_set_properties(Volume *volume, const Property *changes, guint n, GError **error);

/* The same, but waits for the space of a larger reserve as `watch` says (NULL: 25 s).  What that
 * stops has changed nothing, but space that was allocated goes back in the background. */
gboolean volume_set_properties_watched(Volume *volume, const Property *changes, guint n,
				       const VolumeReserveWatch *watch, GError **error);
