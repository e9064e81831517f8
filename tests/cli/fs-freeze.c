/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Freezing file systems on a loop device, with the process that asks for it, or the watchdog,
 * killed.
 */
#include "cli/fs-freeze.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "cli/fs-watchdog.h"
#include "common/base/error.h"
#include "tests/harness.h"
#include "tests/loop-device.h"

typedef struct {
	char *file, *device, *directory;
	int loop; /* descriptor that keeps the device */
	gboolean mounted;
	GPtrArray *devices;
	Config config;
} Scene;

static gboolean make_file_system(const char *file, const char *type)
{
	g_autofree char *command = g_strdup_printf(
		"truncate -s 128M '%s' && mkfs.%s -q '%s' >/dev/null 2>&1", file, type, file);

	return system(command) == 0;
}

static void scene_clear(Scene *scene)
{
	if (scene->mounted)
		umount2(scene->directory, MNT_DETACH);
	if (scene->loop >= 0)
		close(scene->loop);
	g_free(scene->file);
	g_free(scene->device);
	g_free(scene->directory);
	g_clear_pointer(&scene->devices, g_ptr_array_unref);
	g_clear_pointer(&scene->config.pools, g_ptr_array_unref);
}
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(Scene, scene_clear)

/* FALSE: the test is skipped. */
static gboolean scene_init(Scene *scene, const char *type)
{
	*scene = (Scene){.file = test_path(".img"), .directory = test_path(".mnt"), .loop = -1};
	scene->devices = g_ptr_array_new();
	scene->config = (Config){.file = (char *)"/etc/none/storageos.conf",
				 .run_directory = (char *)"/run",
				 .state_directory = (char *)"/var/lib",
				 .pools = g_ptr_array_new()};
	if (!make_file_system(scene->file, type) || mkdir(scene->directory, 0700)) {
		test_skip("no mkfs.%s", type);
		return FALSE;
	}
	scene->loop = loop_device_new(scene->file, &scene->device);
	if (scene->loop < 0) {
		test_skip("no loop device");
		return FALSE;
	}
	g_ptr_array_add(scene->devices, scene->device);
	return TRUE;
}

static gboolean scene_mount(Scene *scene)
{
	if (!scene_init(scene, "ext4"))
		return FALSE;
	scene->mounted = !mount(scene->device, scene->directory, "ext4", 0, NULL);
	if (!scene->mounted)
		test_skip("mount: %s", g_strerror(errno));
	return scene->mounted;
}

/* Starts a process that writes to the file system. */
static pid_t writer_start(const Scene *scene)
{
	pid_t pid = fork();
	int fd;

	if (pid)
		return pid;
	fd = openat(open(scene->directory, O_RDONLY), "file", O_WRONLY | O_CREAT, 0600);
	_exit(fd < 0 || write(fd, "x", 1) != 1 || fsync(fd));
}

static gboolean writer_ends(pid_t pid, double seconds)
{
	int status = -1;
	pid_t ended = 0;

	WAIT_WITHIN(seconds, (ended = waitpid(pid, &status, WNOHANG)) != 0);
	return ended == pid && status == 0;
}

/* A write ends within a second, and so the file system is not frozen. */
static gboolean is_writable(const Scene *scene)
{
	pid_t pid = writer_start(scene);

	if (writer_ends(pid, 3))
		return TRUE;
	kill(pid, SIGKILL);
	return FALSE;
}

static pid_t child_find(void)
{
	g_autofree char *path = g_strdup_printf("/proc/self/task/%d/children", (int)getpid());
	g_autofree char *text = NULL;

	return g_file_get_contents(path, &text, NULL, NULL) ? (pid_t)atoi(text) : 0;
}

/* ---- the tests */

