/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Giving a pool another name.  Its volumes stay where they are, with their UUIDs; so their names
 * change as well.
 *
 * The order: the registry notes the volumes under their new names; the configuration is replaced,
 * which is the moment of the change; the marker gets the new name; the registry forgets the old
 * names.  Each step is durable before the next.  After a crash another call with the same names
 * goes on.
 */
#pragma once

#include "common/service/config.h"

/* Makes the pool `from` of the configuration the pool `to`.  The caller holds config_lock(), has
 * loaded `config` since, and has made sure that no volume of the pool is in use.
 *
 * NOT_FOUND: no such pool, and none that an earlier call was renaming; EXISTS: `to` is taken;
 * INVALID: the name; the configuration has no UUID for the pool; and the errors of pool_check(). */
gboolean pool_rename(const Config *config, const char *from, const char *to, GError **error);
