/* SPDX-License-Identifier: Apache-2.0 */
#include "common/service/control-address.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>

#include "common/base/autofd.h"
#include "common/base/error.h"
#include "common/base/fd.h"
#include "common/base/files.h"
#include "common/base/names.h"
#include "common/base/text.h"

/* Of a long name. */
#define CUT_LENGTH 40
#define DIGEST_LENGTH 20
#define UTF8_MAX 4

char *control_name(const VolumeName *volume)
{
	g_autofree char *text = volume_name_format(volume);
	g_autofree char *digest = NULL;

	g_strdelimit(text, "/", ':');
	if (strlen(text) <= NAME_LENGTH_MAX)
		return g_steal_pointer(&text);
	digest = g_compute_checksum_for_string(G_CHECKSUM_SHA256, text, -1);
	text[text_whole_length(text, CUT_LENGTH)] = '\0';
	return g_strdup_printf("%s~%.*s", text, DIGEST_LENGTH, digest);
}

/* The length of what a long name was cut to; 0: the name was not cut. */
static gsize cut_length(const char *socket)
{
	const char *mark = strrchr(socket, '~');
	gsize length = mark ? (gsize)(mark - socket) : 0;

	return length + UTF8_MAX > CUT_LENGTH && length <= CUT_LENGTH &&
			       strlen(mark + 1) == DIGEST_LENGTH &&
			       strspn(mark + 1, "0123456789abcdef") == DIGEST_LENGTH
		       ? length
		       : 0;
}

char *control_name_volume(const char *socket)
{
	gsize cut = cut_length(socket);
	g_autofree char *text = cut ? g_strndup(socket, cut) : g_strdup(socket);
	g_autoptr(VolumeName) name = NULL;
	g_autofree char *again = NULL;

	g_strdelimit(text, ":", '/');
	if (cut)
		return g_steal_pointer(&text);
	name = volume_name_parse_any(text, NULL);
	again = name ? control_name(name) : NULL;
	return g_strcmp0(again, socket) ? NULL : g_steal_pointer(&text);
}

static char *directory_path(const Config *config)
{
	return g_build_filename(config->run_directory, "control", NULL);
}

int control_directory_open(const Config *config)
{
	g_autofree char *path = directory_path(config);

	return fd_open(path, O_PATH | O_DIRECTORY, 0);
}

int control_directory_make(const Config *config, GError **error)
{
	g_autofree char *path = directory_path(config);
	autofd fd = -1;

	if (!files_make_directory(config->run_directory, error))
		return -1;
	if ((mkdir(path, 0700) && errno != EEXIST) || (fd = control_directory_open(config)) < 0) {
		error_set_errno(error, errno, "create the directory");
		return -1;
	}
	return autofd_steal(&fd);
}

void control_address(int directory, const char *name, struct sockaddr_un *ret_address)
{
	*ret_address = (struct sockaddr_un){.sun_family = AF_UNIX};
	g_snprintf(ret_address->sun_path, sizeof ret_address->sun_path, "/proc/self/fd/%d/%s",
		   directory, name);
}

static int compare_names(gconstpointer a, gconstpointer b)
{
	return strcmp(*(const char *const *)a, *(const char *const *)b);
}

GPtrArray *control_list(const Config *config, GError **error)
{
	g_autoptr(GPtrArray) names = g_ptr_array_new_with_free_func(g_free);
	g_autofree char *path = directory_path(config);
	g_autoptr(GError) problem = NULL;
	g_autoptr(GDir) dir = g_dir_open(path, 0, &problem);
	const char *name;

	if (!dir && !g_error_matches(problem, G_FILE_ERROR, G_FILE_ERROR_NOENT)) {
		error_set(error, STORAGEOS_ERROR_IO, "%s", problem->message);
		return NULL;
	}
	while (dir && (name = g_dir_read_name(dir)))
		if (*name != '.') /* still being created */
			g_ptr_array_add(names, g_strdup(name));
	g_ptr_array_sort(names, compare_names);
	return g_steal_pointer(&names);
}
