/* SPDX-License-Identifier: Apache-2.0 */
#include "common/machine/compatibility.h"

#include <stdlib.h>
#include <string.h>

#define UBUNTU_EXTRA "install linux-image-extra-%s (on newer kernels linux-modules-extra-%s)"
#define UBUNTU_LIO_ONLY "linux-image-extra-%s brings LIO only"

typedef enum {
	KERNEL_ANY,
	KERNEL_STANDARD,
	KERNEL_DIGITALOCEAN,
	KERNEL_AWS,
	KERNEL_GKE
} KernelKind;

/* The platforms that a row applies to.  The first row that matches a platform is its row. */
typedef struct {
	const char *id;
	int from, to; /* major versions, both included */
	KernelKind kernel;
	CompatibilityRow row;
} TableRow;

/* clang-format off */
static const TableRow table[] = {
	{"rhel", 7, 8, KERNEL_ANY,
	 {"RHEL 7 and 8", COMPATIBILITY_YES, COMPATIBILITY_YES, NULL, FALSE}},
	{"centos", 7, 7, KERNEL_ANY,
	 {"CentOS 7", COMPATIBILITY_YES, COMPATIBILITY_YES, NULL, FALSE}},
	{"ubuntu", 18, 18, KERNEL_STANDARD,
	 {"Ubuntu 18.04, standard", COMPATIBILITY_EXTRA, COMPATIBILITY_EXTRA, UBUNTU_EXTRA, FALSE}},
	{"ubuntu", 16, 16, KERNEL_STANDARD,
	 {"Ubuntu 16.04, standard", COMPATIBILITY_EXTRA, COMPATIBILITY_NO, UBUNTU_LIO_ONLY, TRUE}},
	{"amzn", 2, 2, KERNEL_ANY,
	 {"Amazon Linux 2", COMPATIBILITY_YES, COMPATIBILITY_NO, NULL, FALSE}},
	{"ubuntu", 18, 18, KERNEL_AWS,
	 {"Ubuntu 18.04, AWS-optimised kernel", COMPATIBILITY_NO, COMPATIBILITY_NO,
	  "for TCMU use the generic kernel", FALSE}},
	{"ubuntu", 16, 16, KERNEL_AWS,
	 {"Ubuntu 16.04, AWS-optimised kernel", COMPATIBILITY_NO, COMPATIBILITY_NO,
	  "the generic kernel brings LIO, not TCMU", TRUE}},
	{"ubuntu", 18, 18, KERNEL_GKE,
	 {"Ubuntu 18.04, GKE-optimised kernel", COMPATIBILITY_YES, COMPATIBILITY_YES, NULL, FALSE}},
	{"ubuntu", 16, 16, KERNEL_GKE,
	 {"Ubuntu 16.04, GKE-optimised kernel", COMPATIBILITY_NO, COMPATIBILITY_NO,
	  "no LIO modules for this kernel", TRUE}},
	{"ubuntu", 18, 18, KERNEL_DIGITALOCEAN,
	 {"Ubuntu 18.04 on DigitalOcean", COMPATIBILITY_EXTRA, COMPATIBILITY_EXTRA, UBUNTU_EXTRA,
	  FALSE}},
	{"ubuntu", 16, 16, KERNEL_DIGITALOCEAN,
	 {"Ubuntu 16.04 on DigitalOcean", COMPATIBILITY_EXTRA, COMPATIBILITY_NO, UBUNTU_LIO_ONLY,
	  TRUE}},
	{"debian", 9, 12, KERNEL_ANY,
	 {"Debian 9 to 12", COMPATIBILITY_YES, COMPATIBILITY_YES, NULL, FALSE}},
};
/* clang-format on */

static const CompatibilityRow azure = {"Ubuntu on Azure", COMPATIBILITY_YES, COMPATIBILITY_YES,
				       NULL, FALSE};
static const CompatibilityRow any_other = {"any other", COMPATIBILITY_LOOK, COMPATIBILITY_LOOK,
					   NULL, FALSE};

static gboolean has_flavour(const Platform *platform, const char *flavour)
{
	return !strcmp(platform->flavour, flavour);
}

static gboolean is_standard(const Platform *platform)
{
	return has_flavour(platform, "generic") || has_flavour(platform, "lowlatency");
}

static gboolean kernel_fits(const Platform *platform, KernelKind kernel)
{
	switch (kernel) {
	case KERNEL_ANY:
		return TRUE;
	case KERNEL_STANDARD:
		return is_standard(platform) && !platform->digitalocean;
	case KERNEL_DIGITALOCEAN:
		return is_standard(platform) && platform->digitalocean;
	case KERNEL_AWS:
		return has_flavour(platform, "aws");
	case KERNEL_GKE:
		return has_flavour(platform, "gke");
	}
	return FALSE;
}

