/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Standby: a direct volume on a backing in memory whose lock is another one's, until that is named.
 */
#include <errno.h>

#include "common/base/error.h"
#include "common/base/units.h"
#include "common/engine/direct.h"
#include "tests/backing/memory.h"
#include "tests/engine/support.h"

#define SIZE (2 * MIB)

static const guint8 uuid[16] = {1, 2, 3};

static gboolean standby_owner(Backing *backing, BackingOwner *ret_owner, GError **error)
{
	(void)backing, (void)error;
	*ret_owner = (BackingOwner){"client.1", "elsewhere", 7};
	return TRUE;
}

/* The image has grown meanwhile. */
static gboolean standby_take_over(Backing *backing, const char *client, GError **error)
{
	if (g_strcmp0(client, "client.1"))
		return error_set(error, STORAGEOS_ERROR_BUSY, "client.1 has it");
	return backing_grow(backing, 2 * SIZE) == 0;
}

static gboolean standby_is_fenced(Backing *backing)
{
	return backing_condemned(backing) != NULL;
}

static void check_standby(Volume *volume)
{
	struct iovec iov = {(guint8[SECTOR_SIZE]){0}, SECTOR_SIZE};
	VolumeWrite write = {.iov = &iov, .n_iov = 1};
	guint64 at;

	CHECK(volume_is_on_standby(volume));
	check_value(volume, 5, SECTOR_SIZE, 0);
	CHECK_INT(volume_put_value(volume, 1, SECTOR_SIZE, 0), -EBUSY);
	CHECK_INT(volume_write_nowait(volume, &iov, 1, 0, NULL), -EBUSY);
	volume_write_batch(volume, &write, 1);
	CHECK_INT(write.result, -EBUSY);
	CHECK_INT(volume_zero(volume, 0, BLOCK_SIZE), -EBUSY);
	CHECK_INT(volume_discard(volume, 0, BLOCK_SIZE), -EBUSY);
	CHECK_INT(volume_erase(volume), -EBUSY);
	CHECK_INT(volume_or(volume, &iov, 1, 0, NULL), -EBUSY);
	CHECK_INT(volume_compare_and_write(volume, &iov, 1, &iov, 1, 0, &at), -EBUSY);
	CHECK_INT(volume_flush(volume), 0);
	check_value(volume, 5, SECTOR_SIZE, 0);
}

static void test_standby(const void *data)
{
	g_autoptr(Backing) backing = backing_memory_new(0);
	BackingOps ops = *backing->ops;
	g_autoptr(GError) error = NULL;
	guint8 sector[SECTOR_SIZE];
	BackingOwner owner = {0};
	Volume *volume;

	(void)data;
	CHECK_INT(backing_grow(backing, SIZE), 0);
	CHECK(!direct_open(backing_borrow(backing), "test", uuid, VOLUME_OPEN_STANDBY, &error));
	CHECK_ERROR(error, STORAGEOS_ERROR_UNSUPPORTED, "cannot be on standby");
	ops.owner = standby_owner;
	ops.take_over = standby_take_over;
	ops.is_fenced = standby_is_fenced;
	backing->ops = &ops;
	memset(sector, 5, sizeof sector);
	CHECK_INT(backing_pwrite(backing, sector, sizeof sector, 0), 0);
	volume = direct_open(g_steal_pointer(&backing), "test", uuid, VOLUME_OPEN_STANDBY, NULL);
	REQUIRE(volume);
	CHECK(volume_can_stand_by(volume));
	check_standby(volume);
	CHECK(!volume_take_over(volume, NULL, NULL));
	check_standby(volume);
	CHECK(volume_owner(volume, &owner, NULL));
	CHECK(volume_take_over(volume, owner.client, NULL));
	CHECK(!volume_is_on_standby(volume));
	CHECK_UINT(volume_size(volume), 2 * SIZE);
	CHECK_INT(volume_put_value(volume, 1, SECTOR_SIZE, SIZE), 0);
	CHECK(!volume_is_fenced(volume));
	close_volume(volume);
}

int main(int argc, char **argv)
{
	test_add("on standby it reads and changes nothing, until it is taken over", test_standby,
		 NULL);
	return test_run(argc, argv);
}
