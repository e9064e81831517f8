/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What pool.c (names, paths, opening, deleting) and pool-create-volume.c share.
 */
#pragma once

#include "common/service/pool.h"
#include "common/base/units.h"

#define POOL_VOLUME_SUFFIX ".vol"
#define POOL_EDGE MIB /* of a device, where whatever holds it has its mark */

/* The volume's name that a file name stands for, or NULL. */
char *pool_volume_of_file(const char *file);

/* NOT_FOUND where the configuration has none; its directory is not looked at. */
const ConfigPool *pool_find(const Config *config, const VolumeName *name, GError **error);

char *pool_file_path(const ConfigPool *pool, const VolumeName *name);

/* The path of one that is there and is what it should be: a file, and no link to one elsewhere, or
 * a block device. */
char *pool_existing_path(const Config *config, const VolumeName *name, GError **error);

gboolean pool_has_superblock(Backing *backing, GError **error);

/* Notes that there is such a volume; where that cannot be done, in the log. */
void pool_note(const Config *config, const VolumeName *name, const char *uuid,
	       const char *uuid_of_pool);

/* Puts "WHAT volume 'NAME': " in front of an error.  Always FALSE. */
gboolean pool_fail(const char *what, const VolumeName *name, GError **error);
