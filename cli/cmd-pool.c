/* SPDX-License-Identifier: Apache-2.0 */
/*
 * pool: finds the verb below it.
 */
#include <string.h>

#include "cli/pool-verbs.h"

void pool_add_place(Json *object, const ConfigPool *pool)
{
	json_add_text(object, pool->ceph ? "rbd" : "directory",
		      pool->path + (pool->ceph ? strlen(CONFIG_CEPH) : 0));
	json_add_text(object, "ceph_conf", pool->ceph_conf);
	json_add_text(object, "ceph_id", pool->ceph_id);
}

void pool_add_marks(Json *object, const ConfigPool *pool)
{
	Json *marks = json_object_new_array();

	for (guint i = 0; i < pool->marks.n; i++)
		json_object_array_add(marks, json_object_new_int(pool->marks.percent[i]));
	json_object_object_add(object, "warn", marks);
}

static int verb_pool_run(int argc, char **argv)
{
	static const Verb *const verbs[] = {&pool_verb_create, &pool_verb_import, &pool_verb_delete,
					    &pool_verb_list,   &pool_verb_show,	  &pool_verb_set,
					    &pool_verb_rename, &pool_verb_events, NULL};

	return cli_run_below(&verb_pool, verbs, argc, argv);
}

const Verb verb_pool = {"pool", "create|import|delete|rename|list|show|set|events ...",
			"make, list and watch pools", verb_pool_run};
