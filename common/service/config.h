/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The configuration: a GKeyFile, /etc/storageos/storageos.conf, or what the variable
 * STORAGEOS_CONFIG or a program's --config names.
 *
 *     [storageos]
 *     frontend=auto                  auto, tcmu or fuse: what `attach` uses
 *     run_directory=/run/storageos   what is attached, by whom
 *     device_directory=/dev/storageos
 *     node_cache=64MiB               for a process, 1 MiB at least
 *     workers=0                      threads per volume in the plugin; 0: by the machine
 *     sanitize_rate=0                bytes in a second that SANITIZE overwrites, 1 MiB at least; 0:
 *                                    as fast as it goes
 *     state_directory=/var/lib/storageos   what volumes there were (registry.h)
 *     [pool NAME]
 *     path=DIRECTORY
 *     uuid=UUID                      of the pool that is there; `pool create` writes it
 *
 * Every key has a default; the file need not exist, unless it was named.  Lines that begin with '#'
 * or
 * ';' are comments.  An unknown key or group is a warning that names it, and so is one that is
 * there twice (the last one counts); a bad value is an error that names it.  The pool `default`
 * exists always (at /var/lib/storageos/volumes unless the file says otherwise). A Config is
 * constant once loaded.
 */
#pragma once

#include <glib.h>

#include "common/base/frontend.h"

#define CONFIG_DEFAULT_FILE "/etc/storageos/storageos.conf"
#define CONFIG_DEFAULT_POOL "default"
#define CONFIG_DEFAULT_POOL_PATH "/var/lib/storageos/volumes"

typedef struct {
	char *name;
	char *path;
	char *uuid;	 /* of the pool that is to be there; NULL: any of its name */
	gboolean listed; /* by the file; the default pool need not be */
} ConfigPool;

typedef struct {
	char *file;	/* what was loaded, or would have been */
	gboolean named; /* it was asked for, and so must be there */
	Frontend frontend;
	char *run_directory;
	char *state_directory;
	char *device_directory;
	guint64 node_cache; /* bytes */
	guint workers;
	guint64 sanitize_rate; /* bytes in a second; 0: no limit */
	GPtrArray *pools;      /* of ConfigPool, the default one first */
	GPtrArray *warnings;   /* texts */
} Config;

/* Loads `file`, or with NULL what STORAGEOS_CONFIG names, or the default one.  Warnings go to the
 * log. */
Config *config_load(const char *file, GError **error);

/* The same, and says nothing: for whom anybody may ask to look. */
Config *config_load_quietly(const char *file, GError **error);

/* Its file as it is now; says nothing. */
Config *config_load_again(const Config *config, GError **error);
void config_free(Config *config);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(Config, config_free)

/* NULL if there is none of that name. */
const ConfigPool *config_find_pool(const Config *config, const char *name);
