/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What initiators are told of target port groups: REPORT TARGET PORT GROUPS, and the designators of
 * a port.  Both are as the runner would answer.  The runner itself is not asked: it looks at the
 * groups anew, and a group of the default type that somebody has made meanwhile would end all reads
 * and writes (runner-abi.c).
 */
#include "common/base/bounds.h"
#include "handler/scsi-private.h"

#define EXTENDED_HEADER 0x20
#define HEADER_FORMAT 0x10
#define HEADER_MAX 8
#define GROUP_LENGTH 8
#define PORT_LENGTH 4
#define PREFERRED 0x80

gboolean scsi_runner_is_asked(ScsiUnit *unit, const ScsiIdentity *identity)
{
	return identity->ports == SCSI_PORTS_ALUA &&
	       g_atomic_int_compare_and_exchange(&unit->runner_fences, TRUE, FALSE);
}

/* ---- REPORT TARGET PORT GROUPS */

static gsize put_group(guint8 *to, const ScsiIdentity *identity, guint index)
{
	const ScsiGroup *group = &identity->groups[index];
	gsize length = GROUP_LENGTH;

	to[0] = (guint8)(group->state | (group->preferred ? PREFERRED : 0));
	to[1] = group->supported;
	put_be(to + 2, group->id, 2);
	to[5] = group->status;
	for (guint i = 0; i < identity->n_members; i++) {
		if (identity->members[i].group != index)
			continue;
		put_be(to + length + 2, identity->members[i].port, 2);
		length += PORT_LENGTH;
		to[7]++;
	}
	return length;
}

static RunnerStatus answer_groups(const ScsiCommand *command, const ScsiIdentity *identity)
{
	guint8 data[HEADER_MAX + SCSI_GROUPS_MAX * GROUP_LENGTH + SCSI_MEMBERS_MAX * PORT_LENGTH] =
		{0};
	gsize length = 4;

	if (command->cdb[1] & EXTENDED_HEADER) {
		data[4] = HEADER_FORMAT;
		data[5] = identity->groups[0].transition_seconds;
		length = HEADER_MAX;
	}
	for (guint i = 0; i < identity->n_groups; i++)
		length += put_group(data + length, identity, i);
	put_be(data, length - 4, 4);
	return scsi_answer(command, data, length, get_be(command->cdb + 6, 4));
}

/* Refused unless INQUIRY says that it is supported. */
RunnerStatus scsi_report_groups(ScsiUnit *unit, const ScsiCommand *command, Request *request)
{
	ScsiIdentity identity = {.serial = ""};

	(void)request;
	unit->identify(unit->data, &identity);
	if (identity.ports != SCSI_PORTS_ALUA)
		return sense_refuse(command->sense, sense_invalid_opcode);
	return scsi_runner_is_asked(unit, &identity) ? RUNNER_NOT_HANDLED
						     : answer_groups(command, &identity);
}

/* ---- the designators of the port */

#define CODE_BINARY 1
#define CODE_UTF8 3
#define PROTOCOL_VALID 0x80
#define OF_PORT 0x10
#define OF_DEVICE 0x20
#define KIND_PORT 4
#define KIND_GROUP 5
#define KIND_NAME 8

static gsize put_number(guint8 *to, const ScsiPort *port, guint8 kind, guint16 number)
{
	guint8 value[4] = {0};

	put_be(value + 2, number, 2);
	return scsi_put_designator(to, (guint8)(port->protocol << 4 | CODE_BINARY),
				   PROTOCOL_VALID | OF_PORT | kind, value, sizeof value);
}

/* With the zeros that end it and fill it up to a multiple of four bytes. */
static gsize put_name(guint8 *to, const ScsiPort *port, guint8 association, const char *name)
{
	char value[SCSI_NAME_MAX] = {0};
	gsize length;

	g_strlcpy(value, name, sizeof value);
	length = (strlen(value) + 1 + 3) / 4 * 4;
	return scsi_put_designator(to, (guint8)(port->protocol << 4 | CODE_UTF8),
				   (guint8)(PROTOCOL_VALID | association | KIND_NAME), value,
				   length);
}

gsize scsi_put_port(guint8 *to, const ScsiPort *port)
{
	char name[SCSI_NAME_MAX];
	gsize length = put_number(to, port, KIND_PORT, port->port);

	length += put_number(to + length, port, KIND_GROUP, port->group);
	g_snprintf(name, sizeof name, "%s,t,0x%04x", port->target, port->tag);
	length += put_name(to + length, port, OF_PORT, name);
	return length + put_name(to + length, port, OF_DEVICE, port->target);
}
