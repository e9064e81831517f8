/* SPDX-License-Identifier: Apache-2.0 */
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "common/base/units.h"
#include "tests/bench/hbench.h"

static guint64 bits_mix(guint64 z)
{
	z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
	z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
	return z ^ (z >> 31);
}

static guint64 random_next(struct tcmu_device *dev)
{
	return bits_mix(dev->random += 0x9e3779b97f4a7c15u);
}

/* ---- latencies */

static void histogram_add(LoadHistogram *histogram, guint64 value)
{
	guint64 power = value < 64 ? 0 : (guint64)(63 - __builtin_clzll(value)) - 5;
	guint64 bucket = power ? power * 64 + ((value >> (power - 1)) & 63) : value;

	histogram->count++;
	histogram->sum += value;
	histogram->max = MAX(histogram->max, value);
	histogram->buckets[MIN(bucket, LOAD_BUCKETS - 1)]++;
}

static guint64 bucket_value(guint bucket)
{
	return bucket < 64 ? bucket : (64ull + bucket % 64) << (bucket / 64 - 1);
}

double load_quantile(const LoadHistogram *histogram, double quantile)
{
	guint64 wanted = (guint64)((double)histogram->count * quantile), seen = 0;

	for (guint i = 0; i < LOAD_BUCKETS; i++) {
		seen += histogram->buckets[i];
		if (seen > wanted)
			return (double)bucket_value(i) / 1e3;
	}
	return (double)histogram->max / 1e3;
}

/* ---- the next request */

static guint64 spread(const struct tcmu_device *dev, guint64 at)
{
	return at / MIB * dev->stride + at % MIB;
}

/* Blocks that differ from all others, without the cost of random bytes. */
static void data_stamp(struct tcmu_device *dev, LoadOp *op)
{
	dev->sequence++;
	for (guint64 at = 0; at < op->length; at += BLOCK_SIZE) {
		guint64 stamp[2] = {op->offset + at, dev->sequence};

		memcpy(op->data + at, stamp, sizeof stamp);
	}
}

static void op_set_flush(LoadPhase *phase, LoadOp *op)
{
	phase->flush_due = FALSE;
	phase->since_flush = 0;
	phase->flushing = phase->spec.drain;
	op->kind = LOAD_FLUSH;
	op->offset = op->length = 0;
}

static void op_set_transfer(struct tcmu_device *dev, LoadOp *op)
{
	LoadPhase *phase = dev->phase;
	const LoadSpec *spec = &phase->spec;
	guint64 unit = spec->random ? random_next(dev) : phase->cursor++;

	op->kind = LOAD_WRITE;
	if (spec->read_percent == 100 ||
	    (spec->read_percent && random_next(dev) % 100 < spec->read_percent))
		op->kind = LOAD_READ;
	op->offset = spread(dev, unit % phase->units * spec->request);
	op->length = spec->request;
	phase->issued++;
	if (op->kind == LOAD_READ)
		return;
	data_stamp(dev, op);
	if (spec->flush_every && ++phase->since_flush >= spec->flush_every)
		phase->flush_due = TRUE;
}

/* FALSE: the phase has no request now. */
static gboolean op_set_next(struct tcmu_device *dev, LoadOp *op, guint64 now)
{
	LoadPhase *phase = dev->phase;

	if (now >= phase->end || phase->flushing)
		return FALSE;
	if (phase->flush_due) {
		if (phase->spec.drain && dev->in_flight)
			return FALSE;
		op_set_flush(phase, op);
	} else {
		if (phase->issued >= phase->spec.limit)
			return FALSE;
		op_set_transfer(dev, op);
	}
	op->begun = now;
	return TRUE;
}

static void op_submit(struct tcmu_device *dev, guint32 id)
{
	guint32 head = dev->submit_head;

	g_atomic_int_set(&dev->ops[id].owned, 1);
	dev->submitted[head % RING_SIZE] = id;
	__atomic_store_n(&dev->submit_head, head + 1, __ATOMIC_RELEASE);
}

/* ---- answers */

static gboolean op_is_refused(const LoadOp *op)
{
	return op->status == TCMU_STS_BUSY || op->status == TCMU_STS_NO_RESOURCE;
}

