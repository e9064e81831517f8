/* SPDX-License-Identifier: Apache-2.0 */
#include "common/machine/platform.h"

#include "tests/harness.h"

typedef struct {
	char *directory;
	Sysroot *sysroot;
} PlatformRoot;

static void put(const PlatformRoot *root, const char *path, const char *text)
{
	g_autofree char *full = g_build_filename(root->directory, path, NULL);
	g_autofree char *parent = g_path_get_dirname(full);

	g_mkdir_with_parents(parent, 0755);
	CHECK(g_file_set_contents(full, text, -1, NULL));
}

static void root_init(PlatformRoot *root, const char *os_release)
{
	root->directory = test_path("-root");
	put(root, "etc/hostname", "x\n");
	if (os_release)
		put(root, "etc/os-release", os_release);
	root->sysroot = sysroot_open(root->directory, NULL);
}

static void root_clear(PlatformRoot *root)
{
	sysroot_close(root->sysroot);
	g_free(root->directory);
}
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(PlatformRoot, root_clear)

/* ---- what os-release and the kernel's release make */

static const struct {
	const char *os_release, *kernel;
	const char *id, *version, *flavour, *name;
	Packages packages;
} rows[] = {
	{"ID=ubuntu\nID_LIKE=debian\nNAME=\"Ubuntu\"\nVERSION_ID=\"18.04\"\n", "4.15.0-20-generic",
	 "ubuntu", "18.04", "generic", "Ubuntu 18.04", PACKAGES_APT},
	{"NAME=Ubuntu\nID=ubuntu\nVERSION_ID='18.04'\n", "4.15.0-1021-aws", "ubuntu", "18.04",
	 "aws", "Ubuntu 18.04, kernel for AWS", PACKAGES_APT},
	{"NAME=Ubuntu\nID=ubuntu\nVERSION_ID=16.04\n", "4.4.0-1033-gke", "ubuntu", "16.04", "gke",
	 "Ubuntu 16.04, kernel for GKE", PACKAGES_APT},
	{"NAME=Ubuntu\nID=ubuntu\nVERSION_ID=22.04\n", "5.15.0-1-gcp", "ubuntu", "22.04", "gcp",
	 "Ubuntu 22.04, kernel for Google Cloud", PACKAGES_APT},
	{"NAME=Ubuntu\nID=ubuntu\nVERSION_ID=22.04\n", "5.15.0-1-oracle", "ubuntu", "22.04",
	 "oracle", "Ubuntu 22.04, kernel for Oracle Cloud", PACKAGES_APT},
	{"NAME=Ubuntu\nID=ubuntu\nVERSION_ID=22.04\n", "5.15.0-1-kvm", "ubuntu", "22.04", "kvm",
	 "Ubuntu 22.04, kernel for KVM", PACKAGES_APT},
	{"NAME=Ubuntu\nID=ubuntu\nVERSION_ID=22.04\n", "5.15.0-1-azure", "ubuntu", "22.04", "azure",
	 "Ubuntu 22.04, kernel for Azure", PACKAGES_APT},
	{"NAME=\"Debian GNU/Linux\"\nID=debian\nVERSION_ID=\"12\"\n", "6.1.0-18-cloud-amd64",
	 "debian", "12", "cloud", "Debian GNU/Linux 12, kernel for clouds", PACKAGES_APT},
	{"NAME=\"Debian GNU/Linux\"\nID=debian\n", "6.1.0-18-amd64", "debian", "", "amd64",
	 "Debian GNU/Linux", PACKAGES_APT},
	{"NAME=\"Amazon Linux\"\nID=\"amzn\"\nID_LIKE=\"centos rhel fedora\"\nVERSION_ID=\"2\"\n",
	 "4.14.252-195.483.amzn2.x86_64", "amzn", "2", "amzn", "Amazon Linux 2", PACKAGES_DNF},
	{"NAME=\"CentOS Linux\"\nID=\"centos\"\nVERSION_ID=\"7\"\n", "3.10.0-1160.el7.x86_64",
	 "centos", "7", "", "CentOS Linux 7", PACKAGES_DNF},
	{"NAME=Rocky\nID=rocky\nID_LIKE=\"rhel centos fedora\"\nVERSION_ID=9.3\n", "5.14.0",
	 "rocky", "9.3", "", "Rocky 9.3", PACKAGES_DNF},
	{"NAME=SLES\nID=sles\nID_LIKE=suse\nVERSION_ID=15.5\n", "5.14.21-default", "sles", "15.5",
	 "default", "SLES 15.5", PACKAGES_ZYPPER},
	{"NAME=\"openSUSE Leap\"\nID=opensuse-leap\nID_LIKE=\"suse opensuse\"\n", "5.14.21-default",
	 "opensuse-leap", "", "default", "openSUSE Leap", PACKAGES_ZYPPER},
	{"NAME=\"Alpine Linux\"\nID=alpine\nVERSION_ID=3.19.0\n", "6.6.7-0-virt", "alpine",
	 "3.19.0", "virt", "Alpine Linux 3.19.0", PACKAGES_APK},
	{"NAME=\"Arch Linux\"\nID=arch\n", "6.7.0-arch1-1", "arch", "", "", "Arch Linux",
	 PACKAGES_PACMAN},
	{"NAME=Void\nID=void\n", "6.6.0_1", "void", "", "", "Void", PACKAGES_OTHER},
	{"", "6.1", "", "", "", "unknown distribution", PACKAGES_OTHER},
	/* Only whole keys at the start of a line count, and the first of each. */
	{"XID=no\nIDX=no\n ID=no\nID=debian\nID=no\n#NAME=no\n", "6.1", "debian", "", "",
	 "unknown distribution", PACKAGES_APT},
};

