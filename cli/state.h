/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The state file of an attached volume: JSON in the run directory.
 *
 * Only a hint: the true state is looked up (attachment.h).  The file keeps what cannot be looked
 * up: why the front end was chosen, and which process was started when.
 */
#pragma once

#include "cli/places.h"
#include "common/service/config.h"

typedef struct {
	Frontend frontend;
	char *reason;
	char *device;
	guint64 sequence; /* the kernel's number of the device, never reused; 0: unknown */
	char *uuid;
	gint64 pid;	   /* of the server: storageos-fuse or tcmu-runner */
	gint64 start_time; /* of the server, in clock ticks since boot: process numbers are reused
			    */
} State;

gboolean state_write(const Places *places, const State *state, GError **error);

/* NULL if there is no valid state file.  From an earlier boot, only the front end and the reason
 * are set. */
State *state_read(const Places *places);
void state_free(State *state);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(State, state_free)
