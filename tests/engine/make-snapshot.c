/* SPDX-License-Identifier: Apache-2.0 */
/*
 * make-snapshot FILE NAME: makes the checkpoint of the closed volume in FILE its only snapshot, for
 * tests of those who read snapshots.
 */
#include <stdio.h>

#include "tests/engine/snapshot-table.h"

int main(int argc, char **argv)
{
	g_autoptr(GError) error = NULL;
	g_autoptr(Backing) backing = argc == 3 ? backing_open(argv[1], 0, &error) : NULL;
	Snapshot snapshot;

	if (!backing) {
		fprintf(stderr, "make-snapshot: %s\n", error ? error->message : "FILE NAME");
		return 2;
	}
	snapshot = table_snapshot_of_now(backing, argv[2]);
	return !table_write(backing, &snapshot, 1);
}
