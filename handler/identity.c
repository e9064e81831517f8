/* SPDX-License-Identifier: Apache-2.0 */
#include "handler/identity.h"

#include <string.h>

#define SERIAL_LABEL "T10 VPD Unit Serial Number: "

static char *read_file(const char *directory, const char *name)
{
	g_autofree char *path = g_build_filename(directory, name, NULL);
	char *text = NULL;

	if (!g_file_get_contents(path, &text, NULL, NULL))
		return NULL;
	return g_strstrip(text);
}

static void read_serial(const char *directory, ScsiIdentity *identity)
{
	g_autofree char *text = read_file(directory, "wwn/vpd_unit_serial");

	if (text && g_str_has_prefix(text, SERIAL_LABEL))
		g_strlcpy(identity->serial, text + strlen(SERIAL_LABEL), sizeof identity->serial);
}

/* Bit 0: implicitly, bit 1: explicitly. */
static guint8 parse_access(const char *text)
{
	g_autofree char *lower = g_ascii_strdown(text, -1);

	return (guint8)((strstr(lower, "implicit") ? 1 : 0) | (strstr(lower, "explicit") ? 2 : 0));
}

/* The first group that has ports: initiators see the device through them. */
static void read_access(const char *directory, ScsiIdentity *identity)
{
	g_autofree char *path = g_build_filename(directory, "alua", NULL);
	g_autoptr(GDir) groups = g_dir_open(path, 0, NULL);
	const char *name;

	while (groups && (name = g_dir_read_name(groups))) {
		g_autofree char *group = g_build_filename(path, name, NULL);
		g_autofree char *members = read_file(group, "members");
		g_autofree char *type = read_file(group, "alua_access_type");

		if (!members || !members[0] || !type)
			continue;
		identity->tpgs = parse_access(type);
		return;
	}
}

void identity_read(const char *directory, ScsiIdentity *ret_identity)
{
	memset(ret_identity, 0, sizeof *ret_identity);
	if (!directory)
		return;
	read_serial(directory, ret_identity);
	read_access(directory, ret_identity);
}
