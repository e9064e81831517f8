/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Checks of what other code has seen to: room that was reserved, a count that cannot fall below
 * zero, a state that the caller established.
 *
 * CHECKED(backing, condition, "I5: ...") is TRUE where the condition holds.  Where it does not,
 *   - a build for tests (CHECKED_ENDS) ends the process and prints the text;
 *   - a release condemns the backing (backing.h): nothing more is written to it, and the volume
 *     becomes FAILED with that text.  The expression is FALSE; the caller returns without harm.
 *
 * The condition has no side effects and costs a comparison.  Bytes from the disk, the guest or the
 * configuration are not CHECKED: they are verified, and lead to an error (I9).
 */
#pragma once

#include "common/backing/backing.h"

#ifndef CHECKED_ENDS
#define CHECKED_ENDS LOCK_CHECKED
#endif

#define CHECKED(backing, condition, text)                                                          \
	(G_LIKELY(condition) || checked_broken(backing, text " [" #condition "]", CHECKED_ENDS))

/* FALSE, or does not return. */
gboolean checked_broken(Backing *backing, const char *text, gboolean ends);
