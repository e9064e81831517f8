/* SPDX-License-Identifier: Apache-2.0 */
/*
 * hbench: a tcmu-runner (1.5.4 to 1.6.2), the kernel below it and an initiator in one process, to
 * measure handlers where the kernel has no TCMU.
 *
 *     hbench-exports   the functions of the runner that handlers call
 *     hbench-runner    a device as the runner drives it: its dispatch thread, its worker threads,
 *                      its locks and allocations for each command
 *     hbench-load      the kernel's side of the ring, and the initiator: requests and their
 * latencies hbench-plain     handlers of its own, on a plain file: what a handler can reach at best
 *
 * The doorbell is an eventfd.  What the kernel and the initiator do when the runner rings it (take
 * the answers, submit the next requests) is done by the thread that rings, or with
 * --initiator-thread by a thread of its own, as in the kernel's fabrics.  The first is cheaper: it
 * does not charge a handler for waking an initiator.
 *
 * Unlike tests/runner-host, which holds the plugin to the interface's rules, this checks no rule
 * and costs little.  It ends the process when something unexpected happens.
 */
#pragma once

#include <glib.h>
#include <libtcmu.h>
#include <pthread.h>
#include <tcmu-runner.h>

#define RING_SIZE 1024u
#define LOAD_DEPTH_MAX 512u
#define STS_WRITE_ERROR 4
#define STS_READ_ERROR 5

#define EXPORT(type, name, ...)                                                                    \
	__attribute__((visibility("default"))) type name(__VA_ARGS__);                             \
	type name(__VA_ARGS__)

/* ---- the load */

typedef enum { LOAD_READ, LOAD_WRITE, LOAD_FLUSH } LoadKind;
#define LOAD_KINDS 3

/* What the initiator does in one phase. */
typedef struct {
	guint read_percent; /* of the requests; the others are writes */
	gboolean random;
	guint64 request; /* bytes of each */
	guint depth;
	guint flush_every; /* writes; 0: no flushes */
	gboolean drain;	   /* a flush waits for all requests before it, and those after it wait */
	gboolean flush;	   /* begins with a flush */
	guint64 limit;	   /* requests, flushes not counted, after which it ends */
	double ramp;	   /* seconds before the measurement */
	double seconds;	   /* of the measurement; 0: until the limit */
	gboolean repeat;   /* what is answered BUSY is sent again */
} LoadSpec;

#define LOAD_BUCKETS (64 * 40)

/* Latencies in nanoseconds: 64 buckets for each power of two. */
typedef struct {
	guint64 count, sum, max, buckets[LOAD_BUCKETS];
} LoadHistogram;

/* A phase and what was measured in it. */
typedef struct {
	LoadSpec spec;
	guint64 measure_from, end; /* nanoseconds of the monotonic clock */
	guint64 units, cursor, issued, since_flush;
	gboolean flush_due, flushing;
	guint64 bytes, errors, busy;
	LoadHistogram latency[LOAD_KINDS];
} LoadPhase;

/* A request of the initiator, in its place of the ring. */
typedef struct {
	LoadKind kind;
	int status;
	gint owned; /* by the runner; atomic */
	guint64 offset, length, begun;
	guint8 *data;
} LoadOp;

/* ---- a device */

typedef struct HbenchWork HbenchWork;

/* The runner's name for it; a handler sees only the pointer. */
struct tcmu_device {
	const struct tcmur_handler *handler;
	char *cfgstring;
	void *private_data, *runners_own;
	guint64 num_lbas;
	guint32 block_size, max_xfer_len, max_unmap_len, opt_unmap_gran, unmap_gran_align;
	bool split_unmaps, write_cache, write_protect, solid_state, unmap_enabled;

	/* the runner */
	int uio; /* the doorbell */
	pthread_t dispatcher, *workers;
	pthread_mutex_t state_lock, track_lock, work_lock;
	pthread_cond_t work_added;
	pthread_spinlock_t ring_lock;
	int tracked, wakeups;
	HbenchWork *works, **works_end;

	/* the kernel and the initiator */
	pthread_mutex_t load_lock; /* before ring_lock; protects what follows */
	pthread_cond_t load_idle;
	pthread_t initiator;
	int kick;
	LoadPhase *phase;
	guint64 random, span, stride; /* load_device_init() */
	guint32 sequence, in_flight, n_free, free_ops[RING_SIZE];
	guint64 last_answer;
	guint8 *data;
	LoadOp ops[RING_SIZE];

	/* the ring: what was submitted by the load, what was answered (under ring_lock) */
	guint32 submitted[RING_SIZE], submit_head, submit_tail;
	guint32 answered[RING_SIZE], n_answered;
};

/* ---- hbench.c */

/* Prints a message and ends the process. */
G_NORETURN void die(const char *format, ...) G_GNUC_PRINTF(1, 2);
guint64 now_ns(void);

/* From the command line. */
extern gboolean hbench_initiator_thread;
extern guint hbench_max_sectors;
extern guint hbench_log_level; /* 0 nothing, 1 critical, to 5 debug */

/* ---- hbench-exports.c */

/* What handlers registered, most recent first; const struct tcmur_handler. */
extern GSList *hbench_handlers;

/* ---- hbench-plain.c */

/* Registers "raw", which does everything in the dispatch thread, and "raw-threads", with two
 * threads like tcmu-runner's example of a handler.  Their cfgstring is raw/PATH. */
void plain_register(void);

/* ---- hbench-runner.c */

/* Starts the threads of an open device; ends them. */
void runner_start(struct tcmu_device *dev);
void runner_stop(struct tcmu_device *dev);

/* Rings the doorbell. */
void runner_ring(struct tcmu_device *dev);

/* Hands all commands back that were completed; the initiator goes on. */
void tcmulib_processing_complete(struct tcmu_device *dev);
void tcmur_cmd_complete(struct tcmu_device *dev, void *cmd, int status);

/* ---- hbench-load.c */

/* The load addresses `span` bytes, in pieces of 1 MiB that are evenly spread over the device. */
void load_device_init(struct tcmu_device *dev, guint64 seed, guint64 span);

/* Starts a phase.  `*phase` has its `spec`, and otherwise zeros; it stays in use until load_wait().
 */
void load_begin(struct tcmu_device *dev, LoadPhase *phase);

/* Waits until the phase has ended and every request is answered.  Ends the process if none is for
 * `hang` seconds. */
void load_wait(struct tcmu_device *dev, guint hang);

/* What the kernel and the initiator do on the doorbell: takes the answers, submits the next
 * requests. `ring`: rings the runner's doorbell even if there are none. */
void load_answered(struct tcmu_device *dev, gboolean ring);

/* The initiator's own thread, for pthread_create(). */
void *load_initiator(void *dev);

/* Microseconds that `quantile` of the requests took at most. */
double load_quantile(const LoadHistogram *histogram, double quantile);
