/* SPDX-License-Identifier: Apache-2.0 */
/*
 * probe: shows what this machine or another root supports, which front end `attach` would use and
 * why, and the next step.  The exit status tells the front end.
 */
#include <stdio.h>
#include <string.h>
#include <sys/utsname.h>

#include "cli/cli.h"
#include "cli/probe-ceph.h"
#include "cli/probe-json.h"
#include "common/base/files.h"
#include "common/base/units.h"

/* Exit statuses, beside CLI_FAILED and CLI_USAGE. */
enum { PROBE_TCMU = 0, PROBE_FUSE_ONLY = 3, PROBE_NEITHER = 4 };

static void verdict_clear(ProbeVerdict *verdict)
{
	g_free(verdict->reason);
	g_free(verdict->next_step);
	g_clear_pointer(&verdict->warnings, g_ptr_array_unref);
}
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(ProbeVerdict, verdict_clear)

/* ---- text */

G_GNUC_PRINTF(2, 3)
static void line_print(const char *name, const char *format, ...)
{
	va_list args;

	printf("%-18s ", name);
	va_start(args, format);
	vprintf(format, args);
	va_end(args);
	putchar('\n');
}

static void line_print_text(const char *name, const char *text)
{
	line_print(name, "%s", text);
}

static const char *or_not_installed(const char *program)
{
	return program ? program : "not installed";
}

static void probe_print_platform(const RuntimeProbe *probe)
{
	const CompatibilityRow *row = probe->row;
	g_autofree char *which =
		probe->n_kernels > 1
			? g_strdup_printf(" (of %u; --kernel names another)", probe->n_kernels)
			: g_strdup("");

	line_print("platform", "%s", probe->platform->name);
	if (row->tcmu == COMPATIBILITY_LOOK)
		line_print("table row", "%s", row->name);
	else
		line_print("table row", "%s (LIO %s, TCMU %s)", row->name,
			   compatibility_name(row->lio), compatibility_name(row->tcmu));
	if (probe->page_size)
		line_print("kernel", "%s%s, pages of %u KiB", probe->kernel->release, which,
			   (guint)(probe->page_size >> 10));
	else
		line_print("kernel", "%s%s", probe->kernel->release, which);
}

/* Why a module is missing, as far as the kernel's configuration tells. */
static const char *module_describe_missing(KernelOption option)
{
	switch (option) {
	case KERNEL_OPTION_OFF:
		return "missing (disabled in the kernel's configuration)";
	case KERNEL_OPTION_MODULE:
		return "missing (configured as a module, but not installed)";
	case KERNEL_OPTION_UNKNOWN:
	case KERNEL_OPTION_BUILT_IN:
		break;
	}
	return "missing";
}

static void probe_print_modules(const RuntimeProbe *probe)
{
	for (guint i = 0; i < PROBE_MODULES; i++)
		line_print(probe_module_name((ProbeModule)i), "%s",
			   probe->modules[i] == MODULE_MISSING
				   ? module_describe_missing(probe->options[i])
				   : module_state_name(probe->modules[i]));
	if (!probe->running)
		return;
	line_print("configfs mounted", "%s", probe->configfs ? probe->configfs : "no");
	line_print("TCM-USER netlink", "%s",
		   probe->tcmu.netlink		 ? "yes"
		   : probe->tcmu.netlink_problem ? probe->tcmu.netlink_problem
						 : "no");
}

static const char *runner_describe(const RuntimeProbe *probe)
{
	if (!probe->running)
		return "";
	if (!probe->runner.running)
		return probe->runner.bus && probe->runner.problem
			       ? ", the system bus does not tell whether it runs"
			       : ", not running";
	if (!probe->runner.answers)
		return ", running, does not answer on D-Bus";
	return probe->runner.subtype ? ", running, lists storageos"
				     : ", running, does not list storageos";
}

static const char *plugin_describe(const RuntimeProbe *probe)
{
	switch (probe->runner_plugin) {
	case RUNNER_PLUGIN_UNSEEN:
		return "";
	case RUNNER_PLUGIN_ABSENT:
		return ", not loaded";
	case RUNNER_PLUGIN_CURRENT:
		return ", loaded";
	case RUNNER_PLUGIN_REPLACED:
		return ", an older one is loaded";
	}
	return "";
}

static void probe_print_runner(const RuntimeProbe *probe)
{
	const RunnerProgram *files = &probe->runner_files;
	const char *generation = runner_generation_name(files->generation);

	if (!probe->runner_program) {
		line_print("tcmu-runner", "not installed");
		return;
	}
	line_print("tcmu-runner", "%s (ABI %s)%s",
		   files->version ? files->version : "unknown version",
		   generation ? generation : "not known", runner_describe(probe));
	line_print("plugin", "%s%s", or_not_installed(files->plugin), plugin_describe(probe));
}

static void probe_print_fuse(const RuntimeProbe *probe)
{
	line_print("storageos-fuse", "%s", or_not_installed(probe->fuse_program));
	line_print("libfuse", "%s%s, fusermount %s",
		   probe->fuse_library ? probe->fuse_library : "not known",
		   probe->fuse_library && !probe->fuse_library_found ? " (not found)" : "",
		   or_not_installed(probe->fusermount_program));
	if (probe->running)
		line_print("devices", "/dev/fuse %s, /dev/loop-control %s",
			   probe->fuse_device ? "yes" : "no", probe->loop_device ? "yes" : "no");
}

