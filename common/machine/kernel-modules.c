/* SPDX-License-Identifier: Apache-2.0 */
#include "common/machine/kernel-modules.h"

#include <stdio.h>
#include <string.h>
#include <sys/utsname.h>

#include "common/base/error.h"

#define INDEX_MAX ((gsize)32 << 20)
#define PROC_MAX ((gsize)4 << 20)

const char *module_state_name(ModuleState state)
{
	switch (state) {
	case MODULE_MISSING:
		return "missing";
	case MODULE_LOADABLE:
		return "loadable";
	case MODULE_LOADED:
		return "loaded";
	case MODULE_BUILT_IN:
		return "built in";
	}
	return "?";
}

/* ---- lines */

static gboolean is_word(const char *at, gsize length, const char *name)
{
	if (strlen(name) != length)
		return FALSE;
	for (gsize i = 0; i < length; i++)
		if (at[i] != name[i] && !(at[i] == '-' && name[i] == '_'))
			return FALSE;
	return TRUE;
}

static gboolean first_word_is(const char *line, const char *name)
{
	return is_word(line, strcspn(line, " \t\n"), name);
}

/* Of /proc/modules: another process is loading the module, which cannot be used yet. */
static gboolean is_being_loaded(const char *line, const char *name)
{
	return first_word_is(line, name) &&
	       g_strstr_len(line, (gssize)strcspn(line, "\n"), " Loading ");
}

static gboolean last_word_is(const char *line, const char *name)
{
	gsize end = strcspn(line, "\n"), start = end;

	while (start && !strchr(" \t", line[start - 1]))
		start--;
	return is_word(line + start, end - start, name);
}

/* "kernel/drivers/target/target_core_user.ko.xz: ..." */
static gboolean line_is_of_file(const char *line, const char *name)
{
	gsize end = strcspn(line, ":\n");
	const char *slash = g_strrstr_len(line, (gssize)end, "/");
	const char *base = slash ? slash + 1 : line;
	const char *dot = g_strstr_len(base, (gssize)(line + end - base), ".ko");

	return dot && is_word(base, (gsize)(dot - base), name);
}

typedef gboolean (*LineTest)(const char *line, const char *name);

/* The first line that passes, or NULL. */
static const char *line_find(const char *text, LineTest test, const char *name)
{
	for (const char *line = text; line && *line; line++) {
		if (test(line, name))
			return line;
		line = strchr(line, '\n');
		if (!line)
			break;
	}
	return NULL;
}

static gboolean file_has_line(const Sysroot *sysroot, const char *path, LineTest test,
			      const char *name)
{
	g_autofree char *text = sysroot_read(sysroot, path, PROC_MAX, NULL, NULL);

	return line_find(text, test, name) != NULL;
}

/* ---- kernels */

static const char *const module_directories[] = {"/lib/modules", "/usr/lib/modules"};

static void kernel_find_directory(Kernel *kernel)
{
	for (guint i = 0; !kernel->directory && i < G_N_ELEMENTS(module_directories); i++) {
		g_autofree char *path =
			g_build_filename(module_directories[i], kernel->release, NULL);

		if (sysroot_has_directory(kernel->sysroot, path))
			kernel->directory = g_steal_pointer(&path);
	}
}

static char *kernel_read_index(const Kernel *kernel, const char *name)
{
	g_autofree char *path =
		kernel->directory ? g_build_filename(kernel->directory, name, NULL) : NULL;

	return path ? sysroot_read(kernel->sysroot, path, INDEX_MAX, NULL, NULL) : NULL;
}

static gboolean loading_is_allowed(const Sysroot *sysroot)
{
	g_autofree char *text =
		sysroot_read(sysroot, "/proc/sys/kernel/modules_disabled", 64, NULL, NULL);

	return !text || *text != '1';
}

static Kernel *kernel_new(const Sysroot *sysroot, const char *release, gboolean running)
{
	Kernel *kernel = g_new0(Kernel, 1);

	kernel->sysroot = sysroot;
	kernel->release = g_strdup(release);
	kernel->running = running;
	kernel->may_load = !running || loading_is_allowed(sysroot);
	kernel->config = kernel_config_load(sysroot, release, running);
	kernel_find_directory(kernel);
	kernel->loadable = kernel_read_index(kernel, "modules.dep");
	kernel->built_in = kernel_read_index(kernel, "modules.builtin");
	return kernel;
}

Kernel *kernel_running(const Sysroot *sysroot)
{
	struct utsname u;

	return kernel_new(sysroot, uname(&u) ? "unknown" : u.release, TRUE);
}

gboolean kernel_is_at_least(guint major_number, guint minor_number)
{
	struct utsname name;
	guint major_here, minor_here;

	return !uname(&name) && sscanf(name.release, "%u.%u", &major_here, &minor_here) == 2 &&
	       (major_here > major_number ||
		(major_here == major_number && minor_here >= minor_number));
}

static gint release_newer_first(gconstpointer a, gconstpointer b)
{
	return strverscmp(*(const char *const *)b, *(const char *const *)a);
}

static void releases_add(GPtrArray *releases, const char *release)
{
	for (guint i = 0; i < releases->len; i++)
		if (!strcmp(g_ptr_array_index(releases, i), release))
			return;
	g_ptr_array_add(releases, g_strdup(release));
}

/* Whether the directory has modules or an image of a kernel.  A removed kernel may leave its
 * directory behind, with modules that were built locally. */
static gboolean directory_is_kernel(const Sysroot *sysroot, const char *directory, const char *name)
{
	static const char *const marks[] = {"modules.dep", "modules.builtin", "modules.order",
					    "kernel", "vmlinuz"};

	for (guint i = 0; i < G_N_ELEMENTS(marks); i++) {
		g_autofree char *path = g_build_filename(directory, name, marks[i], NULL);
		struct stat st;

		if (sysroot_stat(sysroot, path, &st))
			return TRUE;
	}
	return FALSE;
}

