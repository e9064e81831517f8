/* SPDX-License-Identifier: Apache-2.0 */
#include "common/machine/kernel-modules.h"

#include <sys/utsname.h>

#include "common/base/error.h"
#include "tests/harness.h"

/* A root directory with the files that a running machine shows. */
typedef struct {
	char *directory;
	Sysroot *sysroot;
	char release[sizeof((struct utsname *)0)->release];
} ModulesMachine;

static void put(const ModulesMachine *machine, const char *path, const char *text)
{
	g_autofree char *full = g_build_filename(machine->directory, path, NULL);
	g_autofree char *parent = g_path_get_dirname(full);

	g_mkdir_with_parents(parent, 0755);
	CHECK(g_file_set_contents(full, text, -1, NULL));
}

/* Puts a module into the directory of the running kernel. */
static void put_module(const ModulesMachine *machine, const char *path, const char *text)
{
	g_autofree char *whole = g_build_filename("lib/modules", machine->release, path, NULL);

	put(machine, whole, text);
}

static void machine_init(ModulesMachine *machine)
{
	struct utsname name;

	CHECK_INT(uname(&name), 0);
	g_strlcpy(machine->release, name.release, sizeof machine->release);
	machine->directory = test_path("-root");
	put(machine, "etc/hostname", "x\n");
	machine->sysroot = sysroot_open(machine->directory, NULL);
}

static void machine_clear(ModulesMachine *machine)
{
	sysroot_close(machine->sysroot);
	g_free(machine->directory);
}
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(ModulesMachine, machine_clear)

static void put_all(const ModulesMachine *machine)
{
	put(machine, "proc/modules",
	    "tcm_loop 40960 1 - Live 0x0\ntcm_loop2 1 0 - Live 0x0\nloop 45056 0 - Live 0x0\n"
	    "flat 4096 0 - Loading 0x0\nfileless 4096 0 - Loading 0x0\n");
	put(machine, "proc/filesystems", "nodev\tsysfs\nnodev\tconfigfs\n\text4\n");
	put(machine, "proc/devices", "Character devices:\n 10 misc\n246 uio\n\nBlock devices:\n");
	put(machine, "sys/module/fuse/version", "1\n");
	put_module(machine, "modules.builtin", "kernel/fs/built-in_one.ko\n");
	put_module(machine, "modules.dep",
		   "kernel/drivers/target/target-core-user.ko.xz: kernel/uio.ko\n"
		   "kernel/gone.ko:\n"
		   "/lib/extra/absolute.ko.zst:\n"
		   "flat.ko");
	put_module(machine, "kernel/drivers/target/target-core-user.ko.xz", "x");
	put_module(machine, "flat.ko", "x");
	put(machine, "lib/extra/absolute.ko.zst", "x");
	put(machine, "boot/config-x", "");
}

static const struct {
	const char *name;
	const char *running, *lying;
} modules[] = {
	{"tcm_loop", "loaded", "missing"},
	{"tcm_loo", "missing", "missing"},
	{"loop", "loaded", "missing"},
	{"configfs", "built in", "missing"},
	{"ext4", "built in", "missing"},
	{"uio", "built in", "missing"},
	{"fuse", "built in", "missing"},
	{"built_in_one", "built in", "built in"},
	{"target_core_user", "loadable", "loadable"},
	{"gone", "missing", "missing"}, /* listed in the index, but the file is missing */
	{"absolute", "loadable", "loadable"},
	{"flat", "loadable", "loadable"}, /* it is being loaded */
	{"fileless", "loaded", "missing"},
	{"none", "missing", "missing"},
};

static void test_states(const void *data)
{
	g_auto(ModulesMachine) machine = {0};
	g_autoptr(Kernel) running = NULL, lying = NULL;

	(void)data;
	machine_init(&machine);
	put_all(&machine);
	running = kernel_running(machine.sysroot);
	lying = kernel_find(machine.sysroot, machine.release, NULL);
	REQUIRE(running && lying);
	CHECK_STR(running->release, machine.release);
	CHECK(running->running && !lying->running);
	for (guint i = 0; i < G_N_ELEMENTS(modules); i++) {
		test_row("%s", modules[i].name);
		CHECK_STR(module_state_name(kernel_module_state(running, modules[i].name, "NONE")),
			  modules[i].running);
		CHECK_STR(module_state_name(kernel_module_state(lying, modules[i].name, "NONE")),
			  modules[i].lying);
	}
}

