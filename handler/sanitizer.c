/* SPDX-License-Identifier: Apache-2.0 */
#include "handler/sanitizer.h"

#include <errno.h>

#include "common/base/bounds.h"
#include "common/base/logging.h"
#include "common/base/thread.h"

#define PIECE VOLUME_ATOMIC_MAX
#define PIECE_PARTS (PIECE / SANITIZE_PATTERN_MAX)
#define PAUSE (10 * 1000) /* us */
#define NEVER 9e18	  /* us */

struct Sanitizer {
	SanitizerOwner owner;
	GThread *thread;

	GMutex lock;
	GCond stopped;
	gboolean stop; /* under the lock */

	/* Of the SANITIZE under way. */
	Volume *volume;
	RunnerCommand *cmd; /* until it is answered; atomic */
	Sanitize sanitize;
	gint64 due; /* when the command must be answered, monotonic microseconds */
	guint64 written;
};

Sanitizer *sanitizer_new(const SanitizerOwner *owner)
{
	Sanitizer *s = g_try_new0(Sanitizer, 1);

	if (!s)
		return NULL;
	s->owner = *owner;
	g_mutex_init(&s->lock);
	g_cond_init(&s->stopped);
	return s;
}

void sanitizer_free(Sanitizer *s)
{
	if (!s)
		return;
	g_mutex_lock(&s->lock);
	g_atomic_int_set(&s->stop, TRUE);
	g_cond_signal(&s->stopped);
	g_mutex_unlock(&s->lock);
	if (s->thread)
		g_thread_join(s->thread);
	g_mutex_clear(&s->lock);
	g_cond_clear(&s->stopped);
	g_free(s);
}

/* Takes the command, which the caller must then answer.  NULL if it has been taken. */
static RunnerCommand *sanitizer_take_command(Sanitizer *s)
{
	RunnerCommand *cmd = g_atomic_pointer_get(&s->cmd);

	return cmd && g_atomic_pointer_compare_and_exchange(&s->cmd, cmd, NULL) ? cmd : NULL;
}

static void sanitizer_answer(Sanitizer *s, RunnerCommand *cmd, RunnerStatus status)
{
	s->owner.answer(s->owner.data, cmd, status);
}

static guint16 sanitizer_progress(const Sanitizer *s)
{
	return (guint16)g_atomic_int_get(&s->owner.unit->progress);
}

void sanitizer_tick(Sanitizer *s)
{
	RunnerCommand *cmd;

	if (!g_atomic_pointer_get(&s->cmd) || g_get_monotonic_time() < s->due)
		return;
	cmd = sanitizer_take_command(s);
	if (cmd)
		sanitizer_answer(s, cmd,
				 sense_set_progress(runner_command_sense(cmd),
						    sense_sanitize_in_progress,
						    sanitizer_progress(s)));
}

/* Sleeps for a pause, but not beyond `end`.  -ECANCELED if the device is going away. */
static int sanitizer_rest(Sanitizer *s, gint64 end)
{
	gint64 until = min_i64(end, g_get_monotonic_time() + PAUSE);
	gboolean stop;

	g_mutex_lock(&s->lock);
	while (!s->stop && g_cond_wait_until(&s->stopped, &s->lock, until))
		;
	stop = s->stop;
	g_mutex_unlock(&s->lock);
	if (stop)
		return -ECANCELED;
	sanitizer_tick(s);
	return 0;
}

/* The same without sleeping. */
static int sanitizer_yield(Sanitizer *s)
{
	return sanitizer_rest(s, 0);
}

static int sanitizer_pause_until(Sanitizer *s, gint64 end)
{
	int r = sanitizer_yield(s);

	while (!r && g_get_monotonic_time() < end)
		r = sanitizer_rest(s, end);
	return r;
}

static int sanitizer_wait_until_idle(Sanitizer *s)
{
	int r = sanitizer_yield(s);

	while (!r && !s->owner.is_idle(s->owner.data))
		r = sanitizer_rest(s, G_MAXINT64);
	return r;
}

static int pattern_write_piece(Sanitizer *s, guint8 *pattern, guint64 offset, guint64 length)
{
	struct iovec iov[PIECE_PARTS];
	int n = 0;

	for (; length; n++) {
		iov[n].iov_base = pattern;
		iov[n].iov_len = MIN(length, SANITIZE_PATTERN_MAX);
		length -= iov[n].iov_len;
	}
	return volume_write(s->volume, iov, n, offset, NULL);
}

