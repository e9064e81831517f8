/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/device-content.h"

#include <blkid.h>
#include <string.h>

G_DEFINE_AUTO_CLEANUP_FREE_FUNC(blkid_probe, blkid_free_probe, NULL)

/* What blkid_do_safeprobe() returns. */
#define SAFEPROBE_FOUND 0
#define SAFEPROBE_AMBIVALENT (-2)

/* libblkid's names of what is no file system, and ours. */
static const struct {
	const char *type, *description;
} contents[] = {
	{"LVM2_member", "an LVM physical volume"},
	{"linux_raid_member", "a member of a Linux RAID"},
	{"crypto_LUKS", "a LUKS container"},
	{"swap", "swap space"},
	{"dos", "an MBR partition table"},
	{"gpt", "a GPT partition table"},
};

/* NULL if libblkid found no such value. */
static const char *look_up(blkid_probe probe, const char *key)
{
	const char *value;

	return blkid_probe_lookup_value(probe, key, &value, NULL) ? NULL : value;
}

static char *describe(const char *type, const char *kind)
{
	for (guint i = 0; i < G_N_ELEMENTS(contents); i++)
		if (!strcmp(type, contents[i].type))
			return g_strdup(contents[i].description);
	return g_strdup_printf("%s (%s)", kind, type);
}

static char *describe_found(blkid_probe probe)
{
	const char *type = look_up(probe, "TYPE");
	const char *partitions = look_up(probe, "PTTYPE");

	if (type)
		return describe(type, g_strcmp0(look_up(probe, "USAGE"), "filesystem")
					      ? "data of a known format"
					      : "a file system");
	return partitions ? describe(partitions, "a partition table") : NULL;
}

/* What blkid_do_safeprobe() returns. */
static int probe_run(blkid_probe probe)
{
	blkid_probe_enable_superblocks(probe, TRUE);
	blkid_probe_set_superblocks_flags(probe, BLKID_SUBLKS_TYPE | BLKID_SUBLKS_USAGE);
	blkid_probe_enable_partitions(probe, TRUE);
	return blkid_do_safeprobe(probe);
}

char *device_content_file_system(const char *path)
{
	g_auto(blkid_probe) probe = blkid_new_probe_from_filename(path);

	return probe && probe_run(probe) == SAFEPROBE_FOUND &&
			       !g_strcmp0(look_up(probe, "USAGE"), "filesystem")
		       ? g_strdup(look_up(probe, "TYPE"))
		       : NULL;
}

char *device_content_describe(const char *path)
{
	g_auto(blkid_probe) probe = blkid_new_probe_from_filename(path);
	int outcome;

	if (!probe)
		return NULL;
	outcome = probe_run(probe);
	if (outcome == SAFEPROBE_AMBIVALENT)
		return g_strdup("the marks of several formats");
	return outcome == SAFEPROBE_FOUND ? describe_found(probe) : NULL;
}
