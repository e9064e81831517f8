/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The choice by itself, for a machine that is only described.  Each row changes one thing of a
 * machine on which everything works.
 */
#include "common/machine/runtime-probe.h"
#include "common/base/units.h"
#include "tests/harness.h"

#define NODE_CACHE (64 * MIB)

typedef struct {
	RuntimeProbe probe;
	Kernel kernel;
	Platform platform;
	TcmuUser other;
} Machine;

/* A machine on which TCMU and FUSE work. */
static void machine_init(Machine *machine)
{
	static CompatibilityRow row = {"any other", COMPATIBILITY_LOOK, COMPATIBILITY_LOOK, NULL,
				       FALSE};
	RuntimeProbe *probe = &machine->probe;

	machine->kernel = (Kernel){.release = (char *)"6.1",
				   .running = TRUE,
				   .may_load = TRUE,
				   .directory = (char *)"/lib/modules/6.1",
				   .loadable = (char *)"yes"};
	machine->platform = (Platform){.id = (char *)"debian",
				       .version = (char *)"12",
				       .flavour = (char *)"",
				       .packages = PACKAGES_APT};
	machine->other = (TcmuUser){.pid = 99, .command = (char *)"other", .listens = TRUE};
	*probe = (RuntimeProbe){.running = TRUE,
				.kernel = &machine->kernel,
				.platform = &machine->platform,
				.row = &row,
				.configfs = (char *)"/sys/kernel/config",
				.runner_program = (char *)"/usr/bin/tcmu-runner",
				.targetcli_program = (char *)"/usr/bin/targetcli",
				.fuse_program = (char *)"/usr/bin/storageos-fuse",
				.fuse_library = (char *)"libfuse3.so.3",
				.fuse_library_found = TRUE,
				.fuse_device = TRUE,
				.loop_device = TRUE,
				.page_size = 4096};
	for (guint i = 0; i < PROBE_MODULES; i++)
		probe->modules[i] = MODULE_LOADED;
	probe->runner = (RunnerBusStatus){
		.bus = TRUE, .running = TRUE, .pid = 7, .answers = TRUE, .subtype = TRUE};
	probe->runner_files.generation = RUNNER_GENERATION_G;
	probe->runner_files.directory = (char *)"/usr/lib/tcmu-runner";
	probe->runner_files.plugin = (char *)"/usr/lib/tcmu-runner/" RUNNER_PLUGIN;
	probe->runner_files.copies = g_ptr_array_new();
	probe->runner_plugin = RUNNER_PLUGIN_CURRENT;
	probe->tcmu.netlink = TRUE;
	probe->tcmu.users = g_ptr_array_new();
	probe->memory = probe->runner_memory =
		(MemoryLimits){MEMORY_UNLIMITED, MEMORY_UNLIMITED, MEMORY_UNLIMITED};
}

static void machine_clear(Machine *machine)
{
	g_ptr_array_unref(machine->probe.runner_files.copies);
	g_ptr_array_unref(machine->probe.tcmu.users);
}
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(Machine, machine_clear)

/* ---- changes to the machine */

static void is_well(Machine *machine)
{
	(void)machine;
}

static void no_tcm_loop(Machine *machine)
{
	machine->probe.modules[PROBE_TCM_LOOP] = MODULE_MISSING;
	machine->probe.options[PROBE_TCM_LOOP] = KERNEL_OPTION_MODULE;
}

static void not_loaded(Machine *machine)
{
	machine->probe.modules[PROBE_TARGET_CORE_USER] = MODULE_LOADABLE;
	machine->probe.tcmu.netlink = FALSE;
}

static void not_to_be_loaded(Machine *machine)
{
	not_loaded(machine);
	machine->kernel.may_load = FALSE;
}

static void no_configfs(Machine *machine)
{
	machine->probe.configfs = NULL;
}

static void no_netlink(Machine *machine)
{
	machine->probe.tcmu.netlink = FALSE;
}

static void netlink_is_silent(Machine *machine)
{
	no_netlink(machine);
	machine->probe.tcmu.netlink_problem = (char *)"no answer within 2 s";
}

static void no_runner(Machine *machine)
{
	machine->probe.runner_program = NULL;
	machine->probe.runner_files.generation = RUNNER_GENERATION_UNKNOWN;
	machine->probe.runner_files.plugin = NULL;
	machine->probe.runner = (RunnerBusStatus){.bus = TRUE};
}

static void netlink_is_silent_without_runner(Machine *machine)
{
	netlink_is_silent(machine);
	no_runner(machine);
}

static void no_targetcli(Machine *machine)
{
	machine->probe.targetcli_program = NULL;
}

