/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/hooks.h"

#include <string.h>
#include <unistd.h>

#define NAME_LETTERS "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_"

static gint path_compare(gconstpointer a, gconstpointer b)
{
	return strcmp(*(const char *const *)a, *(const char *const *)b);
}

/* Files that package managers and editors leave have other letters in their names. */
GPtrArray *hooks_find(const Config *config, const char *directory)
{
	GPtrArray *paths = g_ptr_array_new_with_free_func(g_free);
	g_autofree char *beside = g_path_get_dirname(config->file);
	g_autofree char *whole = g_build_filename(beside, directory, NULL);
	g_autoptr(GDir) dir = g_dir_open(whole, 0, NULL);
	const char *name;

	while (dir && (name = g_dir_read_name(dir))) {
		char *path = g_build_filename(whole, name, NULL);

		if (strspn(name, NAME_LETTERS) == strlen(name) &&
		    g_file_test(path, G_FILE_TEST_IS_REGULAR) && !access(path, X_OK))
			g_ptr_array_add(paths, path);
		else
			g_free(path);
	}
	g_ptr_array_sort(paths, path_compare);
	return paths;
}