/* Adds the releases that have only a configuration in /boot: kernels without modules.  (A removed
 * kernel may leave its configuration, too.) */
static void releases_add_configured(const Sysroot *sysroot, GPtrArray *releases)
{
	g_autoptr(GPtrArray) names = sysroot_list(sysroot, "/boot");

	for (guint i = names->len; i > 0; i--) {
		const char *name = g_ptr_array_index(names, i - 1);

		if (g_str_has_prefix(name, "config-"))
			releases_add(releases, name + strlen("config-"));
	}
}

GPtrArray *kernel_list(const Sysroot *sysroot)
{
	GPtrArray *releases = g_ptr_array_new_with_free_func(g_free);

	for (guint i = 0; i < G_N_ELEMENTS(module_directories); i++) {
		g_autoptr(GPtrArray) names = sysroot_list(sysroot, module_directories[i]);

		for (guint j = 0; j < names->len; j++)
			if (directory_is_kernel(sysroot, module_directories[i],
						g_ptr_array_index(names, j)))
				releases_add(releases, g_ptr_array_index(names, j));
	}
	g_ptr_array_sort(releases, release_newer_first);
	releases_add_configured(sysroot, releases);
	return releases;
}

static gboolean releases_contain(const GPtrArray *releases, const char *release)
{
	for (guint i = 0; i < releases->len; i++)
		if (!strcmp(g_ptr_array_index(releases, i), release))
			return TRUE;
	return FALSE;
}

/* The release of the kernel that runs.  The root of a container's host has a /proc that says so; an
 * image has none, and the result is NULL. */
static char *running_release(const Sysroot *sysroot)
{
	char *release = sysroot_read(sysroot, "/proc/sys/kernel/osrelease", 256, NULL, NULL);

	return release ? g_strchomp(release) : NULL;
}

Kernel *kernel_find(const Sysroot *sysroot, const char *release, GError **error)
{
	g_autoptr(GPtrArray) releases = kernel_list(sysroot);
	g_autofree char *runs = running_release(sysroot);
	g_autofree char *all = NULL;

	if (!releases->len) {
		error_set(error, STORAGEOS_ERROR_NOT_FOUND,
			  "no kernel %s%sin %s (nothing in lib/modules, no boot/config-*)",
			  release ? release : "", release ? " " : "", sysroot_directory(sysroot));
		return NULL;
	}
	if (!release && runs && releases_contain(releases, runs))
		release = runs;
	if (!release || releases_contain(releases, release))
		return kernel_new(sysroot, release ? release : g_ptr_array_index(releases, 0),
				  FALSE);
	g_ptr_array_add(releases, NULL);
	all = g_strjoinv(", ", (char **)releases->pdata);
	error_set(error, STORAGEOS_ERROR_NOT_FOUND, "no kernel %s in %s (installed: %s)", release,
		  sysroot_directory(sysroot), all);
	return NULL;
}

void kernel_free(Kernel *kernel)
{
	if (!kernel)
		return;
	kernel_config_free(kernel->config);
	g_free(kernel->release);
	g_free(kernel->directory);
	g_free(kernel->loadable);
	g_free(kernel->built_in);
	g_free(kernel);
}

/* ---- modules */

/* Whether the module shows itself in /sys or /proc.  Works without an index of modules (in a
 * container) and without a configuration. */
static gboolean module_shows_itself(const Kernel *kernel, const char *name)
{
	g_autofree char *sys = g_build_filename("/sys/module", name, NULL);

	return sysroot_has_directory(kernel->sysroot, sys) ||
	       file_has_line(kernel->sysroot, "/proc/filesystems", last_word_is, name) ||
	       file_has_line(kernel->sysroot, "/proc/devices", last_word_is, name);
}

/* Also checks that the file exists: it may have been removed after the index was made. */
static gboolean module_is_loadable(const Kernel *kernel, const char *name)
{
	const char *line = line_find(kernel->loadable, line_is_of_file, name);
	g_autofree char *file = line ? g_strndup(line, strcspn(line, ":\n")) : NULL;
	g_autofree char *path = NULL;

	if (!file)
		return FALSE;
	path = *file == '/' ? g_strdup(file) : g_build_filename(kernel->directory, file, NULL);
	return sysroot_has_file(kernel->sysroot, path);
}

KernelOption kernel_module_option(const Kernel *kernel, const char *options)
{
	g_auto(GStrv) names = g_strsplit(options, " ", 0);
	KernelOption best = KERNEL_OPTION_UNKNOWN;

	for (guint i = 0; names[i]; i++) {
		KernelOption option = kernel_config_option(kernel->config, names[i]);

		best = MAX(best, option);
	}
	return best;
}

ModuleState kernel_module_state(const Kernel *kernel, const char *name, const char *options)
{
	if (kernel->running && module_is_loadable(kernel, name) &&
	    file_has_line(kernel->sysroot, "/proc/modules", is_being_loaded, name))
		return MODULE_LOADABLE;
	if (kernel->running && file_has_line(kernel->sysroot, "/proc/modules", first_word_is, name))
		return MODULE_LOADED;
	if ((kernel->running && module_shows_itself(kernel, name)) ||
	    line_find(kernel->built_in, line_is_of_file, name) ||
	    kernel_module_option(kernel, options) == KERNEL_OPTION_BUILT_IN)
		return MODULE_BUILT_IN;
	return module_is_loadable(kernel, name) ? MODULE_LOADABLE : MODULE_MISSING;
}
