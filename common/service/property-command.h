/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Properties of volumes as JSON: an object with a text for each key.
 *
 * `set`, a command on an open volume, which a server carries out for clients of its control socket
 * (monitor.h), and a program for itself on a volume that nobody serves:
 *     properties      what is to be changed; an empty text removes a property
 *     in_steps        a flag, optional: the client does not want to wait long for a reserve
 *     -> properties   all, after the change
 *        before       of those in the request, what they were; without those that were not set
 *     -> reserving    nothing is changed yet: `done` and `all`, bytes of the volume's file.  The
 *                     same request goes on with the reserve; one that changes nothing gives up
 * Errors are those of volume_set_properties(); INVALID for a bad request; UNSUPPORTED for what this
 * kind of volume cannot have (property-rules.h).
 */
#pragma once

#include "common/base/json.h"
#include "common/engine/volume-properties.h"

#define PROPERTY_COMMAND "set"

/* The caller must release it. */
Json *properties_to_json(const Properties *properties);

/* `object` may be NULL.  Leaves out what breaks the rules. */
void properties_from_json(Json *object, Properties *ret_properties);

/* The `properties` of a request for these changes. */
Json *properties_changes_to_json(const Property *changes, guint n);

/* Carries out `set`.  Waits for a reserve as `watch` says; NULL: 2 s with `in_steps`, 25 s without.
 * Returns the answer, which the caller must release, or NULL. */
Json *property_command(Volume *volume, Json *request, const VolumeReserveWatch *watch,
		       GError **error);

/* What `set` would answer of a volume with the properties `now`; NULL: it would fail.  A reserve is
 * not looked at. */
Json *property_foresee(const Properties *now, const Property *changes, guint n, GError **error);
