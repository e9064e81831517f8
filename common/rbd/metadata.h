/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The properties of an image: one text in its metadata, under METADATA_KEY, beside the keys of
 * others.  `rbd image-meta` shows it.
 *
 * It is read and written where librbd keeps it, in the image's header, and not by librbd: that asks
 * the owner of the lock to write it, who may not answer, or takes the lock, which a gateway on
 * standby must not have; and it could not compare.
 *
 * Both functions wait 10 s at most: -ETIMEDOUT.
 */
#pragma once

#include "common/rbd/cluster.h"

#define METADATA_KEY "storageos.properties"

/* As BackingOps.read_properties() and write_properties(), of the image with that header (image.h).
 */
int metadata_read(const Cluster *cluster, const char *header, char *ret_text, gsize size);
int metadata_write(const Cluster *cluster, const char *header, const char *before,
		   const char *text);