static void test_rows(const void *data)
{
	(void)data;
	for (guint i = 0; i < G_N_ELEMENTS(rows); i++) {
		g_auto(PlatformRoot) root;
		g_autoptr(Platform) platform = NULL;

		test_row("%u: %s, %s", i, rows[i].name, rows[i].kernel);
		root_init(&root, rows[i].os_release);
		platform = platform_detect(root.sysroot, rows[i].kernel);
		CHECK_STR(platform->id, rows[i].id);
		CHECK_STR(platform->version, rows[i].version);
		CHECK_STR(platform->flavour, rows[i].flavour);
		CHECK_STR(platform->name, rows[i].name);
		CHECK_STR(platform->problem, NULL);
		CHECK_UINT(platform->packages, rows[i].packages);
		CHECK(!platform->digitalocean);
	}
}

/* ---- where os-release is */

static void test_second_place(const void *data)
{
	g_auto(PlatformRoot) root;
	g_autoptr(Platform) platform = NULL;

	(void)data;
	root_init(&root, NULL);
	put(&root, "usr/lib/os-release", "ID=fedora\nNAME=Fedora\n");
	platform = platform_detect(root.sysroot, "6.1");
	CHECK_STR(platform->id, "fedora");
	CHECK_STR(platform->problem, NULL);
}

static void test_none(const void *data)
{
	g_auto(PlatformRoot) root;
	g_autoptr(Platform) platform = NULL;

	(void)data;
	root_init(&root, NULL);
	platform = platform_detect(root.sysroot, "6.1");
	CHECK_STR(platform->id, "");
	CHECK_STR(platform->name, "unknown distribution");
	CHECK_STR(platform->problem, NULL);
}

/* One that cannot be read is a problem, unless the other one can be. */
static void test_unreadable(const void *data)
{
	g_auto(PlatformRoot) root;
	g_autoptr(Platform) without = NULL;
	g_autoptr(Platform) with = NULL;

	(void)data;
	root_init(&root, NULL);
	put(&root, "etc/os-release/inside", "x");
	without = platform_detect(root.sysroot, "6.1");
	CHECK_CONTAINS(without->problem, "/etc/os-release is not a regular file");
	put(&root, "usr/lib/os-release", "ID=fedora\n");
	with = platform_detect(root.sysroot, "6.1");
	CHECK_STR(with->problem, NULL);
	CHECK_STR(with->id, "fedora");
}