const CompatibilityRow *compatibility_row(const Platform *platform)
{
	int version = atoi(platform->version);

	if (!strcmp(platform->id, "ubuntu") && has_flavour(platform, "azure"))
		return &azure;
	for (guint i = 0; i < G_N_ELEMENTS(table); i++)
		if (!strcmp(platform->id, table[i].id) && version >= table[i].from &&
		    version <= table[i].to && kernel_fits(platform, table[i].kernel))
			return &table[i].row;
	return &any_other;
}

const char *compatibility_name(Compatibility compatibility)
{
	switch (compatibility) {
	case COMPATIBILITY_NO:
		return "no";
	case COMPATIBILITY_YES:
		return "yes";
	case COMPATIBILITY_EXTRA:
		return "with extra package";
	case COMPATIBILITY_LOOK:
		return "found by looking";
	}
	return "?";
}

/* ---- advice */

/* The package that has the modules which were built for this kernel but are not installed. */
static char *package_step(const CompatibilityRow *row, const Platform *platform,
			  const CompatibilityNeed *need)
{
	/* Where the row names no extra package, the kernel's own package has the modules. */
	if (!strcmp(platform->id, "ubuntu") && row->tcmu == COMPATIBILITY_YES)
		return g_strdup_printf("reinstall linux-modules-%s", need->release);
	if (!strcmp(platform->id, "ubuntu"))
		return g_strdup_printf("install linux-modules-extra-%s", need->release);
	switch (platform->packages) {
	case PACKAGES_DNF:
		return strstr(need->release, ".el7")
			       ? g_strdup_printf("reinstall kernel-%s", need->release)
			       : g_strdup_printf("install kernel-modules-%s (or kernel-modules-"
						 "extra-%s)",
						 need->release, need->release);
	case PACKAGES_APT:
		return g_strdup_printf("reinstall linux-image-%s", need->release);
	case PACKAGES_ZYPPER:
		return g_strdup("install kernel-default (kernel-default-base has fewer modules)");
	case PACKAGES_APK:
	case PACKAGES_PACMAN:
	case PACKAGES_OTHER:
		return g_strdup("install the package that has this kernel's other modules");
	}
	return NULL;
}

/* Advice to use another kernel of the same distribution. */
static const char *other_kernel_step(const Platform *platform)
{
	gboolean standard = !*platform->flavour || has_flavour(platform, "generic");

	if (!strcmp(platform->id, "ubuntu") && !standard)
		return "use the generic kernel (linux-image-generic)";
	if (!strcmp(platform->id, "debian") && has_flavour(platform, "cloud"))
		return "use the kernel linux-image-amd64 or linux-image-arm64, not the one for "
		       "clouds";
	if (platform->packages == PACKAGES_APK && has_flavour(platform, "virt"))
		return "use the kernel linux-lts";
	return "use a kernel that has them";
}

static char *general_step(const CompatibilityRow *row, const Platform *platform,
			  const CompatibilityNeed *need)
{
	g_autofree char *step = need->built == KERNEL_OPTION_MODULE
					? package_step(row, platform, need)
					: g_strdup(other_kernel_step(platform));

	if (need->built == KERNEL_OPTION_UNKNOWN) {
		g_autofree char *package = package_step(row, platform, need);

		return g_strdup_printf("missing %s: %s, or %s", need->missing, package, step);
	}
	return g_strdup_printf("missing %s: %s", need->missing, step);
}

static char *row_step(const CompatibilityRow *row, const char *release)
{
	g_auto(GStrv) parts = g_strsplit(row->advice, "%s", 0);

	return g_strjoinv(release, parts);
}

/* Whether what was found contradicts the row, so that its advice does not apply.  A standard kernel
 * of a later release on Ubuntu 16.04 (hardware enablement) has modules that the row denies; and
 * where a kernel was built without a module, no package brings it. */
static gboolean differs_from_table(const CompatibilityRow *row, const Platform *platform,
				   const CompatibilityNeed *need)
{
	return (row->tcmu == COMPATIBILITY_NO && need->built == KERNEL_OPTION_MODULE &&
		!strcmp(platform->id, "ubuntu") && is_standard(platform)) ||
	       (row->tcmu == COMPATIBILITY_EXTRA && need->built == KERNEL_OPTION_OFF);
}

char *compatibility_step(const CompatibilityRow *row, const Platform *platform,
			 const CompatibilityNeed *need)
{
	if (!need->missing)
		return NULL;
	if (differs_from_table(row, platform, need))
		return general_step(row, platform, need);
	if (row->advice_brings_lio_only && need->lio)
		return NULL;
	if (row->advice)
		return row_step(row, need->release);
	return row->tcmu == COMPATIBILITY_NO ? NULL : general_step(row, platform, need);
}
