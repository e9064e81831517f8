/* SPDX-License-Identifier: Apache-2.0 */
#include "common/rbd/owner.h"

#include <errno.h>
#include <string.h>

#include "common/base/host.h"
#include "common/base/json.h"
#include "common/rbd/image.h"

#define RECORD_MAX 4096

/* Goes on from where the last holder was: the count never stands still because another began. */
int owner_count_up(RbdBacking *rbd)
{
	g_autoptr(Json) record = json_object_new_object();
	g_autofree char *text = NULL, *name = NULL;
	char host[HOST_NAME_SIZE];
	guint64 count;
	Host here;
	int r = owner_read(rbd, host, sizeof host, &count);

	if (!r)
		name = image_record_name(rbd->image, &r);
	if (r)
		return r;
	host_get(&here);
	json_add_text(record, "host", here.name);
	json_add_number(record, "count", count + 1);
	text = json_to_text(record);
	return rados_write_full(rbd->cluster.io, name, text, strlen(text));
}

int owner_read(RbdBacking *rbd, char *ret_host, gsize host_size, guint64 *ret_count)
{
	char text[RECORD_MAX + 1] = "";
	g_autofree char *name = NULL;
	g_autoptr(Json) record = NULL;
	const char *host;
	int r;

	*ret_host = '\0';
	*ret_count = 0;
	name = image_record_name(rbd->image, &r);
	if (!name)
		return r;
	r = rados_read(rbd->cluster.io, name, text, RECORD_MAX, 0);
	if (r < 0)
		return r == -ENOENT ? 0 : r;
	record = json_tokener_parse(text);
	if (!record || !json_object_is_type(record, json_type_object))
		return 0;
	host = json_get_text(record, "host");
	g_strlcpy(ret_host, host ? host : "", host_size);
	*ret_count = (guint64)json_get_number(record, "count");
	return 0;
}
