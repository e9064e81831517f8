/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a process under a block device needs so that memory can be freed through it when there is
 * none left: its own allocations do not wait for I/O that may be its own (PR_SET_IO_FLUSHER), its
 * memory is never paged out, and it is not chosen by the OOM killer.
 *
 * Limits (ulimit) of whoever started it that would end the process, or make each allocation and
 * thread fail, are lifted as far as it may.  That of a file's size is not: a write beyond it fails
 * with ENOSPC.
 *
 * To be called before any other thread is made: threads inherit the first.  What is refused (for
 * want of privilege) is logged as a warning that names `volume`, and the rest goes on.
 */
#pragma once

#include <glib.h>

void protect_process(const char *volume);
