/* SPDX-License-Identifier: Apache-2.0 */
#include "common/engine/crc32c.h"
#include "tests/harness.h"

typedef struct {
	const char *name;
	const char *text; /* NULL: 32 bytes, from `first` on in steps of `step` */
	guint8 first;
	int step;
	guint32 crc;
} KnownCrc;

/* RFC 3720 appendix B.4, and the check value of the catalogue of CRCs. */
static const KnownCrc answers[] = {
	{.name = "32 zeros", .first = 0, .step = 0, .crc = 0x8a9136aa},
	{.name = "32 ones", .first = 0xff, .step = 0, .crc = 0x62a8ab43},
	{.name = "0 to 31", .first = 0, .step = 1, .crc = 0x46dd794e},
	{.name = "31 to 0", .first = 31, .step = -1, .crc = 0x113fdb5c},
	{.name = "nothing", .text = "", .crc = 0},
	{.name = "digits", .text = "123456789", .crc = 0xe3069283},
	{.name = "a", .text = "a", .crc = 0xc1d04330},
};

/* An iSCSI read command, the last vector of the RFC. */
static const guint8 command[48] = {
	0x01, 0xc0, [16] = 0x14, [22] = 0x04, [27] = 0x14, [31] = 0x18, [32] = 0x28, [40] = 0x02,
};

static Crc32cFunction implementation(const void *data)
{
	return GPOINTER_TO_INT(data) ? crc32c_hardware() : crc32c_portable;
}

static gboolean skip_without_hardware(Crc32cFunction function)
{
	if (!function)
		test_skip("this CPU has no instruction for it");
	return !function;
}

static void test_known_answers(const void *data)
{
	Crc32cFunction function = implementation(data);

	if (skip_without_hardware(function))
		return;
	for (guint i = 0; i < G_N_ELEMENTS(answers); i++) {
		const KnownCrc *answer = &answers[i];
		guint8 bytes[32];

		test_row("%s", answer->name);
		for (int k = 0; k < 32; k++)
			bytes[k] = (guint8)(answer->first + k * answer->step);
		if (answer->text)
			CHECK_UINT(function(0, answer->text, strlen(answer->text)), answer->crc);
		else
			CHECK_UINT(function(0, bytes, sizeof bytes), answer->crc);
	}
	test_row("read command");
	CHECK_UINT(function(0, command, sizeof command), 0xd9963a56);
}

/* The definition, one bit at a time, so that the implementations are not only compared with each
 * other. */
static guint32 by_definition(guint32 crc, const guint8 *p, gsize length)
{
	for (crc = ~crc; length; length--) {
		crc ^= *p++;
		for (int bit = 0; bit < 8; bit++)
			crc = crc >> 1 ^ (crc & 1 ? 0x82f63b78u : 0);
	}
	return ~crc;
}

static void test_lengths(const void *data)
{
	Crc32cFunction function = implementation(data);
	TestRandom random = test_random_new(test_seed());
	guint8 bytes[700];

	if (skip_without_hardware(function))
		return;
	test_random_fill(&random, bytes, sizeof bytes);
	for (guint start = 0; start < 16; start++)
		for (guint length = 0; length + start <= sizeof bytes; length += 1 + length / 64) {
			guint32 crc = (guint32)test_random(&random);

			test_row("start %u, length %u, after %08x", start, length, crc);
			CHECK_UINT(function(crc, bytes + start, length),
				   by_definition(crc, bytes + start, length));
		}
}

static void test_long(const void *data)
{
	const gsize size = 256 * 1024;
	g_autofree guint8 *bytes = g_malloc(size);
	TestRandom random = test_random_new(test_seed());
	Crc32cFunction hardware = crc32c_hardware();

	(void)data;
	if (skip_without_hardware(hardware))
		return;
	test_random_fill(&random, bytes, size);
	for (guint i = 0; i < 3000; i++) {
		gsize start = test_random_below(&random, 5000);
		gsize length = test_random_below(&random, i % 10 ? 9000 : size - start);
		guint32 crc = (guint32)test_random(&random);

		test_row("start %zu, length %zu, after %08x", start, length, crc);
		CHECK_UINT(hardware(crc, bytes + start, length),
			   crc32c_portable(crc, bytes + start, length));
	}
}

static void test_continued(const void *data)
{
	Crc32cFunction function = implementation(data);
	TestRandom random = test_random_new(test_seed());
	guint8 bytes[8192];
	guint32 whole;

	if (skip_without_hardware(function))
		return;
	test_random_fill(&random, bytes, sizeof bytes);
	whole = function(0, bytes, sizeof bytes);
	for (guint i = 0; i < 200; i++) {
		gsize cut = test_random_below(&random, sizeof bytes + 1);

		test_row("cut at %zu", cut);
		CHECK_UINT(function(function(0, bytes, cut), bytes + cut, sizeof bytes - cut),
			   whole);
	}
}

static void test_chosen(const void *data)
{
	Crc32cFunction hardware = crc32c_hardware();
	guint8 bytes[4096];
	TestRandom random = test_random_new(test_seed());

	(void)data;
	test_random_fill(&random, bytes, sizeof bytes);
	CHECK_UINT(crc32c(7, bytes, sizeof bytes), crc32c_portable(7, bytes, sizeof bytes));
	test_note("hardware: %s", hardware ? "yes" : "no");
}

int main(int argc, char **argv)
{
	const void *portable = GINT_TO_POINTER(0), *hardware = GINT_TO_POINTER(1);

	test_add("portable: known answers", test_known_answers, portable);
	test_add("hardware: known answers", test_known_answers, hardware);
	test_add("portable: every alignment and short length", test_lengths, portable);
	test_add("hardware: every alignment and short length", test_lengths, hardware);
	test_add("hardware and portable agree on long inputs", test_long, NULL);
	test_add("portable: an input in two parts", test_continued, portable);
	test_add("hardware: an input in two parts", test_continued, hardware);
	test_add("the implementation that was chosen is right", test_chosen, NULL);
	return test_run(argc, argv);
}
