/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What is remembered of an attached volume, as JSON in the run directory.
 *
 * A hint only: what is true is looked up (attachment.h).  The file keeps what cannot be seen from
 * outside: why this front end was chosen, and which process was started when.
 */
#pragma once

#include "cli/places.h"
#include "common/service/config.h"

typedef struct {
	Frontend frontend;
	char *reason;
	char *device;
	guint64 sequence; /* of the device: another one of that name has another; 0: not known */
	char *uuid;
	gint64 pid;	   /* of what serves it: storageos-fuse or tcmu-runner */
	gint64 start_time; /* of that process, in clock ticks since boot: a pid comes again */
} State;

gboolean state_write(const Places *places, const State *state, GError **error);

/* NULL where there is none, or none that makes sense; of another boot only front end and reason. */
State *state_read(const Places *places);
void state_free(State *state);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(State, state_free)
