/* SPDX-License-Identifier: Apache-2.0 */
/*
 * How to mount the file system on a snapshot's device.
 */
#pragma once

/* The options for mount(8), such as "ro,noload", by what the device at `path` holds: without a
 * write to it, and although the original with the same UUID may be mounted.  NULL: it holds no file
 * system, or does not answer within 10 s.  Free the result. */
char *mount_hint_options(const char *path);
