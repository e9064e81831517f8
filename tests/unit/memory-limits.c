/* SPDX-License-Identifier: Apache-2.0 */
#include "common/machine/memory-limits.h"

#include "tests/harness.h"

#define MIB ((guint64)1 << 20)

/* One process, with the files of its control groups. */
static const struct {
	const char *name, *groups;
	struct {
		const char *path, *text;
	} files[4];
	guint64 limit;
} cases[] = {
	{"no group at all", "", {{NULL, NULL}}, MEMORY_UNLIMITED},
	{"no limit", "0::/a\n", {{"a/memory.max", "max\n"}}, MEMORY_UNLIMITED},
	{"its own", "0::/a/b\n", {{"a/b/memory.max", "104857600\n"}}, 100 * MIB},
	{"that of a group above",
	 "0::/a/b/c\n",
	 {{"a/b/c/memory.max", "max\n"}, {"a/memory.max", "1048576\n"}},
	 MIB},
	{"the least",
	 "0::/a/b\n",
	 {{"a/b/memory.max", "2097152\n"}, {"a/memory.max", "4194304\n"}},
	 2 * MIB},
	{"a container, whose group is the top", "0::/\n", {{"memory.max", "8388608\n"}}, 8 * MIB},
	{"first version",
	 "5:cpu,cpuacct:/x\n4:memory:/a\n0::/\n",
	 {{"memory/a/memory.limit_in_bytes", "3145728\n"},
	  {"memory/x/memory.limit_in_bytes", "1\n"}},
	 3 * MIB},
	{"first version without a limit",
	 "4:memory:/a\n",
	 {{"memory/a/memory.limit_in_bytes", "9223372036854771712\n"}},
	 MEMORY_UNLIMITED},
	{"first version in a container",
	 "4:memory:/docker/abc\n",
	 {{"memory/memory.limit_in_bytes", "5242880\n"}},
	 5 * MIB},
	{"garbage", "memory\n::\n0::/../..\n", {{"memory.max", "-1\n"}}, MEMORY_UNLIMITED},
};

static void put(const char *directory, const char *path, const char *text)
{
	g_autofree char *full = g_build_filename(directory, path, NULL);
	g_autofree char *parent = g_path_get_dirname(full);

	g_mkdir_with_parents(parent, 0755);
	CHECK(g_file_set_contents(full, text, -1, NULL));
}

static void test_groups(const void *data G_GNUC_UNUSED)
{
	for (guint i = 0; i < G_N_ELEMENTS(cases); i++) {
		g_autofree char *proc = test_path("-proc");
		g_autofree char *cgroups = test_path("-cgroup");
		MemoryLimits limits;

		test_row("%s", cases[i].name);
		put(proc, "7/cgroup", cases[i].groups);
		for (guint j = 0; j < G_N_ELEMENTS(cases[i].files) && cases[i].files[j].path; j++)
			put(cgroups, cases[i].files[j].path, cases[i].files[j].text);
		memory_limits_read_from(proc, cgroups, 7, &limits);
		CHECK_UINT(limits.cgroup, cases[i].limit);
		CHECK_UINT(limits.locked, MEMORY_UNLIMITED);
		CHECK_UINT(limits.machine, MEMORY_UNLIMITED);
	}
}

static void test_process(const void *data G_GNUC_UNUSED)
{
	g_autofree char *proc = test_path("-proc");
	MemoryLimits limits;

	put(proc, "meminfo", "MemTotal:        2048 kB\nMemFree: 1 kB\n");
	put(proc, "7/limits",
	    "Limit                     Soft Limit           Hard Limit           Units\n"
	    "Max locked memory         65536                unlimited            bytes\n");
	put(proc, "8/limits", "Max locked memory         unlimited            unlimited bytes\n");
	memory_limits_read_from(proc, "/nonexistent", 7, &limits);
	CHECK_UINT(limits.locked, 65536);
	CHECK_UINT(limits.machine, 2 * MIB);
	memory_limits_read_from(proc, "/nonexistent", 8, &limits);
	CHECK_UINT(limits.locked, MEMORY_UNLIMITED);
	CHECK(memory_may_lock(&limits));
}

static void test_self(const void *data G_GNUC_UNUSED)
{
	MemoryLimits limits;

	memory_limits_read(0, &limits);
	CHECK(limits.machine > 16 * MIB && limits.machine != MEMORY_UNLIMITED);
}

int main(int argc, char **argv)
{
	test_add("the smallest limit of all control groups counts", test_groups, NULL);
	test_add("the limits on locked memory, and the machine's memory", test_process, NULL);
	test_add("this process", test_self, NULL);
	return test_run(argc, argv);
}
