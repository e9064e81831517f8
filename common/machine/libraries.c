/* SPDX-License-Identifier: Apache-2.0 */
#include "common/machine/libraries.h"

#include <string.h>

GPtrArray *libraries_directories(const Sysroot *sysroot)
{
	static const char *const places[] = {"/usr/lib64", "/lib64", "/usr/local/lib64",
					     "/usr/lib",   "/lib",   "/usr/local/lib"};
	GPtrArray *directories = g_ptr_array_new_with_free_func(g_free);

	for (guint i = 0; i < G_N_ELEMENTS(places); i++) {
		g_autoptr(GPtrArray) names = sysroot_list(sysroot, places[i]);

		g_ptr_array_add(directories, g_strdup(places[i]));
		for (guint j = 0; j < names->len; j++)
			if (strstr(g_ptr_array_index(names, j), "-linux-gnu"))
				g_ptr_array_add(directories,
						g_build_filename(places[i],
								 g_ptr_array_index(names, j),
								 NULL));
	}
	return directories;
}

char *libraries_find(const Sysroot *sysroot, const char *name)
{
	g_autoptr(GPtrArray) directories = libraries_directories(sysroot);

	for (guint i = 0; i < directories->len; i++) {
		g_autofree char *path =
			g_build_filename(g_ptr_array_index(directories, i), name, NULL);

		if (sysroot_has_file(sysroot, path))
			return g_steal_pointer(&path);
	}
	return NULL;
}
