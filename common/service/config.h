/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The configuration, a GKeyFile: /etc/storageos/storageos.conf, or the file that the variable
 * STORAGEOS_CONFIG or a program's --config names.
 *
 *     [storageos]
 *     frontend=auto                        what `attach` uses: auto, tcmu or fuse
 *     run_directory=/run/storageos         what is attached, by whom
 *     device_directory=/dev/storageos      links to the devices
 *     node_cache=64MiB                     for all maps of a process; at least 1 MiB
 *     workers=0                            threads per volume in the plugin; 0: by the machine
 *     sanitize_rate=0                      bytes a second that SANITIZE overwrites, at least 1 MiB;
 *                                          0: no limit
 *     state_directory=/var/lib/storageos   which volumes there were (registry.h)
 *     warn=80,90,95                        percentages of a pool at which there is an event
 *                                          (pool-event.h); "off": none
 *     [pool NAME]
 *     path=DIRECTORY
 *     uuid=UUID                            of the pool at DIRECTORY; written by `pool create`
 *     quota=SIZE                           what its files may take together, at least 1 MiB
 *     warn=80,90,95                        for this pool
 *     [pool NAME]                          of Ceph's images:
 *     rbd=POOL[/NAMESPACE]                 instead of `path`
 *     ceph_conf=FILE                       default: Ceph's own
 *     ceph_id=ID                           the user, without "client."; default: admin
 *     uuid=UUID                            needed
 *     failover=off                         on: other gateways may serve its volumes, too, and take
 *                                          them over (handler/failover.h)
 *     [policy NAME], [volume POOL/NAME]    schedules of snapshots: policy-config.h
 *
 * Every key has a default.  The file need not exist unless it was named explicitly.  Lines that
 * begin with '#' or ';' are comments.  An unknown or repeated key or group is a warning that names
 * it (of repeated keys the last one counts); a bad value is an error that names it.  The pool
 * `default` always exists, at /var/lib/storageos/volumes unless the file says otherwise.
 *
 * A Config does not change after it is loaded.
 */
#pragma once

#include <glib.h>

#include "common/base/frontend.h"

#define CONFIG_DEFAULT_FILE "/etc/storageos/storageos.conf"
#define CONFIG_DEFAULT_POOL "default"
#define CONFIG_DEFAULT_POOL_PATH "/var/lib/storageos/volumes"
#define CONFIG_CEPH "rbd:" /* begins the path of a pool of Ceph */

/* Percentages from 1 to 100, each larger than the one before. */
#define CONFIG_MARKS_MAX 8
typedef struct {
	guint n;
	guint8 percent[CONFIG_MARKS_MAX];
} ConfigMarks;

typedef struct {
	char *name;
	char *path;    /* the directory; of a pool of Ceph: "rbd:POOL[/NAMESPACE]" */
	char *uuid;    /* the pool that must be at `path`; NULL: any pool of this name */
	gboolean ceph; /* it has images of Ceph (pool-store.h) */
	char *ceph_conf, *ceph_id; /* NULL: the default */
	gboolean failover;	   /* of Ceph: between gateways */
	gboolean listed;	   /* in the file; the default pool need not be */
	guint64 quota;		   /* bytes; 0: none */
	ConfigMarks marks;	   /* its own, or the general ones */
	gboolean own_marks;
} ConfigPool;

typedef struct {
	char *file;	/* the file, whether it exists or not */
	gboolean named; /* named explicitly, so it must exist */
	Frontend frontend;
	char *run_directory;
	char *state_directory;
	char *device_directory;
	guint64 node_cache; /* bytes */
	guint workers;
	guint64 sanitize_rate; /* bytes a second; 0: no limit */
	ConfigMarks marks;     /* of pools that have none of their own */
	GPtrArray *pools;      /* of ConfigPool *, the default pool first */
	GPtrArray *warnings;   /* of char * */
	char *problem;	       /* NULL, unless by config_load_anyway() */
} Config;

/* Loads `file`; if that is NULL, the file that STORAGEOS_CONFIG names, or the default one.  Logs
 * the warnings. */
Config *config_load(const char *file, GError **error);

/* The same, for what must not depend on it: if the default file cannot be read, or is wrong, the
 * Config has the error as its `problem`, and what could be read; everything else as by default. */
Config *config_load_anyway(const char *file, GError **error);

/* As config_load() without logging, for callers that any local user can trigger. */
Config *config_load_quietly(const char *file, GError **error);

/* Loads the same file as it is now, without logging. */
Config *config_load_again(const Config *config, GError **error);
void config_free(Config *config);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(Config, config_free)

/* NULL if there is no pool of that name. */
const ConfigPool *config_find_pool(const Config *config, const char *name);
