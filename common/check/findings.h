/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The findings of a check, as lines of text.  Findings with the same text about neighbouring
 * numbers become one line.  Every finding is counted; the first FINDINGS_LINES lines are kept.
 */
#pragma once

#include <glib.h>

#define FINDINGS_LINES 100000u

typedef struct {
	guint64 count;	    /* findings, each number of a range by itself */
	GPtrArray *lines;   /* of char * */
	GString *pending;   /* text of the open range, to which neighbours are added; empty: none */
	const char *what;   /* what the open range consists of, such as "block" */
	guint64 first, end; /* its numbers: [first, end) */
	guint64 slot;	    /* slot of `first`; the other slots follow it.  0: they do not */
} Findings;

Findings *findings_new(void);
void findings_free(Findings *findings); /* NULL is allowed */

/* Adds a finding that is a line of its own. */
void findings_add(Findings *findings, const char *format, ...) G_GNUC_PRINTF(2, 3);

/* Adds a finding about one number: "WHAT NUMBER (slot SLOT): TEXT", or together with its neighbours
 * "WHATs A-B (slots C-D): TEXT".  The line names no slots where `slot` is 0 or where the slots of a
 * range are not neighbours.  `what` must outlive the findings and is compared as a pointer. */
void findings_add_one(Findings *findings, const char *what, guint64 number, guint64 slot,
		      const char *text);

/* Ends the open range and makes a line of it. */
void findings_end(Findings *findings);

/* Moves the lines and the count of `from` to the end of `to`. */
void findings_move(Findings *from, Findings *to);