static void test_frozen(const void *data)
{
	g_autoptr(GError) error = NULL;
	g_auto(Scene) scene;
	FsFreeze *freeze;
	pid_t writer;

	(void)data;
	if (!scene_mount(&scene))
		return;
	freeze = fs_freeze_begin(&scene.config, scene.devices, &error);
	REQUIRE(CHECK_NO_ERROR(error) && freeze);
	CHECK(fs_freeze_holds(freeze, 0) && !fs_freeze_holds(freeze, 1));
	writer = writer_start(&scene);
	g_usleep(300000);
	CHECK_INT(waitpid(writer, NULL, WNOHANG), 0);
	CHECK(fs_freeze_end(freeze));
	CHECK(writer_ends(writer, 5));
}

static void test_parent_killed(const void *data)
{
	g_auto(Scene) scene;
	int ends[2];
	char byte;
	pid_t pid;

	(void)data;
	if (!scene_mount(&scene))
		return;
	REQUIRE(!pipe(ends));
	pid = fork();
	if (!pid) {
		if (fs_freeze_begin(&scene.config, scene.devices, NULL) &&
		    write(ends[1], "f", 1) == 1)
			pause();
		_exit(1);
	}
	close(ends[1]);
	CHECK_INT(read(ends[0], &byte, 1), 1);
	kill(pid, SIGKILL);
	waitpid(pid, NULL, 0);
	CHECK(is_writable(&scene)); /* long before the watchdog's time is up */
	close(ends[0]);
}

static void test_too_long(const void *data)
{
	gint64 begun = g_get_monotonic_time();
	g_auto(Scene) scene;
	FsFreeze *freeze;
	pid_t writer;

	(void)data;
	if (!scene_mount(&scene))
		return;
	freeze = fs_freeze_begin(&scene.config, scene.devices, NULL);
	REQUIRE(freeze);
	writer = writer_start(&scene);
	CHECK(writer_ends(writer, FS_WATCHDOG_SECONDS + 5));
	CHECK(g_get_monotonic_time() - begun > (FS_WATCHDOG_SECONDS - 1) * G_USEC_PER_SEC);
	CHECK(!fs_freeze_end(freeze));
}

static void test_watchdog_killed(const void *data)
{
	g_auto(Scene) scene;
	FsFreeze *freeze;
	pid_t watchdog;

	(void)data;
	if (!scene_mount(&scene))
		return;
	freeze = fs_freeze_begin(&scene.config, scene.devices, NULL);
	watchdog = child_find();
	REQUIRE(freeze && watchdog > 0);
	kill(watchdog, SIGKILL);
	CHECK(!fs_freeze_end(freeze));
	CHECK(is_writable(&scene));
}

static void test_protected(const void *data)
{
	g_autoptr(GError) error = NULL;
	g_auto(Scene) scene;
	ConfigPool pool = {0};

	(void)data;
	if (!scene_mount(&scene))
		return;
	pool.path = scene.directory;
	g_ptr_array_add(scene.config.pools, &pool);
	CHECK(!fs_freeze_begin(&scene.config, scene.devices, &error));
	CHECK_ERROR(error, STORAGEOS_ERROR_UNSUPPORTED, "is never frozen: it holds");
	CHECK(is_writable(&scene));
}

static void test_not_mounted(const void *data)
{
	g_autoptr(GError) error = NULL;
	g_auto(Scene) scene;

	(void)data;
	if (!scene_init(&scene, "ext4"))
		return;
	CHECK(!fs_freeze_begin(&scene.config, scene.devices, &error));
	CHECK_ERROR(error, STORAGEOS_ERROR_NOT_FOUND, "is mounted on this machine");
}

static void test_frozen_before(const void *data)
{
	g_autoptr(GError) error = NULL;
	g_auto(Scene) scene;
	int fd;

	(void)data;
	if (!scene_mount(&scene))
		return;
	fd = open(scene.directory, O_RDONLY);
	REQUIRE(fd >= 0 && !ioctl(fd, FIFREEZE, 0));
	CHECK(!fs_freeze_begin(&scene.config, scene.devices, &error));
	CHECK_ERROR(error, STORAGEOS_ERROR_BUSY, "is frozen already");
	CHECK(!ioctl(fd, FITHAW, 0)); /* it is still as it was */
	close(fd);
}