static void op_account(LoadPhase *phase, const LoadOp *op, guint64 now)
{
	if (op->kind == LOAD_FLUSH)
		phase->flushing = FALSE;
	if (op_is_refused(op))
		return; /* and counted as busy */
	if (op->status != TCMU_STS_OK) {
		phase->errors++;
		return;
	}
	if (now < phase->measure_from || now > phase->end)
		return;
	histogram_add(&phase->latency[op->kind], now - op->begun);
	phase->bytes += op->length;
}

static guint32 answers_take(struct tcmu_device *dev, guint32 *ids)
{
	guint32 n;

	pthread_spin_lock(&dev->ring_lock);
	n = dev->n_answered;
	memcpy(ids, dev->answered, n * sizeof *ids);
	dev->n_answered = 0;
	pthread_spin_unlock(&dev->ring_lock);
	return n;
}

/* FALSE: sent again. */
static gboolean op_finish(struct tcmu_device *dev, guint32 id, guint64 now)
{
	if (op_is_refused(&dev->ops[id])) {
		dev->phase->busy++;
		if (dev->phase->spec.repeat) {
			op_submit(dev, id);
			return FALSE;
		}
	}
	op_account(dev->phase, &dev->ops[id], now);
	dev->free_ops[dev->n_free++] = id;
	dev->in_flight--;
	return TRUE;
}

void load_answered(struct tcmu_device *dev, gboolean ring)
{
	guint32 ids[RING_SIZE], n;
	guint64 now;

	pthread_mutex_lock(&dev->load_lock);
	n = answers_take(dev, ids);
	now = now_ns();
	if (n)
		dev->last_answer = now;
	for (guint32 i = 0; i < n; i++)
		ring |= !op_finish(dev, ids[i], now);
	while (dev->n_free && op_set_next(dev, &dev->ops[dev->free_ops[dev->n_free - 1]], now)) {
		op_submit(dev, dev->free_ops[--dev->n_free]);
		dev->in_flight++;
		ring = TRUE;
	}
	if (!dev->in_flight)
		pthread_cond_broadcast(&dev->load_idle);
	pthread_mutex_unlock(&dev->load_lock);
	if (ring)
		runner_ring(dev);
}

void *load_initiator(void *data)
{
	struct tcmu_device *dev = data;
	guint64 value;

	while (read(dev->kick, &value, sizeof value) == sizeof value)
		load_answered(dev, FALSE);
	return NULL;
}

/* ---- phases */

void load_device_init(struct tcmu_device *dev, guint64 seed, guint64 span)
{
	guint64 size = dev->num_lbas * dev->block_size;

	dev->random = bits_mix(seed);
	dev->span = span;
	dev->stride = span < size ? size / (span / MIB) / MIB * MIB : MIB;
}

void load_begin(struct tcmu_device *dev, LoadPhase *phase)
{
	const LoadSpec *spec = &phase->spec;

	phase->units = dev->span / spec->request;
	phase->flush_due = spec->flush;
	phase->measure_from = now_ns() + (guint64)(spec->ramp * 1e9);
	phase->end = G_MAXUINT64;
	if (spec->seconds > 0)
		phase->end = phase->measure_from + (guint64)(spec->seconds * 1e9);
	pthread_mutex_lock(&dev->load_lock);
	dev->phase = phase;
	dev->n_free = 0;
	dev->last_answer = now_ns();
	for (guint32 i = spec->depth; i--;) {
		dev->ops[i].data = dev->data + (gsize)i * MAX(spec->request, MIB);
		dev->free_ops[dev->n_free++] = i;
	}
	pthread_mutex_unlock(&dev->load_lock);
	load_answered(dev, TRUE);
}

void load_wait(struct tcmu_device *dev, guint hang)
{
	pthread_mutex_lock(&dev->load_lock);
	while (dev->in_flight) {
		struct timespec limit;

		clock_gettime(CLOCK_REALTIME, &limit);
		limit.tv_sec++;
		pthread_cond_timedwait(&dev->load_idle, &dev->load_lock, &limit);
		if (dev->in_flight && now_ns() > dev->last_answer + hang * 1000000000ull)
			die("%u requests were not answered within %u s", dev->in_flight, hang);
	}
	pthread_mutex_unlock(&dev->load_lock);
}
