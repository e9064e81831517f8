/* SPDX-License-Identifier: Apache-2.0 */
#include "common/service/pool-watch.h"

#include <string.h>
#include <sys/stat.h>

#include "common/base/logging.h"
#include "common/base/thread.h"
#include "common/base/units.h"
#include "common/service/pool-event.h"
#include "common/service/pool-space.h"
#include "common/service/pool.h"

#define NEAR (16 * GIB)
#define INTERVAL_NEAR G_USEC_PER_SEC
#define INTERVAL (5 * G_USEC_PER_SEC)
#define INTERVAL_CEPH (60 * G_USEC_PER_SEC)
#define FIRST_WAIT (2 * G_USEC_PER_SEC)

struct PoolWatch {
	char *name; /* of the pool */
	char *file; /* the configuration's */
	gboolean named;
	gboolean ceph;
	GThread *thread; /* of Ceph alone: to be joined */
	gint64 room;	 /* atomic; G_MAXINT64: no quota */

	/* Of the thread alone. */
	Config *config; /* as it was read last, or NULL */
	struct stat read;
	LoggingLimit limit;

	/* Under the lock. */
	guint users;
	gboolean measured;
	GCond changed; /* `users` is 0, or `measured` is set */
	PoolWatch *next;
};

static GMutex lock;
static PoolWatch *first;

static void watch_free(PoolWatch *watch)
{
	config_free(watch->config);
	g_cond_clear(&watch->changed);
	g_free(watch->name);
	g_free(watch->file);
	g_free(watch);
}

/* ---- the thread */

static gboolean is_unchanged(const struct stat *a, const struct stat *b)
{
	return a->st_ino == b->st_ino && a->st_size == b->st_size &&
	       a->st_mtim.tv_sec == b->st_mtim.tv_sec && a->st_mtim.tv_nsec == b->st_mtim.tv_nsec;
}

/* A configuration that cannot be loaded changes nothing. */
static void config_follow(PoolWatch *watch)
{
	const Config file = {.file = watch->file, .named = watch->named};
	struct stat st = {0};
	Config *config;

	if ((stat(watch->file, &st) || is_unchanged(&st, &watch->read)) && watch->config)
		return;
	config = config_load_again(&file, NULL);
	if (!config)
		return;
	config_free(watch->config);
	watch->config = config;
	watch->read = st;
}

/* Writes may have taken room since the measurement began, and be in it already: it is taken
 * twice then, until the next one. */
static void room_set(PoolWatch *watch, gint64 before, gint64 left)
{
	if (left == G_MAXINT64 || before == G_MAXINT64)
		__atomic_store_n(&watch->room, left, __ATOMIC_RELAXED);
	else
		__atomic_add_fetch(&watch->room, left - before, __ATOMIC_RELAXED);
}

/* Returns when to measure again; microseconds. */
static gint64 pool_measure(PoolWatch *watch, const ConfigPool *pool)
{
	gint64 before = __atomic_load_n(&watch->room, __ATOMIC_RELAXED);
	g_autoptr(GError) error = NULL;
	PoolSpace space;

	/* What is mounted elsewhere meanwhile is not the pool's space. */
	if (!pool_check(pool, &error) || !pool_space_read(pool, &space, &error) ||
	    !pool_event_note(watch->config, pool, &space, &error))
		logging_write_limited(&watch->limit, LOGGING_WARNING, "%s", error->message);
	else
		room_set(watch, before, space.left);
	if (watch->ceph)
		return INTERVAL_CEPH;
	return pool->quota && __atomic_load_n(&watch->room, __ATOMIC_RELAXED) < (gint64)NEAR
		       ? INTERVAL_NEAR
		       : INTERVAL;
}

static gint64 watch_look(PoolWatch *watch)
{
	const ConfigPool *pool;

	config_follow(watch);
	pool = watch->config ? config_find_pool(watch->config, watch->name) : NULL;
	return pool && pool->ceph == watch->ceph ? pool_measure(watch, pool) : INTERVAL;
}

static gpointer watch_main(gpointer data)
{
	PoolWatch *watch = data;

	g_mutex_lock(&lock);
	while (watch->users) {
		gint64 end;

		g_mutex_unlock(&lock);
		end = watch_look(watch);
		end += g_get_monotonic_time();
		g_mutex_lock(&lock);
		watch->measured = TRUE;
		g_cond_broadcast(&watch->changed);
		while (watch->users && g_cond_wait_until(&watch->changed, &lock, end))
			;
	}
	g_mutex_unlock(&lock);
	watch_free(watch);
	return NULL;
}

/* ---- those who serve */

static PoolWatch *watch_find_locked(const Config *config, const ConfigPool *pool)
{
	PoolWatch *watch = first;

	while (watch && (strcmp(watch->name, pool->name) || strcmp(watch->file, config->file)))
		watch = watch->next;
	return watch;
}

static gboolean watch_start(PoolWatch *watch, GError **error)
{
	if (!watch->ceph)
		return thread_start_detached("storageos-pool", watch_main, watch, error);
	watch->thread = thread_start("storageos-pool", watch_main, watch, error);
	return watch->thread != NULL;
}

static PoolWatch *watch_begin_locked(const Config *config, const ConfigPool *pool, GError **error)
{
	PoolWatch *watch = g_new0(PoolWatch, 1);

	watch->name = g_strdup(pool->name);
	watch->file = g_strdup(config->file);
	watch->named = config->named;
	watch->ceph = pool->ceph;
	watch->room = G_MAXINT64;
	watch->users = 1; /* the thread looks at it at once */
	g_cond_init(&watch->changed);
	if (!watch_start(watch, error)) {
		watch_free(watch);
		return NULL;
	}
	watch->next = first;
	first = watch;
	return watch;
}

static void wait_for_measurement_unlocking(PoolWatch *watch)
{
	gint64 end = g_get_monotonic_time() + FIRST_WAIT;

	while (!watch->measured && g_cond_wait_until(&watch->changed, &lock, end))
		;
}

PoolWatch *pool_watch_join(const Config *config, const ConfigPool *pool, GError **error)
{
	PoolWatch *watch;

	g_mutex_lock(&lock);
	watch = watch_find_locked(config, pool);
	if (watch)
		watch->users++;
	else
		watch = watch_begin_locked(config, pool, error);
	if (watch && pool->quota)
		wait_for_measurement_unlocking(watch);
	g_mutex_unlock(&lock);
	return watch;
}

void pool_watch_limit(PoolWatch *watch, Backing *backing)
{
	backing_limit(backing, &watch->room);
}

void pool_watch_leave(PoolWatch *watch)
{
	PoolWatch **at = &first;
	GThread *thread = NULL;

	if (!watch)
		return;
	g_mutex_lock(&lock);
	if (!--watch->users) {
		thread = watch->thread;
		while (*at != watch)
			at = &(*at)->next;
		*at = watch->next;
		g_cond_broadcast(&watch->changed);
	}
	g_mutex_unlock(&lock);
	if (thread)
		g_thread_join(thread);
}
