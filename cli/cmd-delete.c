/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/attachment.h"
#include "cli/cli.h"
#include "cli/clone-hold.h"
#include "common/base/autofd.h"
#include "common/base/error.h"
#include "common/service/registry.h"

/* A file that cannot be read as a volume may be the last copy of one, or something else entirely.
 */
static gboolean volume_is_whole(const Attachment *attachment, GError **error)
{
	const GError *problem = attachment->facts_error;

	if (!problem || g_error_matches(problem, STORAGEOS_ERROR, STORAGEOS_ERROR_NOT_FOUND))
		return TRUE;
	return error_set(error, STORAGEOS_ERROR_CORRUPT, "delete %s (--force deletes it anyway)",
			 problem->message);
}

static gboolean force, forgotten, dry;

/* The base of a linked clone is released once the clone is gone. */
static gboolean volume_delete(const Config *config, const VolumeName *name, GError **error)
{
	BaseIdentity base;
	char uuid[UUID_TEXT];
	gboolean linked = pool_clone_base(config, name, &base, uuid);

	if (!pool_volume_delete(config, name, error))
		return FALSE;
	if (linked)
		clone_release(config, &base, uuid);
	return TRUE;
}

/* A broken attachment holds no lock on the volume, but its device may still be in use. */
static gboolean delete_detached(const Config *config, const VolumeName *name, const Places *places,
				GError **error)
{
	g_autoptr(Attachment) attachment = attachment_inspect(places);

	if (attachment->health == ATTACHMENT_WORKING || attachment->health == ATTACHMENT_BROKEN)
		return error_set(error, STORAGEOS_ERROR_BUSY,
				 "delete volume '%s': still attached (first: storageos detach %s)",
				 places->text, places->text);
	if (!force && !volume_is_whole(attachment, error))
		return FALSE;
	return dry ? pool_volume_may_delete(config, name, error)
		   : volume_delete(config, name, error);
}

/* The lock keeps others from attaching the volume meanwhile. */
static gboolean delete_locked(const Config *config, const VolumeName *name, GError **error)
{
	g_autoptr(Places) places = places_new(config, name);

	gboolean locked = places_lock(places, error);
	return locked && delete_detached(config, name, places, error);
}

static void delete_report(const Cli *cli, const VolumeName *name, const char *path)
{
	g_autofree char *text = volume_name_format(name);
	Json *object = json_object_new_object();

	json_add_text(object, "volume", text);
	json_add_text(object, "path", path);
	if (dry)
		cli_report_dry(cli, object, "%s: would be deleted", text);
	else
		cli_report(cli, object, "%s: deleted", text);
}

/* Removes the volume from the registry; succeeds even if its file was already gone. */
static gboolean name_forget(const Config *config, const VolumeName *name, gboolean deleted,
			    GError **error)
{
	g_autoptr(GError) problem = NULL;

	if (!name->pool || registry_forget(config, name, &problem)) {
		g_clear_error(error);
		return TRUE;
	}
	return deleted;
}

static int name_delete(const Cli *cli, const VolumeName *name)
{
	g_autofree char *path = pool_volume_place(cli->config, name);
	g_autoptr(GError) error = NULL;
	gboolean deleted = delete_locked(cli->config, name, &error);

	if (forgotten &&
	    (deleted || g_error_matches(error, STORAGEOS_ERROR, STORAGEOS_ERROR_NOT_FOUND)))
		deleted = dry || name_forget(cli->config, name, deleted, &error);
	if (!deleted)
		return cli_failed(error);
	delete_report(cli, name, path);
	return CLI_DONE;
}

/* There is no --all: it would be a slip of one word from deleting everything. */
static int verb_delete_run(int argc, char **argv)
{
	const GOptionEntry options[] = {
		{"forget", 0, 0, G_OPTION_ARG_NONE, &forgotten,
		 "Allow ;create to create a volume of this name again", NULL},
		{"force", 0, 0, G_OPTION_ARG_NONE, &force,
		 "Delete the file even if it is not a readable volume", NULL},
		CLI_DRY_RUN(&dry),
		{0},
	};
	g_autoptr(GPtrArray) names = NULL;
	g_auto(Cli) cli = {0};
	int status;

	if (!cli_start(&cli, &verb_delete, options, 1, G_MAXUINT, argc, argv, &status))
		return status;
	names = cli_volume_names(&cli, "delete", volume_name_parse);
	if (!names)
		return CLI_USAGE;
	for (guint i = 0; i < names->len; i++)
		if (name_delete(&cli, g_ptr_array_index(names, i)) != CLI_DONE)
			status = CLI_FAILED;
	return status;
}

const Verb verb_delete = {"delete", "NAME... [-n] [--force] [--forget]", "delete detached volumes",
			  verb_delete_run};
