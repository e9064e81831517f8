/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/probe-json.h"

#include "cli/cli.h"
#include "cli/probe-ceph.h"

static Json *json_of_texts(const GPtrArray *list)
{
	Json *array = json_object_new_array();

	for (guint i = 0; i < list->len; i++)
		json_object_array_add(array, json_text_new(g_ptr_array_index(list, i)));
	return array;
}

static void json_add_platform(Json *object, const RuntimeProbe *probe)
{
	Json *row = json_object_new_object();

	if (!probe->running)
		json_add_text(object, "root", sysroot_directory(probe->sysroot));
	json_add_flag(object, "running", probe->running);
	json_add_flag(object, "bare", probe->bare);
	json_add_text(object, "platform", probe->platform->name);
	json_add_text(row, "name", probe->row->name);
	json_add_text(row, "lio", compatibility_name(probe->row->lio));
	json_add_text(row, "tcmu", compatibility_name(probe->row->tcmu));
	json_object_object_add(object, "row", row);
	json_add_text(object, "kernel", probe->kernel->release);
	json_add_text(object, "kernel_config", kernel_config_file(probe->kernel->config));
	if (probe->page_size)
		json_add_number(object, "page_size", probe->page_size);
}

static void json_add_modules(Json *object, const RuntimeProbe *probe)
{
	Json *modules = json_object_new_object();
	Json *built = json_object_new_object();

	for (guint i = 0; i < PROBE_MODULES; i++) {
		const char *name = probe_module_name((ProbeModule)i);

		json_add_text(modules, name, module_state_name(probe->modules[i]));
		json_add_text(built, name, kernel_option_name(probe->options[i]));
	}
	json_object_object_add(object, "modules", modules);
	json_object_object_add(object, "built", built);
	json_add_flag(object, "lio", runtime_probe_has_lio(probe));
	json_add_flag(object, "tcmu", runtime_probe_has_tcmu(probe));
	if (!probe->running)
		return;
	json_add_flag(object, "configfs_mounted", probe->configfs != NULL);
	json_add_text(object, "configfs", probe->configfs);
	json_add_flag(object, "tcmu_netlink", probe->tcmu.netlink);
	json_add_text(object, "tcmu_netlink_problem", probe->tcmu.netlink_problem);
}

static const char *plugin_name(RunnerPlugin plugin)
{
	switch (plugin) {
	case RUNNER_PLUGIN_UNSEEN:
		return NULL;
	case RUNNER_PLUGIN_ABSENT:
		return "absent";
	case RUNNER_PLUGIN_CURRENT:
		return "current";
	case RUNNER_PLUGIN_REPLACED:
		return "replaced";
	}
	return NULL;
}

static void json_add_running_runner(Json *object, const RuntimeProbe *probe)
{
	const RunnerBusStatus *status = &probe->runner;

	json_add_flag(object, "bus", status->bus);
	json_add_flag(object, "running", status->running);
	if (status->pid)
		json_add_number(object, "pid", status->pid);
	json_add_flag(object, "answers", status->answers);
	json_add_flag(object, "subtype", status->subtype);
	json_add_text(object, "problem", status->problem);
	json_add_text(object, "loaded_plugin", plugin_name(probe->runner_plugin));
	json_add_flag(object, "program_replaced", probe->runner_process.outdated);
}

static void json_add_runner(Json *object, const RuntimeProbe *probe)
{
	const RunnerProgram *files = &probe->runner_files;
	Json *runner = json_object_new_object();

	json_add_text(runner, "program", probe->runner_program);
	json_add_text(runner, "version", files->version);
	json_add_text(runner, "generation", runner_generation_name(files->generation));
	json_add_flag(runner, "served", runner_generation_is_served(files->generation));
	json_add_text(runner, "plugin_directory", files->directory);
	json_add_text(runner, "plugin", files->plugin);
	json_object_object_add(runner, "plugin_copies", json_of_texts(files->copies));
	if (probe->running)
		json_add_running_runner(runner, probe);
	json_object_object_add(object, "tcmu_runner", runner);
}

static void json_add_users(Json *object, const RuntimeProbe *probe)
{
	Json *tcmu = json_object_new_object();
	Json *users = json_object_new_array();

	json_add_number(tcmu, "devices", probe->tcmu.devices);
	json_add_number(tcmu, "own_devices", probe->tcmu.own_devices);
	json_add_flag(tcmu, "complete", probe->tcmu.complete);
	json_add_text(tcmu, "other_subtypes", probe->tcmu.subtypes);
	for (guint i = 0; i < probe->tcmu.users->len; i++) {
		const TcmuUser *user = g_ptr_array_index(probe->tcmu.users, i);
		Json *one = json_object_new_object();

		json_add_number(one, "pid", user->pid);
		json_add_text(one, "command", user->command);
		json_add_flag(one, "listens", user->listens);
		json_add_text(one, "device", user->device);
		json_add_flag(one, "is_runner", user->pid == probe->runner.pid);
		json_object_array_add(users, one);
	}
	json_object_object_add(tcmu, "users", users);
	json_object_object_add(object, "tcmu_in_use", tcmu);
}

static void json_add_limit(Json *object, const char *key, guint64 bytes)
{
	if (bytes != MEMORY_UNLIMITED)
		json_add_number(object, key, bytes);
}

static void json_add_memory(Json *object, const RuntimeProbe *probe, const Config *config)
{
	Json *memory = json_object_new_object();

	json_add_limit(memory, "machine", probe->memory.machine);
	json_add_limit(memory, "cgroup", probe->memory.cgroup);
	json_add_limit(memory, "locked", probe->memory.locked);
	if (probe->runner.pid)
		json_add_limit(memory, "runner_cgroup", probe->runner_memory.cgroup);
	json_add_number(memory, "node_cache", config->node_cache);
	json_object_object_add(object, "memory", memory);
}

static void json_add_fuse(Json *object, const RuntimeProbe *probe)
{
	json_add_text(object, "targetcli", probe->targetcli_program);
	json_add_text(object, "storageos_fuse", probe->fuse_program);
	json_add_text(object, "libfuse", probe->fuse_library);
	if (probe->fuse_library)
		json_add_flag(object, "libfuse_found", probe->fuse_library_found);
	json_add_text(object, "fusermount", probe->fusermount_program);
	if (!probe->running)
		return;
	json_add_flag(object, "dev_fuse", probe->fuse_device);
	json_add_flag(object, "dev_loop_control", probe->loop_device);
}

void probe_print_json(const RuntimeProbe *probe, const Config *config, const ProbeVerdict *verdict)
{
	g_autoptr(Json) object = json_object_new_object();

	json_add_platform(object, probe);
	json_add_modules(object, probe);
	json_add_runner(object, probe);
	json_add_fuse(object, probe);
	if (probe->running) {
		json_object_object_add(object, "ceph", probe_ceph(config));
		json_add_users(object, probe);
		json_add_memory(object, probe, config);
	}
	json_object_object_add(object, "warnings", json_of_texts(verdict->warnings));
	json_add_text(object, "frontend",
		      verdict->possible ? frontend_name(verdict->chosen) : "none");
	json_add_text(object, "reason", verdict->reason);
	json_add_text(object, "next_step", verdict->next_step);
	cli_print_json(object);
}
