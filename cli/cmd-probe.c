/* SPDX-License-Identifier: Apache-2.0 */
#include <stdio.h>

#include "cli/cli.h"
#include "common/runtime-probe.h"

typedef struct {
	Frontend chosen;
	gboolean possible;
	char *reason;
	char *next_step;
} Verdict;

static void verdict_clear(Verdict *verdict)
{
	g_free(verdict->reason);
	g_free(verdict->next_step);
}
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(Verdict, verdict_clear)

static void print_json(const RuntimeProbe *probe, const Verdict *verdict)
{
	g_autoptr(Json) object = json_object_new_object();
	Json *modules = json_object_new_object();
	Json *runner = json_object_new_object();

	json_add_text(object, "kernel", probe->kernel);
	json_add_text(object, "platform", probe->platform);
	for (guint i = 0; i < PROBE_MODULES; i++)
		json_add_text(modules, probe_module_name((ProbeModule)i),
			      module_state_name(probe->modules[i]));
	json_object_object_add(object, "modules", modules);
	json_add_flag(object, "configfs_mounted", probe->configfs_mounted);
	json_add_flag(object, "tcmu_netlink", probe->tcmu_netlink);
	json_add_text(runner, "program", probe->runner_program);
	json_add_flag(runner, "bus", probe->runner.bus);
	json_add_flag(runner, "running", probe->runner.running);
	json_add_flag(runner, "answers", probe->runner.answers);
	json_add_flag(runner, "subtype", probe->runner.subtype);
	json_add_text(runner, "problem", probe->runner.problem);
	json_object_object_add(object, "tcmu_runner", runner);
	json_add_text(object, "targetcli", probe->targetcli_program);
	json_add_text(object, "storageos_fuse", probe->fuse_program);
	json_add_text(object, "frontend",
		      verdict->possible ? frontend_name(verdict->chosen) : "none");
	json_add_text(object, "reason", verdict->reason);
	json_add_text(object, "next_step", verdict->next_step);
	cli_print_json(object);
}

static const char *runner_words(const RuntimeProbe *probe)
{
	if (!probe->runner.running)
		return probe->runner_program ? "installed, not running" : "not installed";
	if (!probe->runner.answers)
		return "running, does not answer on D-Bus";
	return probe->runner.subtype ? "running, lists storageos"
				     : "running, does not list storageos";
}

static void print_text(const RuntimeProbe *probe, const Verdict *verdict)
{
	printf("%-18s %s\n", "platform", probe->platform);
	printf("%-18s %s\n", "kernel", probe->kernel);
	for (guint i = 0; i < PROBE_MODULES; i++)
		printf("%-18s %s\n", probe_module_name((ProbeModule)i),
		       module_state_name(probe->modules[i]));
	printf("%-18s %s\n", "configfs mounted", probe->configfs_mounted ? "yes" : "no");
	printf("%-18s %s\n", "TCM-USER netlink", probe->tcmu_netlink ? "yes" : "no");
	printf("%-18s %s\n", "tcmu-runner", runner_words(probe));
	printf("%-18s %s\n", "targetcli",
	       probe->targetcli_program ? probe->targetcli_program : "not installed");
	printf("%-18s %s\n", "storageos-fuse",
	       probe->fuse_program ? probe->fuse_program : "not installed");
	printf("%-18s %s (%s)\n", "front end",
	       verdict->possible ? frontend_name(verdict->chosen) : "none", verdict->reason);
	if (verdict->next_step)
		printf("%-18s %s\n", "for TCMU", verdict->next_step);
}

static int run(int argc, char **argv)
{
	g_autoptr(RuntimeProbe) probe = NULL;
	g_auto(Verdict) verdict = {0};
	g_auto(Cli) cli = {0};
	int status;

	if (!cli_start(&cli, &verb_probe, NULL, 0, 0, argc, argv, &status))
		return status;
	probe = runtime_probe_new();
	verdict.possible =
		runtime_probe_choose(probe, cli.config->frontend, &verdict.chosen, &verdict.reason);
	verdict.next_step = runtime_probe_next_step(probe);
	if (cli.json)
		print_json(probe, &verdict);
	else
		print_text(probe, &verdict);
	return CLI_DONE;
}

const Verb verb_probe = {"probe", "", "what this machine offers, and which front end follows", run};
