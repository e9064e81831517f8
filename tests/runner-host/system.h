/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The system as the plugin sees it: this process's definitions of the C library's functions take
 * precedence.
 */
#pragma once

#include <glib.h>
#include <sys/types.h>

extern const char *enabled_text; /* content of every device's `enable` in configfs; NULL: no file */
extern const char *serial_text,
	*reservations_text;  /* likewise of wwn/vpd_unit_serial, attrib/emulate_pr */
extern gint clock_skew;	     /* seconds that every thread but the main one is ahead; atomic */
extern gint clock_cancels;   /* whether asking for the time is a cancellation point; atomic */
extern gint fdatasync_calls; /* atomic */
extern gint fdatasync_error; /* errno to fail with; atomic */
extern gint fdatasync_delay; /* us; atomic */
extern void (*fdatasync_hook)(int fd);	    /* called first, unless NULL */
extern void (*open_hook)(const char *path); /* called first by open(), unless NULL */

/* open(2), but also with the kernel's files that describe the runner's device. */
int system_open(const char *path, int flags, mode_t mode);
