/* SPDX-License-Identifier: Apache-2.0 */
#include "common/machine/compatibility.h"

#include "tests/harness.h"

#define PLATFORM(id_, version_, flavour_)                                                          \
	{                                                                                          \
		.id = (char *)(id_), .version = (char *)(version_), .flavour = (char *)(flavour_)  \
	}

static const struct {
	Platform platform;
	gboolean digitalocean;
	const char *row;
	Compatibility lio, tcmu;
} rows[] = {
	{PLATFORM("rhel", "7.9", ""), FALSE, "RHEL 7 and 8", COMPATIBILITY_YES, COMPATIBILITY_YES},
	{PLATFORM("rhel", "8.4", ""), FALSE, "RHEL 7 and 8", COMPATIBILITY_YES, COMPATIBILITY_YES},
	{PLATFORM("rhel", "9.0", ""), FALSE, "any other", COMPATIBILITY_LOOK, COMPATIBILITY_LOOK},
	{PLATFORM("rhel", "6.10", ""), FALSE, "any other", COMPATIBILITY_LOOK, COMPATIBILITY_LOOK},
	{PLATFORM("centos", "7", ""), FALSE, "CentOS 7", COMPATIBILITY_YES, COMPATIBILITY_YES},
	{PLATFORM("ubuntu", "18.04", "generic"), FALSE, "Ubuntu 18.04, standard",
	 COMPATIBILITY_EXTRA, COMPATIBILITY_EXTRA},
	{PLATFORM("ubuntu", "18.04", "lowlatency"), FALSE, "Ubuntu 18.04, standard",
	 COMPATIBILITY_EXTRA, COMPATIBILITY_EXTRA},
	{PLATFORM("ubuntu", "18.04", "generic"), TRUE, "Ubuntu 18.04 on DigitalOcean",
	 COMPATIBILITY_EXTRA, COMPATIBILITY_EXTRA},
	{PLATFORM("ubuntu", "18.04", "aws"), TRUE, "Ubuntu 18.04, AWS-optimised kernel",
	 COMPATIBILITY_NO, COMPATIBILITY_NO},
	{PLATFORM("ubuntu", "18.04", "gke"), FALSE, "Ubuntu 18.04, GKE-optimised kernel",
	 COMPATIBILITY_YES, COMPATIBILITY_YES},
	{PLATFORM("ubuntu", "18.04", "azure"), FALSE, "Ubuntu on Azure", COMPATIBILITY_YES,
	 COMPATIBILITY_YES},
	{PLATFORM("ubuntu", "99.04", "azure"), FALSE, "Ubuntu on Azure", COMPATIBILITY_YES,
	 COMPATIBILITY_YES},
	{PLATFORM("ubuntu", "16.04", "generic"), FALSE, "Ubuntu 16.04, standard",
	 COMPATIBILITY_EXTRA, COMPATIBILITY_NO},
	{PLATFORM("ubuntu", "16.04", "generic"), TRUE, "Ubuntu 16.04 on DigitalOcean",
	 COMPATIBILITY_EXTRA, COMPATIBILITY_NO},
	{PLATFORM("ubuntu", "16.04", "gke"), FALSE, "Ubuntu 16.04, GKE-optimised kernel",
	 COMPATIBILITY_NO, COMPATIBILITY_NO},
	{PLATFORM("ubuntu", "16.04", "aws"), FALSE, "Ubuntu 16.04, AWS-optimised kernel",
	 COMPATIBILITY_NO, COMPATIBILITY_NO},
	{PLATFORM("debian", "9", "amd64"), FALSE, "Debian 9 to 12", COMPATIBILITY_YES,
	 COMPATIBILITY_YES},
	{PLATFORM("debian", "13", "amd64"), FALSE, "any other", COMPATIBILITY_LOOK,
	 COMPATIBILITY_LOOK},
	{PLATFORM("ubuntu", "18.04", "oracle"), FALSE, "any other", COMPATIBILITY_LOOK,
	 COMPATIBILITY_LOOK},
	{PLATFORM("ubuntu", "20.04", "generic"), FALSE, "any other", COMPATIBILITY_LOOK,
	 COMPATIBILITY_LOOK},
	{PLATFORM("amzn", "2", "amzn"), FALSE, "Amazon Linux 2", COMPATIBILITY_YES,
	 COMPATIBILITY_NO},
	{PLATFORM("amzn", "2023", "amzn"), FALSE, "any other", COMPATIBILITY_LOOK,
	 COMPATIBILITY_LOOK},
	{PLATFORM("debian", "12", "amd64"), FALSE, "Debian 9 to 12", COMPATIBILITY_YES,
	 COMPATIBILITY_YES},
	{PLATFORM("debian", "", "amd64"), FALSE, "any other", COMPATIBILITY_LOOK,
	 COMPATIBILITY_LOOK},
	{PLATFORM("", "", ""), FALSE, "any other", COMPATIBILITY_LOOK, COMPATIBILITY_LOOK},
};

