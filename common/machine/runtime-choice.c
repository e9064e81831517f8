/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Conclusions from a RuntimeProbe: obstacles, the front end, the next step, warnings.
 */
#include <string.h>

#include "common/machine/runtime-probe.h"
#include "common/base/units.h"

/* About how many bytes a process that serves volumes needs in addition to node_cache. */
#define SERVER_MEMORY ((guint64)64 << 20)

static const ProbeModule tcmu_modules[] = {PROBE_CONFIGFS, PROBE_TARGET_CORE_MOD, PROBE_UIO,
					   PROBE_TARGET_CORE_USER, PROBE_TCM_LOOP};
static const ProbeModule fuse_modules[] = {PROBE_FUSE, PROBE_LOOP};

/* ---- modules */

typedef struct {
	const ProbeModule *modules;
	guint n;
} Needed;

static const Needed for_tcmu = {tcmu_modules, G_N_ELEMENTS(tcmu_modules)};
static const Needed for_fuse = {fuse_modules, G_N_ELEMENTS(fuse_modules)};

/* The names of the modules that pass the test, separated by commas; NULL if none does. */
static char *modules_list(const RuntimeProbe *probe, Needed needed,
			  gboolean (*test)(ModuleState state))
{
	g_autoptr(GString) list = g_string_new(NULL);

	for (guint i = 0; i < needed.n; i++)
		if (test(probe->modules[needed.modules[i]]))
			g_string_append_printf(list, "%s%s", list->len ? ", " : "",
					       probe_module_name(needed.modules[i]));
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

static char *module_obstacle(const RuntimeProbe *probe, Needed needed, ProbeDepth depth)
{
	g_autofree char *missing = modules_list(probe, needed, is_missing);
	g_autofree char *inactive = modules_list(probe, needed, is_not_active);
	const char *release = probe->kernel->release;

	if (missing)
		return g_strdup_printf("kernel %s lacks %s", release, missing);
	if (inactive && !probe->kernel->may_load)
		return g_strdup_printf("kernel %s may not load %s (kernel.modules_disabled is 1)",
				       release, inactive);
	if (depth == PROBE_READY && inactive)
		return g_strdup_printf("kernel %s cannot load %s", release, inactive);
	return NULL;
}

/* ---- TCMU */

static gboolean plugin_is_missing(const RuntimeProbe *probe)
{
	return !probe->bare && probe->runner_files.directory && !probe->runner_files.plugin;
}

static gboolean generation_is_not_served(const RunnerProgram *files)
{
	return files->generation != RUNNER_GENERATION_UNKNOWN &&
	       !runner_generation_is_served(files->generation);
}

/* For a runner that is not running: whether its files show that it could not serve our volumes. */
static char *runner_files_obstacle(const RuntimeProbe *probe)
{
	const RunnerProgram *files = &probe->runner_files;

	if (generation_is_not_served(files))
		return g_strdup_printf("the plugin is not made for tcmu-runner %s",
				       files->version
					       ? files->version
					       : runner_generation_versions(files->generation));
	if (plugin_is_missing(probe))
		return g_strdup_printf(RUNNER_PLUGIN " is not in %s", files->directory);
	return NULL;
}

/* For a runner that is not running: `attach` would start it beside a daemon that already serves
 * TCMU. */
static char *other_daemon_obstacle(const RuntimeProbe *probe)
{
	const TcmuUser *other = tcmu_users_other(&probe->tcmu, 0);

	return other ? g_strdup_printf("another daemon serves TCMU (process %u, %s), and "
				       "tcmu-runner beside it could corrupt data",
				       other->pid, other->command)
		     : NULL;
}

static char *runner_obstacle(const RuntimeProbe *probe, ProbeDepth depth)
{
	const RunnerBusStatus *runner = &probe->runner;
	char *obstacle;

	if (probe->running && !runner->bus)
		return g_strdup_printf("there is no D-Bus system bus, which tcmu-runner needs (%s)",
				       runner->problem ? runner->problem : "not running");
	if (!runner->running && runner->problem)
		return g_strdup_printf("the D-Bus system bus does not tell whether tcmu-runner "
				       "runs (%s)",
				       runner->problem);
	if (!runner->running) {
		obstacle = other_daemon_obstacle(probe);
		if (!obstacle)
			obstacle = runner_files_obstacle(probe);
		if (!obstacle && depth == PROBE_READY)
			obstacle = g_strdup("tcmu-runner does not run");
		return obstacle;
	}
	if (!runner->answers)
		return g_strdup_printf("tcmu-runner does not answer on D-Bus (%s)",
				       runner->problem ? runner->problem : "no reason given");
	return runner->subtype ? NULL
			       : g_strdup("tcmu-runner does not list the subtype " RUNNER_SUBTYPE);
}

static gboolean family_is_absent(const RuntimeProbe *probe)
{
	return probe->running && !probe->tcmu.netlink &&
	       module_is_active(probe->modules[PROBE_TARGET_CORE_USER]);
}

/* What has been found to be missing. */
static char *sure_obstacle(const RuntimeProbe *probe, ProbeDepth depth)
{
	char *obstacle = module_obstacle(probe, for_tcmu, depth);

	if (obstacle)
		return obstacle;
	if (depth == PROBE_READY && !probe->configfs)
		return g_strdup("configfs is not mounted");
	if (family_is_absent(probe) && !probe->tcmu.netlink_problem)
		return g_strdup("the kernel has no netlink family TCM-USER");
	if (!probe->bare && !probe->runner_program && !probe->runner.running)
		return g_strdup("tcmu-runner is not installed");
	if (!probe->bare && !probe->targetcli_program)
		return g_strdup("targetcli is not installed");
	return runner_obstacle(probe, depth);
}

/* What could not be found out. */
static char *unsure_obstacle(const RuntimeProbe *probe)
{
	return family_is_absent(probe) && probe->tcmu.netlink_problem
		       ? g_strdup_printf("the kernel does not tell whether it has the netlink "
					 "family TCM-USER (%s); try again, or use "
					 "--frontend fuse",
					 probe->tcmu.netlink_problem)
		       : NULL;
}

char *runtime_probe_tcmu_obstacle(const RuntimeProbe *probe, ProbeDepth depth)
{
	char *obstacle = sure_obstacle(probe, depth);

	return obstacle ? obstacle : unsure_obstacle(probe);
}

gboolean runtime_probe_is_unsure(const RuntimeProbe *probe, ProbeDepth depth)
{
	g_autofree char *sure = sure_obstacle(probe, depth);
	g_autofree char *unsure = unsure_obstacle(probe);

	return !sure && unsure;
}

/* ---- FUSE */

/* A driver that is active must have its device node.  For a module that is not loaded yet, the node
 * appears when it is loaded. */
static char *device_obstacle(const RuntimeProbe *probe)
{
	if (!probe->running)
		return NULL;
	if (module_is_active(probe->modules[PROBE_FUSE]) && !probe->fuse_device)
		return g_strdup("there is no /dev/fuse");
	if (module_is_active(probe->modules[PROBE_LOOP]) && !probe->loop_device)
		return g_strdup("there is no /dev/loop-control");
	return NULL;
}

char *runtime_probe_fuse_obstacle(const RuntimeProbe *probe)
{
	char *obstacle;

	if (!probe->bare && !probe->fuse_program)
		return g_strdup("storageos-fuse is not installed");
	obstacle = module_obstacle(probe, for_fuse, PROBE_POSSIBLE);
	return obstacle ? obstacle : device_obstacle(probe);
}

/* ---- the choice */

gboolean runtime_probe_choose(const RuntimeProbe *probe, Frontend wanted, Frontend *ret_chosen,
			      char **ret_reason)
{
	g_autofree char *tcmu = runtime_probe_tcmu_obstacle(probe, PROBE_POSSIBLE);
	g_autofree char *fuse = runtime_probe_fuse_obstacle(probe);
	gboolean possible;

	if (wanted == FRONTEND_AUTO && runtime_probe_is_unsure(probe, PROBE_POSSIBLE)) {
		*ret_chosen = FRONTEND_TCMU;
		*ret_reason = g_steal_pointer(&tcmu);
		return FALSE;
	}
	*ret_chosen = wanted == FRONTEND_AUTO ? (tcmu ? FRONTEND_FUSE : FRONTEND_TCMU) : wanted;
	possible = *ret_chosen == FRONTEND_TCMU ? !tcmu : !fuse;
	if (wanted != FRONTEND_AUTO)
		*ret_reason =
			g_strdup_printf("frontend=%s was requested%s%s", frontend_name(wanted),
					possible ? "" : ", but ",
					possible ? "" : (wanted == FRONTEND_TCMU ? tcmu : fuse));
	else if (!tcmu)
		*ret_reason = g_strdup(probe->bare ? "the kernel offers TCMU"
						   : "the kernel and tcmu-runner offer TCMU");
	else if (possible)
		*ret_reason = g_strdup_printf("no TCMU: %s", tcmu);
	else
		*ret_reason = g_strdup_printf("no TCMU: %s; no FUSE: %s", tcmu, fuse);
	return possible;
}

/* ---- the next step */

/* The command that makes the index of modules, if the index is missing; otherwise NULL. */
static char *index_step(const RuntimeProbe *probe)
{
	const Kernel *kernel = probe->kernel;

	if (!kernel->directory || kernel->loadable)
		return NULL;
	if (probe->running)
		return g_strdup_printf("depmod %s", kernel->release);
	return g_strdup_printf("depmod --basedir %s %s", sysroot_directory(probe->sysroot),
			       kernel->release);
}

static char *kernel_step(const RuntimeProbe *probe, Needed needed, const char *missing)
{
	CompatibilityNeed need = {.release = probe->kernel->release,
				  .lio = runtime_probe_has_lio(probe),
				  .missing = missing};
	char *step;

	for (guint i = 0; i < needed.n; i++)
		if (probe->modules[needed.modules[i]] == MODULE_MISSING)
			need.built = need.built ? MIN(need.built, probe->options[needed.modules[i]])
						: probe->options[needed.modules[i]];
	step = need.built == KERNEL_OPTION_OFF ? NULL : index_step(probe);
	return step ? step : compatibility_step(probe->row, probe->platform, &need);
}

/* The command that restarts the runner, if only a restart makes it use the installed program and
 * plugin; otherwise NULL. */
static char *restart_step(const RuntimeProbe *probe)
{
	const RunnerBusStatus *runner = &probe->runner;
	g_autofree char *served = NULL;

	if (!runner->running || !probe->runner_files.plugin)
		return NULL;
	if (runner->subtype && !probe->runner_process.outdated &&
	    probe->runner_plugin != RUNNER_PLUGIN_REPLACED)
		return NULL;
	if (probe->tcmu.devices)
		served = g_strdup_printf(" (it serves %u device%s, whose I/O waits meanwhile)",
					 probe->tcmu.devices, probe->tcmu.devices > 1 ? "s" : "");
	return g_strdup_printf("systemctl restart tcmu-runner%s", served ? served : "");
}

/* One command that installs every missing package. */
static char *install_step(const RuntimeProbe *probe)
{
	const RunnerProgram *files = &probe->runner_files;
	const char *wanted[4] = {NULL};
	guint n = 0;

	if (probe->bare)
		return NULL;
	if (!probe->runner_program)
		wanted[n++] = "tcmu-runner";
	if (!probe->targetcli_program)
		wanted[n++] = "targetcli";
	if (plugin_is_missing(probe) || (!probe->runner_program && !files->plugin))
		wanted[n++] = "tcmu-handler-storageos";
	return n ? platform_install_step(probe->platform, wanted) : NULL;
}

static char *runner_step(const RuntimeProbe *probe)
{
	const TcmuUser *other = tcmu_users_other(&probe->tcmu, 0);
	char *step;

	if (generation_is_not_served(&probe->runner_files))
		return g_strdup_printf("upgrade tcmu-runner to %s", RUNNER_VERSIONS_SERVED);
	step = install_step(probe);
	if (step)
		return step;
	if (probe->running && !probe->runner.bus)
		return g_strdup("start D-Bus");
	if (!probe->runner.running && other)
		return g_strdup_printf("end process %u (%s), so that tcmu-runner can serve TCMU",
				       other->pid, other->command);
	return restart_step(probe);
}

static char *tcmu_step(const RuntimeProbe *probe)
{
	g_autofree char *missing = modules_list(probe, for_tcmu, is_missing);

	g_autofree char *inactive = modules_list(probe, for_tcmu, is_not_active);

	if (missing)
		return kernel_step(probe, for_tcmu, missing);
	if (inactive && !probe->kernel->may_load)
		return g_strdup("restart the machine without kernel.modules_disabled");
	return runner_step(probe);
}

static char *fuse_step(const RuntimeProbe *probe)
{
	const char *const package[] = {"storageos-fuse", NULL};
	g_autofree char *missing = modules_list(probe, for_fuse, is_missing);
	char *step;

	if (!probe->bare && !probe->fuse_program)
		return platform_install_step(probe->platform, package);
	if (!missing)
		return NULL;
	step = index_step(probe);
	return step ? step : g_strdup_printf("missing %s: use a kernel that has them", missing);
}

char *runtime_probe_next_step(const RuntimeProbe *probe, Frontend wanted)
{
	g_autofree char *tcmu = runtime_probe_tcmu_obstacle(probe, PROBE_POSSIBLE);
	g_autofree char *fuse = runtime_probe_fuse_obstacle(probe);
	char *step = NULL;

	if (wanted == FRONTEND_FUSE)
		return fuse_step(probe);
	/* If neither works and TCMU needs more than a package, FUSE comes first. */
	if (wanted == FRONTEND_AUTO && tcmu && fuse && !runtime_probe_has_tcmu(probe))
		step = fuse_step(probe);
	return step ? step : tcmu_step(probe);
}

/* ---- warnings */

G_GNUC_PRINTF(2, 3)
static void warnings_add(GPtrArray *warnings, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	g_ptr_array_add(warnings, g_strdup_vprintf(format, args));
	va_end(args);
}

/* Whether a module is missing that this kernel may have been built with. */
static gboolean modules_may_be_elsewhere(const RuntimeProbe *probe)
{
	for (guint i = 0; i < PROBE_MODULES; i++)
		if (probe->modules[i] == MODULE_MISSING && probe->options[i] != KERNEL_OPTION_OFF)
			return TRUE;
	return FALSE;
}

static void warn_of_modules(const RuntimeProbe *probe, GPtrArray *warnings)
{
	const Kernel *kernel = probe->kernel;
	g_autofree char *index = index_step(probe);

	if (index)
		warnings_add(warnings, "there is no %s/modules.dep, so no module can be found: %s",
			     kernel->directory, index);
	else if (!kernel->directory && modules_may_be_elsewhere(probe))
		warnings_add(
			warnings,
			"the modules of kernel %s are not here: this is a container, or the kernel "
			"has been upgraded since the machine was started",
			kernel->release);
}

static void warn_of_nothing(const RuntimeProbe *probe, GPtrArray *warnings)
{
	const char *const ours[] = {"storageos", NULL};
	g_autofree char *step = platform_install_step(probe->platform, ours);

	if (probe->bare)
		warnings_add(warnings, "no package of storageos is installed there: %s", step);
}

static void warn_of_plugin(const RuntimeProbe *probe, GPtrArray *warnings)
{
	const GPtrArray *copies = probe->runner_files.copies;

	for (guint i = 0; i < copies->len; i++)
		warnings_add(warnings, "tcmu-runner also loads %s when it starts: remove it",
			     (const char *)g_ptr_array_index(copies, i));
	if (probe->runner_process.outdated)
		warnings_add(warnings, "tcmu-runner has been upgraded since it was started");
	if (probe->runner_plugin == RUNNER_PLUGIN_REPLACED)
		warnings_add(warnings,
			     "tcmu-runner still uses the plugin that was %s after it was started",
			     probe->runner_files.plugin ? "replaced" : "removed");
}

static void warn_of_others(const RuntimeProbe *probe, GPtrArray *warnings)
{
	const GPtrArray *users = probe->tcmu.users;

	for (guint i = 0; users && i < users->len; i++) {
		const TcmuUser *user = g_ptr_array_index(users, i);

		if (user->pid != probe->runner.pid && !user->ours)
			warnings_add(warnings,
				     "process %u (%s) %s: a second TCMU daemon can corrupt volumes",
				     user->pid, user->command,
				     user->device ? "has a TCMU device open"
						  : "listens for TCMU devices");
	}
}

static void warn_of_limit(GPtrArray *warnings, const char *whose, guint64 limit, guint64 node_cache)
{
	g_autofree char *text = NULL;
	g_autofree char *need = NULL;

	if (limit >= node_cache + SERVER_MEMORY)
		return;
	text = size_format(limit);
	need = size_format(node_cache + SERVER_MEMORY);
	warnings_add(warnings,
		     "%s has %s, and a process that serves volumes takes %s: lower node_cache, or "
		     "raise the limit",
		     whose, text, need);
}

static void warn_of_memory(const RuntimeProbe *probe, guint64 node_cache, GPtrArray *warnings)
{
	warn_of_limit(warnings, "this machine", probe->memory.machine, node_cache);
	warn_of_limit(warnings, "the control group of this process", probe->memory.cgroup,
		      node_cache);
	if (probe->runner.pid)
		warn_of_limit(warnings, "the control group of tcmu-runner",
			      probe->runner_memory.cgroup, node_cache);
	if (!memory_may_lock(&probe->memory))
		warnings_add(warnings,
			     "storageos-fuse started from here cannot lock its memory (limit, "
			     "and no CAP_SYS_RESOURCE): it may wait for its own volume when "
			     "memory is short");
}

GPtrArray *runtime_probe_warnings(const RuntimeProbe *probe, guint64 node_cache)
{
	GPtrArray *warnings = g_ptr_array_new_with_free_func(g_free);

	if (probe->platform->problem)
		warnings_add(warnings, "the distribution is not known: %s",
			     probe->platform->problem);
	warn_of_nothing(probe, warnings);
	warn_of_modules(probe, warnings);
	warn_of_plugin(probe, warnings);
	warn_of_others(probe, warnings);
	if (probe->fuse_library && !probe->fuse_library_found)
		warnings_add(warnings,
			     "storageos-fuse is linked against %s, which is not in the usual "
			     "places",
			     probe->fuse_library);
	if (probe->page_size > 4096)
		warnings_add(warnings,
			     "pages of %u KiB: volumes stay as they are (blocks of 4 KiB), but "
			     "each TCMU "
			     "request takes whole pages of its device's buffer",
			     (guint)(probe->page_size >> 10));
	if (probe->running)
		warn_of_memory(probe, node_cache, warnings);
	return warnings;
}
