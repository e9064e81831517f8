/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/frontend-tcmu.h"

#include <errno.h>
#include <string.h>
#include <sys/mount.h>
#include <unistd.h>

#include "cli/cli.h"
#include "cli/interrupt.h"
#include "cli/process.h"
#include "cli/target-configfs.h"
#include "common/base/error.h"
#include "common/machine/mounts.h"

#define MODPROBE_SECONDS 60
#define RUNNER_START_SECONDS 60
#define LOOK_SECONDS 5	/* for tcmu-runner's answer, when the parts are looked at */
#define WAIT_SECONDS 30 /* and when the front end depends on it */
#define REVIVE_SECONDS 20
#define TARGETCLI_SECONDS 90
#define DEVICE_SECONDS 30
#define PAUSE_US 50000

/* The largest request, in sectors of 512 bytes; the default of 128 costs most of the throughput. */
#define MAX_SECTORS 2048

/* Asks a runner that does not answer only once, not for each of many volumes. */
static void runner_look(TcmuParts *parts)
{
	static pid_t silent;
	g_auto(RunnerBusStatus) runner = {0};

	if (silent && process_start_time(silent)) {
		parts->runner = silent;
		return;
	}
	runner_bus_status_query((RunnerPatience){.seconds = LOOK_SECONDS}, &runner);
	parts->runner = runner.running ? (pid_t)runner.pid : 0;
	parts->runner_answers = runner.answers;
	silent = runner.answers ? 0 : parts->runner;
}

void frontend_tcmu_look(const Places *places, TcmuParts *ret_parts)
{
	ret_parts->backstore = target_backstore_find(places->key);
	ret_parts->target = target_loopback_find(places->target_name);
	if (ret_parts->target) {
		ret_parts->lun = ret_parts->backstore &&
				 target_loopback_has_lun(ret_parts->target, ret_parts->backstore);
		ret_parts->device = target_loopback_device(ret_parts->target);
	}
	if (!ret_parts->backstore) {
		ret_parts->foreign = target_backstore_find_volume(places->text);
		if (!ret_parts->foreign)
			return;
		g_free(ret_parts->device);
		ret_parts->device = target_disk_of_volume(places->text);
	}
	runner_look(ret_parts);
}

/* ---- modules, configfs, tcmu-runner */

static gboolean modules_load(const RuntimeProbe *probe, GError **error)
{
	static const ProbeModule needed[] = {PROBE_CONFIGFS, PROBE_TARGET_CORE_MOD, PROBE_UIO,
					     PROBE_TARGET_CORE_USER, PROBE_TCM_LOOP};

	for (guint i = 0; i < G_N_ELEMENTS(needed); i++) {
		const char *const argv[] = {"modprobe", probe_module_name(needed[i]), NULL};

		if (probe->modules[needed[i]] == MODULE_LOADABLE &&
		    !process_run(argv, MODPROBE_SECONDS, error))
			return FALSE;
	}
	return TRUE;
}

static gboolean configfs_mount(GError **error)
{
	g_autoptr(MountTable) mounts = mounts_of_process("self");
	g_autofree char *mounted = mounts_of_type(mounts, "configfs");

	if (mounted || !mount("configfs", "/sys/kernel/config", "configfs", 0, NULL))
		return TRUE;
	return error_set_errno(error, errno, "mount configfs on /sys/kernel/config");
}

static gboolean runner_wait(guint passed, gpointer data)
{
	const Places *places = data;

	if (passed)
		cli_progress("attach %s: waiting for tcmu-runner, %u s", places->text, passed);
	return interrupt_check(NULL);
}

static RunnerPatience runner_patience(const Places *places)
{
	return (RunnerPatience){WAIT_SECONDS, runner_wait, (gpointer)places};
}

