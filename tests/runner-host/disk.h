/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The disk as the plugin sees it: this process's definitions of the C library's functions take
 * precedence.
 */
#pragma once

#include <glib.h>

extern gint no_space; /* whether no file can be made larger; atomic */

/* Calls that open, read, write or flush a file whose path ends in `suffix` hang from now on, and
 * reads that must not wait fail with EAGAIN.  NULL: the calls that hang go on, and do what they
 * were called for. */
void disk_hang(const char *suffix);

/* How many calls hang at present. */
guint disk_kept(void);

/* Calls that ask how much space a file system has. */
extern gint space_asked; /* how often; atomic */
extern gint space_hangs; /* whether they hang; atomic */
