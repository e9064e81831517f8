/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The two ways in which a volume becomes a disk of this machine, and the wish for one of them: what
 * the configuration asks for, the probe answers, and the command line shows.
 */
#pragma once

#include <glib.h>

typedef enum { FRONTEND_AUTO, FRONTEND_TCMU, FRONTEND_FUSE } Frontend;

/* FALSE if `text` names none: "auto", "tcmu" or "fuse". */
gboolean frontend_parse(const char *text, Frontend *ret_frontend);

const char *frontend_name(Frontend frontend);
