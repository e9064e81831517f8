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

/* FALSE: there is no such file, or no such number in it. */
static gboolean read_number(const char *directory, const char *name, guint64 max,
			    guint64 *ret_number)
{
	g_autofree char *text = read_file(directory, name);

	return text && g_ascii_string_to_unsigned(text, 10, 0, max, ret_number, NULL);
}

/* The port of a member of a group, FABRIC/WWN/tpgt_N/lun_M; the fabric iSCSI is called iscsi in
 * configfs.  FALSE if any of it cannot be found out. */
static gboolean read_port(const char *targets, const char *member, ScsiPort *ret_port,
			  gboolean *ret_enabled)
{
	g_auto(GStrv) parts = g_strsplit(member, "/", 0);
	g_autofree char *path = NULL, *lun = NULL, *enabled = NULL;
	guint64 tag, port, protocol;

	if (g_strv_length(parts) != 4 || strlen(parts[1]) > SCSI_TARGET_MAX ||
	    !g_str_has_prefix(parts[2], "tpgt_") ||
	    !g_ascii_string_to_unsigned(parts[2] + strlen("tpgt_"), 10, 0, G_MAXUINT16, &tag, NULL))
		return FALSE;
	path = g_build_filename(targets, !strcmp(parts[0], "iSCSI") ? "iscsi" : parts[0], parts[1],
				parts[2], NULL);
	lun = g_build_filename(path, "lun", parts[3], "statistics", NULL);
	enabled = read_file(path, "enable");
	if (!enabled || !read_number(lun, "scsi_port/indx", G_MAXUINT16, &port) ||
	    !read_number(lun, "scsi_transport/proto_id", 15, &protocol))
		return FALSE;
	g_strlcpy(ret_port->target, parts[1], sizeof ret_port->target);
	ret_port->tag = (guint16)tag;
	ret_port->port = (guint16)port;
	ret_port->protocol = (guint8)protocol;
	*ret_enabled = enabled[0] != '0';
	return TRUE;
}

/* The members of the group that identity_add_group() has begun. */
static gboolean add_members(ScsiIdentity *identity, const char *targets, const char *directory,
			    gboolean *ret_enabled)
{
	g_autofree char *text = read_file(directory, "members");
	g_auto(GStrv) members = g_strsplit(text ? text : "", "\n", 0);

	for (guint i = 0; members[i]; i++) {
		ScsiPort port = {.group = identity->groups[identity->n_groups].id};
		gboolean enabled;

		if (!members[i][0])
			continue;
		if (identity->n_members == SCSI_MEMBERS_MAX ||
		    !read_port(targets, members[i], &port, &enabled))
			return FALSE;
		identity->members[identity->n_members++] =
			(ScsiMember){.group = identity->n_groups, .port = port.port};
		if (enabled && !*ret_enabled)
			identity->port = port;
		*ret_enabled |= enabled;
	}
	return TRUE;
}

static guint8 read_status(const char *directory)
{
	static const char *const statuses[] = {"None", "Altered by Explicit STPG",
					       "Altered by Implicit ALUA"};
	g_autofree char *text = read_file(directory, "alua_access_status");

	for (guint i = 0; i < G_N_ELEMENTS(statuses); i++)
		if (!g_strcmp0(text, statuses[i]))
			return (guint8)i;
	return 0;
}

/* The states that the group supports, as bits of REPORT TARGET PORT GROUPS. */
static guint8 read_supported(const char *directory)
{
	static const char *const states[8] = {"active_optimized", "active_nonoptimized", "standby",
					      "unavailable",	  "lba_dependent",	 NULL,
					      "offline",	  "transitioning"};
	guint supported = 0;

	for (guint i = 0; i < G_N_ELEMENTS(states); i++) {
		g_autofree char *name = g_strconcat("alua_support_", states[i], NULL);
		guint64 value = 0;

		if (states[i] && read_number(directory, name, 1, &value) && value)
			supported |= 1u << i;
	}
	return (guint8)supported;
}

static gboolean read_group(const char *directory, ScsiGroup *ret_group)
{
	guint64 id, state, preferred = 0, seconds = 0;

	if (!read_number(directory, "tg_pt_gp_id", G_MAXUINT16, &id) ||
	    !read_number(directory, "alua_access_state", 15, &state))
		return FALSE;
	read_number(directory, "preferred", 1, &preferred);
	read_number(directory, "implicit_trans_secs", G_MAXUINT8, &seconds);
	*ret_group = (ScsiGroup){.id = (guint16)id,
				 .state = (guint8)state,
				 .supported = read_supported(directory),
				 .status = read_status(directory),
				 .transition_seconds = (guint8)seconds,
				 .preferred = (gboolean)preferred};
	return TRUE;
}

static gboolean type_is_supported(const char *type, gboolean implicit)
{
	return !g_strcmp0(type, "None") || (implicit && !g_strcmp0(type, "Implicit"));
}

static gboolean identity_add_group(ScsiIdentity *identity, const char *targets,
				   const char *directory, gboolean implicit, gboolean *ret_enabled)
{
	g_autofree char *type = read_file(directory, "alua_access_type");

	identity->needs_lock |= !g_strcmp0(type, "Implicit and Explicit");
	if (!type_is_supported(type, implicit) || identity->n_groups == SCSI_GROUPS_MAX ||
	    !read_group(directory, &identity->groups[identity->n_groups]) ||
	    !add_members(identity, targets, directory, ret_enabled))
		return FALSE;
	identity->n_groups++;
	return TRUE;
}

static void read_ports(const char *directory, gboolean implicit, ScsiIdentity *identity)
{
	g_autofree char *path = g_build_filename(directory, "alua", NULL);
	g_autofree char *targets = g_build_filename(directory, "../../..", NULL);
	g_autoptr(GDir) groups = g_dir_open(path, 0, NULL);
	gboolean enabled = FALSE, supported = TRUE;
	const char *name;

	while (groups && (name = g_dir_read_name(groups))) {
		g_autofree char *group = g_build_filename(path, name, NULL);

		if (strcmp(name, DEFAULT_GROUP) != 0)
			supported &=
				identity_add_group(identity, targets, group, implicit, &enabled);
	}
	identity->ports = !supported ? SCSI_PORTS_UNSUPPORTED
			  : enabled  ? SCSI_PORTS_ALUA
				     : SCSI_PORTS_NONE;
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
	read_ports(directory, implicit, ret_identity);
	ret_identity->no_reservations =
		is_off(directory, "attrib/emulate_pr") || is_off(directory, "attrib/pgr_support");
}

guint64 identity_size(const char *directory)
{
	guint64 size = 0;

	if (directory)
		read_number(directory, "attrib/dev_size", G_MAXUINT64, &size);
	return size;
}
