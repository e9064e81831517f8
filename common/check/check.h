/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Proves from the backing alone that a volume is whole: the checksum of every node and block, every
 * slot in exactly one place (I5), bitmaps that agree with the map, and the journal's records.  It
 * writes nothing.  It takes three bits of memory per slot, one path of nodes, and its findings.
 *
 * What is kept twice (superblocks, inner nodes, bitmap pages, the durable-mark) and is damaged in
 * one copy is a finding like any other, though nothing is lost: the volume is not whole, as the
 * next damage there would lose it.  What a crash leaves of a copy that was being written is none.
 */
#pragma once

#include "common/backing/backing.h"

/* Blocks [first, end). */
typedef struct {
	guint64 first, end;
} CheckRange;

typedef struct {
	guint64 errors;	     /* findings, all of them */
	guint64 copies;	     /* of these, damaged copies of what is kept twice: they lost nothing */
	GPtrArray *messages; /* of char *: what and where, neighbours in one line (findings.h) */
	GArray *lost;	     /* of CheckRange, the first CHECK_RANGES: cannot be read any more */
	guint64 nodes;	     /* read and verified */
	guint64 blocks;	     /* read and verified, those of the journal's records included */
	guint64 dead_blocks; /* discarded, their space not yet released */
	guint64 records;     /* in the journal, to be replayed at the next open */
	guint64 free_slots, used_slots, metadata_slots;
	guint64 generation;
	gboolean clean; /* closed in order: nothing to replay */
} CheckResult;

#define CHECK_RANGES 100000u

/* Called now and then with the fraction that is done, 0 to 1; may be NULL. */
typedef void (*CheckProgress)(double fraction, gpointer data);

/* Returns the findings, or NULL with *error set if the volume could not be checked (it is open
 * elsewhere, is no volume, or cannot be read).  The backing stays the caller's. */
CheckResult *check_run(Backing *backing, CheckProgress progress, gpointer data, GError **error);
void check_result_free(CheckResult *result);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(CheckResult, check_result_free)