/* Waits only once for a runner that does not answer, not for each of many volumes. */
RuntimeProbe *frontend_tcmu_probe(const Places *places)
{
	static pid_t silent;
	const RunnerPatience patience = runner_patience(places);
	gboolean hangs = silent && process_start_time(silent);
	RuntimeProbe *probe = runtime_probe_new(hangs ? NULL : &patience);

	silent = probe->runner.answers ? 0 : (pid_t)probe->runner.pid;
	return probe;
}

static gboolean runner_answers(const Places *places)
{
	g_auto(RunnerBusStatus) runner = {0};

	runner_bus_status_query(runner_patience(places), &runner);
	return runner.answers;
}

static gboolean start_may_go_on(gint64 end, GError **error)
{
	if (!interrupt_check(error))
		return FALSE;
	return g_get_monotonic_time() <= end ||
	       error_set(error, STORAGEOS_ERROR_UNSUPPORTED,
			 "tcmu-runner did not start within %d s (see its log in /var/log)",
			 RUNNER_START_SECONDS);
}

static gboolean runner_start_unit(gint64 end, GError **error)
{
	const char *const argv[] = {"systemctl", "start", "tcmu-runner", NULL};
	g_autoptr(ProcessChild) child = process_child_start(argv, NULL, error);
	gboolean ended = FALSE;

	while (child && !ended)
		if (!start_may_go_on(end, error) || !process_child_wait(child, 1, &ended, error))
			return FALSE;
	return child != NULL;
}

static gboolean runner_start(const Places *places, const char *program, GError **error)
{
	gint64 end = g_get_monotonic_time() + RUNNER_START_SECONDS * G_USEC_PER_SEC;
	const char *const daemon[] = {program, NULL};

	if (!(access("/run/systemd/system", F_OK) ? process_start_daemon(daemon, error)
						  : runner_start_unit(end, error)))
		return FALSE;
	while (!runner_answers(places)) {
		if (!start_may_go_on(end, error))
			return FALSE;
		g_usleep(PAUSE_US);
	}
	return TRUE;
}

/* Loads the modules, mounts configfs and starts tcmu-runner, where needed. */
static gboolean tcmu_make_ready(const Places *places, const RuntimeProbe *probe, GError **error)
{
	if (!modules_load(probe, error) || !configfs_mount(error))
		return FALSE;
	if (probe->runner.running)
		return TRUE;
	cli_progress("attach %s: starting tcmu-runner", places->text);
	return runner_start(places, probe->runner_program, error);
}

gboolean frontend_tcmu_prepare(const Places *places, const RuntimeProbe *before, GError **error)
{
	g_autofree char *obstacle = runtime_probe_tcmu_obstacle(before, PROBE_POSSIBLE);
	g_autoptr(RuntimeProbe) after = NULL;

	if (!obstacle) {
		if (!tcmu_make_ready(places, before, error))
			return FALSE;
		after = frontend_tcmu_probe(places);
		obstacle = runtime_probe_tcmu_obstacle(after, PROBE_READY);
	}
	return !obstacle || error_set(error,
				      runtime_probe_is_unsure(after ? after : before, PROBE_READY)
					      ? STORAGEOS_ERROR_BUSY
					      : STORAGEOS_ERROR_UNSUPPORTED,
				      "%s", obstacle);
}

/* ---- making */

static gboolean backstore_create(const Places *places, const Facts *facts, GError **error)
{
	g_autofree char *name = g_strconcat("name=", places->key, NULL);
	g_autofree char *cfgstring = g_strconcat(
		"cfgstring=", places->text, places_is_read_only(places) ? ";read_only" : "", NULL);
	g_autofree char *size = g_strdup_printf("size=%" G_GUINT64_FORMAT, facts->size);
	g_autofree char *sectors = g_strdup_printf("hw_max_sectors=%u", MAX_SECTORS);
	g_autofree char *block =
		facts->logical_block_size == 512
			? NULL
			: g_strdup_printf("control=hw_block_size=%u", facts->logical_block_size);
	const char *const argv[] = {"targetcli", "/backstores/user:" RUNNER_SUBTYPE,
				    "create",	 name,
				    size,	 cfgstring,
				    sectors,	 block,
				    NULL};

	return process_run(argv, TARGETCLI_SECONDS, error);
}

