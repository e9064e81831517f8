/* SPDX-License-Identifier: Apache-2.0 */
#include "common/engine/tenure.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#include "common/base/logging.h"
#include "common/base/text.h"
#include "common/base/thread.h"
#include "common/engine/codec.h"

#define LOOKS 20 /* at the blocks while they are watched */

/* The two blocks as they lie in the backing. */
typedef union {
	struct {
		FormatTenure tenure;
		guint8 padding[FORMAT_TENURE_SIZE - sizeof(FormatTenure)];
		FormatPulse pulse;
	};
	guint8 bytes[2 * FORMAT_TENURE_SIZE];
} TenureBlocks;

G_STATIC_ASSERT(G_STRUCT_OFFSET(TenureBlocks, pulse) == FORMAT_TENURE_SIZE);

struct Tenure {
	Backing *backing;
	TenureRecord record; /* own */
	PulseRecord pulse;   /* own, written last */
	guint settle_ms;
	TenureBlocks *seen; /* as read last; aligned for direct access, as `own` is */
	TenureBlocks *own;
	gint64 read_at; /* monotonic: when `seen` began to be read */
	LoggingLimit failures;

	GThread *thread; /* NULL: not yet */
	GMutex lock;
	GCond wake;
	gboolean stop;
	char *lost_to; /* NULL: not lost */
	TenureLoss loss;
	gpointer loss_data;
};

static guint interval_ms = TENURE_INTERVAL_MS, settle_ms = TENURE_SETTLE_MS;

void tenure_set_times(guint interval, guint settle)
{
	interval_ms = interval;
	settle_ms = settle;
}

static gint64 ms_since(gint64 begun)
{
	return (g_get_monotonic_time() - begun) / 1000;
}

static gboolean is_blank(const FormatTenure *tenure)
{
	static const FormatTenure blank;

	return !memcmp(tenure, &blank, sizeof blank);
}

static gboolean is_given_back(const TenureBlocks *blocks, const TenureRecord *record)
{
	PulseRecord pulse;

	return pulse_decode(&blocks->pulse, &pulse) && pulse.turn == record->turn && !pulse.open;
}

/* "gw1 (process 123)". */
static char *describe(const FormatTenure *tenure)
{
	g_autofree char *name = NULL;
	TenureRecord record;

	if (!tenure_decode(tenure, &record))
		return g_strdup("another machine");
	name = text_printable(*record.host.name ? record.host.name : "another machine");
	return g_strdup_printf("%s (process %u)", name, record.host.process);
}

/* ---- reading and writing the blocks */

static int blocks_read(Tenure *tenure)
{
	tenure->read_at = g_get_monotonic_time();
	return backing_read_direct(tenure->backing, tenure->seen, sizeof *tenure->seen,
				   FORMAT_TENURE_OFFSET);
}

static gboolean is_own(const Tenure *tenure)
{
	return !memcmp(&tenure->seen->tenure, &tenure->own->tenure, sizeof tenure->own->tenure);
}

static void draw(guint64 *number)
{
	guint64 random;

	*number = getrandom(&random, sizeof random, 0) == (gssize)sizeof random ? random
										: *number + 1;
}

static void pulse_prepare(Tenure *tenure, gboolean open)
{
	draw(&tenure->pulse.sequence);
	tenure->pulse.turn = tenure->record.turn;
	tenure->pulse.open = open;
	pulse_encode(&tenure->pulse, &tenure->own->pulse);
}

static int pulse_write(Tenure *tenure, gboolean open)
{
	pulse_prepare(tenure, open);
	return backing_write_direct(tenure->backing, &tenure->own->pulse, FORMAT_TENURE_SIZE,
				    FORMAT_PULSE_OFFSET);
}

/* Both blocks, as whoever takes the backing does. */
static int blocks_write(Tenure *tenure)
{
	draw(&tenure->record.turn);
	memset(tenure->own, 0, sizeof *tenure->own);
	tenure_encode(&tenure->record, &tenure->own->tenure);
	pulse_prepare(tenure, TRUE);
	return backing_write_direct(tenure->backing, tenure->own, sizeof *tenure->own,
				    FORMAT_TENURE_OFFSET);
}

/* ---- taking */

static gboolean io_failed(const Tenure *tenure, int r, const char *what, GError **error)
{
	return error_set_errno(error, r, "%s: %s who has it open", tenure->backing->name, what);
}

static gboolean fail_busy(const Tenure *tenure, GError **error)
{
	g_autofree char *who = describe(&tenure->seen->tenure);

	return error_set(error, STORAGEOS_ERROR_BUSY, "%s is in use by %s", tenure->backing->name,
			 who);
}