static void no_bus(Machine *machine)
{
	machine->probe.runner = (RunnerBusStatus){0};
}

static void bus_refuses(Machine *machine)
{
	machine->probe.runner = (RunnerBusStatus){.problem = (char *)"refused"};
}

static void bus_does_not_tell(Machine *machine)
{
	machine->probe.runner =
		(RunnerBusStatus){.bus = TRUE, .problem = (char *)"no answer within 5 s"};
}

static void not_started(Machine *machine)
{
	machine->probe.runner = (RunnerBusStatus){.bus = TRUE};
}

static void old_runner(Machine *machine)
{
	not_started(machine);
	machine->probe.runner_files.generation = RUNNER_GENERATION_B;
	machine->probe.runner_files.version = (char *)"1.2.0";
}

static void old_runner_unnamed(Machine *machine)
{
	old_runner(machine);
	machine->probe.runner_files.version = NULL;
}

static void no_plugin(Machine *machine)
{
	not_started(machine);
	machine->probe.runner_files.plugin = NULL;
}

static void other_listens(Machine *machine)
{
	not_started(machine);
	g_ptr_array_add(machine->probe.tcmu.users, &machine->other);
}

static void other_beside(Machine *machine)
{
	machine->other.device = (char *)"/dev/uio0";
	g_ptr_array_add(machine->probe.tcmu.users, &machine->other);
}

static void runner_is_silent(Machine *machine)
{
	machine->probe.runner.answers = machine->probe.runner.subtype = FALSE;
}

static void runner_times_out(Machine *machine)
{
	runner_is_silent(machine);
	machine->probe.runner.problem = (char *)"no answer within 5 s";
}

static void runner_without_subtype(Machine *machine)
{
	machine->probe.runner.subtype = FALSE;
}

static void runner_without_subtype_serves(Machine *machine)
{
	runner_without_subtype(machine);
	machine->probe.tcmu.devices = 2;
}

static void runner_upgraded(Machine *machine)
{
	machine->probe.runner_process.outdated = TRUE;
	machine->probe.tcmu.devices = 1;
}

static void plugin_replaced(Machine *machine)
{
	machine->probe.runner_plugin = RUNNER_PLUGIN_REPLACED;
}

static void plugin_removed(Machine *machine)
{
	plugin_replaced(machine);
	machine->probe.runner_files.plugin = NULL;
}

static void no_fuse_program(Machine *machine)
{
	machine->probe.fuse_program = NULL;
}

static void no_fuse_device(Machine *machine)
{
	machine->probe.fuse_device = FALSE;
}

static void no_loop_device(Machine *machine)
{
	machine->probe.loop_device = FALSE;
}

static void no_fuse_modules(Machine *machine)
{
	machine->probe.modules[PROBE_FUSE] = machine->probe.modules[PROBE_LOOP] = MODULE_MISSING;
}

static void fuse_to_be_loaded(Machine *machine)
{
	machine->probe.modules[PROBE_FUSE] = machine->probe.modules[PROBE_LOOP] = MODULE_LOADABLE;
	machine->probe.fuse_device = machine->probe.loop_device = FALSE;
}

static void nothing_at_all(Machine *machine)
{
	no_fuse_modules(machine);
	no_runner(machine);
	machine->probe.modules[PROBE_TARGET_CORE_USER] = MODULE_MISSING;
}

static void bare(Machine *machine)
{
	nothing_at_all(machine);
	machine->probe.running = FALSE;
	machine->probe.bare = TRUE;
	for (guint i = 0; i < PROBE_MODULES; i++)
		machine->probe.modules[i] = MODULE_LOADABLE;
}

/* ---- obstacles, choice, step */

typedef struct {
	const char *name;
	void (*differ)(Machine *machine);
	const char *tcmu, *ready; /* obstacles at both depths; NULL: none */
	const char *fuse;
	const char *step; /* of FRONTEND_AUTO */
} ChoiceRow;

#define SAME(text) text, text
#define SILENT_KERNEL                                                                              \
	"the kernel does not tell whether it has the netlink family TCM-USER (no answer within "   \
	"2 s); try again, or use --frontend fuse"

