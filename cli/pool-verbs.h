/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the verbs below `storageos pool` share.
 */
#pragma once

#include "cli/cli.h"

extern const Verb pool_verb_create, pool_verb_delete, pool_verb_list, pool_verb_show, pool_verb_set,
	pool_verb_events, pool_verb_rename, pool_verb_import;

/* The options of a pool of Ceph. */
#define POOL_CEPH_CONF(conf)                                                                       \
	{                                                                                          \
		"ceph-conf", 0, 0, G_OPTION_ARG_FILENAME, conf,                                    \
			"Ceph's configuration (default: Ceph's own)", "FILE"                       \
	}
#define POOL_CEPH_ID(id)                                                                           \
	{                                                                                          \
		"ceph-id", 0, 0, G_OPTION_ARG_FILENAME, id,                                        \
			"Ceph's user, without \"client.\" (default: admin)", "ID"                  \
	}

/* Whether a pool may be called so and be there.  FALSE: the error has been printed, and `verb` must
 * return CLI_USAGE. */
gboolean pool_is_valid(const Verb *verb, const ConfigPool *wanted);

/* pool_create(), or pool_store_make() of Ceph, with signals blocked. */
gboolean pool_enter(const Config *config, const ConfigPool *wanted, gboolean adopt, GError **error);

/* Where the pool is: its directory, or what it is in Ceph. */
void pool_add_place(Json *object, const ConfigPool *pool);

/* At how many percent there are events of it. */
void pool_add_marks(Json *object, const ConfigPool *pool);

/* BUSY if a volume of the pool is attached or exported.  `volumes`: those that are there now (NULL:
 * unknown, as the pool is not mounted); others that this machine knows are covered, too. */
gboolean pool_is_unused(const Config *config, const ConfigPool *pool, GPtrArray *volumes,
			GError **error);
