/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Proves from the backing alone that a volume is whole: every checksum of every node and block,
 * every slot in exactly one place (I5), the bitmaps against the map, the journal's records.
 * Reads only, and keeps to the memory of three bits per slot and a path of nodes.
 */
#pragma once

#include "common/backing.h"

/* Blocks [first, end). */
typedef struct {
	guint64 first, end;
} CheckRange;

typedef struct {
	guint64 errors;          /* findings, all of them; only the first CHECK_MESSAGES are kept */
	GPtrArray *messages;     /* of char *, each naming what and where */
	GArray *lost;            /* of CheckRange, the first CHECK_MESSAGES: cannot be read any more */
	guint64 nodes;           /* read and verified */
	guint64 blocks;          /* read and verified, those of the journal's records included */
	guint64 dead_blocks;     /* discarded, their space not yet released */
	guint64 records;         /* in the journal, to be replayed at the next open */
	guint64 free_slots, used_slots, metadata_slots;
	guint64 generation;
	gboolean clean;          /* closed in order: nothing to replay */
} CheckResult;

#define CHECK_MESSAGES 1000

/* Called now and then with how far it is, 0..1; may be NULL. */
typedef void (*CheckProgress)(double fraction, gpointer data);

/* NULL with *error set where it could not be checked at all (open elsewhere, not a volume, cannot
 * be read); otherwise the findings.  The backing stays the caller's. */
CheckResult *check_run(Backing *backing, CheckProgress progress, gpointer data, GError **error);
void check_result_free(CheckResult *result);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(CheckResult, check_result_free)
