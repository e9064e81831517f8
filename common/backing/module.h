/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Modules: kinds of backings that need libraries which most machines have not, each in a shared
 * object of its own and a package of its own.  Neither the plugin nor the programs link these
 * libraries; a module is loaded when a backing of its kind is first opened, and stays.
 *
 * A module exports one function, MODULE_ENTRY.  It has its own copy of the rooms `base` and
 * `backing`, so it fits programs of the same version only: it returns NULL to any other.
 */
#pragma once

#include "common/backing/backing.h"
#include "common/backing/store.h"
#include "common/base/logging.h"

#define MODULE_ENTRY storageos_module_1
#define MODULE_ENTRY_NAME "storageos_module_1"

typedef struct {
	const char *version; /* STORAGEOS_VERSION */
	LoggingSink log;     /* lines of the module go there */
} ModuleHost;

typedef struct {
	const char *version; /* of the module, and of what it stands on: "Ceph 16.2.15" */

	/* As backing_open(), without the scheme.  The backing runs threads of its own: whoever
	 * opens it must not fork() afterwards. */
	Backing *(*open)(const char *rest, BackingOpenFlags flags, GError **error);

	const StoreOps *store; /* where its backings lie; the same holds for fork() */
} Module;

typedef const Module *(*ModuleEntry)(const ModuleHost *host);

/* The module for that kind of backing ("rbd"), which is loaded if necessary.  NULL with
 * UNSUPPORTED: it is not installed, or of another version; the message names the package. */
const Module *module_get(const char *kind, GError **error);
