/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The table of platforms: what is known about their kernels, and what to do where TCMU is missing.
 *
 * The name of the distribution and the flavour of the kernel select a row.  What the kernel really
 * has is found by looking (kernel-modules.h).  Where the two differ, what was found decides, and
 * the row's advice is ignored.
 */
#pragma once

#include <glib.h>

#include "common/machine/kernel-modules.h"
#include "common/machine/platform.h"

/* What the table says about a platform's kernel. */
typedef enum {
	COMPATIBILITY_NO,
	COMPATIBILITY_YES,
	COMPATIBILITY_EXTRA, /* needs a package that is not always installed */
	COMPATIBILITY_LOOK,  /* the table does not say: look at the kernel */
} Compatibility;

typedef struct {
	const char *name; /* "Ubuntu 18.04, standard"; "any other" */
	Compatibility lio, tcmu;
	/* What to do where TCMU is missing; each "%s" stands for the kernel's release.  NULL where
	 * nothing helps, or nothing should be necessary. */
	const char *advice;
	gboolean advice_brings_lio_only; /* the advice is void if the kernel has LIO */
} CompatibilityRow;

/* Never NULL. */
const CompatibilityRow *compatibility_row(const Platform *platform);

const char *compatibility_name(Compatibility compatibility);

/* What was found in the kernel that the advice is for. */
typedef struct {
	const char *release;
	gboolean lio;
	const char *missing; /* modules, separated by commas; NULL if it has TCMU */
	KernelOption built;  /* how the missing modules were built, by its configuration */
} CompatibilityNeed;

/* The next step towards a kernel with TCMU, or NULL if there is none.  Free the result. */
char *compatibility_step(const CompatibilityRow *row, const Platform *platform,
			 const CompatibilityNeed *need);
