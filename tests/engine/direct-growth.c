/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Direct volumes become larger without waiting longer than asked.
 */
#include <errno.h>

#include "common/base/error.h"
#include "common/base/units.h"
#include "common/engine/direct.h"
#include "tests/backing/faulty.h"
#include "tests/engine/support.h"

#define SIZE (4 * MIB)

static const guint8 uuid[16] = {1, 2, 3};

/* A storage that does not answer must not hold up who asks, which may be a host's main thread. */
static void test_slow_growth(const void *data)
{
	g_autoptr(Backing) backing = backing_faulty_new(0);
	g_autoptr(GError) error = NULL;
	gint64 begun = g_get_monotonic_time();
	Volume *volume;

	(void)data;
	CHECK_INT(backing_grow(backing, SIZE), 0);
	volume = direct_open(backing_borrow(backing), "test", uuid, 0, &error);
	CHECK_NO_ERROR(error);
	REQUIRE(volume);
	backing_faulty_delay(backing, FAULTY_GROW, 1500000);
	CHECK(!volume_resize(volume, 8 * MIB, 0, 0, &error));
	CHECK_ERROR(error, STORAGEOS_ERROR_BUSY, "ask again");
	g_clear_error(&error);
	CHECK(!volume_resize(volume, 16 * MIB, 0, 0, &error));
	CHECK_ERROR(error, STORAGEOS_ERROR_BUSY, "ask again");
	g_clear_error(&error);
	CHECK(g_get_monotonic_time() - begun < 1500000);
	CHECK_UINT(volume_size(volume), SIZE);
	CHECK(volume_resize(volume, 8 * MIB, 0, 60, &error));
	CHECK_NO_ERROR(error);
	CHECK_UINT(volume_size(volume), 8 * MIB);
	backing_faulty_delay(backing, 0, 0);
	backing_faulty_fail(backing, FAULTY_GROW, 0, ENOSPC, FALSE, FALSE);
	CHECK(!volume_resize(volume, 16 * MIB, 0, 60, &error));
	CHECK_ERROR(error, STORAGEOS_ERROR_NO_SPACE, "change the size");
	g_clear_error(&error);
	backing_faulty_delay(backing, FAULTY_GROW, 300000);
	CHECK(!volume_resize(volume, 16 * MIB, 0, 0, &error));
	CHECK_ERROR(error, STORAGEOS_ERROR_BUSY, "ask again");
	close_volume(volume); /* waits for it */
	CHECK_UINT(backing_size(backing), 16 * MIB);
}

int main(int argc, char **argv)
{
	test_add("it does not wait for a storage that is slow to grow", test_slow_growth, NULL);
	return test_run(argc, argv);
}
