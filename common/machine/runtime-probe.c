/* SPDX-License-Identifier: Apache-2.0 */
#include "common/machine/runtime-probe.h"

#include <string.h>
#include <unistd.h>

#include "common/machine/elf-image.h"
#include "common/machine/libraries.h"
#include "common/machine/mounts.h"

#define RUNNER_SECONDS 5
#define PROGRAM_MAX ((gsize)64 << 20)

/* Names of modules, and the configuration options that build them. */
static const struct {
	const char *name, *options;
} modules[PROBE_MODULES] = {
	[PROBE_TARGET_CORE_MOD] = {"target_core_mod", "TARGET_CORE"},
	[PROBE_TARGET_CORE_USER] = {"target_core_user", "TCM_USER2 TCM_USER"},
	[PROBE_TCM_LOOP] = {"tcm_loop", "LOOPBACK_TARGET"},
	[PROBE_UIO] = {"uio", "UIO"},
	[PROBE_CONFIGFS] = {"configfs", "CONFIGFS_FS"},
	[PROBE_FUSE] = {"fuse", "FUSE_FS"},
	[PROBE_LOOP] = {"loop", "BLK_DEV_LOOP"},
};

const char *probe_module_name(ProbeModule module)
{
	return modules[module].name;
}

/* ---- programs */

/* Searched after PATH: a user's PATH may lack the directories of administrators' programs. */
static const char *const program_places[] = {"/usr/sbin",      "/usr/bin", "/usr/local/sbin",
					     "/usr/local/bin", "/sbin",	   "/bin"};

static char *program_find(const RuntimeProbe *probe, const char *name)
{
	char *found = probe->running ? g_find_program_in_path(name) : NULL;

	for (guint i = 0; !found && i < G_N_ELEMENTS(program_places); i++) {
		g_autofree char *path = g_build_filename(program_places[i], name, NULL);
		struct stat st;

		if (sysroot_stat(probe->sysroot, path, &st) && S_ISREG(st.st_mode) &&
		    (st.st_mode & 0111))
			found = g_steal_pointer(&path);
	}
	return found;
}

/* STORAGEOS_FUSE is for tests and for trying out a build. */
static char *program_find_fuse(const RuntimeProbe *probe)
{
	const char *named = probe->running ? g_getenv("STORAGEOS_FUSE") : NULL;

	return program_find(probe, named && *named ? named : "storageos-fuse");
}

static void probe_fuse_library(RuntimeProbe *probe)
{
	gsize length = 0;
	g_autofree char *data =
		sysroot_read(probe->sysroot, probe->fuse_program, PROGRAM_MAX, &length, NULL);
	const ElfImage image = {(const guint8 *)data, length};
	g_autofree char *found = NULL;

	probe->fuse_library = elf_image_needs(&image, "libfuse");
	found = probe->fuse_library ? libraries_find(probe->sysroot, probe->fuse_library) : NULL;
	probe->fuse_library_found = found != NULL;
}

static void probe_programs(RuntimeProbe *probe)
{
	probe->runner_program = program_find(probe, "tcmu-runner");
	probe->targetcli_program = program_find(probe, "targetcli");
	probe->fuse_program = program_find_fuse(probe);
	if (probe->fuse_program)
		probe_fuse_library(probe);
	probe->fusermount_program = program_find(probe, "fusermount3");
	if (!probe->fusermount_program)
		probe->fusermount_program = program_find(probe, "fusermount");
}

/* ---- page size */

static guint64 probe_page_size(const RuntimeProbe *probe)
{
	static const struct {
		const char *option;
		guint64 bytes;
	} sizes[] = {
		{"ARM64_64K_PAGES", 65536}, {"ARM64_16K_PAGES", 16384},
		{"ARM64_4K_PAGES", 4096},   {"PPC_64K_PAGES", 65536},
		{"PPC_4K_PAGES", 4096},	    {"PAGE_SIZE_64KB", 65536},
		{"PAGE_SIZE_16KB", 16384},  {"PAGE_SIZE_4KB", 4096},
		{"X86_64", 4096},	    {"S390", 4096},
	};

	if (probe->running)
		return (guint64)sysconf(_SC_PAGESIZE);
	for (guint i = 0; i < G_N_ELEMENTS(sizes); i++)
		if (kernel_config_option(probe->kernel->config, sizes[i].option) ==
		    KERNEL_OPTION_BUILT_IN)
			return sizes[i].bytes;
	return 0;
}

/* ---- the probe */

static gboolean probe_has_device(const RuntimeProbe *probe, const char *path)
{
	struct stat st;

	return sysroot_stat(probe->sysroot, path, &st) && S_ISCHR(st.st_mode);
}

