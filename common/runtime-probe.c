/* SPDX-License-Identifier: Apache-2.0 */
#include "common/runtime-probe.h"

#include <string.h>
#include <unistd.h>

#include "common/platform.h"

#define RUNNER_SECONDS 5

static const char *const module_names[PROBE_MODULES] = {
	[PROBE_TARGET_CORE_MOD] = "target_core_mod",
	[PROBE_TARGET_CORE_USER] = "target_core_user",
	[PROBE_TCM_LOOP] = "tcm_loop",
	[PROBE_UIO] = "uio",
	[PROBE_CONFIGFS] = "configfs",
	[PROBE_FUSE] = "fuse",
	[PROBE_LOOP] = "loop",
};

const char *probe_module_name(ProbeModule module)
{
	return module_names[module];
}

/* Administrators' programs are looked for also where a user's PATH does not go. */
static char *find_program(const char *name)
{
	static const char *const places[] = {"/usr/sbin", "/usr/local/sbin", "/sbin"};
	char *found = g_find_program_in_path(name);

	for (guint i = 0; !found && i < G_N_ELEMENTS(places); i++) {
		g_autofree char *path = g_build_filename(places[i], name, NULL);

		if (g_file_test(path, G_FILE_TEST_IS_EXECUTABLE))
			found = g_steal_pointer(&path);
	}
	return found;
}

/* The variable is for tests and for trying out a build. */
static char *find_fuse_program(void)
{
	const char *named = g_getenv("STORAGEOS_FUSE");

	return named && *named ? find_program(named) : find_program("storageos-fuse");
}

RuntimeProbe *runtime_probe_new(void)
{
	g_autoptr(RuntimeProbe) probe = g_new0(RuntimeProbe, 1);
	g_autofree char *configfs = kernel_configfs();

	probe->kernel = kernel_release();
	probe->platform = platform_name(probe->kernel);
	for (guint i = 0; i < PROBE_MODULES; i++)
		probe->modules[i] = kernel_module_state(module_names[i]);
	probe->configfs_mounted = configfs != NULL;
	probe->tcmu_netlink = kernel_has_tcmu_netlink();
	probe->runner_program = find_program("tcmu-runner");
	probe->targetcli_program = find_program("targetcli");
	probe->fuse_program = find_fuse_program();
	runner_status_query(RUNNER_SECONDS, &probe->runner);
	return g_steal_pointer(&probe);
}

void runtime_probe_free(RuntimeProbe *probe)
{
	if (!probe)
		return;
	g_free(probe->kernel);
	g_free(probe->platform);
	g_free(probe->runner_program);
	g_free(probe->targetcli_program);
	g_free(probe->fuse_program);
	runner_status_clear(&probe->runner);
	g_free(probe);
}

/* Those of the needed modules that pass, with commas between; NULL if none does. */
static char *modules_that(const RuntimeProbe *probe, const ProbeModule *needed, guint n,
			  gboolean (*test)(ModuleState state))
{
	g_autoptr(GString) list = g_string_new(NULL);

	for (guint i = 0; i < n; i++)
		if (test(probe->modules[needed[i]]))
			g_string_append_printf(list, "%s%s", list->len ? ", " : "",
					       module_names[needed[i]]);
	return list->len ? g_strdup(list->str) : NULL;
}

static gboolean is_missing(ModuleState state)
{
	return state == MODULE_MISSING;
}

static gboolean is_not_active(ModuleState state)
{
	return !module_is_active(state);
}

static char *module_obstacle(const RuntimeProbe *probe, const ProbeModule *needed, guint n,
			     ProbeDepth depth)
{
	g_autofree char *missing = modules_that(probe, needed, n, is_missing);
	g_autofree char *inactive = modules_that(probe, needed, n, is_not_active);

	if (missing)
		return g_strdup_printf("kernel %s does not have %s", probe->kernel, missing);
	if (depth == PROBE_READY && inactive)
		return g_strdup_printf("kernel %s cannot load %s", probe->kernel, inactive);
	return NULL;
}

