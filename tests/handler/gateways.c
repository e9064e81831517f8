/* SPDX-License-Identifier: Apache-2.0 */
/*
 * gateways PLUGIN MODULE [WORD...]: a device of the plugin whose volume another gateway may have,
 * over a pretended image of Ceph (pretended-rbd.h).
 */
#include <dlfcn.h>
#include <stdlib.h>
#include <string.h>

#include "tests/handler/fixture.h"
#include "tests/handler/pretended-rbd.h"
#include "tests/harness.h"

#define BLOCK 4096
#define STANDBY 0x040b
#define INTERVENTION 0x0403

static const Pretended *image;

static gboolean add_pool(void)
{
	const char *file = g_getenv("STORAGEOS_CONFIG");
	g_autofree char *old = NULL, *text = NULL;

	if (!g_file_get_contents(file, &old, NULL, NULL))
		return FALSE;
	text = g_strconcat(old, "[pool ceph]\nrbd=rbd\nuuid=" PRETENDED_UUID "\nfailover=on\n",
			   NULL);
	return g_file_set_contents(file, text, -1, NULL);
}

static gboolean load_image(const char *path)
{
	g_autofree char *parent = g_path_get_dirname(path);
	char *directory = realpath(parent, NULL); /* a relative one would be ignored */
	void *module = dlopen(path, RTLD_NOW | RTLD_LOCAL), *symbol;
	PretendedEntry entry;

	symbol = module ? dlsym(module, PRETENDED_ENTRY) : NULL;
	if (!symbol || !directory)
		return FALSE;
	memcpy(&entry, &symbol, sizeof entry);
	image = entry();
	g_setenv("STORAGEOS_MODULE_DIRECTORY", directory, TRUE);
	free(directory);
	return TRUE;
}

/* ---- commands, with the sense data of the last */

static guint sense_now;

static int send_io(Dev *dev, guint8 opcode, void *data, gsize length, guint64 lba, guint64 blocks)
{
	Command command;
	int status;

	command_init(&command, dev, opcode, data, length, 0);
	command_set_range(&command, lba, blocks);
	status = command_send(&command);
	sense_now = status == STS_SENSE ? command_sense(&command) : 0;
	return status;
}

static int send_write(Dev *dev, guint8 byte)
{
	static guint8 data[BLOCK];

	memset(data, byte, sizeof data);
	return send_io(dev, 0x8a, data, sizeof data, 0, BLOCK / 512);
}

static int send_read(Dev *dev, guint8 *ret_byte)
{
	static guint8 data[BLOCK];
	int status = send_io(dev, 0x88, data, sizeof data, 0, BLOCK / 512);

	*ret_byte = data[0];
	return status;
}

static int send_ready(Dev *dev)
{
	return send_io(dev, 0x00, NULL, 0, 0, 0);
}

#define CHECK_REFUSED(sent, code)                                                                  \
	do {                                                                                       \
		CHECK_INT(sent, STS_SENSE);                                                        \
		CHECK_UINT(sense_now, 2u << 16 | (code));                                          \
	} while (0)

/* Writes until that is answered GOOD, as an initiator would that is told BUSY. */
static gboolean becomes_owner(Dev *dev)
{
	int status = STS_BUSY;

	WAIT_WITHIN(15, (status = send_write(dev, 1)) != STS_BUSY);
	return CHECK_INT(status, STS_OK);
}

static gboolean is_on_standby(Dev *dev)
{
	guint8 byte;

	return send_read(dev, &byte) == STS_OK;
}

static void set_up(const char *serial, const char *reservations)
{
	serial_text = serial;
	reservations_text = reservations;
}

static gboolean open_device(Dev *dev)
{
	image->give_back();
	image->serve(FALSE);
	set_up("T10 VPD Unit Serial Number: " PRETENDED_UUID "\n", "0\n");
	dev_init(dev, "storageos/ceph/lun", SIZE);
	return CHECK_INT(dev_add(dev), 0) && CHECK(dev_becomes_ready(dev));
}

/* ---- */

static void test_standby(const void *data)
{
	guint8 byte;
	Dev dev;

	(void)data;
	REQUIRE(open_device(&dev));
	image->take();
	image->serve(TRUE);
	CHECK_INT(send_ready(&dev), STS_OK);
	CHECK_INT(send_read(&dev, &byte), STS_OK);
	CHECK_INT(run_flush(&dev), STS_OK);
	CHECK_INT(send_write(&dev, 7), STS_BUSY);
	WAIT_WITHIN(10, send_write(&dev, 7) != STS_BUSY);
	CHECK_REFUSED(send_write(&dev, 7), STANDBY);
	CHECK_INT(send_read(&dev, &byte), STS_OK);
	CHECK(byte != 7);
	CHECK_REFUSED(run_unmap(&dev, 0, BLOCK) == STS_SENSE ? send_write(&dev, 7) : STS_OK,
		      STANDBY);
	CHECK_INT(dev_reconfig(&dev, 1, NULL, 2 * SIZE), -EBUSY);
	CHECK(log_has("another gateway may have it: set the size there"));
	dev_remove(&dev);
	CHECK_UINT(image->open(), 0);
}

