/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Which records of the journal count: one rule for recovery, which replays them, and for check,
 * which tells what recovery would do.
 *
 * journal_ring_walk() has seen that a record is whole, next in sequence and not fenced off. Whether
 * it counts depends on what it names:
 *
 *     names blocks behind the volume's end, or slots    it ends the replay
 *     behind the backing's end
 *     before the durable-mark                           it counts, whatever its payload is
 *     behind it, and a block of payload is missing      it ends the replay
 *     or does not match its checksum
 *     behind it, and payload cannot be read             it counts
 *
 * A record before the mark was flushed, and so was its payload.  Damage to that payload must show
 * as a read that fails (I4); it must not end the replay, which would take flushed writes back (I1).
 * Behind the mark a crash may have kept a record and lost its payload.  Nothing behind such a
 * record was flushed either, so ending there leaves a prefix (I3).  Payload that cannot be read now
 * may well be whole: taking it back could not be undone, while a read that fails can succeed later.
 *
 * Threading: one thread.
 */
#pragma once

#include "common/engine/journal-ring.h"

/* Bytes of payload that one record can have. */
#define JOURNAL_PAYLOAD_MAX ((gsize)FORMAT_RECORD_BLOCKS_MAX * BLOCK_SIZE)

typedef enum {
	JOURNAL_COUNTS,
	JOURNAL_OUT_OF_BOUNDS,
	JOURNAL_TORN,
} JournalVerdict;

typedef struct {
	Backing *backing;
	const Superblock *sb;
	const Seal *seal;
	guint64 durable; /* every record before this sequence was on disk */
	guint8 *payload; /* of the record last read, run after run: JOURNAL_PAYLOAD_MAX bytes */
	int results[FORMAT_RECORD_BLOCKS_MAX]; /* of its runs: see journal_rule_read_payload() */
} JournalRule;

/* Finds the newest durable-mark.  The rule refers to `backing`, `sb` (the ring's), `seal` and
 * `payload`, which stay the caller's.  Returns where the walk of the ring ends by itself, and
 * *ret_damaged as journal_ring_walk() does. */
JournalPlace journal_rule_init(JournalRule *rule, Backing *backing, const Superblock *sb,
			       const Seal *seal, const JournalRing *ring, guint8 *payload,
			       gboolean *ret_damaged);

/* Judges a record of a write or a zero; any other counts.  Reads the payload of a write behind the
 * durable-mark, and of no other. */
JournalVerdict journal_rule_judge(JournalRule *rule, const Record *record);

/* Reads the payload of a record that is not out of bounds.  For each run, results[i] is 0 (whole),
 * -EBADMSG (a block does not match its checksum), -ENXIO (behind the backing's end), or why the run
 * cannot be read.  TRUE: each is 0. */
gboolean journal_rule_read_payload(JournalRule *rule, const Record *record);

/* Whether a replay that ends at this place would lose a record that was flushed (I1). */
gboolean journal_rule_is_loss(const JournalRule *rule, JournalPlace end);
