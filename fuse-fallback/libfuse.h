/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The one place that includes libfuse: all code uses the low-level API of 3.12, and this adds what
 * the older versions of long-lived distributions lack (3.3 in RHEL 8, 3.10 in RHEL 9).
 */
#pragma once

#define FUSE_USE_VERSION 312
#include <fuse_lowlevel.h>

#include <errno.h>
#include <glib.h>

/* Serves with `threads` threads, each with its own queue from the kernel, until the session ends.
 * Returns what fuse_session_loop_mt() does, or -ENOMEM if it could not start.  (Before 3.12,
 * libfuse creates more threads while it is busy, and keeps `threads` of them.) */
static inline int libfuse_loop(struct fuse_session *session, guint threads)
{
#if FUSE_VERSION >= FUSE_MAKE_VERSION(3, 12)
	struct fuse_loop_config *loop = fuse_loop_cfg_create();
	int r;

	if (!loop)
		return -ENOMEM;
	fuse_loop_cfg_set_clone_fd(loop, TRUE);
	fuse_loop_cfg_set_max_threads(loop, threads);
	fuse_loop_cfg_set_idle_threads(loop, threads);
	r = fuse_session_loop_mt(session, loop);
	fuse_loop_cfg_destroy(loop);
	return r;
#else
	struct fuse_loop_config loop = {.clone_fd = TRUE, .max_idle_threads = threads};

	return fuse_session_loop_mt(session, &loop);
#endif
}

/* Before 3.7 libfuse's messages go to standard error. */
#if FUSE_VERSION >= FUSE_MAKE_VERSION(3, 7)
#include <fuse_log.h>
#define LIBFUSE_HAS_LOG 1
#else
#define LIBFUSE_HAS_LOG 0
#endif