static void probe_print_users(const RuntimeProbe *probe)
{
	const TcmuUsers *tcmu = &probe->tcmu;
	g_autoptr(GString) text = g_string_new(NULL);

	g_string_append_printf(text, "%u device%s, %u of them ours", tcmu->devices,
			       tcmu->devices == 1 ? "" : "s", tcmu->own_devices);
	if (tcmu->subtypes)
		g_string_append_printf(text, " (others: %s)", tcmu->subtypes);
	for (guint i = 0; i < tcmu->users->len; i++) {
		const TcmuUser *user = g_ptr_array_index(tcmu->users, i);

		g_string_append_printf(text, "%s process %u (%s)", i ? "," : "; served by",
				       user->pid, user->command);
	}
	line_print("TCMU in use", "%s%s", text->str,
		   tcmu->complete ? "" : " (only root can see all servers)");
}

static char *limit_format(guint64 bytes)
{
	return bytes == MEMORY_UNLIMITED ? g_strdup("no limit") : size_format(bytes);
}

static void probe_print_memory(const RuntimeProbe *probe, const Config *config)
{
	g_autofree char *cgroup = limit_format(probe->memory.cgroup);
	g_autofree char *locked = limit_format(probe->memory.locked);
	g_autofree char *cache = size_format(config->node_cache);

	line_print("memory", "control group %s, locked %s, node_cache %s", cgroup, locked, cache);
}

static void probe_print(const RuntimeProbe *probe, const Config *config,
			const ProbeVerdict *verdict)
{
	probe_print_platform(probe);
	probe_print_modules(probe);
	probe_print_runner(probe);
	line_print("targetcli", "%s", or_not_installed(probe->targetcli_program));
	probe_print_fuse(probe);
	if (probe->running) {
		probe_ceph_print(config, line_print_text);
		probe_print_users(probe);
		probe_print_memory(probe, config);
	} else {
		line_print("machine", "not running: what is loaded, mounted or started is unknown");
	}
	for (guint i = 0; i < verdict->warnings->len; i++)
		line_print("warning", "%s", (const char *)g_ptr_array_index(verdict->warnings, i));
	line_print("front end", "%s (%s)",
		   verdict->possible ? frontend_name(verdict->chosen) : "none", verdict->reason);
	line_print("next step", "%s", verdict->next_step ? verdict->next_step : "none");
}

/* ---- the verb */

/* The front end that the configuration of another root selects. */
static Frontend frontend_in_sysroot(const RuntimeProbe *probe)
{
	g_autofree char *text =
		sysroot_read(probe->sysroot, CONFIG_DEFAULT_FILE, FILES_TEXT_MAX, NULL, NULL);
	g_autoptr(GKeyFile) file = g_key_file_new();
	g_autofree char *value = NULL;
	Frontend frontend;

	if (text && g_key_file_load_from_data(file, text, (gsize)-1, G_KEY_FILE_NONE, NULL))
		value = g_key_file_get_string(file, "storageos", "frontend", NULL);
	return value && frontend_parse(value, &frontend) ? frontend : FRONTEND_AUTO;
}

static void probe_judge(const RuntimeProbe *probe, const Config *config, ProbeVerdict *verdict)
{
	Frontend wanted = probe->running ? config->frontend : frontend_in_sysroot(probe);

	verdict->possible = runtime_probe_choose(probe, wanted, &verdict->chosen, &verdict->reason);
	verdict->next_step = runtime_probe_next_step(probe, wanted);
	verdict->warnings = runtime_probe_warnings(probe, config->node_cache);
}

static int verdict_exit_status(const ProbeVerdict *verdict)
{
	if (!verdict->possible)
		return PROBE_NEITHER;
	return verdict->chosen == FRONTEND_TCMU ? PROBE_TCMU : PROBE_FUSE_ONLY;
}

/* Whether it is the running kernel, which needs no directory in /lib/modules. */
static gboolean kernel_runs(const char *kernel)
{
	struct utsname name;

	return !uname(&name) && !strcmp(name.release, kernel);
}

static int probe_failed(const char *sysroot, const GError *error)
{
	struct utsname name;
	gboolean known = !sysroot && !uname(&name);

	cli_say("probe: %s%s%s", error->message, known ? "; the one that runs is " : "",
		known ? name.release : "");
	return CLI_FAILED;
}

static int verb_probe_run(int argc, char **argv)
{
	g_autofree char *sysroot = NULL;
	g_autofree char *kernel = NULL;
	const GOptionEntry options[] = {
		{"root", 0, 0, G_OPTION_ARG_FILENAME, &sysroot,
		 "Examine another root: a mounted image, a container's host", "DIR"},
		{"kernel", 0, 0, G_OPTION_ARG_FILENAME, &kernel,
		 "Examine this kernel (default for a root: its newest)", "RELEASE"},
		{0},
	};
	g_autoptr(RuntimeProbe) probe = NULL;
	g_autoptr(GError) error = NULL;
	g_auto(ProbeVerdict) verdict = {0};
	g_auto(Cli) cli = {0};
	int status;

	if (!cli_start(&cli, &verb_probe, options, 0, 0, argc, argv, &status))
		return status;
	if (sysroot || (kernel && !kernel_runs(kernel)))
		probe = runtime_probe_new_at(sysroot ? sysroot : "/", kernel, &error);
	else
		probe = runtime_probe_new(NULL);
	if (!probe)
		return probe_failed(sysroot, error);
	probe_judge(probe, cli.config, &verdict);
	if (cli.json)
		probe_print_json(probe, cli.config, &verdict);
	else
		probe_print(probe, cli.config, &verdict);
	return verdict_exit_status(&verdict);
}

const Verb verb_probe = {"probe", "[--root DIR] [--kernel RELEASE]",
			 "show what this machine supports, and the front end", verb_probe_run};
