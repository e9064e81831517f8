/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a check has found, in lines for people: neighbours of which the same is to be said are one
 * line.  All are counted; of the lines the first FINDINGS_LINES are kept.
 */
#pragma once

#include <glib.h>

#define FINDINGS_LINES 100000u

typedef struct {
	guint64 count;	  /* findings; of a line of several, each */
	GPtrArray *lines; /* of char * */
	GString *pending; /* what is said of the range that may go on; empty: there is none */
	const char *what; /* it is one of these ... */
	guint64 first, end;
	guint64 slot; /* ... in neighbouring slots from here on; 0: in others */
} Findings;

Findings *findings_new(void);
void findings_free(Findings *findings); /* NULL is allowed */

void findings_add(Findings *findings, const char *format, ...) G_GNUC_PRINTF(2, 3);

/* "WHAT NUMBER (slot SLOT): TEXT", "WHATs A-B (slots C-D): TEXT"; without slots where they are no
 * neighbours, or `slot` is 0.  `what` outlives it. */
void findings_add_one(Findings *findings, const char *what, guint64 number, guint64 slot,
		      const char *text);

/* Ends the line that might go on. */
void findings_end(Findings *findings);

/* The lines are added to the other's, and counted there. */
void findings_move(Findings *from, Findings *to);