/* What goes to a terminal has no control characters, is UTF-8, and is short. */
static void test_hostile_values(const void *data)
{
	g_auto(PlatformRoot) root;
	g_autofree char *longer = g_strnfill(1000, 'n');
	g_autofree char *text =
		g_strdup_printf("ID=\"a\x1b[2Jb\"\nVERSION_ID=\"1\xff\"\nNAME=%s\n", longer);
	g_autoptr(Platform) platform = NULL;

	(void)data;
	root_init(&root, text);
	platform = platform_detect(root.sysroot, "6.1");
	CHECK_STR(platform->id, "a[2Jb");
	CHECK(g_utf8_validate(platform->version, -1, NULL));
	CHECK(strlen(platform->name) < 100);
}

/* ---- DigitalOcean */

static void test_digitalocean(const void *data)
{
	static const struct {
		const char *path, *text;
		gboolean is;
	} marks[] = {
		{"sys/class/dmi/id/sys_vendor", "DigitalOcean\n", TRUE},
		{"sys/class/dmi/id/sys_vendor", "QEMU\n", FALSE},
		{"run/cloud-init/result.json", "{\"datasource\": \"DataSourceDigitalOcean\"}",
		 TRUE},
		{"var/lib/cloud/data/result.json", "{\"datasource\": \"DataSourceEc2\"}", FALSE},
		{"var/lib/cloud/instance/datasource", "DataSourceDigitalOcean", TRUE},
		{"opt/digitalocean/bin/do-agent", "x", TRUE},
	};

	(void)data;
	for (guint i = 0; i < G_N_ELEMENTS(marks); i++) {
		g_auto(PlatformRoot) root;
		g_autoptr(Platform) platform = NULL;

		test_row("%s: %s", marks[i].path, marks[i].text);
		root_init(&root, "ID=ubuntu\nNAME=Ubuntu\nVERSION_ID=18.04\n");
		put(&root, marks[i].path, marks[i].text);
		platform = platform_detect(root.sysroot, "4.15.0-20-generic");
		CHECK_INT(platform->digitalocean, marks[i].is);
		CHECK_STR(platform->name,
			  marks[i].is ? "Ubuntu 18.04 on DigitalOcean" : "Ubuntu 18.04");
	}
}

/* ---- the command that installs */

static void test_install_step(const void *data)
{
	static const char *const wanted[] = {"tcmu-runner", "targetcli", NULL};
	static const struct {
		Packages packages;
		const char *version, *step;
	} steps[] = {
		{PACKAGES_APT, "12", "apt-get install tcmu-runner targetcli-fb"},
		{PACKAGES_DNF, "9.3", "dnf install tcmu-runner targetcli"},
		{PACKAGES_DNF, "7", "yum install tcmu-runner targetcli"},
		{PACKAGES_DNF, "7.9", "yum install tcmu-runner targetcli"},
		{PACKAGES_DNF, "2", "yum install tcmu-runner targetcli"},
		{PACKAGES_DNF, "2023", "dnf install tcmu-runner targetcli"},
		{PACKAGES_ZYPPER, "15.5", "zypper install tcmu-runner python3-targetcli-fb"},
		{PACKAGES_APK, "3.19", "apk add tcmu-runner targetcli"},
		{PACKAGES_PACMAN, "", "pacman -S tcmu-runner targetcli-fb"},
		{PACKAGES_OTHER, "", "install tcmu-runner targetcli"},
	};

	(void)data;
	for (guint i = 0; i < G_N_ELEMENTS(steps); i++) {
		const Platform platform = {.version = (char *)steps[i].version,
					   .packages = steps[i].packages};
		g_autofree char *step = platform_install_step(&platform, wanted);

		test_row("%u", i);
		CHECK_STR(step, steps[i].step);
	}
}

int main(int argc, char **argv)
{
	test_add("from os-release and the kernel's release", test_rows, NULL);
	test_add("the second place of os-release", test_second_place, NULL);
	test_add("no os-release", test_none, NULL);
	test_add("an os-release that cannot be read", test_unreadable, NULL);
	test_add("hostile values", test_hostile_values, NULL);
	test_add("DigitalOcean", test_digitalocean, NULL);
	test_add("the command that installs", test_install_step, NULL);
	return test_run(argc, argv);
}
