/* SPDX-License-Identifier: Apache-2.0 */
#include "common/service/pool.h"

#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "common/backing/file.h"
#include "common/base/error.h"
#include "common/engine/format.h"
#include "common/service/pool-marker.h"
#include "common/base/units.h"
#include "tests/harness.h"
#include "tests/loop-device.h"
#include "tests/unit/pools.h"

/* ---- pools */

static void test_create_pool(const void *data)
{
	g_autofree char *directory = test_path("/deep/er");
	g_autofree char *marker = g_build_filename(directory, POOL_MARKER, NULL);
	const ConfigPool pool = {.name = (char *)"p", .path = directory};
	g_autoptr(GError) error = NULL;
	g_autofree char *text = NULL;

	(void)data;
	CHECK(pool_mark("p", directory, NULL, &error));
	CHECK(pool_check(&pool, &error));
	CHECK_NO_ERROR(error);
	CHECK(g_file_get_contents(marker, &text, NULL, NULL));
	CHECK_CONTAINS(text, "\"format\": 1");
	CHECK_CONTAINS(text, "\"uuid\": \"");
	CHECK_CONTAINS(text, "\"name\": \"p\"");
	CHECK(pool_mark("p", directory, NULL, &error));
	CHECK_NO_ERROR(error);
	CHECK(!pool_mark("q", directory, NULL, &error));
	CHECK_ERROR(error, STORAGEOS_ERROR_EXISTS, "belongs to the pool 'p'");
	CHECK_UINT(entries(directory), 1);
}

static const struct {
	const char *text;
	int code;
} markers[] = {
	{"", STORAGEOS_ERROR_CORRUPT},
	{"{", STORAGEOS_ERROR_CORRUPT},
	{"[]", STORAGEOS_ERROR_CORRUPT},
	{"null", STORAGEOS_ERROR_CORRUPT},
	{"{}", STORAGEOS_ERROR_CORRUPT},
	{"{\"format\":\"1\"}", STORAGEOS_ERROR_CORRUPT},
	{"{\"format\":2}", STORAGEOS_ERROR_UNSUPPORTED},
	{"{\"format\":1,\"name\":\"p\"}", STORAGEOS_ERROR_CORRUPT},
	{"{\"format\":1,\"uuid\":\"x\",\"name\":\"p\"}", STORAGEOS_ERROR_CORRUPT},
	{"{\"format\":1,\"uuid\":\"1c1f4bd2-3a0e-4a43-8d2c-0f4a3c2e1b00\",\"name\":\"../p\"}",
	 STORAGEOS_ERROR_CORRUPT},
	{"{\"format\":1,\"uuid\":\"1c1f4bd2-3a0e-4a43-8d2c-0f4a3c2e1b00\",\"name\":\"q\"}",
	 STORAGEOS_ERROR_EXISTS},
};

static void test_bad_markers(const void *data)
{
	g_autofree char *directory = test_path(".pool");
	g_autofree char *marker = g_build_filename(directory, POOL_MARKER, NULL);
	const ConfigPool pool = {.name = (char *)"p", .path = directory};

	(void)data;
	CHECK_INT(mkdir(directory, 0700), 0);
	for (guint i = 0; i < G_N_ELEMENTS(markers); i++) {
		g_autoptr(GError) error = NULL;

		test_row("%s", markers[i].text);
		CHECK(g_file_set_contents(marker, markers[i].text, -1, NULL));
		CHECK(!pool_check(&pool, &error));
		CHECK_ERROR(error, markers[i].code, "pool 'p': ");
	}
}

static void test_no_marker_no_write(const void *data)
{
	g_autoptr(Config) config = new_config(FALSE);
	const ConfigPool *pool = config_find_pool(config, "p");
	const VolumeName name = {.pool = (char *)"p", .name = (char *)"v"};
	const VolumeParameters parameters = {.size = MIB};
	g_autoptr(GError) error = NULL;

	(void)data;
	CHECK(!pool_volume_create(config, &name, &parameters, 0, &error));
	CHECK_ERROR(error, STORAGEOS_ERROR_NOT_FOUND, "no marker");
	g_clear_error(&error);
	CHECK(!pool_list(pool, &error));
	CHECK_ERROR(error, STORAGEOS_ERROR_NOT_FOUND, "is its file system mounted?");
	g_clear_error(&error);
	CHECK(!pool_volume_delete(config, &name, &error));
	CHECK_ERROR(error, STORAGEOS_ERROR_NOT_FOUND, "no marker");
	CHECK_UINT(entries(pool->path), 0);
}

