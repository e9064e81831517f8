/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One thread for the process, which calls those who ask for it a second later: to see to what is
 * late, to try again what failed.
 *
 * A call must not wait for a disk or another process, as all others wait for it.
 *
 * The thread exists while a ticker is added, sleeps while none is set, and blocks all signals.  It
 * inherits from the thread that adds the first ticker.
 *
 * Threading: any.
 */
#pragma once

#include <glib.h>

typedef struct Ticker Ticker;
struct Ticker {
	/* Returns whether it is to be called again in a second.  May not remove the ticker. */
	gboolean (*run)(Ticker *ticker);

	/* Private. */
	gint set; /* atomic */
	Ticker *next;
};

/* Before this, and after ticker_remove(), `ticker` is not used.  FALSE with *error if there is no
 * thread. */
gboolean ticker_add(Ticker *ticker, GError **error);

/* Has run() called once, in about a second.  Whatever the caller did before is seen by run(). Cheap
 * if the ticker is set already. */
void ticker_set(Ticker *ticker);

/* Waits for the call under way; there will be no other.  Nobody else may be calling ticker_set().
 */
void ticker_remove(Ticker *ticker);
