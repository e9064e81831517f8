/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/crew.h"

#include <errno.h>

#include "cli/interrupt.h"
#include "common/base/bounds.h"
#include "common/base/error.h"
#include "common/base/large.h"
#include "common/base/thread.h"
#include "common/base/units.h"

#define SHOW_USEC (G_USEC_PER_SEC / 4)

typedef struct {
	const CrewOps *ops;
	gpointer data;
	GMutex turn; /* held by whoever calls next(), which may wait for a pipe */
	GMutex lock; /* of what follows; comes after `turn` */
	GCond ended;
	guint running;
	gint over;     /* no more pieces are to be begun; read without the lock, too */
	GError *error; /* the first */
} Crew;

typedef struct {
	Crew *crew;
	GThread *thread;
	guint number;
	guint8 *buffers; /* 2 * CREW_PIECE */
} Member;

/* Takes the error.  With the lock. */
static void crew_fail(Crew *crew, GError *error)
{
	g_atomic_int_set(&crew->over, TRUE);
	if (crew->error) {
		g_error_free(error);
		return;
	}
	crew->error = error;
	crew->ops->stop(crew->data);
}

/* FALSE at the end, or with *ret_error. */
static gboolean piece_take(Crew *crew, CrewPiece *piece, GError **ret_error)
{
	gboolean good = FALSE;

	g_mutex_lock(&crew->turn);
	if (!g_atomic_int_get(&crew->over))
		good = crew->ops->next(crew->data, piece, ret_error);
	g_mutex_unlock(&crew->turn);
	return good && piece->length;
}

static gboolean piece_carry_out(Member *member)
{
	Crew *crew = member->crew;
	CrewPiece piece = {.buffers = {member->buffers, member->buffers + CREW_PIECE}};
	GError *error = NULL;
	gboolean good = piece_take(crew, &piece, &error) &&
			crew->ops->work(crew->data, member->number, &piece, &error);

	g_mutex_lock(&crew->lock);
	if (good)
		crew->ops->done(crew->data, &piece);
	else if (error)
		crew_fail(crew, error);
	g_mutex_unlock(&crew->lock);
	return good;
}

static gpointer member_main(gpointer data)
{
	Member *member = data;
	Crew *crew = member->crew;

	while (piece_carry_out(member))
		;
	g_mutex_lock(&crew->lock);
	crew->running--;
	g_cond_signal(&crew->ended);
	g_mutex_unlock(&crew->lock);
	return NULL;
}

static void crew_start(Crew *crew, Member *members)
{
	for (guint i = 0; i < MEDIUM_THREADS; i++) {
		GError *error = NULL;

		members[i] =
			(Member){crew, .number = i, .buffers = large_alloc((gsize)2 * CREW_PIECE)};
		g_mutex_lock(&crew->lock);
		crew->running++;
		if (!members[i].buffers)
			error_set_errno(&error, ENOMEM, "start a thread");
		else
			members[i].thread = thread_start("crew", member_main, &members[i], &error);
		if (!members[i].thread) {
			crew->running--;
			crew_fail(crew, error);
		}
		g_mutex_unlock(&crew->lock);
	}
}

/* With the lock. */
static void crew_watch(Crew *crew)
{
	while (crew->running) {
		GError *error = NULL;

		g_cond_wait_until(&crew->ended, &crew->lock, g_get_monotonic_time() + SHOW_USEC);
		if (!crew->error && !interrupt_check(&error))
			crew_fail(crew, error);
		if (crew->running && !crew->error && crew->ops->show)
			crew->ops->show(crew->data);
	}
}

gboolean crew_run(const CrewOps *ops, gpointer data, GError **error)
{
	Member members[MEDIUM_THREADS] = {0};
	Crew crew = {.ops = ops, .data = data};

	g_mutex_init(&crew.turn);
	g_mutex_init(&crew.lock);
	g_cond_init(&crew.ended);
	crew_start(&crew, members);
	g_mutex_lock(&crew.lock);
	crew_watch(&crew);
	g_mutex_unlock(&crew.lock);
	for (guint i = 0; i < MEDIUM_THREADS; i++) {
		if (members[i].thread)
			g_thread_join(members[i].thread);
		large_free(members[i].buffers, (gsize)2 * CREW_PIECE);
	}
	g_mutex_clear(&crew.turn);
	g_mutex_clear(&crew.lock);
	g_cond_clear(&crew.ended);
	if (crew.error)
		g_propagate_error(error, crew.error);
	return !crew.error;
}

/* ---- where the data are */

/* From walk->at on, which is at the beginning of a block. */
static gboolean data_find(CrewWalk *walk, GError **error)
{
	guint64 size = medium_size(walk->medium), at = walk->at;

	while (at < size) {
		guint64 length;
		MediumState state;

		if (!medium_extent(walk->medium, at, &state, &length, error))
			return FALSE;
		if (state == MEDIUM_DATA) {
			walk->at = max_u64(walk->at, blocks_to_bytes(block_of(at)));
			walk->data_until = blocks_to_bytes(blocks_covering(at + length));
			return TRUE;
		}
		at += length;
	}
	walk->at = at;
	return TRUE;
}

gboolean crew_walk_next(CrewWalk *walk, CrewPiece *piece, GError **error)
{
	if (walk->at >= walk->data_until && !data_find(walk, error))
		return FALSE;
	piece->offset = walk->at;
	piece->length = 0;
	if (walk->at >= walk->data_until) /* all has been seen */
		return TRUE;
	piece->length =
		(gsize)min_u64(walk->data_until - walk->at, CREW_PIECE - walk->at % CREW_PIECE);
	walk->at += piece->length;
	return TRUE;
}