/* A loaded module can be used; any other only if the kernel may load it. */
static void test_loading(const void *data)
{
	static const struct {
		const char *disabled; /* NULL: the file does not exist */
		gboolean may_load;
	} rows[] = {{NULL, TRUE}, {"0\n", TRUE}, {"1\n", FALSE}};

	(void)data;
	for (guint i = 0; i < G_N_ELEMENTS(rows); i++) {
		g_auto(ModulesMachine) machine = {0};
		g_autoptr(Kernel) running = NULL, lying = NULL;

		test_row("%s", rows[i].disabled);
		machine_init(&machine);
		put_all(&machine);
		if (rows[i].disabled)
			put(&machine, "proc/sys/kernel/modules_disabled", rows[i].disabled);
		running = kernel_running(machine.sysroot);
		lying = kernel_find(machine.sysroot, machine.release, NULL);
		CHECK_INT(running->may_load, rows[i].may_load);
		CHECK(lying->may_load); /* unknown counts as allowed */
	}
}

/* As in a container, which has no files of the host's kernel. */
static void test_no_modules(const void *data)
{
	g_auto(ModulesMachine) machine = {0};
	g_autoptr(Kernel) kernel = NULL;

	(void)data;
	machine_init(&machine);
	kernel = kernel_running(machine.sysroot);
	CHECK(!kernel->directory && !kernel->loadable && !kernel->built_in);
	CHECK_INT(kernel_module_state(kernel, "fuse", "FUSE_FS"), MODULE_MISSING);
	CHECK_INT(kernel_module_option(kernel, "FUSE_FS"), KERNEL_OPTION_UNKNOWN);
}

static void test_options(const void *data)
{
	g_auto(ModulesMachine) machine = {0};
	g_autoptr(Kernel) kernel = NULL;
	g_autofree char *config = NULL;

	(void)data;
	machine_init(&machine);
	put_all(&machine);
	config = g_strconcat("boot/config-", machine.release, NULL);
	put(&machine, config, "CONFIG_TCM_USER=m\nCONFIG_TCM_USER2=y\n");
	kernel = kernel_running(machine.sysroot);
	CHECK_INT(kernel_module_option(kernel, "TCM_USER2 TCM_USER"), KERNEL_OPTION_BUILT_IN);
	CHECK_INT(kernel_module_option(kernel, "NONE TCM_USER"), KERNEL_OPTION_MODULE);
	CHECK_INT(kernel_module_option(kernel, "NONE"), KERNEL_OPTION_OFF);
	CHECK_INT(kernel_module_state(kernel, "none", "TCM_USER2"), MODULE_BUILT_IN);
}

static void test_list(const void *data)
{
	static const char *const expected[] = {"10.1", "9.2", "3.10-config"};
	g_auto(ModulesMachine) machine = {0};
	g_autoptr(GPtrArray) releases = NULL;
	g_autoptr(Kernel) newest = NULL, runs = NULL;
	g_autoptr(GError) error = NULL;

	(void)data;
	machine_init(&machine);
	CHECK(!kernel_find(machine.sysroot, NULL, &error));
	CHECK_ERROR(error, STORAGEOS_ERROR_NOT_FOUND, "no kernel in");
	g_clear_error(&error);
	put(&machine, "lib/modules/9.2/modules.dep", "");
	put(&machine, "lib/modules/11-removed/updates/own.ko", "");
	put(&machine, "usr/lib/modules/10.1/vmlinuz", "");
	put(&machine, "usr/lib/modules/9.2/kernel/x", "");
	put(&machine, "boot/config-3.10-config", "");
	put(&machine, "boot/config-9.2", "");
	put(&machine, "boot/System.map", "");
	releases = kernel_list(machine.sysroot);
	CHECK_UINT(releases->len, G_N_ELEMENTS(expected));
	for (guint i = 0; i < MIN(releases->len, G_N_ELEMENTS(expected)); i++)
		CHECK_STR((char *)g_ptr_array_index(releases, i), expected[i]);
	newest = kernel_find(machine.sysroot, NULL, NULL);
	CHECK_STR(newest->release, "10.1");
	put(&machine, "proc/sys/kernel/osrelease", "9.2\n");
	runs = kernel_find(machine.sysroot, NULL, NULL);
	CHECK_STR(runs->release, "9.2");
	CHECK(!kernel_find(machine.sysroot, "9.3", &error));
	CHECK_ERROR(error, STORAGEOS_ERROR_NOT_FOUND, "(installed: 10.1, 9.2, 3.10-config)");
}

int main(int argc, char **argv)
{
	test_add("what a kernel has, running or not", test_states, NULL);
	test_add("whether modules may be loaded", test_loading, NULL);
	test_add("a kernel without any files", test_no_modules, NULL);
	test_add("of several options the best counts", test_options, NULL);
	test_add("kernels are listed, the newest first", test_list, NULL);
	return test_run(argc, argv);
}
