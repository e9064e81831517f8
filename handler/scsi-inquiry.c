/* SPDX-License-Identifier: Apache-2.0 */
/*
 * INQUIRY.  The unit is named as the kernel and the runner do.
 */
#include "common/base/bounds.h"
#include "handler/scsi-private.h"

#include "common/base/units.h"

#define EVPD 0x01
#define STANDARD_LENGTH 96
#define TPGS_IMPLICIT 0x10

#define VPD_SUPPORTED 0x00
#define VPD_SERIAL 0x80
#define VPD_DESIGNATORS 0x83
#define VPD_BLOCK_LIMITS 0xb0
#define VPD_CHARACTERISTICS 0xb1
#define VPD_PROVISIONING 0xb2

static guint64 allocation_of(const ScsiCommand *command)
{
	return get_be(command->cdb + 3, 2);
}

static void put_text(guint8 *to, const char *text, gsize length)
{
	gsize n = min_u64(strlen(text), length);

	memset(to, ' ', length);
	memcpy(to, text, n);
}

static RunnerStatus answer_standard(ScsiUnit *unit, const ScsiCommand *command)
{
	static const guint16 versions[] = {0x00a0, 0x0460, 0x04c0}; /* SAM-5, SPC-4, SBC-3 */
	guint8 data[STANDARD_LENGTH] = {0};
	ScsiIdentity identity = {.serial = ""};

	unit->identify(unit->data, &identity);
	data[2] = 0x06; /* SPC-4 */
	data[3] = 0x02; /* response data format */
	data[4] = STANDARD_LENGTH - 5;
	data[5] = 0x08; /* third-party copy */
	if (identity.ports == SCSI_PORTS_ALUA)
		data[5] |= TPGS_IMPLICIT;
	data[7] = 0x02; /* command queueing */
	put_text(data + 8, SCSI_VENDOR, 8);
	put_text(data + 16, SCSI_PRODUCT, 16);
	put_text(data + 32, STORAGEOS_VERSION, 4);
	for (guint i = 0; i < G_N_ELEMENTS(versions); i++)
		put_be(data + 58 + 2 * i, versions[i], 2);
	return scsi_answer(command, data, sizeof data, allocation_of(command));
}

/* Fills the page's header (four bytes: page code and length) and answers with the page. */
static RunnerStatus answer_page(const ScsiCommand *command, guint8 *data, gsize length)
{
	data[1] = command->cdb[2];
	put_be(data + 2, length - 4, 2);
	return scsi_answer(command, data, length, allocation_of(command));
}

static RunnerStatus answer_supported_pages(const ScsiCommand *command)
{
	static const guint8 supported[] = {VPD_SUPPORTED,    VPD_SERIAL,	  VPD_DESIGNATORS,
					   VPD_BLOCK_LIMITS, VPD_CHARACTERISTICS, VPD_PROVISIONING};
	guint8 data[4 + sizeof supported] = {0};

	memcpy(data + 4, supported, sizeof supported);
	return answer_page(command, data, sizeof data);
}

static RunnerStatus answer_serial(ScsiUnit *unit, const ScsiCommand *command)
{
	guint8 data[4 + SCSI_SERIAL_MAX] = {0};
	ScsiIdentity identity = {.serial = ""};
	gsize length;

	unit->identify(unit->data, &identity);
	length = strlen(identity.serial);
	memcpy(data + 4, identity.serial, length);
	return answer_page(command, data, 4 + length);
}

/* ---- designators */

#define CODE_BINARY 1
#define CODE_ASCII 2
#define KIND_VENDOR 1
#define KIND_NAA 3
#define DESIGNATOR_MAX 252u

void scsi_naa_of(const char *serial, guint8 *naa)
{
	guint nibble = 7;

	memset(naa, 0, SCSI_NAA_LENGTH);
	put_be(naa, 0x60014050, 4);
	for (; *serial && nibble < 2 * SCSI_NAA_LENGTH; serial++) {
		int digit = g_ascii_xdigit_value(*serial);

		if (digit < 0)
			continue;
		naa[nibble / 2] |= (guint8)(nibble % 2 ? digit : digit << 4);
		nibble++;
	}
}

