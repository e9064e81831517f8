/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A device's volume, on its way: opened by a thread of its own, since that takes as long as the
 * recovery does or, on a disk that does not answer, for ever.
 *
 * It is tried again once a second where the volume may come by itself (opening.h) and the device
 * was served before, as nobody else would try again; or where its pool is known and not there,
 * which is what targets that are restored at boot find before file systems are mounted.  Then none
 * is made.
 */
#pragma once

#include "handler/opening.h"

typedef struct Arrival Arrival;

typedef enum {
	ARRIVAL_CAME,
	ARRIVAL_EXPECTED, /* it is tried again, or still tried */
	ARRIVAL_FAILED,	  /* and there is an error; it may still be tried */
} ArrivalResult;

typedef struct {
	const Opening *opening; /* outlives the arrival */
	/* Called once, by the arrival's thread, when the volume is open: it is the callee's. */
	void (*came)(gpointer data, Volume *volume);
	/* Or once, by it, when no more attempt will be made though ARRIVAL_EXPECTED was said. */
	void (*lost)(gpointer data, const GError *error);
	gpointer data;
} ArrivalOwner;

/* Begins, and waits for the first attempt, a few seconds at most.  *ret_arrival is to be freed
 * whatever the result; NULL where there is no memory. */
ArrivalResult arrival_begin(const ArrivalOwner *owner, Arrival **ret_arrival, GError **error);

/* Stops trying, and waits until the attempt under way has ended, however long that takes. */
void arrival_free(Arrival *arrival);