static void test_unknown_pool(const void *data)
{
	g_autoptr(Config) config = new_config(TRUE);
	const VolumeName name = {.pool = (char *)"nope", .name = (char *)"v"};
	g_autoptr(GError) error = NULL;

	(void)data;
	CHECK(!pool_volume_path(config, &name, &error));
	CHECK_ERROR(error, STORAGEOS_ERROR_NOT_FOUND, "no pool 'nope'");
}

/* ---- volumes */

static void test_life(const void *data)
{
	g_autoptr(Config) config = new_config(TRUE);
	const ConfigPool *pool = config_find_pool(config, "p");
	const VolumeName name = {.pool = (char *)"p", .name = (char *)"v"};
	const VolumeParameters parameters = {.size = 3 * MIB, .logical_block_size = 4096};
	g_autoptr(GPtrArray) list = NULL;
	g_autoptr(GError) error = NULL;
	Volume *volume;

	(void)data;
	REQUIRE(pool_volume_create(config, &name, &parameters, 0, &error));
	CHECK(!pool_volume_create(config, &name, &parameters, 0, &error));
	CHECK_ERROR(error, STORAGEOS_ERROR_EXISTS, "create volume 'p/v': ");
	g_clear_error(&error);
	CHECK_UINT(entries(pool->path), 2);
	list = pool_list(pool, &error);
	REQUIRE(list && list->len == 1);
	CHECK_STR(g_ptr_array_index(list, 0), "v");

	volume = pool_volume_open(config, &name, 0, &error);
	CHECK_NO_ERROR(error);
	REQUIRE(volume);
	CHECK_UINT(volume_size(volume), 3 * MIB);
	CHECK_UINT(volume_logical_block_size(volume), 4096);
	CHECK(!pool_volume_delete(config, &name, &error));
	CHECK_ERROR(error, STORAGEOS_ERROR_BUSY, "delete volume 'p/v': ");
	g_clear_error(&error);
	CHECK(volume_close(volume, NULL));

	CHECK(pool_volume_delete(config, &name, &error));
	CHECK_NO_ERROR(error);
	CHECK_UINT(entries(pool->path), 1);
	CHECK(!pool_volume_open(config, &name, 0, &error));
	CHECK_ERROR(error, STORAGEOS_ERROR_NOT_FOUND, "open volume 'p/v': no such volume");
}

static void test_failed_creation_leaves_nothing(const void *data)
{
	g_autoptr(Config) config = new_config(TRUE);
	const VolumeName name = {.pool = (char *)"p", .name = (char *)"v"};
	const VolumeParameters parameters = {.size = 1000};
	g_autoptr(GError) error = NULL;

	(void)data;
	CHECK(!pool_volume_create(config, &name, &parameters, 0, &error));
	CHECK_ERROR(error, STORAGEOS_ERROR_INVALID, "create volume 'p/v': ");
	CHECK_UINT(entries(config_find_pool(config, "p")->path), 1);
}

static void test_links_are_no_volumes(const void *data)
{
	g_autoptr(Config) config = new_config(TRUE);
	const ConfigPool *pool = config_find_pool(config, "p");
	g_autofree char *link = g_build_filename(pool->path, "v.vol", NULL);
	g_autofree char *target = test_path(".target");
	const VolumeName name = {.pool = (char *)"p", .name = (char *)"v"};
	const VolumeParameters parameters = {.size = MIB};
	g_autoptr(GPtrArray) list = NULL;
	g_autoptr(GError) error = NULL;

	(void)data;
	CHECK_INT(symlink(target, link), 0);
	CHECK(!pool_volume_create(config, &name, &parameters, 0, &error));
	CHECK_ERROR(error, STORAGEOS_ERROR_EXISTS, NULL);
	g_clear_error(&error);
	CHECK(access(target, F_OK));
	CHECK(g_file_set_contents(target, "precious", -1, NULL));
	CHECK(!pool_volume_open(config, &name, 0, &error));
	CHECK_ERROR(error, STORAGEOS_ERROR_INVALID, "is not a regular file");
	g_clear_error(&error);
	CHECK(!pool_volume_delete(config, &name, &error));
	CHECK_ERROR(error, STORAGEOS_ERROR_INVALID, "is not a regular file");
	list = pool_list(pool, NULL);
	REQUIRE(list);
	CHECK_UINT(list->len, 0);
}

