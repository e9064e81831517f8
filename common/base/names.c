/* SPDX-License-Identifier: Apache-2.0 */
#include "common/base/names.h"

#include <string.h>

gboolean name_valid(const char *name)
{
	static const char letters[] = "abcdefghijklmnopqrstuvwxyz0123456789._-";
	size_t length = name ? strnlen(name, NAME_LENGTH_MAX + 1) : 0;

	return length && length <= NAME_LENGTH_MAX && strspn(name, letters) == length &&
	       g_ascii_isalnum(*name);
}
