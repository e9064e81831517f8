/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the properties of a volume mean (common/engine/volume-properties.h): which keys this version
 * knows, which values each may have, and how people write and see them.  In a volume a size is a
 * decimal number of bytes.  A key that only a later version knows is kept, shown and can be
 * removed, but not set.
 *
 * Threading: pure functions.
 */
#pragma once

#include "common/engine/volume-reserve.h"

#define PROPERTY_SCRUB_RATE "scrub_rate"
#define PROPERTY_FRONTEND "frontend"

typedef struct {
	const char *key;     /* a whole key; or, if it ends in '.', how the key begins */
	const char *expects; /* the values, for messages: "auto, tcmu or fuse" */
	/* Makes what the volume is to keep of what a person wrote, or returns FALSE: it is none of
	 * the values.  NULL: any text. */
	gboolean (*parse)(const char *text, char ret_value[PROPERTY_VALUE_MAX + 1]);
	char *(*show)(
		const char *value); /* for people; the caller frees the result.  NULL: as is */
	const char *effect;	    /* from when on a change counts; NULL: at once */
	gboolean own;		    /* a copy of the volume does not take it over */
	const char *not_direct; /* why a direct volume (direct.h) cannot have it; NULL: it can */
} PropertyRule;

/* NULL: this version does not know the key. */
const PropertyRule *property_rule_find(const char *key);

/* The keys that can be set, for messages: "description, label.NAME, ...".  Free the result. */
char *property_rule_keys(void);

/* Parses "KEY=VALUE", or "KEY=" to remove the property.  INVALID: no such assignment, key or value;
 * the message lists the choices. */
gboolean property_parse(const char *assignment, Property *ret_change, GError **error);

/* Whether a direct volume can be changed so.  UNSUPPORTED: it cannot have that property; the
 * message says why. */
gboolean property_check_direct(const Property *change, GError **error);

/* The value for people.  Free the result. */
char *property_show(const Property *property);

/* The value of a size.  FALSE: it is not set, or to what this version does not know. */
gboolean property_get_size(const Properties *properties, const char *key, guint64 *ret_bytes);

/* Drops what a copy of the volume does not take over. */
void properties_inherit(Properties *properties);