static const ChoiceRow rows[] = {
	{"all is well", is_well, SAME(NULL), NULL, NULL},
	{"a module is missing", no_tcm_loop, SAME("kernel 6.1 lacks tcm_loop"), NULL,
	 "missing tcm_loop: reinstall linux-image-6.1"},
	{"a module is not loaded", not_loaded, NULL, "kernel 6.1 cannot load target_core_user",
	 NULL, NULL},
	{"modules may not be loaded", not_to_be_loaded,
	 SAME("kernel 6.1 may not load target_core_user (kernel.modules_disabled is 1)"), NULL,
	 "restart the machine without kernel.modules_disabled"},
	{"configfs is not mounted", no_configfs, NULL, "configfs is not mounted", NULL, NULL},
	{"the netlink family is not there", no_netlink,
	 SAME("the kernel has no netlink family TCM-USER"), NULL, NULL},
	{"the kernel does not tell", netlink_is_silent, SAME(SILENT_KERNEL), NULL, NULL},
	{"and there is no tcmu-runner", netlink_is_silent_without_runner,
	 SAME("tcmu-runner is not installed"), NULL,
	 "apt-get install tcmu-runner tcmu-handler-storageos"},
	{"no tcmu-runner", no_runner, SAME("tcmu-runner is not installed"), NULL,
	 "apt-get install tcmu-runner tcmu-handler-storageos"},
	{"no targetcli", no_targetcli, SAME("targetcli is not installed"), NULL,
	 "apt-get install targetcli-fb"},
	{"no system bus", no_bus,
	 SAME("there is no D-Bus system bus, which tcmu-runner needs (not running)"), NULL,
	 "start D-Bus"},
	{"a system bus that refuses", bus_refuses,
	 SAME("there is no D-Bus system bus, which tcmu-runner needs (refused)"), NULL,
	 "start D-Bus"},
	{"a system bus that does not tell", bus_does_not_tell,
	 SAME("the D-Bus system bus does not tell whether tcmu-runner runs (no answer within 5 s)"),
	 NULL, NULL},
	{"the runner does not run", not_started, NULL, "tcmu-runner does not run", NULL, NULL},
	{"a runner that is too old", old_runner,
	 SAME("the plugin is not made for tcmu-runner 1.2.0"), NULL,
	 "upgrade tcmu-runner to " RUNNER_VERSIONS_SERVED},
	{"one that does not say its version", old_runner_unnamed,
	 SAME("the plugin is not made for tcmu-runner 1.2"), NULL,
	 "upgrade tcmu-runner to " RUNNER_VERSIONS_SERVED},
	{"no plugin", no_plugin, SAME(RUNNER_PLUGIN " is not in /usr/lib/tcmu-runner"), NULL,
	 "apt-get install tcmu-handler-storageos"},
	{"another daemon", other_listens,
	 SAME("another daemon serves TCMU (process 99, other), and tcmu-runner beside it could "
	      "corrupt data"),
	 NULL, "end process 99 (other), so that tcmu-runner can serve TCMU"},
	{"another daemon beside a runner", other_beside, SAME(NULL), NULL, NULL},
	{"the runner does not answer", runner_is_silent,
	 SAME("tcmu-runner does not answer on D-Bus (no reason given)"), NULL,
	 "systemctl restart tcmu-runner"},
	{"not in time", runner_times_out,
	 SAME("tcmu-runner does not answer on D-Bus (no answer within 5 s)"), NULL,
	 "systemctl restart tcmu-runner"},
	{"it has not loaded the plugin", runner_without_subtype,
	 SAME("tcmu-runner does not list the subtype storageos"), NULL,
	 "systemctl restart tcmu-runner"},
	{"and serves others", runner_without_subtype_serves,
	 SAME("tcmu-runner does not list the subtype storageos"), NULL,
	 "systemctl restart tcmu-runner (it serves 2 devices, whose I/O waits meanwhile)"},
	{"the runner was upgraded", runner_upgraded, SAME(NULL), NULL,
	 "systemctl restart tcmu-runner (it serves 1 device, whose I/O waits meanwhile)"},
	{"the plugin was replaced", plugin_replaced, SAME(NULL), NULL,
	 "systemctl restart tcmu-runner"},
	{"the plugin was removed", plugin_removed, SAME(NULL), NULL,
	 "apt-get install tcmu-handler-storageos"},
	{"no storageos-fuse", no_fuse_program, SAME(NULL), "storageos-fuse is not installed", NULL},
	{"no /dev/fuse", no_fuse_device, SAME(NULL), "there is no /dev/fuse", NULL},
	{"no /dev/loop-control", no_loop_device, SAME(NULL), "there is no /dev/loop-control", NULL},
	{"no FUSE in the kernel", no_fuse_modules, SAME(NULL), "kernel 6.1 lacks fuse, loop", NULL},
	{"FUSE is to be loaded", fuse_to_be_loaded, SAME(NULL), NULL, NULL},
	{"nothing at all", nothing_at_all, SAME("kernel 6.1 lacks target_core_user"),
	 "kernel 6.1 lacks fuse, loop", "missing fuse, loop: use a kernel that has them"},
	{"a bare root", bare, NULL, "kernel 6.1 cannot load", NULL, NULL},
};