/* What the files show; works on any sysroot. */
static void probe_files(RuntimeProbe *probe)
{
	probe->platform = platform_detect(probe->sysroot, probe->kernel->release);
	probe->row = compatibility_row(probe->platform);
	for (guint i = 0; i < PROBE_MODULES; i++) {
		probe->modules[i] =
			kernel_module_state(probe->kernel, modules[i].name, modules[i].options);
		probe->options[i] = kernel_module_option(probe->kernel, modules[i].options);
	}
	probe_programs(probe);
	probe->page_size = probe_page_size(probe);
}

/* What only a running machine shows. */
static void probe_machine(RuntimeProbe *probe, RunnerPatience patience)
{
	g_autoptr(MountTable) mounts = mounts_of_process("self");

	probe->configfs = mounts_of_type(mounts, "configfs");
	probe->fuse_device = probe_has_device(probe, "/dev/fuse");
	probe->loop_device = probe_has_device(probe, "/dev/loop-control");
	tcmu_users_find(&probe->tcmu);
	runner_bus_status_query(patience, &probe->runner);
	runner_process_examine(probe->runner.pid, &probe->runner_process);
	memory_limits_read(0, &probe->memory);
	if (probe->runner.pid)
		memory_limits_read((pid_t)probe->runner.pid, &probe->runner_memory);
}

/* The running runner's program counts, not the one found in the search path. */
static void probe_runner(RuntimeProbe *probe)
{
	const RunnerProcess *process = &probe->runner_process;

	if (process->program) {
		g_free(probe->runner_program);
		probe->runner_program = g_strdup(process->program);
	}
	runner_program_examine(probe->sysroot, probe->runner_program, process->directory,
			       &probe->runner_files);
	probe->runner_plugin =
		runner_process_plugin(probe->runner.pid, process, probe->runner_files.plugin);
}

static gboolean probe_is_bare(const RuntimeProbe *probe)
{
	g_autofree char *ours = program_find(probe, "storageos");

	return !probe->running && !ours && !probe->fuse_program && !probe->runner_files.plugin;
}

RuntimeProbe *runtime_probe_new(const RunnerPatience *patience)
{
	const RunnerPatience usual = {.seconds = RUNNER_SECONDS};
	RuntimeProbe *probe = g_new0(RuntimeProbe, 1);

	probe->running = TRUE;
	probe->n_kernels = 1;
	probe->sysroot = sysroot_open("/", NULL);
	probe->kernel = kernel_running(probe->sysroot);
	probe_files(probe);
	probe_machine(probe, patience ? *patience : usual);
	probe_runner(probe);
	return probe;
}

RuntimeProbe *runtime_probe_new_at(const char *directory, const char *release, GError **error)
{
	g_autoptr(RuntimeProbe) probe = g_new0(RuntimeProbe, 1);
	g_autoptr(GPtrArray) kernels = NULL;

	probe->sysroot = sysroot_open(directory, error);
	probe->kernel = probe->sysroot ? kernel_find(probe->sysroot, release, error) : NULL;
	if (!probe->kernel)
		return NULL;
	kernels = kernel_list(probe->sysroot);
	probe->n_kernels = kernels->len;
	probe_files(probe);
	probe_runner(probe);
	probe->bare = probe_is_bare(probe);
	return g_steal_pointer(&probe);
}

void runtime_probe_free(RuntimeProbe *probe)
{
	if (!probe)
		return;
	kernel_free(probe->kernel);
	platform_free(probe->platform);
	g_free(probe->configfs);
	g_free(probe->runner_program);
	g_free(probe->targetcli_program);
	g_free(probe->fuse_program);
	g_free(probe->fuse_library);
	g_free(probe->fusermount_program);
	runner_bus_status_clear(&probe->runner);
	runner_program_clear(&probe->runner_files);
	runner_process_clear(&probe->runner_process);
	tcmu_users_clear(&probe->tcmu);
	sysroot_close(probe->sysroot);
	g_free(probe);
}

static gboolean probe_has_module(const RuntimeProbe *probe, ProbeModule module)
{
	return probe->modules[module] != MODULE_MISSING;
}

gboolean runtime_probe_has_lio(const RuntimeProbe *probe)
{
	return probe_has_module(probe, PROBE_CONFIGFS) &&
	       probe_has_module(probe, PROBE_TARGET_CORE_MOD) &&
	       probe_has_module(probe, PROBE_TCM_LOOP);
}

gboolean runtime_probe_has_tcmu(const RuntimeProbe *probe)
{
	return probe_has_module(probe, PROBE_TARGET_CORE_MOD) &&
	       probe_has_module(probe, PROBE_TARGET_CORE_USER) &&
	       probe_has_module(probe, PROBE_UIO);
}
