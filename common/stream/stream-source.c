/* SPDX-License-Identifier: Apache-2.0 */
#include "common/stream/stream-source.h"

#include <errno.h>

#include "common/base/bounds.h"
#include "common/base/error.h"
#include "common/base/large.h"
#include "common/base/units.h"
#include "common/engine/map-diff.h"
#include "common/engine/volume-gather.h"

#define WINDOW_BLOCKS 16384u

enum { SINK_FAILED = 1 }; /* the reading's `error` is set */

typedef struct {
	const StreamSource *source;
	const StreamSink *ops;
	gpointer sink;
	guint64 size;		   /* of the volume, bytes */
	VolumeGatherBlock *window; /* of WINDOW_BLOCKS; NULL: in order */
	guint8 *buffer;		   /* of STREAM_DATA_MAX bytes: in order, or of a base */
	guint n;		   /* blocks in the window */
	guint64 next;		   /* everything before it was visited */
	GError *error;		   /* with SINK_FAILED */
} Reading;

/* Keeps what went wrong at byte `offset`, for the end.  Returns SINK_FAILED. */
static int read_failed(Reading *reading, int r, guint64 offset)
{
	if (r == -EBADMSG)
		error_set(&reading->error, STORAGEOS_ERROR_CORRUPT,
			  "the snapshot is damaged at byte %" G_GUINT64_FORMAT, offset);
	else
		error_set_errno(&reading->error, r, "read the snapshot at byte %" G_GUINT64_FORMAT,
				offset);
	return SINK_FAILED;
}

/* The last block may be cut short by the end of the volume. */
static StreamRange range_of(const Reading *reading, guint64 first, guint64 n, const guint8 *bytes)
{
	guint64 offset = blocks_to_bytes(first), end = blocks_to_bytes(first + n);

	return (StreamRange){offset, MIN(end, reading->size) - offset, bytes};
}

static int sink_data(gpointer data, const VolumeGatherRun *runs, guint n)
{
	Reading *reading = data;
	StreamRange ranges[VOLUME_GATHER_BLOCKS];

	for (guint i = 0; i < n; i++)
		ranges[i] = range_of(reading, runs[i].first, runs[i].n, runs[i].bytes);
	return reading->ops->data(reading->sink, ranges, n, &reading->error) ? 0 : SINK_FAILED;
}

/* Everything that was visited has been given to the sink. */
static int sink_reached(Reading *reading)
{
	return !reading->ops->reached ||
			       reading->ops->reached(reading->sink, reading->next, &reading->error)
		       ? 0
		       : SINK_FAILED;
}

static int window_end(Reading *reading)
{
	guint64 bad = reading->next;
	int r = volume_gather(reading->source->to, reading->window, reading->n, sink_data, reading,
			      &bad);

	reading->n = 0;
	if (r < 0)
		return read_failed(reading, r, blocks_to_bytes(bad));
	return r ? r : sink_reached(reading);
}

static int window_add(Reading *reading, const MapDiffRun *run)
{
	for (guint64 i = 0; i < run->n; i++) {
		int r = reading->n == WINDOW_BLOCKS ? window_end(reading) : 0;

		if (r)
			return r;
		reading->window[reading->n++] =
			(VolumeGatherBlock){run->first + i, run->entries[i]};
		reading->next = run->first + i + 1;
	}
	return 0;
}

/* A run of map_diff() is at most a leaf, 1 MiB. */
static int run_read(Reading *reading, const MapDiffRun *run)
{
	StreamRange range = range_of(reading, run->first, run->n, reading->buffer);
	struct iovec iov = {reading->buffer, range.length};
	guint64 offset = range.offset;
	int r = volume_read(reading->source->to, &iov, 1, range.offset, &offset);

	if (r)
		return read_failed(reading, r, offset);
	reading->next = run->first + run->n;
	return reading->ops->data(reading->sink, &range, 1, &reading->error) ? sink_reached(reading)
									     : SINK_FAILED;
}

static int zeros_visit(Reading *reading, guint64 first, guint64 n)
{
	StreamRange range = range_of(reading, first, n, NULL);

	reading->next = first + n;
	return reading->ops->zero(reading->sink, range.offset, range.length, &reading->error)
		       ? 0
		       : SINK_FAILED;
}

/* ---- what a linked clone has from its base */

static int base_read(Reading *reading, guint64 first, guint64 n)
{
	int r = 0;

	for (guint64 end = first + n, piece; first < end && !r; first += piece) {
		MapDiffRun run = {.first = first};

		piece = run.n = min_u64(end - first, STREAM_DATA_MAX / BLOCK_SIZE);
		r = run_read(reading, &run);
	}
	return r;
}

/* In pieces that are data, or holes.  A hole is given on unless the receiver begins with nothing.
 */
