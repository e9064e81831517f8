/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the plugin meets of the disk: this process's functions take precedence.
 */
#pragma once

#include <glib.h>

extern gint no_space; /* whether no file can be made larger; atomic */

/* From now on no call returns that opens, reads, writes or flushes a file whose path ends so; NULL:
 * all go on, and do then what they were called for. */
void disk_hang(const char *suffix);

/* How many calls are kept. */
guint disk_kept(void);

/* Asking how much space a file system has. */
extern gint space_asked; /* how often; atomic */
extern gint space_hangs; /* whether that does not return; atomic */
