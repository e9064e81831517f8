/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The one place that includes libfuse: everything over the low-level API of 3.12, and what that
 * needs on the older ones of long-lived distributions (3.3 in RHEL 8, 3.10 in RHEL 9).
 */
#pragma once

#define FUSE_USE_VERSION 312
#include <fuse_lowlevel.h>

#include <errno.h>
#include <glib.h>

/* Serves with `threads` threads, each with a queue of its own to the kernel, until the session
 * ends; returns as fuse_session_loop_mt() does, -ENOMEM if it could not begin.  (Before 3.12
 * libfuse makes more threads while it is busy, and keeps so many.) */
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