static void test_takeover(const void *data)
{
	guint8 byte;
	Dev dev;

	(void)data;
	REQUIRE(open_device(&dev));
	image->take();
	CHECK(becomes_owner(&dev));
	CHECK_INT(send_write(&dev, 3), STS_OK);
	CHECK_INT(send_read(&dev, &byte), STS_OK);
	CHECK_UINT(byte, 3);
	CHECK_INT(run_unmap(&dev, 0, BLOCK), STS_OK);
	CHECK_INT(run_flush(&dev), STS_OK);
	CHECK(log_has("taken over from beta (Ceph's client client.1), which is fenced off"));
	dev_remove(&dev);
}

#define LIMITED 40

/* What another gateway has set while it had the unit holds here, too. */
static void test_limits(const void *data)
{
	gint64 begun;
	Dev dev;

	(void)data;
	REQUIRE(open_device(&dev));
	image->take();
	image->keep("write_iops=30\n");
	CHECK(becomes_owner(&dev));
	begun = g_get_monotonic_time();
	for (guint i = 0; i < LIMITED; i++)
		CHECK_INT(send_write(&dev, 3), STS_OK);
	CHECK(g_get_monotonic_time() - begun > G_USEC_PER_SEC);
	image->keep("");
	dev_remove(&dev);
}

#define UNDER_WAY 4

/* Writes that have been carried out, and were not answered yet when another gateway took over. */
static void test_fenced(const void *data)
{
	Command commands[UNDER_WAY];
	static guint8 block[BLOCK];
	guint opened;
	guint8 byte;
	Dev dev;

	(void)data;
	REQUIRE(open_device(&dev));
	REQUIRE(becomes_owner(&dev));
	image->hold(TRUE);
	for (guint i = 0; i < UNDER_WAY; i++) {
		command_init(&commands[i], &dev, 0x8a, block, sizeof block, 0);
		command_set_range(&commands[i], 8 * i, 8);
		command_begin(&commands[i]);
	}
	WAIT_WITHIN(10, image->held() == UNDER_WAY);
	CHECK_UINT(image->held(), UNDER_WAY);
	image->take();
	image->serve(TRUE);
	opened = image->opened();
	CHECK_REFUSED(send_read(&dev, &byte), STANDBY); /* which finds out */
	CHECK_REFUSED(send_ready(&dev), STANDBY);
	CHECK_REFUSED(send_write(&dev, 9), STANDBY);
	g_usleep(G_USEC_PER_SEC / 2);
	CHECK_UINT(image->opened(), opened); /* a late one would use the new handle */
	image->hold(FALSE);
	for (guint i = 0; i < UNDER_WAY; i++)
		CHECK_SENSE(&commands[i], command_wait(&commands[i]), 2, STANDBY);
	WAIT_WITHIN(10, is_on_standby(&dev));
	CHECK(is_on_standby(&dev));
	CHECK_UINT(image->opened(), opened + 1);
	CHECK_UINT(image->open(), 1);
	CHECK_REFUSED(send_write(&dev, 9), STANDBY);
	dev_remove(&dev);
	CHECK_UINT(image->open(), 0);
}

typedef struct {
	const char *serial, *reservations, *says;
} Misfit;

static const Misfit misfits[] = {
	{"T10 VPD Unit Serial Number: " PRETENDED_UUID "\n", "1\n",
	 "its attribute emulate_pr must be 0"},
	{"T10 VPD Unit Serial Number: " PRETENDED_UUID "\n", NULL,
	 "its attribute emulate_pr must be 0"},
	{"T10 VPD Unit Serial Number: 12345678\n", "0\n",
	 "its serial number must be " PRETENDED_UUID},
};

