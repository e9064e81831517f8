/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A volume from outside: which sizes it may have, who may open it, and what is known of it.
 */
#include <signal.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "common/base/error.h"
#include "common/base/units.h"
#include "tests/backing/faulty.h"
#include "tests/engine/support.h"

static const struct {
	guint64 size;
	guint32 block_size;
	guint64 journal_size;
	gboolean good;
} parameters[] = {
	{MIB, 0, 0, TRUE},
	{MIB + SECTOR_SIZE, 512, 0, TRUE},
	{MIB + BLOCK_SIZE, 4096, 0, TRUE},
	{64 * TIB, 0, 0, TRUE},
	{64 * TIB - SECTOR_SIZE, 0, 64 * MIB, TRUE},
	{GIB, 512, 4 * MIB, TRUE},
	{GIB, 0, 64 * KIB, TRUE},
	{GIB, 0, 3 * MIB + 64 * KIB, TRUE},
	{0, 0, 0, FALSE},
	{MIB - SECTOR_SIZE, 0, 0, FALSE},
	{64 * TIB + SECTOR_SIZE, 0, 0, FALSE},
	{G_MAXUINT64 - 511, 0, 0, FALSE},
	{MIB + 100, 0, 0, FALSE},
	{MIB + SECTOR_SIZE, 4096, 0, FALSE},
	{GIB, 1024, 0, FALSE},
	{GIB, 0, 60 * KIB, FALSE},
	{GIB, 0, 96 * KIB, FALSE},
	{GIB, 0, 65 * MIB, FALSE},
	{GIB, 0, G_MAXUINT64, FALSE},
};

static void test_parameters(const void *data)
{
	(void)data;
	for (guint i = 0; i < G_N_ELEMENTS(parameters); i++) {
		const VolumeParameters p = {.size = parameters[i].size,
					    .logical_block_size = parameters[i].block_size,
					    .journal_size = parameters[i].journal_size};
		g_autoptr(Place) place = place_new_memory();
		g_autoptr(Backing) backing = place_backing(place);
		g_autoptr(GError) error = NULL;
		gboolean good = volume_format(backing, &p, &error);

		test_row("size %" G_GUINT64_FORMAT " in blocks of %u, journal %" G_GUINT64_FORMAT,
			 p.size, p.logical_block_size, p.journal_size);
		CHECK_INT(good, parameters[i].good);
		if (parameters[i].good) {
			Volume *volume = place_open(place);

			CHECK_UINT(volume_size(volume), p.size);
			CHECK_UINT(volume_logical_block_size(volume),
				   MAX(p.logical_block_size, 512));
			CHECK_INT(volume_put_value(volume, 7, SECTOR_SIZE, p.size - SECTOR_SIZE),
				  0);
			check_value(volume, 7, SECTOR_SIZE, p.size - SECTOR_SIZE);
			close_volume(volume);
			place_check(place);
		} else {
			CHECK_ERROR(error, STORAGEOS_ERROR_INVALID, NULL);
		}
	}
}

static void test_holes(const void *data)
{
	g_autoptr(Place) place = NULL;
	Volume *volume = place_new_volume(&place, GIB + SECTOR_SIZE);

	(void)data;
	REQUIRE(volume);
	check_value(volume, 0, 2 * MIB, 0);
	check_value(volume, 0, 3 * SECTOR_SIZE, GIB - 2 * SECTOR_SIZE);
	CHECK_INT(volume_put_value(volume, 5, SECTOR_SIZE, 100 * MIB + SECTOR_SIZE), 0);
	check_value(volume, 0, SECTOR_SIZE, 100 * MIB);
	check_value(volume, 5, SECTOR_SIZE, 100 * MIB + SECTOR_SIZE);
	check_value(volume, 0, 2 * MIB, 100 * MIB + 2 * SECTOR_SIZE);
	close_volume(volume);
}

/* A process that has the volume open until it is killed. */
static pid_t start_holder(Place *place)
{
	int ready[2];
	char byte = 0;
	pid_t pid;

	CHECK_INT(pipe(ready), 0);
	pid = fork();
	if (!pid) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		byte = place_open(place) ? 'y' : 'n';
		if (write(ready[1], &byte, 1) == 1)
			pause();
		_exit(1);
	}
	CHECK_INT(read(ready[0], &byte, 1), 1);
	CHECK_INT(byte, 'y');
	close(ready[0]);
	close(ready[1]);
	return pid;
}

