/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The table of platforms: what is known of their kernels, and what to do where TCMU is not there.
 *
 * A platform's row is found by its name and its kernel's; what the kernel has is found by looking
 * (kernel-modules.h).  Where the two differ, what was seen decides, and the row has no advice.
 */
#pragma once

#include <glib.h>

#include "common/machine/kernel-modules.h"
#include "common/machine/platform.h"

/* What a platform's kernel has, as the table says. */
typedef enum {
	COMPATIBILITY_NO,
	COMPATIBILITY_YES,
	COMPATIBILITY_EXTRA, /* with a package that is not always installed */
	COMPATIBILITY_LOOK,  /* nothing is known but what is seen */
} Compatibility;

typedef struct {
	const char *name; /* "Ubuntu 18.04, standard"; "any other" */
	Compatibility lio, tcmu;
	/* What to do without TCMU: format of the kernel's release, twice at most; NULL: nothing
	 * helps, or nothing should be needed. */
	const char *advice;
	gboolean advice_brings_lio_only; /* void where LIO is there */
} CompatibilityRow;

/* Never NULL. */
const CompatibilityRow *compatibility_row(const Platform *platform);

const char *compatibility_name(Compatibility compatibility);

/* What the kernel has of what the row is about. */
typedef struct {
	const char *release;
	gboolean lio;
	const char *missing; /* modules, with commas between; NULL: it has TCMU */
	KernelOption built;  /* what its configuration says of the first of them */
} CompatibilityNeed;

/* The step towards a kernel with TCMU, or NULL where there is none.  Free the result. */
char *compatibility_step(const CompatibilityRow *row, const Platform *platform,
			 const CompatibilityNeed *need);