/* Whether the blocks that were read may be of somebody who lives, and for how long to watch them.
 */
static gboolean must_watch(const Tenure *tenure, guint *ret_ms)
{
	const TenureRecord *own = &tenure->record;
	TenureRecord record;

	*ret_ms = 2 * own->interval + tenure->settle_ms;
	if (is_blank(&tenure->seen->tenure))
		return FALSE;
	if (!tenure_decode(&tenure->seen->tenure, &record))
		return TRUE;
	*ret_ms = 2 * record.interval + tenure->settle_ms;
	/* Over another device the lock says nothing: both may lead to one disk. */
	return !is_given_back(tenure->seen, &record) &&
	       !(host_is_same_boot(&record.host, &own->host) && record.device == own->device);
}

/* Watches the blocks for so long.  BUSY where they change, but for being given back. */
static gboolean blocks_watch(Tenure *tenure, guint ms, GError **error)
{
	const FormatTenure first = tenure->seen->tenure;
	const FormatPulse first_pulse = tenure->seen->pulse;
	gint64 begun = g_get_monotonic_time();
	TenureRecord record;
	int r;

	while (ms_since(begun) < ms) {
		g_usleep((gulong)ms * 1000 / LOOKS);
		r = blocks_read(tenure);
		if (r)
			return io_failed(tenure, r, "read", error);
		if (!memcmp(&first, &tenure->seen->tenure, sizeof first) &&
		    !memcmp(&first_pulse, &tenure->seen->pulse, sizeof first_pulse))
			continue;
		return (tenure_decode(&tenure->seen->tenure, &record) &&
			is_given_back(tenure->seen, &record)) ||
		       fail_busy(tenure, error);
	}
	return TRUE;
}

/* Steps 1 and 2. */
static gboolean look_for_others(Tenure *tenure, TenureFlags flags, GError **error)
{
	Backing *backing = tenure->backing;
	g_autofree char *who = NULL;
	guint ms;
	int r = blocks_read(tenure);

	if (r)
		return io_failed(tenure, r, "read", error);
	if (!must_watch(tenure, &ms))
		return TRUE;
	who = describe(&tenure->seen->tenure);
	if (flags & TENURE_HASTY)
		return error_set(error, STORAGEOS_ERROR_AWAITED,
				 "%s was not given back by %s, which may have it in use",
				 backing->name, who);
	log_warning(
		"%s was not given back by %s: watching it for %.0f s, as it may be in use there",
		backing->name, who, ms / 1000.0);
	return blocks_watch(tenure, ms, error);
}

/* Step 3.  If it took so long since the last look that another machine may have taken the backing
 * and read its own tenure back meanwhile, that one gets the time in which it notices. */
static gboolean take_place(Tenure *tenure, GError **error)
{
	guint ms = tenure->settle_ms;
	int r = blocks_write(tenure);

	if (!r)
		r = backing_flush(tenure->backing);
	if (r)
		return io_failed(tenure, r, "write", error);
	if (ms_since(tenure->read_at) >= ms)
		ms += 2 * tenure->record.interval;
	g_usleep((gulong)ms * 1000);
	r = blocks_read(tenure);
	if (r)
		return io_failed(tenure, r, "read", error);
	if (!is_own(tenure))
		return fail_busy(tenure, error);
	r = backing_refresh(tenure->backing);
	return !r || error_set_errno(error, r, "%s: empty its cache", tenure->backing->name);
}

/* ---- keeping */

/* Another's tenure was read. */
static void tenure_lose(Tenure *tenure)
{
	char *by = describe(&tenure->seen->tenure);
	TenureLoss loss;

	g_mutex_lock(&tenure->lock);
	tenure->lost_to = by;
	loss = tenure->loss;
	g_mutex_unlock(&tenure->lock);
	if (loss)
		loss(tenure->loss_data, by);
	else
		log_error("%s was taken by %s", tenure->backing->name, by);
	backing_condemn(tenure->backing, "another machine has taken the disk");
}

/* FALSE: it is lost.  A disk that fails says nothing of others. */
static gboolean tenure_renew(Tenure *tenure)
{
	int r = blocks_read(tenure);

	if (!r && !is_own(tenure)) {
		tenure_lose(tenure);
		return FALSE;
	}
	if (!r)
		r = pulse_write(tenure, TRUE);
	if (r)
		logging_write_limited(&tenure->failures, LOGGING_WARNING,
				      "%s: say that it is in use: %s", tenure->backing->name,
				      g_strerror(-r));
	return TRUE;
}

