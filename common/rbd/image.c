/* SPDX-License-Identifier: Apache-2.0 */
#include "common/rbd/image.h"

#include <string.h>

void image_uuid(const Cluster *cluster, rbd_image_t image, guint8 *ret_uuid)
{
	g_autoptr(GChecksum) sum = g_checksum_new(G_CHECKSUM_SHA1);
	char fsid[40] = "", id[64] = "";
	guint8 digest[20];
	gsize length = sizeof digest;
	g_autofree char *text = NULL;

	rados_cluster_fsid(cluster->rados, fsid, sizeof fsid);
	rbd_get_id(image, id, sizeof id);
	text = g_strdup_printf("storageos rbd %s %" G_GINT64_FORMAT " %s", fsid,
			       rados_ioctx_get_id(cluster->io), id);
	g_checksum_update(sum, (const guchar *)text, -1);
	g_checksum_get_digest(sum, digest, &length);
	memcpy(ret_uuid, digest, 16);
	ret_uuid[6] = (guint8)((ret_uuid[6] & 0x0f) | 0x50);
	ret_uuid[8] = (guint8)((ret_uuid[8] & 0x3f) | 0x80);
}

static char *object_name(rbd_image_t image, const char *prefix, int *ret_error)
{
	char id[64];

	*ret_error = rbd_get_id(image, id, sizeof id);
	return *ret_error ? NULL : g_strconcat(prefix, id, NULL);
}

char *image_header_name(rbd_image_t image, int *ret_error)
{
	return object_name(image, "rbd_header.", ret_error);
}

char *image_record_name(rbd_image_t image, int *ret_error)
{
	return object_name(image, "storageos_owner.", ret_error);
}
