/* SPDX-License-Identifier: Apache-2.0 */
#include "common/machine/platform.h"

#include <string.h>

#include "common/base/error.h"

#define OS_RELEASE_MAX 65536
#define VALUE_MAX 64

/* ---- os-release */

/* The text of os-release, or NULL.  If a file exists but cannot be read, *ret_problem says why. */
static char *os_release_read(const Sysroot *sysroot, char **ret_problem)
{
	static const char *const places[] = {"/etc/os-release", "/usr/lib/os-release"};

	for (guint i = 0; i < G_N_ELEMENTS(places); i++) {
		g_autoptr(GError) error = NULL;
		char *text = sysroot_read(sysroot, places[i], OS_RELEASE_MAX, NULL, &error);

		if (text)
			return text;
		if (!*ret_problem &&
		    !g_error_matches(error, STORAGEOS_ERROR, STORAGEOS_ERROR_NOT_FOUND))
			*ret_problem = g_strdup(error->message);
	}
	return NULL;
}

/* Keeps the printable characters of a value, about VALUE_MAX bytes of them: the file is not
 * trusted, and its values are printed on terminals. */
static char *value_sanitize(const char *value)
{
	g_autofree char *valid = g_utf8_make_valid(value, -1);
	GString *clean = g_string_new(NULL);

	for (const char *at = valid; *at && clean->len < VALUE_MAX; at = g_utf8_next_char(at))
		if (g_unichar_isprint(g_utf8_get_char(at)))
			g_string_append_unichar(clean, g_utf8_get_char(at));
	return g_strstrip(g_string_free(clean, FALSE));
}

/* The value of one key, or "". */
static char *os_release_value(char **lines, const char *key)
{
	gsize length = strlen(key);

	for (guint i = 0; lines && lines[i]; i++)
		if (!strncmp(lines[i], key, length) && lines[i][length] == '=') {
			g_autofree char *line = g_strchomp(g_strdup(lines[i]));
			g_autofree char *value = g_shell_unquote(line + length + 1, NULL);

			return value_sanitize(value ? value : line + length + 1);
		}
	return g_strdup("");
}

/* ---- the kernel's flavour */

/* The flavour in a kernel release: the word behind the last '-' ("aws" in "4.15.0-1021-aws").
 * Amazon and Debian put it elsewhere. */
static char *flavour_of(const char *release)
{
	const char *dash = strrchr(release, '-');

	if (strstr(release, ".amzn"))
		return g_strdup("amzn");
	if (strstr(release, "-cloud-"))
		return g_strdup("cloud");
	return g_strdup(dash && g_ascii_isalpha(dash[1]) ? dash + 1 : "");
}

/* Flavours that distributions build for clouds, and how they are shown. */
static const struct {
	const char *flavour, *words;
} clouds[] = {
	{"aws", ", kernel for AWS"},
	{"azure", ", kernel for Azure"},
	{"gke", ", kernel for GKE"},
	{"gcp", ", kernel for Google Cloud"},
	{"oracle", ", kernel for Oracle Cloud"},
	{"kvm", ", kernel for KVM"},
	{"cloud", ", kernel for clouds"},
};

static const char *cloud_words(const Platform *platform)
{
	for (guint i = 0; i < G_N_ELEMENTS(clouds); i++)
		if (!strcmp(platform->flavour, clouds[i].flavour))
			return clouds[i].words;
	return platform->digitalocean ? " on DigitalOcean" : "";
}

/* By the machine's vendor (DMI), the files of cloud-init, or the directory of the provider's
 * agent. */
static gboolean machine_is_digitalocean(const Sysroot *sysroot)
{
	static const char *const places[] = {
		"/sys/class/dmi/id/sys_vendor", "/run/cloud-init/result.json",
		"/var/lib/cloud/data/result.json", "/var/lib/cloud/instance/datasource"};

	for (guint i = 0; i < G_N_ELEMENTS(places); i++) {
		g_autofree char *text =
			sysroot_read(sysroot, places[i], OS_RELEASE_MAX, NULL, NULL);

		if (text && strstr(text, "DigitalOcean"))
			return TRUE;
	}
	return sysroot_has_directory(sysroot, "/opt/digitalocean");
}

