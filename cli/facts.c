/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/facts.h"

#include <errno.h>
#include <sys/stat.h>

#include "common/backing/file.h"
#include "common/backing/holder.h"
#include "common/error.h"
#include "common/superblock.h"

static void facts_of_superblock(const Superblock *superblock, Facts *facts)
{
	uuid_format(superblock->uuid, facts->uuid);
	facts->size = superblock->size;
	facts->logical_block_size = superblock->logical_block_size;
	facts->scrub_errors = superblock->scrub_errors;
}

/* What a volume's backing has at least: of a file all of each group, as it grows by groups. */
static guint64 needed_size(const Superblock *sb, gboolean is_file)
{
	guint64 groups = is_file ? sb->groups : 0;

	return sb->groups_offset + groups * FORMAT_GROUP_BYTES;
}

/* Whoever has it open writes the superblocks in turn, so one of them can always be read. */
static gboolean read_superblock(const char *path, gboolean is_file, Facts *facts, GError **error)
{
	g_autoptr(Backing) backing = backing_file_open(path, BACKING_FILE_READ_ONLY, error);
	SuperblockPair pair;

	if (!backing || !superblock_load(backing, &pair, error))
		return FALSE;
	facts_of_superblock(&pair.current, facts);
	facts->allocated = backing_allocated(backing);
	if (backing_size(backing) < needed_size(&pair.current, is_file))
		facts->missing_from = backing_size(backing);
	return TRUE;
}

char *facts_holder(const char *path)
{
	struct stat st;

	return stat(path, &st) ? NULL : holder_find(&st);
}

static gboolean read_file(Facts *facts, GError **error)
{
	struct stat st;

	if (stat(facts->path, &st))
		return errno == ENOENT ? error_set(error, STORAGEOS_ERROR_NOT_FOUND,
						   "there is none (no %s); see: storageos "
						   "list",
						   facts->path)
				       : error_set_errno(error, errno, "look at %s", facts->path);
	facts->place = backing_file_place(&st);
	facts->holder = holder_find(&st);
	return read_superblock(facts->path, S_ISREG(st.st_mode), facts, error);
}

gboolean facts_read(const Config *config, const VolumeName *name, Facts *ret_facts, GError **error)
{
	g_autofree char *text = volume_name_format(name);

	ret_facts->path = pool_volume_path(config, name, error);
	if (ret_facts->path && read_file(ret_facts, error))
		return TRUE;
	g_prefix_error(error, "volume '%s': ", text);
	return FALSE;
}

void facts_clear(Facts *facts)
{
	g_clear_pointer(&facts->path, g_free);
	g_clear_pointer(&facts->holder, g_free);
}
