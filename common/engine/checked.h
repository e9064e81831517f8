/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Checks of what other code must have established: that room was reserved, that a count is above
 * zero, that a node is in a certain state.
 *
 * CHECKED(backing, condition, "I5: ...") is TRUE where the condition holds.  Where it does not,
 *   - a build for tests (CHECKED_ENDS) ends the process and prints the text;
 *   - a release condemns the backing (backing.h): nothing more is written to it, and the volume
 *     becomes FAILED with that text.  The expression is FALSE; the caller must return without harm.
 *
 * The condition must have no side effects, and should cost no more than a few comparisons.  Do not
 * use CHECKED() for what the disk, the guest or the configuration says: that is verified, and a
 * violation is an error (I9).
 */
#pragma once

#include "common/backing/backing.h"

#ifndef CHECKED_ENDS
#define CHECKED_ENDS LOCK_CHECKED
#endif

#define CHECKED(backing, condition, text)                                                          \
	(G_LIKELY(condition) ||                                                                    \
	 checked_broken(backing, "broken invariant: " text " [" #condition "]", CHECKED_ENDS))

/* Reports the broken invariant.  Does not return if `ends`, else condemns the backing and returns
 * FALSE. */
gboolean checked_broken(Backing *backing, const char *text, gboolean ends);
