/* SPDX-License-Identifier: Apache-2.0 */
/*
 * plugin-VERSION PLUGIN [WORD...]: the plugin in a process that looks like that version of
 * tcmu-runner (tests/runner-host).
 */
#include "tests/handler/fixture.h"
#include "tests/harness.h"

int main(int argc, char **argv)
{
	if (!fixture_init(argc, argv))
		return 1;
	lifecycle_tests();
	limits_tests();
	commands_tests();
	descriptors_tests();
	devices_tests();
	erasing_tests();
	hangs_tests();
	idle_tests();
	resize_tests();
	restart_tests();
	snapshots_tests();
	stats_tests();
	write_through_tests();
	return test_run(argc - 1, argv + 1);
}
