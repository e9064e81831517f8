/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The results of `probe` and its verdict, as JSON.  Unknown values have no member.
 */
#pragma once

#include "common/service/config.h"
#include "common/machine/runtime-probe.h"

typedef struct {
	Frontend chosen;
	gboolean possible;
	char *reason;
	char *next_step;     /* or NULL */
	GPtrArray *warnings; /* of text */
} ProbeVerdict;

void probe_print_json(const RuntimeProbe *probe, const Config *config, const ProbeVerdict *verdict);
