/* SPDX-License-Identifier: Apache-2.0 */
#include "common/platform.h"

#include <stdlib.h>
#include <string.h>

#include "common/files.h"

#define OS_RELEASE_MAX 65536

static char *os_release_text(void)
{
	char *text = files_read("/etc/os-release", OS_RELEASE_MAX, NULL, NULL);

	return text ? text : files_read("/usr/lib/os-release", OS_RELEASE_MAX, NULL, NULL);
}

/* The value of one key of os-release, or "". */
static char *os_release(const char *key)
{
	g_autofree char *text = os_release_text();
	g_auto(GStrv) lines = text ? g_strsplit(text, "\n", 0) : NULL;
	gsize length = strlen(key);

	for (guint i = 0; lines && lines[i]; i++)
		if (!strncmp(lines[i], key, length) && lines[i][length] == '=') {
			char *value = g_shell_unquote(lines[i] + length + 1, NULL);

			return value ? value : g_strdup("");
		}
	return g_strdup("");
}

/* Kernels that distributions build for one cloud, by how their release ends. */
static const struct {
	const char *suffix, *words;
} flavours[] = {
	{"-aws", ", kernel for AWS"},
	{"-azure", ", kernel for Azure"},
	{"-gke", ", kernel for GKE"},
	{"-gcp", ", kernel for Google Cloud"},
};

static const char *flavour_words(const char *kernel_release)
{
	for (guint i = 0; i < G_N_ELEMENTS(flavours); i++)
		if (g_str_has_suffix(kernel_release, flavours[i].suffix))
			return flavours[i].words;
	return "";
}

char *platform_name(const char *kernel_release)
{
	g_autofree char *name = os_release("NAME");
	g_autofree char *version = os_release("VERSION_ID");

	return g_strdup_printf("%s%s%s%s", *name ? name : "unknown distribution",
			       *version ? " " : "", version, flavour_words(kernel_release));
}

static char *ubuntu_advice(const char *kernel_release, const char *version)
{
	gboolean old = atoi(version) < 18; /* its kernels never had TCMU */

	if (g_str_has_suffix(kernel_release, "-gke"))
		return old ? g_strdup("there are no LIO modules for this kernel") : NULL;
	if (*flavour_words(kernel_release))
		return g_strdup(old ? "the generic kernel brings LIO, not TCMU"
				    : "for TCMU use the generic kernel");
	if (old)
		return g_strdup_printf("linux-image-extra-%s brings LIO only", kernel_release);
	return g_strdup_printf("install linux-modules-extra-%s (linux-image-extra-%s on older "
			       "kernels)",
			       kernel_release, kernel_release);
}

char *platform_kernel_advice(const char *kernel_release)
{
	g_autofree char *id = os_release("ID");
	g_autofree char *version = os_release("VERSION_ID");

	return !strcmp(id, "ubuntu") ? ubuntu_advice(kernel_release, version) : NULL;
}

char *platform_install_advice(const char *program)
{
	g_autofree char *id = os_release("ID");
	g_autofree char *like = os_release("ID_LIKE");
	gboolean debian = !strcmp(id, "debian") || strstr(like, "debian");
	gboolean fb = debian && !strcmp(program, "targetcli");

	return g_strdup_printf("%s %s%s", debian ? "apt-get install" : "yum install", program,
			       fb ? "-fb" : "");
}