static char *device_wait(const Places *places, GError **error)
{
	gint64 end = g_get_monotonic_time() + DEVICE_SECONDS * G_USEC_PER_SEC;
	g_autofree char *target = target_loopback_find(places->target_name);
	char *device = NULL;

	while (!(device = target ? target_loopback_device(target) : NULL)) {
		if (!target || g_get_monotonic_time() > end) {
			error_set(error, STORAGEOS_ERROR_IO,
				  "no SCSI disk appeared for the loopback target %s within %d s",
				  places->target_name, DEVICE_SECONDS);
			return NULL;
		}
		if (!interrupt_check(error))
			return NULL;
		g_usleep(PAUSE_US);
	}
	return device;
}

static void tcmu_parts_clear(TcmuParts *parts)
{
	g_free(parts->backstore);
	g_free(parts->target);
	g_free(parts->device);
	g_free(parts->foreign);
}
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(TcmuParts, tcmu_parts_clear)

/* The kernel refuses to change the serial number of a backstore that is a LUN. */
static gboolean lun_make(const Places *places, const Facts *facts, GError **error)
{
	g_autofree char *backstore = target_backstore_find(places->key);

	if (!backstore)
		return error_set(error, STORAGEOS_ERROR_IO,
				 "targetcli did not make the backstore %s", places->key);
	return target_backstore_set_serial(backstore, facts->uuid, error) &&
	       interrupt_check(error) &&
	       target_loopback_make(places->target_name, backstore, error);
}

char *frontend_tcmu_attach(const Places *places, const Facts *facts, GError **error)
{
	g_auto(TcmuParts) parts = {0};
	char *device = NULL;

	cli_progress("attach %s: targetcli makes the backstore", places->text);
	if (backstore_create(places, facts, error) && interrupt_check(error)) {
		cli_progress("attach %s: making the LUN", places->text);
		if (lun_make(places, facts, error) && interrupt_check(error))
			device = device_wait(places, error);
	}
	if (!device) {
		frontend_tcmu_look(places, &parts);
		frontend_tcmu_detach(places, &parts, FALSE, NULL);
	}
	return device;
}

/* ---- taking down */

gboolean frontend_tcmu_detach(const Places *places, const TcmuParts *parts, gboolean hung,
			      GError **error)
{
	cli_progress("detach %s: removing LUN and backstore", places->text);
	if (parts->device && (hung || !parts->runner_answers))
		target_silence(parts->device);
	if (parts->backstore && !parts->runner_answers)
		target_abandon(parts->backstore);
	if (parts->target && !target_loopback_remove(parts->target, error))
		return FALSE;
	return !parts->backstore || target_backstore_remove(parts->backstore, error);
}

/* ---- after the runner's death */

static gboolean volume_is_open(const char *lock)
{
	g_autofree char *holder = facts_holder(lock);

	return holder != NULL;
}

gboolean frontend_tcmu_revive(const Places *places, const char *lock, GError **error)
{
	g_autoptr(RuntimeProbe) probe = frontend_tcmu_probe(places);
	gint64 end;

	if (!frontend_tcmu_prepare(places, probe, error))
		return FALSE;
	end = g_get_monotonic_time() + REVIVE_SECONDS * G_USEC_PER_SEC;
	while (!volume_is_open(lock)) {
		if (g_get_monotonic_time() > end)
			return error_set(
				error, STORAGEOS_ERROR_IO,
				"tcmu-runner is running, but did not open the volume again "
				"within %d s (see its log in /var/log)",
				REVIVE_SECONDS);
		g_usleep(PAUSE_US);
	}
	return TRUE;
}