static void test_exclusive(const void *data)
{
	const VolumeParameters p = {.size = MIB};
	g_autoptr(Place) place = place_new_file();
	g_autoptr(GError) error = NULL;
	g_autofree char *holder = NULL;
	Backing *backing;
	Volume *volume;
	pid_t pid;

	(void)data;
	REQUIRE(place_format(place, 8 * MIB, 0));
	pid = start_holder(place);
	holder = g_strdup_printf("is in use by process %d (test-volume)", pid);
	CHECK(!volume_open(place_backing(place), "test", 0, &error));
	CHECK_ERROR(error, STORAGEOS_ERROR_BUSY, holder);
	g_clear_error(&error);
	CHECK(!volume_open(place_backing(place), "test", VOLUME_OPEN_READ_ONLY, &error));
	CHECK_ERROR(error, STORAGEOS_ERROR_BUSY, holder);
	g_clear_error(&error);
	backing = place_backing(place);
	CHECK(!volume_format(backing, &p, &error));
	CHECK_ERROR(error, STORAGEOS_ERROR_BUSY, holder);
	backing_free(backing);
	kill(pid, SIGKILL);
	CHECK_INT(waitpid(pid, NULL, 0), pid);
	volume = place_open(place);
	if (volume)
		close_volume(volume);
}

static void test_read_only(const void *data)
{
	g_autoptr(Backing) backing = backing_faulty_new(0);
	const VolumeParameters p = {.size = 16 * MIB};
	g_autoptr(GError) error = NULL;
	VolumeInfo info;
	Volume *volume;
	guint64 changes;

	(void)data;
	REQUIRE(volume_format(backing, &p, NULL));
	volume = backing_open_volume(backing);
	CHECK_INT(volume_put_value(volume, 1, MIB, 5 * SECTOR_SIZE), 0);
	CHECK_INT(volume_discard(volume, 64 * KIB, 64 * KIB), 0);
	volume_abandon(volume); /* leaves a journal to replay */
	changes = backing_faulty_count(backing, FAULTY_MODIFY);
	volume = volume_open(backing_borrow(backing), "test", VOLUME_OPEN_READ_ONLY, &error);
	REQUIRE(volume);
	volume_get_info(volume, &info);
	CHECK_INT(info.state, VOLUME_READ_ONLY);
	check_value(volume, 1, 32 * KIB, 5 * SECTOR_SIZE);
	check_value(volume, 0, 64 * KIB, 64 * KIB);
	CHECK(volume_put_value(volume, 2, BLOCK_SIZE, 0) < 0);
	CHECK(volume_discard(volume, 0, BLOCK_SIZE) < 0);
	check_value(volume, 1, 32 * KIB, 5 * SECTOR_SIZE);
	CHECK_INT(volume_flush(volume), 0);
	close_volume(volume);
	CHECK_UINT(backing_faulty_count(backing, FAULTY_MODIFY), changes);
}

static void test_info(const void *data)
{
	g_autoptr(Place) place = NULL;
	Volume *volume = place_new_volume(&place, 16 * MIB);
	VolumeInfo info;
	char uuid[37];

	(void)data;
	REQUIRE(volume);
	CHECK_INT(volume_put_value(volume, 1, MIB, 0), 0);
	CHECK_INT(volume_put_value(volume, 1, SECTOR_SIZE, 0), 0);
	check_value(volume, 1, MIB, 0);
	CHECK_INT(volume_zero(volume, 0, 64 * KIB), 0);
	CHECK_INT(volume_flush(volume), 0);
	volume_get_info(volume, &info);
	CHECK_INT(info.state, VOLUME_OK);
	CHECK_UINT(info.size, 16 * MIB);
	CHECK_UINT(info.logical_block_size, 512);
	CHECK_UINT(info.data_bytes, MIB - 64 * KIB);
	CHECK_UINT(info.checksum_errors, 0);
	CHECK(info.journal_used > 0 && info.journal_used < info.journal_size);
	memcpy(uuid, info.uuid, sizeof uuid);
	CHECK_UINT(strlen(uuid), 36);
	CHECK(volume_failure(volume) == NULL);
	close_volume(volume);
	volume = place_open(place);
	volume_get_info(volume, &info);
	CHECK_STR(info.uuid, uuid);
	close_volume(volume);
}

int main(int argc, char **argv)
{
	test_add("sizes from 1 MiB to 64 TiB, and no others", test_parameters, NULL);
	test_add("holes read as zeros", test_holes, NULL);
	test_add("a volume is open once, and the error says where", test_exclusive, NULL);
	test_add("a read-only volume shows what its journal holds, and writes nothing",
		 test_read_only, NULL);
	test_add("the facts about a volume", test_info, NULL);
	return test_run(argc, argv);
}
