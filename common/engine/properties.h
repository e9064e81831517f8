/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The properties of a volume, as its superblock has them: a text of lines "KEY=VALUE\n", sorted by
 * key.  What a key means is not known here (common/service/property-rules.h).
 *
 * A key has 1 to PROPERTY_KEY_MAX bytes: lower-case letters, digits, '_', '.' and '-'.  A value has
 * 1 to PROPERTY_VALUE_MAX bytes of UTF-8 without control characters.  The whole text has at most
 * PROPERTIES_MAX bytes.
 *
 * I9: a text from a disk may be anything.  Lines that break these rules, or are not behind the line
 * before, do not count: nobody sees them, and the next change of a property drops them.
 *
 * Threading: none of its own.  Nothing here allocates memory, but for errors.
 */
#pragma once

#include "common/engine/codec.h"

#define PROPERTY_KEY_MAX 63u
#define PROPERTY_VALUE_MAX 255u
#define PROPERTIES_MAX (FORMAT_PROPERTIES_SIZE - 1)

typedef struct {
	char key[PROPERTY_KEY_MAX + 1];
	char value[PROPERTY_VALUE_MAX + 1]; /* "" in a change: the property is removed */
} Property;

/* INVALID, with the rule, unless a property may have this key, or this value. */
gboolean property_check_key(const char *key, GError **error);
gboolean property_check_value(const char *key, const char *value, GError **error);

/* The next property, in the order of keys.  For the first call *at must be 0; for the others, *at
 * and *ret_property what the call before left.  FALSE: there are no more. */
gboolean properties_next(const Properties *properties, guint *at, Property *ret_property);

/* FALSE: it has none of that key.  `ret_value` has room for PROPERTY_VALUE_MAX + 1 bytes. */
gboolean properties_get(const Properties *properties, const char *key, char *ret_value);

/* Sets, replaces or removes one property.  Removing one that is not there changes nothing.
 * INVALID: the key or the value breaks the rules.  NO_SPACE: the text would be too long.  After
 * FALSE nothing is changed. */
gboolean properties_change(Properties *properties, const Property *change, GError **error);
