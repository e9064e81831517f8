/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The lock is held except in poll().  What is polled may change meanwhile: then `turn` has changed,
 * and the result counts for nothing.
 */
#include "common/service/doorman.h"

#include <errno.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "common/base/error.h"
#include "common/base/fd.h"
#include "common/base/thread.h"

#define REST_MICROSECONDS 100000
#define LOOK_LONGEST 60000 /* ms */

static GMutex lock;
static GCond returned;
static DoormanPost *first;
static guint n_posts;
static guint turn;
static int wake; /* an eventfd, while the thread runs */
static gboolean runs;

/* What the thread polls.  Place 0 is that of `wake`. */
typedef struct {
	struct pollfd *fds;
	DoormanPost **posts;
	guint room;
} PollSet;

static void wake_locked(void)
{
	turn++;
	if (runs)
		eventfd_write(wake, 1);
}

static gboolean set_reserve(PollSet *set, guint n)
{
	struct pollfd *fds;
	DoormanPost **posts;

	if (n <= set->room)
		return TRUE;
	fds = g_try_renew(struct pollfd, set->fds, 2 * (gsize)n);
	set->fds = fds ? fds : set->fds;
	posts = g_try_renew(DoormanPost *, set->posts, 2 * (gsize)n);
	set->posts = posts ? posts : set->posts;
	if (!fds || !posts)
		return FALSE;
	set->room = 2 * n;
	return TRUE;
}

/* Looks after the names.  Returns the time until that is due again; milliseconds. */
static int set_fill_locked(PollSet *set)
{
	int timeout = LOOK_LONGEST;
	guint i = 0;

	set->fds[i++] = (struct pollfd){wake, POLLIN, 0};
	for (DoormanPost *post = first; post; post = post->next, i++) {
		int look = post->away ? timeout : control_listener_look(&post->listener);

		set->posts[i] = post;
		set->fds[i] = (struct pollfd){post->away ? -1 : post->listener.fd, POLLIN, 0};
		timeout = MIN(timeout, look);
	}
	return timeout;
}

/* FALSE if somebody cannot be seen to. */
static gboolean set_answer_locked(PollSet *set, guint n)
{
	gboolean all = TRUE;

	for (guint i = 1; i < n; i++)
		if (set->fds[i].revents & POLLIN) {
			set->posts[i]->away = set->posts[i]->come(set->posts[i]);
			all = all && set->posts[i]->away;
		}
	return all;
}

/* FALSE: the thread has to rest, so as not to spin. */
static gboolean turn_unlocking(PollSet *set)
{
	guint n = 1 + n_posts, mine = turn;
	int timeout, result, problem;
	eventfd_t woken;

	if (!set_reserve(set, n))
		return FALSE;
	timeout = set_fill_locked(set);
	g_mutex_unlock(&lock);
	result = poll(set->fds, n, timeout);
	problem = errno;
	g_mutex_lock(&lock);
	eventfd_read(wake, &woken);
	if (result < 0)
		return problem == EINTR;
	return mine != turn || set_answer_locked(set, n);
}

static gpointer doorman_main(gpointer data)
{
	PollSet set = {NULL, NULL, 0};

	(void)data;
	g_mutex_lock(&lock);
	while (first)
		if (!turn_unlocking(&set)) {
			g_mutex_unlock(&lock);
			g_usleep(REST_MICROSECONDS);
			g_mutex_lock(&lock);
		}
	close(wake);
	runs = FALSE;
	g_mutex_unlock(&lock);
	g_free(set.fds);
	g_free(set.posts);
	return NULL;
}

static gboolean start_locked(GError **error)
{
	if (runs)
		return TRUE;
	wake = fd_above_stdio(eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
	if (wake < 0)
		return error_set_errno(error, errno, "eventfd");
	runs = thread_start_detached("storageos-door", doorman_main, NULL, error);
	if (!runs)
		close(wake);
	return runs;
}

gboolean doorman_add(DoormanPost *post, GError **error)
{
	gboolean added;

	g_mutex_lock(&lock);
	added = start_locked(error);
	if (added) {
		post->away = TRUE;
		post->next = first;
		first = post;
		n_posts++;
		turn++;
	}
	g_mutex_unlock(&lock);
	return added;
}

void doorman_return(DoormanPost *post)
{
	g_mutex_lock(&lock);
	post->away = FALSE;
	wake_locked();
	g_cond_broadcast(&returned);
	g_mutex_unlock(&lock);
}

void doorman_remove(DoormanPost *post)
{
	DoormanPost **at = &first;

	g_mutex_lock(&lock);
	while (*at && *at != post)
		at = &(*at)->next;
	if (*at) {
		*at = post->next;
		n_posts--;
		wake_locked();
	}
	while (post->away)
		g_cond_wait(&returned, &lock);
	g_mutex_unlock(&lock);
}
