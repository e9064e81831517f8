/* SPDX-License-Identifier: Apache-2.0 */
#include "handler/aside.h"

#include "common/base/error.h"
#include "common/base/thread.h"

struct Aside {
	GThread *thread;
	AsideFunction function;
	gpointer data;
	char *group;
	/* Under the lock. */
	GCond changed;
	gboolean settled, ended, late, left;
	GList link; /* in `late_work` */
};

static GMutex lock;
static GQueue late_work = G_QUEUE_INIT;

static gboolean group_is_late_locked(const char *group)
{
	for (GList *l = late_work.head; l; l = l->next)
		if (!g_strcmp0(((Aside *)l->data)->group, group))
			return TRUE;
	return FALSE;
}

static gboolean settle_locked(Aside *aside)
{
	gboolean in_time = !aside->late;

	aside->settled = TRUE;
	if (aside->late)
		g_queue_unlink(&late_work, &aside->link);
	aside->late = FALSE;
	g_cond_broadcast(&aside->changed);
	return in_time;
}

gboolean aside_settle(Aside *aside)
{
	gboolean in_time;

	g_mutex_lock(&lock);
	in_time = settle_locked(aside);
	g_mutex_unlock(&lock);
	return in_time;
}

static void aside_destroy(Aside *aside)
{
	g_cond_clear(&aside->changed);
	g_free(aside->group);
	g_free(aside);
}

static gpointer aside_run(gpointer data)
{
	Aside *aside = data;
	gboolean left;

	aside->function(aside, aside->data);
	g_mutex_lock(&lock);
	settle_locked(aside);
	aside->ended = TRUE;
	left = aside->left;
	g_mutex_unlock(&lock);
	if (left)
		aside_destroy(aside);
	return NULL;
}

Aside *aside_start(const char *group, AsideFunction function, gpointer data, GError **error)
{
	Aside *aside = g_try_new0(Aside, 1);

	if (!aside) {
		error_set(error, STORAGEOS_ERROR_NO_SPACE, "out of memory");
		return NULL;
	}
	aside->function = function;
	aside->data = data;
	aside->group = g_strdup(group);
	aside->link.data = aside;
	g_cond_init(&aside->changed);
	aside->thread = thread_start("storageos-aside", aside_run, aside, error);
	if (aside->thread)
		return aside;
	aside_destroy(aside);
	return NULL;
}

gboolean aside_wait(Aside *aside, AsidePatience patience)
{
	gint64 until = g_get_monotonic_time();
	gboolean settled;

	g_mutex_lock(&lock);
	until += group_is_late_locked(aside->group) ? patience.others : patience.first;
	while (!aside->settled && g_cond_wait_until(&aside->changed, &lock, until))
		;
	settled = aside->settled;
	if (!settled && !aside->late) {
		aside->late = TRUE;
		g_queue_push_tail_link(&late_work, &aside->link);
	}
	g_mutex_unlock(&lock);
	return settled;
}

void aside_free(Aside *aside)
{
	if (!aside)
		return;
	g_thread_join(aside->thread);
	aside_destroy(aside);
}

void aside_leave(Aside *aside)
{
	GThread *thread = aside->thread;
	gboolean ended;

	g_mutex_lock(&lock);
	aside->left = TRUE;
	ended = aside->ended;
	g_mutex_unlock(&lock);
	g_thread_unref(thread);
	if (ended)
		aside_destroy(aside);
}