static void test_list_is_sorted_and_ours(const void *data)
{
	static const char *const files[] = {"b.vol", "a.vol", "c.vol.bak", ".d.vol",
					    "E.vol", "f",     ".vol",	   "a-1.vol"};
	g_autoptr(Config) config = new_config(TRUE);
	const ConfigPool *pool = config_find_pool(config, "p");
	g_autoptr(GPtrArray) list = NULL;

	(void)data;
	for (guint i = 0; i < G_N_ELEMENTS(files); i++) {
		g_autofree char *path = g_build_filename(pool->path, files[i], NULL);

		CHECK(g_file_set_contents(path, "", 0, NULL));
	}
	list = pool_list(pool, NULL);
	REQUIRE(list && list->len == 3);
	CHECK_STR(g_ptr_array_index(list, 0), "a");
	CHECK_STR(g_ptr_array_index(list, 1), "a-1");
	CHECK_STR(g_ptr_array_index(list, 2), "b");
}

#define CREATORS 8

static gpointer create_one(gpointer data)
{
	const VolumeName name = {.pool = (char *)"p", .name = (char *)"v"};
	const VolumeParameters parameters = {.size = MIB};

	return GINT_TO_POINTER(pool_volume_create(data, &name, &parameters, 0, NULL));
}

static void test_one_creator_wins(const void *data)
{
	g_autoptr(Config) config = new_config(TRUE);
	GThread *threads[CREATORS];
	guint created = 0;

	(void)data;
	for (guint i = 0; i < CREATORS; i++)
		threads[i] = g_thread_new(NULL, create_one, config);
	for (guint i = 0; i < CREATORS; i++)
		created += GPOINTER_TO_INT(g_thread_join(threads[i])) != 0;
	CHECK_UINT(created, 1);
	CHECK_UINT(entries(config_find_pool(config, "p")->path), 2);
}

static void test_device_path_must_be_one(const void *data)
{
	g_autofree char *path = test_path(".file");
	const VolumeName name = {.name = path};
	const VolumeParameters parameters = {.size = MIB};
	g_autoptr(Config) config = new_config(TRUE);
	g_autoptr(GError) error = NULL;
	g_autofree char *text = NULL;

	(void)data;
	CHECK(g_file_set_contents(path, "precious", -1, NULL));
	CHECK(!pool_volume_create(config, &name, &parameters, POOL_CREATE_FORCE, &error));
	CHECK_ERROR(error, STORAGEOS_ERROR_INVALID, "is not a block device");
	g_clear_error(&error);
	CHECK(!pool_volume_delete(config, &name, &error));
	CHECK_ERROR(error, STORAGEOS_ERROR_INVALID, "is not a block device");
	CHECK(g_file_get_contents(path, &text, NULL, NULL));
	CHECK_STR(text, "precious");
}

/* ---- volumes on devices */

typedef struct {
	char *file, *path; /* the backing file, and the device */
	int fd;
	VolumeName name;
} PoolDevice;

/* FALSE, with the test skipped, if no loop device can be made. */
static gboolean device_init(PoolDevice *device, guint64 size)
{
	device->file = test_path(".disk");
	CHECK(g_file_set_contents(device->file, "", 0, NULL));
	CHECK_INT(truncate(device->file, (off_t)size), 0);
	device->fd = loop_device_new(device->file, &device->path);
	if (device->fd < 0)
		test_skip("no loop device can be made");
	device->name.name = device->path;
	return device->fd >= 0;
}

static void device_clear(PoolDevice *device)
{
	if (device->fd >= 0)
		close(device->fd);
	g_free(device->file);
	g_free(device->path);
}
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(PoolDevice, device_clear)

static void device_put(const PoolDevice *device, const char *text, guint64 offset)
{
	CHECK_INT(pwrite(device->fd, text, strlen(text), (off_t)offset), (gint64)strlen(text));
	CHECK_INT(fsync(device->fd), 0);
}

