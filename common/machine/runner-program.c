/* SPDX-License-Identifier: Apache-2.0 */
#include "common/machine/runner-program.h"

#include <string.h>

#include "common/machine/elf-image.h"
#include "common/machine/libraries.h"

#define PROGRAM_MAX ((gsize)64 << 20)

/* ---- the program and its library */

typedef struct {
	ElfImage program, library;
	char *program_data, *library_data;
} Images;

static void images_clear(Images *images)
{
	g_free(images->program_data);
	g_free(images->library_data);
}
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(Images, images_clear)

static char *elf_read(const Sysroot *sysroot, const char *path, ElfImage *ret_image)
{
	gsize length = 0;
	char *data = sysroot_read(sysroot, path, PROGRAM_MAX, &length, NULL);

	ret_image->data = (const guint8 *)data;
	ret_image->length = length;
	return data;
}

static void images_load_library(const Sysroot *sysroot, Images *images)
{
	g_autofree char *name = elf_image_needs(&images->program, "libtcmu.so");
	g_autofree char *path = name ? libraries_find(sysroot, name) : NULL;

	if (path)
		images->library_data = elf_read(sysroot, path, &images->library);
}

/* A plugin sees the symbols of the program and of its library. */
static gboolean images_have_symbol(const char *symbol, gconstpointer data)
{
	const Images *images = data;

	return elf_image_exports(&images->program, symbol) ||
	       elf_image_exports(&images->library, symbol);
}

/* "1.5.4", "v1.4.0-106.gd17d24e" */
static gboolean is_version(const char *text)
{
	guint dots = 0;

	text += *text == 'v';
	if (!g_ascii_isdigit(*text))
		return FALSE;
	for (; g_ascii_isdigit(*text) || *text == '.'; text++)
		if (*text == '.' && (!g_ascii_isdigit(text[1]) || ++dots > 2))
			return FALSE;
	return dots == 2 && (!*text || (*text == '-' && strlen(text) < 40 && !strchr(text, ' ')));
}

static gboolean is_handler_directory(const char *text)
{
	return *text == '/' && g_str_has_suffix(text, "/tcmu-runner") &&
	       strstr(text, "lib") != NULL;
}

/* ---- plugins */

static char *handlers_usual_directory(const Sysroot *sysroot)
{
	g_autoptr(GPtrArray) directories = libraries_directories(sysroot);

	for (guint i = 0; i < directories->len; i++) {
		g_autofree char *path =
			g_build_filename(g_ptr_array_index(directories, i), "tcmu-runner", NULL);

		if (sysroot_has_directory(sysroot, path))
			return g_steal_pointer(&path);
	}
	return NULL;
}

/* Sets `plugin` and `copies`.  The runner loads every file whose name begins with "handler_", a
 * backup copy of a plugin included. */
static void handlers_look_for_plugins(const Sysroot *sysroot, RunnerProgram *program)
{
	g_autoptr(GPtrArray) names = sysroot_list(sysroot, program->directory);

	for (guint i = 0; i < names->len; i++) {
		const char *name = g_ptr_array_index(names, i);
		char *path;

		if (!g_str_has_prefix(name, "handler_") || !strstr(name, "storageos"))
			continue;
		path = g_build_filename(program->directory, name, NULL);
		if (!strcmp(name, RUNNER_PLUGIN) && sysroot_has_file(sysroot, path))
			program->plugin = path;
		else
			g_ptr_array_add(program->copies, path);
	}
}

static char *runner_find(const Sysroot *sysroot)
{
	static const char *const places[] = {
		"/usr/bin/tcmu-runner",	      "/usr/sbin/tcmu-runner",
		"/usr/local/bin/tcmu-runner", "/usr/local/sbin/tcmu-runner",
		"/bin/tcmu-runner",	      "/sbin/tcmu-runner"};

	for (guint i = 0; i < G_N_ELEMENTS(places); i++)
		if (sysroot_has_file(sysroot, places[i]))
			return g_strdup(places[i]);
	return NULL;
}

static void runner_examine(const Sysroot *sysroot, RunnerProgram *program)
{
	g_auto(Images) images = {0};

	images.program_data = elf_read(sysroot, program->program, &images.program);
	images_load_library(sysroot, &images);
	program->generation = runner_generation_tell(images_have_symbol, &images);
	program->version = elf_image_find_text(&images.program, is_version);
	if (!program->directory)
		program->directory = elf_image_find_text(&images.program, is_handler_directory);
}

void runner_program_examine(const Sysroot *sysroot, const char *program, const char *directory,
			    RunnerProgram *ret_program)
{
	memset(ret_program, 0, sizeof *ret_program);
	ret_program->copies = g_ptr_array_new_with_free_func(g_free);
	ret_program->program = program ? g_strdup(program) : runner_find(sysroot);
	ret_program->directory = g_strdup(directory);
	if (ret_program->program)
		runner_examine(sysroot, ret_program);
	if (!ret_program->directory || !sysroot_has_directory(sysroot, ret_program->directory)) {
		g_free(ret_program->directory);
		ret_program->directory = handlers_usual_directory(sysroot);
	}
	if (ret_program->directory)
		handlers_look_for_plugins(sysroot, ret_program);
}

void runner_program_clear(RunnerProgram *program)
{
	g_clear_pointer(&program->program, g_free);
	g_clear_pointer(&program->version, g_free);
	g_clear_pointer(&program->directory, g_free);
	g_clear_pointer(&program->plugin, g_free);
	g_clear_pointer(&program->copies, g_ptr_array_unref);
}
