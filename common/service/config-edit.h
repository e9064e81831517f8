/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Changing the configuration's file.
 */
#pragma once

#include "common/service/config.h"

/* Takes the lock on changes of the configuration's file.  Returns the descriptor that releases it
 * when it is closed; -1 with BUSY if the lock is still held after 10 s.  Only root can take it. */
int config_lock(const Config *config, GError **error);

/* Adds the group of a pool to the file, or changes it, and leaves everything else as it is. Creates
 * the file if necessary.  Durable when it returns TRUE.  INVALID for a path that would not read
 * back unchanged.  The caller must hold the lock. */
gboolean config_add_pool(const Config *config, const ConfigPool *pool, GError **error);

typedef struct {
	const char *key;
	const char *value; /* NULL: the key is removed */
} ConfigKey;

/* Sets `n` keys in a pool's group, which must be there (NOT_FOUND), in the same way.  INVALID, and
 * the file stays, if the configuration could not be loaded then. */
gboolean config_set_pool_keys(const Config *config, const char *name, const ConfigKey *keys,
			      guint n, GError **error);

/* Gives a pool another name, in its group and in those of its volumes, in the same way.  NOT_FOUND:
 * there is no such group. */
gboolean config_rename_pool(const Config *config, const char *from, const char *to, GError **error);

/* Removes a pool's group from the file, in the same way. */
gboolean config_remove_pool(const Config *config, const char *name, GError **error);
