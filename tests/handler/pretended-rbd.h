/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A module (common/backing/module.h) in the place of Ceph's: one image of PRETENDED_SIZE bytes in
 * memory, under any name, which other gateways, pretended too, may take.  These functions are
 * looked up in the module, and called by any thread.
 */
#pragma once

#include <glib.h>

#define PRETENDED_SIZE ((guint64)64 << 20)
#define PRETENDED_UUID "9a7c3c5e-0d52-5c5b-8a54-111213141516"

typedef struct {
	/* Another gateway takes the lock from whoever has it, and fences that one off. */
	void (*take)(void);
	/* It gives the lock back. */
	void (*give_back)(void);
	/* Whether it counts up, as it serves. */
	void (*serve)(gboolean serves);
	/* It sets the properties. */
	void (*keep)(const char *properties);
	/* Changes wait, and then end as if they had arrived before anybody was fenced off. */
	void (*hold)(gboolean hold);
	guint (*held)(void); /* how many do */
	/* Handles that were opened, and those that are. */
	guint (*opened)(void);
	guint (*open)(void);
} Pretended;

/* The name of the function that returns them. */
#define PRETENDED_ENTRY "pretended_controls"
typedef const Pretended *(*PretendedEntry)(void);
