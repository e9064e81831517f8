/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a process below a block device needs so that memory can be freed through it when there is
 * none left: its own allocations do not wait for I/O that may be its own (PR_SET_IO_FLUSHER), its
 * memory is never paged out, and the OOM killer does not choose it.
 *
 * Limits (ulimit) of the starter that would end the process, or make allocations and new threads
 * fail, are raised as far as permitted.  The limit of a file's size is not: a write beyond it fails
 * with ENOSPC.
 *
 * To be called before any other thread is created, since threads inherit the setting.  What is
 * refused for lack of privilege is logged as a warning that names `volume`, and the rest goes on.
 */
#pragma once

#include <glib.h>

void protect_process(const char *volume);
