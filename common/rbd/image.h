/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What an image is called beside its name.
 */
#pragma once

#include <rbd/librbd.h>

#include "common/rbd/cluster.h"

/* The UUID of an image, 16 bytes: RFC 4122, version 5, of what names it for ever: cluster, pool and
 * its id. */
void image_uuid(const Cluster *cluster, rbd_image_t image, guint8 *ret_uuid);

/* The name of the object that has what Ceph keeps of the image; the rest as below. */
char *image_header_name(rbd_image_t image, int *ret_error);

/* The name of the object that tells who has the image (owner.h); NULL with *ret_error a negative
 * errno.  Free the result. */
char *image_record_name(rbd_image_t image, int *ret_error);
