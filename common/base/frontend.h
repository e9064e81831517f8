/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The two front ends that make a volume a disk of this machine, TCMU and FUSE.  FRONTEND_AUTO, in
 * the configuration or on the command line, leaves the choice to the probe.
 */
#pragma once

#include <glib.h>

typedef enum { FRONTEND_AUTO, FRONTEND_TCMU, FRONTEND_FUSE } Frontend;

/* Accepts "auto", "tcmu" and "fuse"; FALSE for any other text. */
gboolean frontend_parse(const char *text, Frontend *ret_frontend);

const char *frontend_name(Frontend frontend);