static void check_text(const char *got, const char *part)
{
	if (part)
		CHECK_CONTAINS(got, part);
	else
		CHECK_STR(got, NULL);
}

static void test_obstacles(const void *data)
{
	const ChoiceRow *row = data;
	g_auto(Machine) machine;
	g_autofree char *tcmu = NULL, *ready = NULL, *fuse = NULL, *step = NULL;

	machine_init(&machine);
	row->differ(&machine);
	tcmu = runtime_probe_tcmu_obstacle(&machine.probe, PROBE_POSSIBLE);
	check_text(tcmu, row->tcmu);
	ready = runtime_probe_tcmu_obstacle(&machine.probe, PROBE_READY);
	check_text(ready, row->ready);
	fuse = runtime_probe_fuse_obstacle(&machine.probe);
	check_text(fuse, row->fuse);
	step = runtime_probe_next_step(&machine.probe, FRONTEND_AUTO);
	CHECK_STR(step, row->step);
}

static void test_choice(const void *data)
{
	static const struct {
		void (*differ)(Machine *machine);
		Frontend wanted, chosen;
		gboolean possible;
		const char *reason;
	} choices[] = {
		{is_well, FRONTEND_AUTO, FRONTEND_TCMU, TRUE,
		 "the kernel and tcmu-runner offer TCMU"},
		{bare, FRONTEND_AUTO, FRONTEND_TCMU, TRUE, "the kernel offers TCMU"},
		{no_targetcli, FRONTEND_AUTO, FRONTEND_FUSE, TRUE,
		 "no TCMU: targetcli is not installed"},
		{no_netlink, FRONTEND_AUTO, FRONTEND_FUSE, TRUE,
		 "no TCMU: the kernel has no netlink family TCM-USER"},
		{netlink_is_silent, FRONTEND_AUTO, FRONTEND_TCMU, FALSE, SILENT_KERNEL},
		{netlink_is_silent_without_runner, FRONTEND_AUTO, FRONTEND_FUSE, TRUE,
		 "no TCMU: tcmu-runner is not installed"},
		{nothing_at_all, FRONTEND_AUTO, FRONTEND_FUSE, FALSE,
		 "no TCMU: kernel 6.1 lacks target_core_user; no FUSE: kernel 6.1 lacks "
		 "fuse, loop"},
		{is_well, FRONTEND_FUSE, FRONTEND_FUSE, TRUE, "frontend=fuse was requested"},
		{no_targetcli, FRONTEND_TCMU, FRONTEND_TCMU, FALSE,
		 "frontend=tcmu was requested, but targetcli is not installed"},
		{no_fuse_device, FRONTEND_FUSE, FRONTEND_FUSE, FALSE,
		 "frontend=fuse was requested, but there is no /dev/fuse"},
	};

	(void)data;
	for (guint i = 0; i < G_N_ELEMENTS(choices); i++) {
		g_auto(Machine) machine;
		g_autofree char *reason = NULL;
		Frontend chosen;

		test_row("%s", choices[i].reason);
		machine_init(&machine);
		choices[i].differ(&machine);
		CHECK_INT(runtime_probe_choose(&machine.probe, choices[i].wanted, &chosen, &reason),
			  choices[i].possible);
		CHECK_INT(chosen, choices[i].chosen);
		CHECK_STR(reason, choices[i].reason);
	}
}

static void test_fuse_step(const void *data)
{
	static const struct {
		void (*differ)(Machine *machine);
		const char *step;
	} steps[] = {
		{is_well, NULL},
		{no_targetcli, NULL},
		{no_fuse_program, "apt-get install storageos-fuse"},
		{no_fuse_modules, "missing fuse, loop: use a kernel that has them"},
		{bare, NULL},
	};

	(void)data;
	for (guint i = 0; i < G_N_ELEMENTS(steps); i++) {
		g_auto(Machine) machine;
		g_autofree char *step = NULL;

		test_row("%u", i);
		machine_init(&machine);
		steps[i].differ(&machine);
		step = runtime_probe_next_step(&machine.probe, FRONTEND_FUSE);
		CHECK_STR(step, steps[i].step);
	}
}

/* ---- warnings */

static void not_known(Machine *machine)
{
	machine->platform.problem = (char *)"os-release is a directory";
}

static void no_index(Machine *machine)
{
	machine->kernel.loadable = NULL;
}

