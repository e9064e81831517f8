/* SPDX-License-Identifier: Apache-2.0 */
#include "handler/identity.h"

#include <string.h>

#include "common/base/files.h"

#define SERIAL_LABEL "T10 VPD Unit Serial Number: "

static char *read_file(const char *directory, const char *name)
{
	char *text = files_get_attribute(directory, name);

	return text ? g_strchug(text) : NULL;
}

static void read_serial(const char *directory, ScsiIdentity *identity)
{
	g_autofree char *text = read_file(directory, "wwn/vpd_unit_serial");

	if (text && g_str_has_prefix(text, SERIAL_LABEL))
		g_strlcpy(identity->serial, text + strlen(SERIAL_LABEL), sizeof identity->serial);
}

/* ---- target port groups, judged as tcmu-runner's alua.c and target.c do */

#define DEFAULT_GROUP "default_tg_pt_gp"

/* `member` is FABRIC/WWN/tpgt_N/lun_M; the fabric iSCSI is called iscsi in configfs.  Sets
 * *ret_enabled if the port is enabled, and leaves it otherwise.  FALSE if that cannot be found out.
 */
static gboolean check_port(const char *targets, const char *member, gboolean *ret_enabled)
{
	g_auto(GStrv) parts = g_strsplit(member, "/", 0);
	g_autofree char *path = NULL, *enabled = NULL;

	if (g_strv_length(parts) != 4)
		return FALSE;
	path = g_build_filename(targets, !strcmp(parts[0], "iSCSI") ? "iscsi" : parts[0], parts[1],
				parts[2], NULL);
	enabled = read_file(path, "enable");
	if (!enabled)
		return FALSE;
	*ret_enabled |= enabled[0] != '0';
	return TRUE;
}

static gboolean check_type(const char *type, gboolean implicit)
{
	return !g_strcmp0(type, "None") || (implicit && !g_strcmp0(type, "Implicit"));
}

static gboolean check_group(const char *targets, const char *group, gboolean implicit,
			    gboolean *ret_enabled)
{
	g_autofree char *type = read_file(group, "alua_access_type");
	g_autofree char *members = read_file(group, "members");
	g_auto(GStrv) ports = NULL;

	if (!check_type(type, implicit))
		return FALSE;
	ports = g_strsplit(members ? members : "", "\n", 0);
	for (guint i = 0; ports[i]; i++)
		if (ports[i][0] && !check_port(targets, ports[i], ret_enabled))
			return FALSE;
	return TRUE;
}

static ScsiPorts read_ports(const char *directory, gboolean implicit)
{
	g_autofree char *path = g_build_filename(directory, "alua", NULL);
	g_autofree char *targets = g_build_filename(directory, "../../..", NULL);
	g_autoptr(GDir) groups = g_dir_open(path, 0, NULL);
	gboolean enabled = FALSE;
	const char *name;

	while (groups && (name = g_dir_read_name(groups))) {
		g_autofree char *group = g_build_filename(path, name, NULL);

		if (strcmp(name, DEFAULT_GROUP) != 0 &&
		    !check_group(targets, group, implicit, &enabled))
			return SCSI_PORTS_UNSUPPORTED;
	}
	return enabled ? SCSI_PORTS_ALUA : SCSI_PORTS_NONE;
}

/* Whether a kernel attribute is 0.  Kernels without the attribute always have the feature on. */
static gboolean is_off(const char *directory, const char *attribute)
{
	g_autofree char *text = read_file(directory, attribute);

	return text && text[0] == '0';
}

void identity_read(const char *directory, gboolean implicit, ScsiIdentity *ret_identity)
{
	memset(ret_identity, 0, sizeof *ret_identity);
	if (!directory)
		return;
	read_serial(directory, ret_identity);
	ret_identity->ports = read_ports(directory, implicit);
	ret_identity->no_reservations =
		is_off(directory, "attrib/emulate_pr") || is_off(directory, "attrib/pgr_support");
}
