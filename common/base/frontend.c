/* SPDX-License-Identifier: Apache-2.0 */
#include "common/base/frontend.h"

#include <string.h>

static const char *const frontend_names[] = {
	[FRONTEND_AUTO] = "auto",
	[FRONTEND_TCMU] = "tcmu",
	[FRONTEND_FUSE] = "fuse",
};

gboolean frontend_parse(const char *text, Frontend *ret_frontend)
{
	for (guint i = 0; i < G_N_ELEMENTS(frontend_names); i++)
		if (!strcmp(text, frontend_names[i])) {
			*ret_frontend = (Frontend)i;
			return TRUE;
		}
	return FALSE;
}

const char *frontend_name(Frontend frontend)
{
	return frontend_names[frontend];
}