/* FALSE: to end. */
static gboolean wait_for_interval(Tenure *tenure)
{
	gint64 until = g_get_monotonic_time() + tenure->record.interval * G_TIME_SPAN_MILLISECOND;
	gboolean stop;

	g_mutex_lock(&tenure->lock);
	while (!tenure->stop && g_cond_wait_until(&tenure->wake, &tenure->lock, until))
		;
	stop = tenure->stop;
	g_mutex_unlock(&tenure->lock);
	return !stop;
}

static gpointer tenure_main(gpointer data)
{
	while (wait_for_interval(data) && tenure_renew(data))
		;
	return NULL;
}

/* ---- beginning and ending */

static void tenure_free(Tenure *tenure)
{
	free(tenure->seen);
	free(tenure->own);
	g_free(tenure->lost_to);
	g_mutex_clear(&tenure->lock);
	g_cond_clear(&tenure->wake);
	g_free(tenure);
}

static TenureBlocks *blocks_new(void)
{
	return aligned_alloc(FORMAT_TENURE_SIZE, sizeof(TenureBlocks));
}

static Tenure *tenure_new(Backing *backing)
{
	Tenure *tenure = g_try_new0(Tenure, 1);

	if (!tenure)
		return NULL;
	g_mutex_init(&tenure->lock);
	g_cond_init(&tenure->wake);
	tenure->backing = backing;
	host_get(&tenure->record.host);
	tenure->record.device = backing_place(backing).device;
	tenure->record.interval = interval_ms;
	tenure->settle_ms = settle_ms;
	tenure->seen = blocks_new();
	tenure->own = blocks_new();
	if (tenure->seen && tenure->own)
		return tenure;
	tenure_free(tenure);
	return NULL;
}

static gboolean has_blocks(Backing *backing)
{
	return backing_is_shared(backing) &&
	       backing_size(backing) >= FORMAT_TENURE_OFFSET + sizeof(TenureBlocks);
}

gboolean tenure_take(Backing *backing, TenureFlags flags, Tenure **ret_tenure, GError **error)
{
	Tenure *tenure;

	*ret_tenure = NULL;
	if (!has_blocks(backing))
		return TRUE;
	tenure = tenure_new(backing);
	if (!tenure)
		return error_set_errno(error, ENOMEM, "%s: open", backing->name);
	if (look_for_others(tenure, flags, error) && take_place(tenure, error)) {
		tenure->thread = thread_start("storageos-claim", tenure_main, tenure, error);
		if (tenure->thread) {
			*ret_tenure = tenure;
			return TRUE;
		}
		(void)pulse_write(tenure, FALSE);
	}
	tenure_free(tenure);
	return FALSE;
}

gboolean tenure_lock(Backing *backing, gboolean writing, TenureFlags flags, TenureLoad load,
		     gpointer data, Tenure **ret_tenure, GError **error)
{
	if (!backing_lock(backing, writing, error) || !load(data, error))
		return FALSE;
	return !writing || (tenure_take(backing, flags, ret_tenure, error) &&
			    (!*ret_tenure || load(data, error)));
}

void tenure_on_loss(Tenure *tenure, TenureLoss loss, gpointer data)
{
	const char *by;

	g_mutex_lock(&tenure->lock);
	tenure->loss = loss;
	tenure->loss_data = data;
	by = tenure->lost_to;
	g_mutex_unlock(&tenure->lock);
	if (by)
		loss(data, by);
}

/* If the last pulse cannot be written, the next one who takes the backing waits. */
void tenure_end(Tenure *tenure, gboolean give_back)
{
	if (!tenure)
		return;
	g_mutex_lock(&tenure->lock);
	tenure->stop = TRUE;
	g_cond_signal(&tenure->wake);
	g_mutex_unlock(&tenure->lock);
	g_thread_join(tenure->thread);
	if (give_back)
		(void)pulse_write(tenure, FALSE);
	tenure_free(tenure);
}

char *tenure_describe(Backing *backing)
{
	TenureBlocks *blocks = has_blocks(backing) ? blocks_new() : NULL;
	TenureRecord record;
	char *who = NULL;

	if (blocks && !backing_read_direct(backing, blocks, sizeof *blocks, FORMAT_TENURE_OFFSET) &&
	    tenure_decode(&blocks->tenure, &record) && !is_given_back(blocks, &record))
		who = describe(&blocks->tenure);
	free(blocks);
	return who;
}
