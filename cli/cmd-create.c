/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/cli.h"

static gboolean read_parameters(const char *size, gint block_size, VolumeParameters *parameters)
{
	if (!cli_volume_size("create", size, &parameters->size))
		return FALSE;
	if (block_size != 512 && block_size != 4096) {
		cli_usage("create: a block size of %d is not 512 or 4096", block_size);
		return FALSE;
	}
	if (parameters->size % (guint)block_size) {
		cli_usage("create: the size is not a multiple of the block size of %d", block_size);
		return FALSE;
	}
	parameters->logical_block_size = (guint32)block_size;
	return TRUE;
}

static int run(int argc, char **argv)
{
	g_autofree char *size = NULL;
	gboolean force = FALSE;
	gint block_size = 512;
	const GOptionEntry options[] = {
		{"size", 's', 0, G_OPTION_ARG_STRING, &size, "Its size, 1MiB to 64TiB", "SIZE"},
		{"block-size", 0, 0, G_OPTION_ARG_INT, &block_size,
		 "Logical block size, 512 (default) or 4096", "BYTES"},
		{"force", 0, 0, G_OPTION_ARG_NONE, &force, "Overwrite what a block device may hold",
		 NULL},
		{0},
	};
	VolumeParameters parameters = {0};
	g_autoptr(VolumeName) name = NULL;
	g_autoptr(GError) error = NULL;
	g_auto(Cli) cli = {0};
	int status;

	if (!cli_start(&cli, &verb_create, options, 1, 1, argc, argv, &status))
		return status;
	if (!size)
		return cli_usage("create: --size is wanted (usage: storageos create %s)",
				 verb_create.arguments);
	if (!read_parameters(size, block_size, &parameters))
		return CLI_USAGE;
	name = volume_name_parse(cli.arguments[0], &error);
	if (!name)
		return cli_usage("create: %s", error->message);
	if (!pool_volume_create(cli.config, name, &parameters, force, &error))
		return cli_failed(error);
	return CLI_DONE;
}

const Verb verb_create = {"create", "NAME --size SIZE [--block-size 4096]", "make a volume", run};