static void test_device_life(const void *data)
{
	const VolumeParameters parameters = {.size = MIB};
	g_autoptr(Config) config = new_config(TRUE);
	g_auto(PoolDevice) device = {0};
	g_autoptr(GError) error = NULL;
	Volume *volume;

	(void)data;
	if (!device_init(&device, 16 * MIB))
		return;
	CHECK(!pool_volume_delete(config, &device.name, &error));
	CHECK_ERROR(error, STORAGEOS_ERROR_NOT_FOUND, "holds none");
	g_clear_error(&error);
	CHECK(pool_volume_create(config, &device.name, &parameters, 0, &error));
	CHECK_NO_ERROR(error);
	volume = pool_volume_open(config, &device.name, 0, &error);
	REQUIRE(volume);
	CHECK_UINT(volume_size(volume), MIB);
	CHECK(!pool_volume_delete(config, &device.name, &error));
	CHECK_ERROR(error, STORAGEOS_ERROR_BUSY, "delete volume '/dev/loop");
	g_clear_error(&error);
	CHECK(volume_close(volume, NULL));
	test_row("it is not empty any more");
	CHECK(!pool_volume_create(config, &device.name, &parameters, 0, &error));
	CHECK_ERROR(error, STORAGEOS_ERROR_EXISTS, "is not empty: bytes 0 to 1048576");
	test_row("deleted");
	device_put(&device, "data", 16 * MIB - 5);
	CHECK(pool_volume_delete(config, &device.name, NULL));
	CHECK(!pool_volume_open(config, &device.name, 0, NULL));
	g_clear_error(&error);
	CHECK(pool_volume_create(config, &device.name, &parameters, 0, &error));
	CHECK_NO_ERROR(error);
}

/* Partition tables, file systems and members of arrays have their signatures at either end. */
static void test_device_holds_something(const void *data)
{
	static const guint64 places[] = {0, 100, MIB - 5, 15 * MIB, 16 * MIB - 5};
	const VolumeParameters parameters = {.size = MIB};
	g_autoptr(Config) config = new_config(TRUE);

	(void)data;
	for (guint i = 0; i < G_N_ELEMENTS(places); i++) {
		g_auto(PoolDevice) device = {0};
		g_autoptr(GError) error = NULL;
		char text[6] = "";

		test_row("at byte %d", (int)places[i]);
		if (!device_init(&device, 16 * MIB))
			return;
		device_put(&device, "other", places[i]);
		CHECK(!pool_volume_create(config, &device.name, &parameters, 0, &error));
		CHECK_ERROR(error, STORAGEOS_ERROR_EXISTS, "is not empty");
		CHECK_INT(pread(device.fd, text, 5, (off_t)places[i]), 5);
		CHECK_STR(text, "other");
		CHECK(pool_volume_create(config, &device.name, &parameters, POOL_CREATE_FORCE,
					 NULL));
	}
}

static void test_device_too_small(const void *data)
{
	const VolumeParameters parameters = {.size = MIB};
	g_autoptr(Config) config = new_config(TRUE);
	g_auto(PoolDevice) device = {0};
	g_autoptr(GError) error = NULL;

	(void)data;
	if (!device_init(&device, 32 * KIB))
		return;
	CHECK(!pool_volume_create(config, &device.name, &parameters, 0, &error));
	CHECK_ERROR(error, STORAGEOS_ERROR_NO_SPACE, "create volume '/dev/loop");
	g_clear_error(&error);
	CHECK(!pool_volume_delete(config, &device.name, &error));
	CHECK_ERROR(error, STORAGEOS_ERROR_NOT_FOUND, "delete volume '/dev/loop");
}

/* ---- leftovers of a creation that died */

static gint64 later; /* seconds */

/* Replaces the clock of this program. */
time_t time(time_t *ret_now)
{
	time_t now = (time_t)(g_get_real_time() / G_USEC_PER_SEC + later);

	if (ret_now)
		*ret_now = now;
	return now;
}

#define DIGITS "0123456789abcdef"

/* A leftover of ours has a name of our form, and holds a volume or nothing yet. */
static const struct {
	const char *name, *content;
	gsize zeros; /* before the content */
	gboolean goes;
} left_over[] = {
	{".v.vol." DIGITS ".new", FORMAT_MAGIC, 0, TRUE},
	{".w.vol." DIGITS ".new", FORMAT_MAGIC, FORMAT_SUPERBLOCK_B, TRUE},
	{".empty.vol." DIGITS ".new", "", 0, TRUE},
	{".zeros.vol." DIGITS ".new", "", 3 * MIB + 7, TRUE},
	{".held.vol." DIGITS ".new", FORMAT_MAGIC, 0, FALSE},
	{".other.vol." DIGITS ".new", "precious", 0, FALSE},
	{".deep.vol." DIGITS ".new", "precious", 3 * MIB, FALSE},
	{".long.vol." DIGITS ".new", "", FORMAT_JOURNAL_OFFSET + FORMAT_JOURNAL_MAX + 1, FALSE},
	{"seen.vol." DIGITS ".new", FORMAT_MAGIC, 0, FALSE},
	{".a" DIGITS ".new", FORMAT_MAGIC, 0, FALSE},
	{".a." DIGITS ".new", FORMAT_MAGIC, 0, FALSE},
	{".vol." DIGITS ".new", FORMAT_MAGIC, 0, FALSE},
	{".A.vol." DIGITS ".new", FORMAT_MAGIC, 0, FALSE},
	{".a.vol.0" DIGITS ".new", FORMAT_MAGIC, 0, FALSE},
	{".a.vol.0123456789abcde.new", FORMAT_MAGIC, 0, FALSE},
	{".a.vol.0123456789ABCDEF.new", FORMAT_MAGIC, 0, FALSE},
	{".a.vol." DIGITS ".new.new", FORMAT_MAGIC, 0, FALSE},
	{".precious.new", "precious", 0, FALSE},
	{".new", "precious", 0, FALSE},
	{".other", FORMAT_MAGIC, 0, FALSE},
};
#define N_LEFT_OVER G_N_ELEMENTS(left_over)

