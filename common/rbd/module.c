/* SPDX-License-Identifier: Apache-2.0 */
#include "common/backing/module.h"

#include <string.h>

#include "common/rbd/rbd.h"
#include "common/rbd/store-rbd.h"

const Module *MODULE_ENTRY(const ModuleHost *host);

__attribute__((visibility("default"))) const Module *MODULE_ENTRY(const ModuleHost *host)
{
	static char version[64];
	static const Module module = {version, backing_rbd_open, &store_rbd};
	int major, minor, extra;

	if (strcmp(host->version, STORAGEOS_VERSION) != 0)
		return NULL;
	rbd_version(&major, &minor, &extra);
	g_snprintf(version, sizeof version, STORAGEOS_VERSION ", librbd %d.%d.%d", major, minor,
		   extra);
	logging_set_sink(host->log);
	return &module;
}