static char *runner_obstacle(const RunnerStatus *runner, ProbeDepth depth)
{
	if (!runner->bus)
		return g_strdup_printf("there is no D-Bus system bus, which tcmu-runner needs (%s)",
				       runner->problem ? runner->problem : "not running");
	if (!runner->running)
		return depth == PROBE_READY ? g_strdup("tcmu-runner does not run") : NULL;
	if (!runner->answers)
		return g_strdup_printf("tcmu-runner does not answer on D-Bus (%s)",
				       runner->problem ? runner->problem : "no reason given");
	if (!runner->subtype)
		return g_strdup("tcmu-runner does not list the subtype " RUNNER_SUBTYPE);
	return NULL;
}

char *runtime_probe_tcmu_obstacle(const RuntimeProbe *probe, ProbeDepth depth)
{
	static const ProbeModule needed[] = {PROBE_CONFIGFS, PROBE_TARGET_CORE_MOD, PROBE_UIO,
					     PROBE_TARGET_CORE_USER, PROBE_TCM_LOOP};
	char *obstacle = module_obstacle(probe, needed, G_N_ELEMENTS(needed), depth);

	if (obstacle)
		return obstacle;
	if (depth == PROBE_READY && !probe->configfs_mounted)
		return g_strdup("configfs is not mounted");
	if (!probe->tcmu_netlink && module_is_active(probe->modules[PROBE_TARGET_CORE_USER]))
		return g_strdup("the kernel has no netlink family TCM-USER");
	if (!probe->runner_program && !probe->runner.running)
		return g_strdup("tcmu-runner is not installed");
	if (!probe->targetcli_program)
		return g_strdup("targetcli is not installed");
	return runner_obstacle(&probe->runner, depth);
}

char *runtime_probe_fuse_obstacle(const RuntimeProbe *probe)
{
	static const ProbeModule needed[] = {PROBE_FUSE, PROBE_LOOP};

	if (!probe->fuse_program)
		return g_strdup("storageos-fuse is not installed");
	return module_obstacle(probe, needed, G_N_ELEMENTS(needed), PROBE_POSSIBLE);
}

static gboolean kernel_lacks_tcmu(const RuntimeProbe *probe)
{
	return probe->modules[PROBE_TARGET_CORE_MOD] == MODULE_MISSING ||
	       probe->modules[PROBE_TARGET_CORE_USER] == MODULE_MISSING ||
	       probe->modules[PROBE_TCM_LOOP] == MODULE_MISSING;
}

char *runtime_probe_next_step(const RuntimeProbe *probe)
{
	if (kernel_lacks_tcmu(probe))
		return platform_kernel_advice(probe->kernel);
	if (!probe->runner_program)
		return platform_install_advice("tcmu-runner");
	if (!probe->targetcli_program)
		return platform_install_advice("targetcli");
	if (probe->runner.running && probe->runner.answers && !probe->runner.subtype)
		return g_strdup("install handler_storageos.so in tcmu-runner's plugin directory "
				"and restart tcmu-runner");
	return NULL;
}

gboolean runtime_probe_choose(const RuntimeProbe *probe, Frontend wanted, Frontend *ret_chosen,
			      char **ret_reason)
{
	g_autofree char *tcmu = runtime_probe_tcmu_obstacle(probe, PROBE_POSSIBLE);
	g_autofree char *fuse = runtime_probe_fuse_obstacle(probe);
	gboolean possible;

	*ret_chosen = wanted == FRONTEND_AUTO ? (tcmu ? FRONTEND_FUSE : FRONTEND_TCMU) : wanted;
	possible = *ret_chosen == FRONTEND_TCMU ? !tcmu : !fuse;
	if (wanted != FRONTEND_AUTO)
		*ret_reason =
			g_strdup_printf("frontend=%s is asked for%s%s", frontend_name(wanted),
					possible ? "" : ", but ",
					possible ? "" : (wanted == FRONTEND_TCMU ? tcmu : fuse));
	else if (!tcmu)
		*ret_reason = g_strdup("the kernel and tcmu-runner offer TCMU");
	else if (possible)
		*ret_reason = g_strdup_printf("no TCMU: %s", tcmu);
	else
		*ret_reason = g_strdup_printf("no TCMU: %s; no FUSE: %s", tcmu, fuse);
	return possible;
}