gsize scsi_put_designator(guint8 *to, guint8 code_set, guint8 kind, const void *value, gsize length)
{
	to[0] = code_set;
	to[1] = kind;
	to[3] = (guint8)length;
	memcpy(to + 4, value, length);
	return 4 + length;
}

static RunnerStatus answer_designators(ScsiUnit *unit, const ScsiCommand *command)
{
	guint8 data[4 + 2 * (4 + DESIGNATOR_MAX) + SCSI_PORT_DESIGNATORS_MAX] = {0};
	guint8 naa[SCSI_NAA_LENGTH];
	ScsiIdentity identity = {.serial = ""};
	char vendor[DESIGNATOR_MAX] = "LIO-ORG ";
	gsize length = 4;

	unit->identify(unit->data, &identity);
	if (scsi_runner_is_asked(unit, &identity))
		return RUNNER_NOT_HANDLED;
	g_strlcat(vendor, identity.serial, sizeof vendor);
	length += scsi_put_designator(data + length, CODE_ASCII, KIND_VENDOR, vendor,
				      strlen(vendor) + 1);
	scsi_naa_of(identity.serial, naa);
	length += scsi_put_designator(data + length, CODE_BINARY, KIND_NAA, naa, sizeof naa);
	if (identity.ports == SCSI_PORTS_ALUA)
		length += scsi_put_port(data + length, &identity.port);
	return answer_page(command, data, length);
}

/* ---- */

static RunnerStatus answer_block_limits(const ScsiUnit *unit, const ScsiCommand *command)
{
	guint8 data[64] = {0};
	guint32 granularity = BLOCK_SIZE / unit->block_size;

	data[5] = (guint8)scsi_max_compare(unit);
	put_be(data + 6, granularity, 2); /* optimal transfer granularity */
	put_be(data + 8, unit->max_transfer, 4);
	put_be(data + 12, scsi_best_transfer(unit), 4); /* optimal transfer */
	put_be(data + 20, G_MAXUINT32, 4);		/* UNMAP: any number of blocks */
	put_be(data + 24, SCSI_MAX_UNMAP_DESCRIPTORS, 4);
	put_be(data + 28, scsi_unmap_granularity(unit), 4);
	put_be(data + 32, (guint32)1 << 31, 4); /* UNMAP alignment 0, valid */
	put_be(data + 36, scsi_max_write_same(unit), 8);
	put_be(data + 44, scsi_max_atomic(unit), 4);
	put_be(data + 48, scsi_atomic_unit(unit), 4); /* alignment of atomic writes */
	put_be(data + 52, scsi_atomic_unit(unit), 4); /* granularity of atomic writes */
	return answer_page(command, data, sizeof data);
}

static RunnerStatus answer_characteristics(const ScsiCommand *command)
{
	guint8 data[64] = {0};

	put_be(data + 4, 1, 2);	   /* non-rotating */
	data[7] = 1 << 6 | 1 << 4; /* blocks can be read after an erase, and are zeros */
	return answer_page(command, data, sizeof data);
}

/* Thin: unmapped blocks read as zeros; UNMAP and both WRITE SAME unmap. */
static RunnerStatus answer_provisioning(const ScsiUnit *unit, const ScsiCommand *command)
{
	guint8 data[8] = {0};

	data[4] = scsi_threshold_exponent(unit);
	data[5] = 0xe0 | 1 << 2;
	data[6] = 2;
	return answer_page(command, data, sizeof data);
}

RunnerStatus scsi_inquiry(ScsiUnit *unit, const ScsiCommand *command, Request *request)
{
	const guint8 *cdb = command->cdb;

	(void)request;
	if (!(cdb[1] & EVPD))
		return cdb[2] ? sense_set_cdb_field(command->sense, 2)
			      : answer_standard(unit, command);
	switch (cdb[2]) {
	case VPD_SUPPORTED:
		return answer_supported_pages(command);
	case VPD_SERIAL:
		return answer_serial(unit, command);
	case VPD_DESIGNATORS:
		return answer_designators(unit, command);
	case VPD_BLOCK_LIMITS:
		return answer_block_limits(unit, command);
	case VPD_CHARACTERISTICS:
		return answer_characteristics(command);
	case VPD_PROVISIONING:
		return answer_provisioning(unit, command);
	default:
		return sense_set_cdb_field(command->sense, 2);
	}
}
