/* SPDX-License-Identifier: Apache-2.0 */
/*
 * serve: for the unit storageos-fuse@, not for people.  Executes storageos-fuse with the mount
 * point, the PID file and the lock at which `attach` expects them.
 */
#include <errno.h>
#include <unistd.h>

#include "cli/cli.h"
#include "cli/places.h"
#include "common/base/error.h"
#include "common/base/files.h"
#include "common/base/output.h"

#define SERVER "storageos-fuse"

/* Returns only on failure. */
static void server_become(const Places *places, GError **error)
{
	g_autofree char *states = g_path_get_dirname(places->pid_file);

	if (!files_make_directory(states, error) || !files_make_directory(places->mount, error))
		return;
	output_child();
	execlp(SERVER, SERVER, "--pid-file", places->pid_file, "--attach-lock", places->lock_file,
	       places->text, places->mount, places_is_read_only(places) ? "--read-only" : NULL,
	       NULL);
	error_set_errno(error, errno, "start " SERVER);
}

static int verb_serve_run(int argc, char **argv)
{
	g_autoptr(VolumeName) name = NULL;
	g_autoptr(Places) places = NULL;
	g_autoptr(GError) error = NULL;
	g_auto(Cli) cli = {0};
	int status;

	if (!cli_start(&cli, &verb_serve, NULL, 1, 1, argc, argv, &status))
		return status;
	name = volume_name_parse_any(cli.arguments[0], &error);
	if (!name)
		return cli_usage("serve: %s", error->message);
	places = places_new(cli.config, name);
	server_become(places, &error);
	g_prefix_error(&error, "serve %s: ", places->text);
	return cli_failed(error);
}

const Verb verb_serve = {"serve", "NAME", "serve a volume over FUSE (for the unit storageos-fuse@)",
			 verb_serve_run};