static void test_rows(const void *data)
{
	(void)data;
	for (guint i = 0; i < G_N_ELEMENTS(rows); i++) {
		Platform platform = rows[i].platform;
		const CompatibilityRow *row;

		test_row("%s %s %s", platform.id, platform.version, platform.flavour);
		platform.digitalocean = rows[i].digitalocean;
		row = compatibility_row(&platform);
		CHECK_STR(row->name, rows[i].row);
		CHECK_UINT(row->lio, rows[i].lio);
		CHECK_UINT(row->tcmu, rows[i].tcmu);
	}
}

/* ---- steps */

static const struct {
	Platform platform;
	Packages packages;
	CompatibilityNeed need;
	const char *step;
} steps[] = {
	{PLATFORM("rhel", "8.4", ""),
	 PACKAGES_DNF,
	 {"4.18", TRUE, NULL, KERNEL_OPTION_MODULE},
	 NULL},
	{PLATFORM("ubuntu", "18.04", "generic"),
	 PACKAGES_APT,
	 {"4.15.0-20-generic", FALSE, "uio, tcm_loop", KERNEL_OPTION_MODULE},
	 "install linux-image-extra-4.15.0-20-generic (on newer kernels "
	 "linux-modules-extra-4.15.0-20-generic)"},
	/* No package brings what the kernel was built without. */
	{PLATFORM("ubuntu", "18.04", "generic"),
	 PACKAGES_APT,
	 {"4.15.0-20-generic", FALSE, "uio", KERNEL_OPTION_OFF},
	 "missing uio: use a kernel that has them"},
	{PLATFORM("ubuntu", "16.04", "generic"),
	 PACKAGES_APT,
	 {"4.4.0-1-generic", FALSE, "uio, target_core_user", KERNEL_OPTION_OFF},
	 "linux-image-extra-4.4.0-1-generic brings LIO only"},
	/* That advice is void where LIO is there. */
	{PLATFORM("ubuntu", "16.04", "generic"),
	 PACKAGES_APT,
	 {"4.4.0-1-generic", TRUE, "target_core_user", KERNEL_OPTION_OFF},
	 NULL},
	/* A later kernel on 16.04 was built with TCMU, whatever the table says. */
	{PLATFORM("ubuntu", "16.04", "generic"),
	 PACKAGES_APT,
	 {"4.15.0-1-generic", TRUE, "target_core_user", KERNEL_OPTION_MODULE},
	 "missing target_core_user: install linux-modules-extra-4.15.0-1-generic"},
	{PLATFORM("amzn", "2", "amzn"),
	 PACKAGES_DNF,
	 {"4.14", TRUE, "uio, target_core_user", KERNEL_OPTION_OFF},
	 NULL},
	{PLATFORM("ubuntu", "18.04", "aws"),
	 PACKAGES_APT,
	 {"4.15.0-1-aws", FALSE, "uio", KERNEL_OPTION_OFF},
	 "for TCMU use the generic kernel"},
	{PLATFORM("debian", "12", "cloud"),
	 PACKAGES_APT,
	 {"6.1", FALSE, "uio", KERNEL_OPTION_OFF},
	 "missing uio: use the kernel linux-image-amd64 or linux-image-arm64, not the one for "
	 "clouds"},
	{PLATFORM("centos", "7", ""),
	 PACKAGES_DNF,
	 {"3.10.0-1160.el7.x86_64", TRUE, "uio", KERNEL_OPTION_MODULE},
	 "missing uio: reinstall kernel-3.10.0-1160.el7.x86_64"},
	{PLATFORM("fedora", "39", ""),
	 PACKAGES_DNF,
	 {"6.5.6-300.fc39.x86_64", TRUE, "uio", KERNEL_OPTION_MODULE},
	 "missing uio: install kernel-modules-6.5.6-300.fc39.x86_64 (or "
	 "kernel-modules-extra-6.5.6-300.fc39.x86_64)"},
	{PLATFORM("sles", "15.5", "default"),
	 PACKAGES_ZYPPER,
	 {"5.14.21-default", TRUE, "uio", KERNEL_OPTION_MODULE},
	 "missing uio: install kernel-default (kernel-default-base has fewer modules)"},
	{PLATFORM("ubuntu", "20.04", "aws"),
	 PACKAGES_APT,
	 {"5.4.0-1-aws", TRUE, "uio", KERNEL_OPTION_OFF},
	 "missing uio: use the generic kernel (linux-image-generic)"},
	/* Where the configuration is not known, either may help. */
	{PLATFORM("alpine", "3.19", "virt"),
	 PACKAGES_APK,
	 {"6.6.7-0-virt", FALSE, "uio", KERNEL_OPTION_UNKNOWN},
	 "missing uio: install the package that has this kernel's other modules, or use the "
	 "kernel linux-lts"},
};

static void test_steps(const void *data)
{
	(void)data;
	for (guint i = 0; i < G_N_ELEMENTS(steps); i++) {
		Platform platform = steps[i].platform;
		g_autofree char *step = NULL;

		test_row("%u: %s %s %s", i, platform.id, platform.version, platform.flavour);
		platform.packages = steps[i].packages;
		step = compatibility_step(compatibility_row(&platform), &platform, &steps[i].need);
		CHECK_STR(step, steps[i].step);
	}
}

int main(int argc, char **argv)
{
	test_add("the row of a platform", test_rows, NULL);
	test_add("the step where TCMU is missing", test_steps, NULL);
	return test_run(argc, argv);
}
