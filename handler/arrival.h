/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Waiting for a device's volume.  Other threads than the runner's main thread open the volume,
 * because that takes as long as recovery does or, on a disk that does not answer, for ever.
 *
 * A device that was served before is not waited for at all: its volume is opened in the background
 * (openers.h), while the runner goes on with the next device.  For a new device, which is refused
 * if its volume cannot be opened, the first attempt has a thread of its own and is waited for.
 *
 * After a first attempt that failed, the volume is tried again once a second, in the background, in
 * two cases:
 *   - The device was served before and the cause may pass (opening.h): nobody else would retry.
 *   - The pool is known but missing: targets restored at boot come before file systems are mounted.
 * A retry never creates the volume.
 */
#pragma once

#include "handler/opening.h"

typedef struct Arrival Arrival;

typedef enum {
	ARRIVAL_CAME,	  /* `came` has been called */
	ARRIVAL_EXPECTED, /* still tried: `came` or `lost` will be called, at most one of them */
	ARRIVAL_FAILED,	  /* *error says why; a late attempt may still be under way */
} ArrivalResult;

typedef struct {
	const Opening *opening; /* outlives the arrival */
	/* Called in another thread, at most once, when the volume is open.  The callee owns the
	 * volume. */
	void (*came)(gpointer data, Volume *volume);
	/* Called in another thread, at most once, when the last attempt has failed although
	 * ARRIVAL_EXPECTED was returned. */
	void (*lost)(gpointer data, const GError *error);
	gpointer data;
} ArrivalOwner;

/* Begins; waits for the first attempt if the device is new, at most 10 s.  *ret_arrival is to be
 * freed whatever the result; it is NULL if there is no memory. */
ArrivalResult arrival_begin(const ArrivalOwner *owner, Arrival **ret_arrival, GError **error);

/* Stops trying, and waits for the attempt under way, however long that takes.  NULL is allowed. */
void arrival_free(Arrival *arrival);
