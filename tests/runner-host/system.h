/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the plugin meets of the system: this process's functions take precedence.
 */
#pragma once

#include <glib.h>
#include <sys/types.h>

extern const char *enabled_text; /* what configfs says of every device; NULL: there is none */
extern gint clock_skew;		 /* seconds that every thread but the main one is ahead; atomic */
extern gint clock_cancels;	 /* whether asking for the time is a cancellation point; atomic */
extern gint fdatasync_calls;	 /* atomic */
extern gint fdatasync_error;	 /* errno to fail with; atomic */
extern gint fdatasync_delay;	 /* us; atomic */
extern void (*fdatasync_hook)(int fd);	    /* called first; NULL: nothing is */
extern void (*open_hook)(const char *path); /* called first by open(); NULL: nothing is */

/* open(2), with the files of the kernel that describe the runner's device. */
int system_open(const char *path, int flags, mode_t mode);