static void put_left_over(const char *directory, guint i)
{
	g_autofree char *path = g_build_filename(directory, left_over[i].name, NULL);
	g_autoptr(Backing) backing = backing_file_open(path, BACKING_OPEN_CREATE, NULL);
	gsize length = strlen(left_over[i].content);

	REQUIRE(backing);
	/* The file must be long enough for superblocks to be read whole. */
	CHECK_INT(backing_grow(backing,
			       left_over[i].zeros + (length ? FORMAT_SUPERBLOCK_B + 8 * KIB : 0)),
		  0);
	CHECK_INT(backing_pwrite(backing, left_over[i].content, length, left_over[i].zeros), 0);
}

static void test_dead_creations(const void *data)
{
	g_autoptr(Config) config = new_config(TRUE);
	const char *directory = config_find_pool(config, "p")->path;
	const VolumeParameters parameters = {.size = MIB};
	VolumeName name = {.pool = (char *)"p", .name = (char *)"v"},
		   next = {.pool = (char *)"p", .name = (char *)"w"};
	g_autofree char *is_directory = g_build_filename(directory, ".d.vol." DIGITS ".new", NULL);
	g_autofree char *held_path = g_build_filename(directory, left_over[4].name, NULL);
	g_autoptr(Backing) held = NULL;

	(void)data;
	for (guint i = 0; i < N_LEFT_OVER; i++)
		put_left_over(directory, i);
	CHECK_INT(mkdir(is_directory, 0700), 0);
	held = backing_file_open(held_path, 0, NULL);
	REQUIRE(held && backing_lock(held, TRUE, NULL));
	CHECK(pool_volume_create(config, &name, &parameters, 0, NULL));
	CHECK_UINT(entries(directory), N_LEFT_OVER + 3); /* all are too young to be removed */
	later = 120;
	CHECK(pool_volume_create(config, &next, &parameters, 0, NULL));
	later = 0;
	for (guint i = 0; i < N_LEFT_OVER; i++) {
		g_autofree char *path = g_build_filename(directory, left_over[i].name, NULL);

		test_row("%s", left_over[i].name);
		CHECK_INT(access(path, F_OK) != 0, left_over[i].goes);
	}
	CHECK(!access(is_directory, F_OK));
}

int main(int argc, char **argv)
{
	test_add("a pool is made once, under one name", test_create_pool, NULL);
	test_add("a marker is checked before it is believed", test_bad_markers, NULL);
	test_add("nothing is written where there is no marker", test_no_marker_no_write, NULL);
	test_add("an unknown pool is named", test_unknown_pool, NULL);
	test_add("a volume is made, opened, held and deleted", test_life, NULL);
	test_add("a creation that fails leaves nothing", test_failed_creation_leaves_nothing, NULL);
	test_add("a symbolic link is never taken for a volume", test_links_are_no_volumes, NULL);
	test_add("the list is sorted and has only volumes", test_list_is_sorted_and_ours, NULL);
	test_add("of many creators one wins", test_one_creator_wins, NULL);
	test_add("a path that is no block device is left alone", test_device_path_must_be_one,
		 NULL);
	test_add("a volume on a device is made, opened, held and deleted", test_device_life, NULL);
	test_add("a device that holds something is left alone, unless forced",
		 test_device_holds_something, NULL);
	test_add("a device that is too small is refused", test_device_too_small, NULL);
	test_add("leftovers of a creation that died are removed by the next", test_dead_creations,
		 NULL);
	return test_run(argc, argv);
}
