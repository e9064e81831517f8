/* SPDX-License-Identifier: Apache-2.0 */
/* A cfgstring is accepted, or refused with a reason.  An accepted name leads to no other directory.
 */
#include <string.h>

#include "handler/cfgstring.h"
#include "tests/fuzz/fuzz.h"

int LLVMFuzzerTestOneInput(const guint8 *data, gsize size)
{
	g_autofree char *text = g_strndup((const char *)data, size);
	g_autoptr(GError) error = NULL;
	g_autoptr(CfgString) cfgstring = cfgstring_parse(text, &error);
	g_autofree char *name = NULL;

	fuzz_assert(!cfgstring == (error != NULL));
	if (!cfgstring)
		return 0;
	name = volume_name_format(cfgstring->volume);
	fuzz_assert(!strstr(name, "/../") && strlen(name) <= CFGSTRING_MAX);
	fuzz_assert(cfgstring->volume->pool ? !strchr(cfgstring->volume->name, '/')
					    : *cfgstring->volume->name == '/');
	return 0;
}
