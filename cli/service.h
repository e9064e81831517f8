/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The project's units, where systemd runs.
 */
#pragma once

#include <glib.h>

/* "storageos-fuse@default-db.service" for the template "storageos-fuse" and the volume
 * "default/db": escaped as systemd-escape(1) does.  Free the result. */
char *service_name(const char *service, const char *volume);

/* Whether systemd can run the service: systemd runs, the unit's template is installed, and the
 * configuration in use is the default one, which is all that units read. */
gboolean service_available(const char *service);

/* Has the unit end, at a shutdown, before these file systems are unmounted ("/srv/small"): for this
 * boot, if it has not ended and service_forget() has not been called.  Only those that are part of
 * local-fs.target, whose order this is: others (of the network, with the option nofail) may be
 * unmounted only after what needs local-fs.target, and the unit ends after that. */
gboolean service_order(const char *unit, const GPtrArray *mounts, GError **error);
void service_forget(const char *unit);

/* Whether systemd is ending all units and, at this moment, still stops others than ours. */
gboolean service_is_shutdown(void);
gboolean service_others_stop(void);

/* Starts the unit and waits until it has started. */
gboolean service_start(const char *unit, guint seconds, GError **error);
