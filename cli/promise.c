/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/promise.h"

#include "cli/pool-view.h"
#include "common/base/units.h"

static char *warn_of_volume(const PoolView *view, guint64 size)
{
	g_autofree char *size_text = size_format(size), *room = size_format(view->free);

	return g_strdup_printf("the volume may grow to %s, but the pool '%s' has only %s free; "
			       "writes fail when it is full",
			       size_text, view->pool->name, room);
}

static char *warn_of_pool(const PoolView *view, guint64 promised)
{
	g_autofree char *promised_text = size_format(promised), *size = size_format(view->size);

	return g_strdup_printf("the volumes of the pool '%s' may grow to %s together, %.1f times "
			       "its size of %s; writes fail when it is full",
			       view->pool->name, promised_text,
			       (double)promised / (double)view->size, size);
}

char *promise_warning(const Config *config, const VolumeName *name, const Facts *facts,
		      guint64 before, guint64 size)
{
	const ConfigPool *pool = name->pool ? config_find_pool(config, name->pool) : NULL;
	g_autoptr(PoolView) view = pool && !pool->ceph ? pool_view_take(config, pool) : NULL;
	guint64 others, promised;

	if (!view || !view->measured || !view->promises)
		return NULL;
	/* The volume's size in the view is the one before or after the change. */
	others = view->promised - MIN(facts->size, view->promised);
	promised = others + size;
	if (size > view->free + facts->allocated)
		return warn_of_volume(view, size);
	return promised > view->size && (promised - 1) / view->size > (others + before) / view->size
		       ? warn_of_pool(view, promised)
		       : NULL;
}