/* A btrfs has a device number of its own, and is known by the name by which it was mounted. */
static void test_btrfs(const void *data)
{
	g_autofree char *link = test_path(".link");
	g_autoptr(GError) error = NULL;
	g_auto(Scene) scene;

	(void)data;
	if (!scene_init(&scene, "btrfs"))
		return;
	REQUIRE(!symlink(scene.device, link));
	scene.mounted = !mount(link, scene.directory, "btrfs", 0, NULL);
	if (scene.mounted) {
		FsFreeze *freeze = fs_freeze_begin(&scene.config, scene.devices, &error);

		CHECK_NO_ERROR(error);
		CHECK(freeze && fs_freeze_holds(freeze, 0));
		CHECK(fs_freeze_end(freeze));
	} else {
		test_skip("mount btrfs: %s", g_strerror(errno));
	}
	unlink(link);
}

/* Runs a watchdog over a directory that is of another file system by now. */
static void test_moved(const void *data)
{
	const char *const none[] = {NULL};
	FsWatched watched = {NULL, 0};
	const FsWatchdogOrder order = {&watched, 1, none};
	FsWatchdogReport report = {0};
	struct stat st;
	int ends[2];

	(void)data;
	watched.directory = "/proc"; /* which cannot be frozen, whatever a bug might do */
	REQUIRE(!stat(watched.directory, &st));
	watched.device = st.st_dev + 1;
	REQUIRE(!socketpair(AF_UNIX, SOCK_STREAM, 0, ends));
	if (!fork()) {
		close(ends[0]);
		fs_watchdog_main(&order, ends[1]);
	}
	close(ends[1]);
	CHECK_INT(recv(ends[0], &report, sizeof report, MSG_WAITALL), sizeof report);
	CHECK_INT(report.state, FS_WATCHDOG_MOVED);
	close(ends[0]);
	wait(NULL);
}

/* A file system that only processes in another mount namespace see, as in a container. */
static void test_elsewhere(const void *data)
{
	g_auto(Scene) scene;
	FsFreeze *freeze;
	int ends[2];
	char byte;
	pid_t pid;

	(void)data;
	if (!scene_init(&scene, "ext4"))
		return;
	REQUIRE(!pipe(ends));
	pid = fork();
	if (!pid) {
		if (!unshare(CLONE_NEWNS) && !mount("", "/", NULL, MS_REC | MS_PRIVATE, NULL) &&
		    !mount(scene.device, scene.directory, "ext4", 0, NULL) &&
		    write(ends[1], "m", 1) == 1)
			pause();
		_exit(1);
	}
	close(ends[1]);
	if (read(ends[0], &byte, 1) == 1) {
		freeze = fs_freeze_begin(&scene.config, scene.devices, NULL);
		CHECK(freeze && fs_freeze_holds(freeze, 0));
		CHECK(fs_freeze_end(freeze));
	} else {
		test_skip("no mount namespace");
	}
	close(ends[0]);
	kill(pid, SIGKILL);
	waitpid(pid, NULL, 0);
}

int main(int argc, char **argv)
{
	test_add("writers wait until it is thawed", test_frozen, NULL);
	test_add("it is thawed when the process that asked is killed", test_parent_killed, NULL);
	test_add("it is thawed after ten seconds, and that is told", test_too_long, NULL);
	test_add("it is thawed when the watchdog was killed", test_watchdog_killed, NULL);
	test_add("what a pool lies on is never frozen", test_protected, NULL);
	test_add("nothing is mounted", test_not_mounted, NULL);
	test_add("what somebody else has frozen stays as it is", test_frozen_before, NULL);
	test_add("btrfs, mounted by another name", test_btrfs, NULL);
	test_add("a directory of another file system is never frozen", test_moved, NULL);
	test_add("a mount in another mount namespace", test_elsewhere, NULL);
	return test_run(argc, argv);
}
