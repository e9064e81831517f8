/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Threads of one kind that spin: how many of the process may, and how.  They do not yield the
 * processor: a thread that yields gives the rest of its time away, and where other programs want
 * the processor it is back only milliseconds later.
 *
 * Threading: any.
 */
#pragma once

#include <glib.h>

/* To be zeroed. */
typedef struct {
	gint n;	   /* atomic */
	gint most; /* atomic; half of the processors; 0: not known yet */
} Spinners;

/* FALSE: half of the processors are in use for it; so always where there is one. */
gboolean spinners_join(Spinners *spinners);
void spinners_leave(Spinners *spinners);

/* Spins until came(data), for some microseconds at most.  Returns whether it came. */
gboolean spinners_wait(gboolean (*came)(gpointer data), gpointer data, guint microseconds);
