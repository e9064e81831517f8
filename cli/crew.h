/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Threads that carry out a long work piece by piece, while the calling thread shows how far it is
 * and looks for signals (interrupt.h).  The first error ends the whole; so does a signal, with
 * BUSY.
 */
#pragma once

#include "cli/medium.h"

#define CREW_PIECE (1u << 20) /* bytes of a piece, at most */

/* A piece of an image, within one MiB, of whole blocks of 4 KiB: the last one may reach beyond the
 * image's end. */
typedef struct {
	guint64 offset;
	gsize length;
	guint8 *buffers[2]; /* of the thread, each of CREW_PIECE bytes */
	guint32 crc;	    /* these are the caller's */
	gsize written;
	guint64 first, differ;
} CrewPiece;

/* All get `data`. */
typedef struct {
	/* The next piece; one thread at a time.  A length of 0: there are no more. */
	gboolean (*next)(gpointer data, CrewPiece *piece, GError **error);
	/* Carries it out; `thread` is below MEDIUM_THREADS. */
	gboolean (*work)(gpointer data, guint thread, CrewPiece *piece, GError **error);
	/* It was carried out; under the crew's lock, beside next(). */
	void (*done)(gpointer data, const CrewPiece *piece);
	/* Four times a second, by the calling thread, under the same lock; NULL is allowed. */
	void (*show)(gpointer data);
	/* The whole is to end: whatever waits must not. */
	void (*stop)(gpointer data);
} CrewOps;

gboolean crew_run(const CrewOps *ops, gpointer data, GError **error);

/* Where the data of an image are: what next() of a crew goes through. */
typedef struct {
	Medium *medium;
	guint64 at; /* next byte to look at: a multiple of 4 KiB */
	guint64 data_until;
} CrewWalk;

/* The next piece in which there are data, or a length of 0; sets offset and length. */
gboolean crew_walk_next(CrewWalk *walk, CrewPiece *piece, GError **error);