static void test_misfit(const void *data)
{
	guint8 byte;
	Dev dev;

	(void)data;
	for (guint i = 0; i < G_N_ELEMENTS(misfits); i++) {
		test_row("%u", i);
		image->give_back();
		set_up(misfits[i].serial, misfits[i].reservations);
		dev_init(&dev, "storageos/ceph/lun", SIZE);
		REQUIRE(CHECK_INT(dev_add(&dev), 0));
		WAIT_WITHIN(10,
			    send_ready(&dev) == STS_SENSE && (sense_now & 0xffff) == INTERVENTION);
		CHECK_REFUSED(send_ready(&dev), INTERVENTION);
		CHECK_REFUSED(send_read(&dev, &byte), INTERVENTION);
		CHECK_REFUSED(send_write(&dev, 5), INTERVENTION);
		CHECK(log_has(misfits[i].says));
		set_up("T10 VPD Unit Serial Number: " PRETENDED_UUID "\n", "0\n");
		CHECK(dev_becomes_ready(&dev));
		dev_remove(&dev);
	}
}

/* What REPORT SUPPORTED OPERATION CODES says of a command: 1, it is not; 3, it is. */
static guint8 support_of(Dev *dev, guint8 opcode, guint8 action)
{
	guint8 answer[32] = {0};
	Command command;

	command_init(&command, dev, 0xa3, answer, sizeof answer, 0);
	command.cdb[1] = 0x0c;
	command.cdb[2] = 3;
	command.cdb[3] = opcode;
	command.cdb[5] = action;
	command.cdb[9] = sizeof answer;
	CHECK_INT(command_send(&command), STS_OK);
	return answer[1] & 7;
}

static void test_no_sanitize(const void *data)
{
	static const guint8 actions[] = {0x01, 0x02, 0x03, 0x1f};
	Command command;
	Dev dev;

	(void)data;
	REQUIRE(open_device(&dev));
	for (guint i = 0; i < G_N_ELEMENTS(actions); i++) {
		test_row("service action %02x", actions[i]);
		command_init(&command, &dev, 0x48, NULL, 0, 0);
		command.cdb[1] = actions[i];
		CHECK_SENSE(&command, command_send(&command), 5, 0x2000);
		CHECK_UINT(support_of(&dev, 0x48, actions[i]), 1);
	}
	CHECK_UINT(support_of(&dev, 0x41, 0), 3); /* WRITE SAME */
	dev_remove(&dev);
}

/* Requests all the time, while the unit is taken again and again. */
static gpointer writer_main(gpointer data)
{
	guint good = 0;

	for (gint *ends = ((gpointer *)data)[1]; !g_atomic_int_get(ends);) {
		Command command;
		guint8 block[BLOCK] = {0};

		command_init(&command, ((gpointer *)data)[0], 0x8a, block, sizeof block, 0);
		command_set_range(&command, 64, 8);
		good += command_send(&command) == STS_OK;
		command_init(&command, ((gpointer *)data)[0], 0x88, block, sizeof block, 0);
		command_set_range(&command, 64, 8);
		command_send(&command);
	}
	return GUINT_TO_POINTER(good);
}

static void test_threads(const void *data)
{
	GThread *threads[4];
	gint ends = FALSE;
	guint good = 0;
	Dev dev;
	gpointer with[] = {&dev, &ends};

	(void)data;
	REQUIRE(open_device(&dev));
	for (guint i = 0; i < 4; i++)
		threads[i] = g_thread_new("writer", writer_main, with);
	g_usleep(G_USEC_PER_SEC / 5);
	image->take();
	g_usleep(G_USEC_PER_SEC / 2);
	image->give_back();
	g_usleep(11 * G_USEC_PER_SEC); /* FAILOVER_PAUSE */
	image->take();
	g_usleep(G_USEC_PER_SEC);
	g_atomic_int_set(&ends, TRUE);
	for (guint i = 0; i < 4; i++)
		good += GPOINTER_TO_UINT(g_thread_join(threads[i]));
	CHECK(good > 10);
	dev_remove(&dev);
	CHECK_UINT(image->open(), 0);
}

int main(int argc, char **argv)
{
	const char *module = argc > 2 ? argv[2] : "";

	if (!fixture_init(argc, argv) || !load_image(module) || !add_pool())
		return 1;
	argv[2] = argv[0];
	enabled_text = "1\n";
	test_add("on standby, reads are carried out and changes refused", test_standby, NULL);
	test_add("a takeover from an owner that serves nobody", test_takeover, NULL);
	test_add("limits that the former owner has set go on", test_limits, NULL);
	test_add("when fenced, all under way is answered 2/040B, and a new handle opened",
		 test_fenced, NULL);
	test_add("a backstore that is not set up is refused until it is", test_misfit, NULL);
	test_add("SANITIZE is refused, and not listed", test_no_sanitize, NULL);
	test_add("requests of several threads while the unit is taken", test_threads, NULL);
	return test_run(argc - 2, argv + 2);
}
