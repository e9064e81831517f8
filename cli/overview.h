/* SPDX-License-Identifier: Apache-2.0 */
/*
 * All pools and volumes of this machine at one moment, for monitoring: also the volumes that nobody
 * serves, and those that ought to be served and are not.
 */
#pragma once

#include <stdio.h>

#include "cli/attachment.h"
#include "cli/pool-view.h"

typedef struct {
	char *name; /* as volume_name_format() */
	AttachmentState state;
	gboolean scrubbed;    /* it can be, and `scrub_time` is known */
	gboolean served;      /* it has a server that works, whoever started it */
	gboolean expected;    /* it should be served (expected.h) */
	gboolean readable;    /* its superblock can be read */
	guint64 scrub_time;   /* seconds since 1970; 0: never */
	guint64 scrub_errors; /* of that scrub */
	gboolean shortened;   /* its file ends too early */
} OverviewVolume;

typedef struct {
	GPtrArray *pools;   /* of PoolView * */
	GPtrArray *volumes; /* of OverviewVolume * */
} Overview;

/* Takes 10 s at most for each disk that does not answer, and a few seconds for each server. */
Overview *overview_take(const Config *config);
void overview_free(Overview *overview);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(Overview, overview_free)

/* Prints it as metrics (prometheus.h). */
void overview_print_prometheus(const Overview *overview, FILE *out);