static int base_visit(Reading *reading, const MapDiffRun *run)
{
	gboolean empty = !reading->source->from && !reading->source->since;
	guint64 end = run->first + run->n;
	int r = 0;

	for (guint64 at = run->first, n = 0; at < end && !r; at += n) {
		guint64 length;
		gboolean mapped;

		r = volume_extent(reading->source->to, blocks_to_bytes(at), &mapped, &length);
		if (r)
			return read_failed(reading, r, blocks_to_bytes(at));
		n = min_u64(blocks_covering(length), end - at);
		if (mapped)
			r = base_read(reading, at, n);
		else if (!empty)
			r = zeros_visit(reading, at, n);
	}
	return r;
}

static int visit(gpointer data, const MapDiffRun *run)
{
	Reading *reading = data;
	int r = 0;

	if (run->entries)
		return reading->window ? window_add(reading, run) : run_read(reading, run);
	if (!run->base)
		return zeros_visit(reading, run->first, run->n);
	if (reading->window)
		r = window_end(reading);
	return r ? r : base_visit(reading, run);
}

/* What a recovery has replayed in memory only, no map on the disk has: so a volume is read as what
 * clones have from their bases. */
static int walk_head(const StreamSource *source, MapDiffVisit visit_run, gpointer data)
{
	guint64 blocks = blocks_covering(volume_size(source->to));
	const MapDiffRun all = {.first = source->first, .n = blocks - source->first, .base = TRUE};

	return visit_run(data, &all);
}

/* Keeps the error of a node that cannot be read. */
static int walk(const StreamSource *source, MapDiffVisit visit_run, gpointer data, Reading *reading)
{
	guint64 bad = source->first;
	int r;

	if (source->head)
		return walk_head(source, visit_run, data);
	r = map_diff(source->to->engine.map, source->from ? source->from->engine.map : NULL,
		     source->since, source->first, visit_run, data, &bad);
	return r < 0 ? read_failed(reading, r, blocks_to_bytes(bad)) : r;
}

static int reading_run(Reading *reading)
{
	int r = walk(reading->source, visit, reading, reading);

	return !r && reading->window ? window_end(reading) : r;
}

gboolean stream_source_run(const StreamSource *source, const StreamSink *ops, gpointer sink,
			   GError **error)
{
	const gsize window = source->in_order ? 0 : WINDOW_BLOCKS * sizeof(VolumeGatherBlock);
	const gsize size = window + STREAM_DATA_MAX;
	guint8 *memory = large_alloc(size);
	Reading reading = {.source = source,
			   .ops = ops,
			   .sink = sink,
			   .size = volume_size(source->to),
			   .window = window ? (gpointer)memory : NULL,
			   .buffer = memory ? memory + window : NULL,
			   .next = source->first};
	int r = SINK_FAILED;

	if (memory)
		r = reading_run(&reading);
	else
		read_failed(&reading, -ENOMEM, 0);
	large_free(memory, size);
	if (reading.error)
		g_propagate_error(error, reading.error);
	return !r;
}

G_STATIC_ASSERT(FORMAT_POINTERS_MAX *BLOCK_SIZE <= STREAM_DATA_MAX);
G_STATIC_ASSERT(VOLUME_GATHER_BLOCKS *BLOCK_SIZE <= STREAM_DATA_MAX);

/* ---- ranges alone */

typedef struct {
	Reading reading;
	StreamRangeVisit report;
	gpointer data;
	guint64 first, end; /* blocks of the range that is not visited yet; equal: none */
	gboolean zeros;
} Listing;

static int range_visit(Listing *listing)
{
	StreamRange range =
		range_of(&listing->reading, listing->first, listing->end - listing->first, NULL);

	if (listing->first == listing->end)
		return 0;
	listing->first = listing->end;
	return listing->report(listing->data, &range, listing->zeros, &listing->reading.error)
		       ? 0
		       : SINK_FAILED;
}

static int list_add(Listing *listing, guint64 first, guint64 n, gboolean zeros)
{
	int r = 0;

	if (first != listing->end || zeros != listing->zeros) {
		r = range_visit(listing);
		listing->first = first;
		listing->zeros = zeros;
	}
	listing->end = first + n;
	return r;
}

static int list_visit(gpointer data, const MapDiffRun *run)
{
	Listing *listing = data;
	const StreamSource *source = listing->reading.source;
	gboolean empty = !source->from && !source->since;
	int r = run->base ? 0 : list_add(listing, run->first, run->n, !run->entries);

	for (guint64 at = run->first, end = at + run->n, n; run->base && at < end && !r; at += n) {
		guint64 length;
		gboolean mapped;

		r = volume_extent(source->to, blocks_to_bytes(at), &mapped, &length);
		if (r)
			return read_failed(&listing->reading, r, blocks_to_bytes(at));
		n = min_u64(blocks_covering(length), end - at);
		if (mapped || !empty)
			r = list_add(listing, at, n, !mapped);
	}
	return r;
}

gboolean stream_source_list(const StreamSource *source, StreamRangeVisit report, gpointer data,
			    GError **error)
{
	Listing listing = {.reading = {.source = source, .size = volume_size(source->to)},
			   .report = report,
			   .data = data};
	int r = walk(source, list_visit, &listing, &listing.reading);

	if (!r)
		r = range_visit(&listing);
	if (listing.reading.error)
		g_propagate_error(error, listing.reading.error);
	return !r;
}
