/* SPDX-License-Identifier: Apache-2.0 */
/*
 * GLib's mutexes are made of futexes, inside a library that ThreadSanitizer does not see into: it
 * would call everything that they protect a race.  In a -Db_sanitize=thread build these take their
 * place, over the pthread ones, which it knows.
 *
 * The thread-local variables of a plugin are in memory of the C library's loader.  A later thread,
 * which gets the stack of one that has ended, frees them; what orders the two, ThreadSanitizer does
 * not see either.
 */
#include <glib.h>

#if defined(__has_feature)
#if __has_feature(thread_sanitizer)
#define WITH_TSAN
#endif
#endif
#ifdef __SANITIZE_THREAD__
#define WITH_TSAN
#endif

#ifdef WITH_TSAN

#include <errno.h>
#include <pthread.h>
#include <time.h>

const char *__tsan_default_suppressions(void);

const char *__tsan_default_suppressions(void)
{
	return "race:_dl_deallocate_tls\n";
}

/* A static one is all zeros at first: its pthread mutex is made when it is first locked. */
static gpointer lazily(gpointer *where, gpointer (*make)(void), void (*destroy)(gpointer))
{
	gpointer made = __atomic_load_n(where, __ATOMIC_ACQUIRE), none = NULL;

	if (made)
		return made;
	made = make();
	if (__atomic_compare_exchange_n(where, &none, made, FALSE, __ATOMIC_ACQ_REL,
					__ATOMIC_ACQUIRE))
		return made;
	destroy(made);
	return none;
}

static gpointer make_mutex(void)
{
	pthread_mutex_t *mutex = g_new(pthread_mutex_t, 1);

	pthread_mutex_init(mutex, NULL);
	return mutex;
}

static void destroy_mutex(gpointer mutex)
{
	pthread_mutex_destroy(mutex);
	g_free(mutex);
}

static gpointer make_cond(void)
{
	pthread_cond_t *cond = g_new(pthread_cond_t, 1);
	pthread_condattr_t attributes;

	pthread_condattr_init(&attributes);
	pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
	pthread_cond_init(cond, &attributes);
	pthread_condattr_destroy(&attributes);
	return cond;
}

static void destroy_cond(gpointer cond)
{
	pthread_cond_destroy(cond);
	g_free(cond);
}

static pthread_mutex_t *mutex_of(GMutex *mutex)
{
	return lazily(&mutex->p, make_mutex, destroy_mutex);
}

static pthread_cond_t *cond_of(GCond *cond)
{
	return lazily(&cond->p, make_cond, destroy_cond);
}

void g_mutex_init(GMutex *mutex)
{
	mutex->p = NULL;
}

void g_mutex_clear(GMutex *mutex)
{
	g_clear_pointer(&mutex->p, destroy_mutex);
}

void g_mutex_lock(GMutex *mutex)
{
	pthread_mutex_lock(mutex_of(mutex));
}

gboolean g_mutex_trylock(GMutex *mutex)
{
	return !pthread_mutex_trylock(mutex_of(mutex));
}

void g_mutex_unlock(GMutex *mutex)
{
	pthread_mutex_unlock(mutex_of(mutex));
}

void g_cond_init(GCond *cond)
{
	cond->p = NULL;
}

void g_cond_clear(GCond *cond)
{
	g_clear_pointer(&cond->p, destroy_cond);
}

void g_cond_wait(GCond *cond, GMutex *mutex)
{
	pthread_cond_wait(cond_of(cond), mutex_of(mutex));
}

gboolean g_cond_wait_until(GCond *cond, GMutex *mutex, gint64 end_time)
{
	struct timespec end = {.tv_sec = end_time / G_USEC_PER_SEC,
			       .tv_nsec = end_time % G_USEC_PER_SEC * 1000};

	return pthread_cond_timedwait(cond_of(cond), mutex_of(mutex), &end) != ETIMEDOUT;
}

void g_cond_signal(GCond *cond)
{
	pthread_cond_signal(cond_of(cond));
}

void g_cond_broadcast(GCond *cond)
{
	pthread_cond_broadcast(cond_of(cond));
}

#endif