static void modules_elsewhere(Machine *machine)
{
	no_tcm_loop(machine);
	machine->kernel.directory = machine->kernel.loadable = NULL;
}

/* The kernel was built without this module, so its absence is right. */
static void modules_nowhere(Machine *machine)
{
	modules_elsewhere(machine);
	machine->probe.options[PROBE_TCM_LOOP] = KERNEL_OPTION_OFF;
}

static void copies(Machine *machine)
{
	g_ptr_array_add(machine->probe.runner_files.copies, (char *)"handler_old_storageos.so");
}

static void others(Machine *machine)
{
	static TcmuUser runner = {.pid = 7, .command = (char *)"runner", .listens = TRUE};
	static TcmuUser starting = {.pid = 8, .command = (char *)"runner", .ours = TRUE};

	g_ptr_array_add(machine->probe.tcmu.users, &runner);
	g_ptr_array_add(machine->probe.tcmu.users, &starting);
	g_ptr_array_add(machine->probe.tcmu.users, &machine->other);
}

static void no_fuse_library(Machine *machine)
{
	machine->probe.fuse_library_found = FALSE;
}

static void big_pages(Machine *machine)
{
	machine->probe.page_size = 65536;
}

static void little_memory(Machine *machine)
{
	machine->probe.memory.machine = 2 * NODE_CACHE - 1;
}

static void enough_memory(Machine *machine)
{
	machine->probe.memory.machine = 2 * NODE_CACHE;
}

static void little_memory_for_group(Machine *machine)
{
	machine->probe.memory.cgroup = 100 * MIB;
}

static void little_memory_for_runner(Machine *machine)
{
	machine->probe.runner_memory.cgroup = 100 * MIB;
}

/* No runner runs, so its limit does not matter. */
static void little_memory_for_no_runner(Machine *machine)
{
	little_memory_for_runner(machine);
	not_started(machine);
}

static const struct {
	void (*differ)(Machine *machine);
	const char *warning; /* NULL: none */
} warning_rows[] = {
	{is_well, NULL},
	{bare, "no package of storageos is installed there: apt-get install storageos"},
	{not_known, "the distribution is not known: os-release is a directory"},
	{no_index,
	 "there is no /lib/modules/6.1/modules.dep, so no module can be found: depmod 6.1"},
	{modules_elsewhere, "the modules of kernel 6.1 are not here"},
	{modules_nowhere, NULL},
	{copies, "tcmu-runner also loads handler_old_storageos.so when it starts: remove it"},
	{runner_upgraded, "tcmu-runner has been upgraded since it was started"},
	{plugin_replaced,
	 "tcmu-runner still uses the plugin that was replaced after it was started"},
	{plugin_removed, "tcmu-runner still uses the plugin that was removed after it was started"},
	{others, "process 99 (other) listens for TCMU devices: a second TCMU daemon"},
	{other_beside, "process 99 (other) has a TCMU device open: a second TCMU daemon"},
	{no_fuse_library, "storageos-fuse is linked against libfuse3.so.3, which is not in"},
	{big_pages, "pages of 64 KiB"},
	{enough_memory, NULL},
	{little_memory, "this machine has "},
	{little_memory_for_group, "the control group of this process has 100 MiB"},
	{little_memory_for_runner, "the control group of tcmu-runner has 100 MiB"},
	{little_memory_for_no_runner, NULL},
};

static void test_warnings(const void *data)
{
	(void)data;
	for (guint i = 0; i < G_N_ELEMENTS(warning_rows); i++) {
		g_auto(Machine) machine;
		g_autoptr(GPtrArray) warnings = NULL;

		test_row("%u: %s", i, warning_rows[i].warning ? warning_rows[i].warning : "none");
		machine_init(&machine);
		warning_rows[i].differ(&machine);
		warnings = runtime_probe_warnings(&machine.probe, NODE_CACHE);
		CHECK_UINT(warnings->len, warning_rows[i].warning != NULL);
		if (warnings->len)
			CHECK_CONTAINS((char *)g_ptr_array_index(warnings, 0),
				       warning_rows[i].warning);
	}
}

int main(int argc, char **argv)
{
	for (guint i = 0; i < G_N_ELEMENTS(rows); i++) {
		g_autofree char *name = g_strconcat("obstacles and step: ", rows[i].name, NULL);

		test_add(name, test_obstacles, &rows[i]);
	}
	test_add("the front end that is chosen, and why", test_choice, NULL);
	test_add("the step towards FUSE", test_fuse_step, NULL);
	test_add("each problem has a warning", test_warnings, NULL);
	return test_run(argc, argv);
}