/* ---- packages */

static const struct {
	const char *id;
	Packages packages;
} families[] = {
	{"debian", PACKAGES_APT},  {"ubuntu", PACKAGES_APT},	  {"rhel", PACKAGES_DNF},
	{"fedora", PACKAGES_DNF},  {"centos", PACKAGES_DNF},	  {"amzn", PACKAGES_DNF},
	{"suse", PACKAGES_ZYPPER}, {"opensuse", PACKAGES_ZYPPER}, {"sles", PACKAGES_ZYPPER},
	{"alpine", PACKAGES_APK},  {"arch", PACKAGES_PACMAN},
};

/* By the distribution's ID, or else by the distributions that it is derived from (ID_LIKE). */
static Packages packages_of(const char *id, const char *like)
{
	g_autofree char *all = g_strjoin(" ", id, like, NULL);
	g_auto(GStrv) words = g_strsplit(all, " ", 0);

	for (guint i = 0; words[i]; i++)
		for (guint j = 0; j < G_N_ELEMENTS(families); j++)
			if (!strcmp(words[i], families[j].id))
				return families[j].packages;
	return PACKAGES_OTHER;
}

static const char *install_command(const Platform *platform)
{
	switch (platform->packages) {
	case PACKAGES_APT:
		return "apt-get install";
	case PACKAGES_DNF:
		return !strcmp(platform->version, "7") ||
				       g_str_has_prefix(platform->version, "7.") ||
				       !strcmp(platform->version, "2")
			       ? "yum install"
			       : "dnf install";
	case PACKAGES_ZYPPER:
		return "zypper install";
	case PACKAGES_APK:
		return "apk add";
	case PACKAGES_PACMAN:
		return "pacman -S";
	case PACKAGES_OTHER:
		return "install";
	}
	return "install";
}

/* The distribution's name for a package. */
static const char *package_of(const Platform *platform, const char *program)
{
	gboolean fb = platform->packages == PACKAGES_APT || platform->packages == PACKAGES_PACMAN;

	if (!strcmp(program, "targetcli"))
		return fb ? "targetcli-fb"
			  : (platform->packages == PACKAGES_ZYPPER ? "python3-targetcli-fb"
								   : program);
	return program;
}

char *platform_install_step(const Platform *platform, const char *const *programs)
{
	GString *step = g_string_new(install_command(platform));

	for (guint i = 0; programs[i]; i++)
		g_string_append_printf(step, " %s", package_of(platform, programs[i]));
	return g_string_free(step, FALSE);
}

/* ---- detection */

static char *full_name(const Platform *platform, const char *name)
{
	return g_strdup_printf("%s%s%s%s", *name ? name : "unknown distribution",
			       *platform->version ? " " : "", platform->version,
			       cloud_words(platform));
}

Platform *platform_detect(const Sysroot *sysroot, const char *kernel_release)
{
	Platform *platform = g_new0(Platform, 1);
	g_autofree char *text = os_release_read(sysroot, &platform->problem);
	g_auto(GStrv) lines = text ? g_strsplit(text, "\n", 0) : NULL;
	g_autofree char *name = os_release_value(lines, "NAME");
	g_autofree char *like = os_release_value(lines, "ID_LIKE");

	if (text)
		g_clear_pointer(&platform->problem, g_free);
	platform->id = os_release_value(lines, "ID");
	platform->version = os_release_value(lines, "VERSION_ID");
	platform->flavour = flavour_of(kernel_release);
	platform->packages = packages_of(platform->id, like);
	platform->digitalocean = machine_is_digitalocean(sysroot);
	platform->name = full_name(platform, name);
	return platform;
}

void platform_free(Platform *platform)
{
	if (!platform)
		return;
	g_free(platform->id);
	g_free(platform->version);
	g_free(platform->name);
	g_free(platform->flavour);
	g_free(platform->problem);
	g_free(platform);
}