/* Sleeps until the average since `since` is no more than the rate. */
static int sanitizer_keep_to_rate(Sanitizer *s, gint64 since)
{
	double due = (double)since;

	if (s->owner.rate)
		due += (double)s->written * G_USEC_PER_SEC / (double)s->owner.rate;
	return sanitizer_pause_until(s, due < NEVER ? (gint64)due : G_MAXINT64);
}

static int sanitizer_overwrite(Sanitizer *s, guint pass)
{
	guint64 size = volume_size(s->volume), all = size * s->sanitize.passes;
	gint64 since = g_get_monotonic_time();
	guint64 length;
	int r = 0;

	s->written = 0;
	if (s->sanitize.invert && pass)
		for (guint i = 0; i < SANITIZE_PATTERN_MAX; i++)
			s->sanitize.pattern[i] = (guint8)~s->sanitize.pattern[i];
	for (guint64 at = 0; at < size && !r; at += length) {
		length = MIN(size - at, PIECE);
		r = pattern_write_piece(s, s->sanitize.pattern, at, length);
		if (r == -ETIMEDOUT) /* write the piece again */
			length = 0, r = 0;
		s->written += length;
		g_atomic_int_set(&s->owner.unit->progress,
				 (gint)(((double)pass * (double)size + (double)s->written) /
					(double)all * G_MAXUINT16));
		if (!r)
			r = sanitizer_keep_to_rate(s, since);
	}
	return r ? r : volume_flush(s->volume);
}

static int sanitizer_carry_out(Sanitizer *s)
{
	int r = sanitizer_wait_until_idle(s);

	if (!r)
		r = volume_erase(s->volume);
	if (s->sanitize.kind == SANITIZE_OVERWRITE)
		for (guint pass = 0; pass < s->sanitize.passes && !r; pass++)
			r = sanitizer_overwrite(s, pass);
	return r;
}

static gpointer sanitizer_run(gpointer data)
{
	Sanitizer *s = data;
	ScsiUnit *unit = s->owner.unit;
	RunnerCommand *cmd = s->sanitize.immediate ? sanitizer_take_command(s) : NULL;
	int r;

	if (cmd)
		sanitizer_answer(s, cmd, RUNNER_OK);
	wanted_until(&s->stop);
	r = sanitizer_carry_out(s);
	if (r && r != -ECANCELED)
		log_error("%s: sanitize failed: %s", s->owner.name, g_strerror(-r));
	if (r == -ECANCELED)
		log_warning("%s: sanitize is not finished: the device is being removed",
			    s->owner.name);
	g_atomic_int_set(&unit->exit_restricted, !s->sanitize.unrestricted);
	g_atomic_int_set(&unit->state, r ? SCSI_SANITIZE_FAILED : SCSI_NORMAL);
	cmd = sanitizer_take_command(s);
	if (cmd)
		sanitizer_answer(s, cmd,
				 r ? sense_refuse(runner_command_sense(cmd), sense_sanitize_failed)
				   : RUNNER_OK);
	return NULL;
}

RunnerStatus sanitizer_begin(Sanitizer *s, Volume *volume, RunnerCommand *cmd,
			     const Sanitize *sanitize)
{
	ScsiUnit *unit = s->owner.unit;
	gint before = g_atomic_int_get(&unit->state);

	if (s->thread)
		g_thread_join(s->thread); /* has left SCSI_SANITIZING, so it ends at once */
	s->volume = volume;
	s->sanitize = *sanitize;
	s->due = g_get_monotonic_time() + s->owner.deadline;
	g_atomic_pointer_set(&s->cmd, cmd);
	g_atomic_int_set(&unit->progress, 0);
	g_atomic_int_set(&unit->state, SCSI_SANITIZING);
	s->thread = thread_start("storageos-sanitize", sanitizer_run, s, NULL);
	if (s->thread)
		return RUNNER_OK;
	g_atomic_int_set(&unit->state, before);
	sanitizer_take_command(s); /* the caller answers */
	return RUNNER_NO_RESOURCE;
}
