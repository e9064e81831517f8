/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Limits as a volume keeps them.
 */
#include "common/service/volume-limits.h"
#include "common/base/error.h"
#include "common/base/units.h"
#include "common/service/property-rules.h"
#include "tests/harness.h"

static const struct {
	const char *assignment;
	const char *value; /* NULL: refused */
} rows[] = {
	{"read_iops=1000", "1000"},
	{"read_iops=30", "30"},
	{"read_iops=29", NULL},
	{"read_iops=100000000", "100000000"},
	{"read_iops=100000001", NULL},
	{"read_iops=1k", NULL},
	{"read_iops=-50", NULL},
	{"read_iops=+50", NULL},
	{"write_iops=none", ""},
	{"write_iops=", ""},
	{"write_iops=all", NULL},
	{"read_bytes=100M", "104857600"},
	{"read_bytes=1M", "1048576"},
	{"read_bytes=1048575", NULL},
	{"write_bytes=1T", "1099511627776"},
	{"write_bytes=1025G", NULL},
	{"write_bytes=none", ""},
	{"read_iops_burst=1", "1"},
	{"read_iops_burst=0", NULL},
	{"write_bytes_burst=16M", "16777216"},
	{"write_bytes_burst=none", ""},
	{"write_bytes_burst=x", NULL},
};

static void test_parse(const void *data)
{
	(void)data;
	for (guint i = 0; i < G_N_ELEMENTS(rows); i++) {
		g_autoptr(GError) error = NULL;
		Property change;
		gboolean valid = property_parse(rows[i].assignment, &change, &error);

		test_row("%s", rows[i].assignment);
		if (CHECK_INT(valid, rows[i].value != NULL) && valid)
			CHECK_STR(change.value, rows[i].value);
		if (!valid)
			CHECK_ERROR(error, STORAGEOS_ERROR_INVALID, "none");
	}
}

static void set(Properties *properties, const char *key, const char *value)
{
	Property change = {.key = ""};

	g_strlcpy(change.key, key, sizeof change.key);
	g_strlcpy(change.value, value, sizeof change.value);
	CHECK(properties_change(properties, &change, NULL));
}

/* Each key is its own limit, and all are accepted. */
static void test_read(const void *data)
{
	Properties properties = {{0}};
	Limiter limiter = {.limited = {FALSE}};
	const Limits none = {0};
	Limits limits;
	guint64 n = 0;

	(void)data;
	limits_from_properties(&properties, &limits);
	CHECK_MEM(&limits, &none, sizeof limits);
	for (guint d = 0; d < LIMITER_DIRECTIONS; d++)
		for (guint u = 0; u < LIMITER_UNITS; u++)
			for (guint b = 0; b < 2; b++) {
				g_autofree char *value =
					g_strdup_printf("%" G_GUINT64_FORMAT, MIB * ++n);

				set(&properties, limits_name(d, u, b), value);
			}
	limits_from_properties(&properties, &limits);
	CHECK_UINT(limits.limits[LIMITER_READ][LIMITER_IOPS].rate, MIB);
	CHECK_UINT(limits.limits[LIMITER_READ][LIMITER_IOPS].burst, 2 * MIB);
	CHECK_UINT(limits.limits[LIMITER_READ][LIMITER_BYTES].rate, 3 * MIB);
	CHECK_UINT(limits.limits[LIMITER_WRITE][LIMITER_IOPS].rate, 5 * MIB);
	CHECK_UINT(limits.limits[LIMITER_WRITE][LIMITER_BYTES].burst, 8 * MIB);
	CHECK(limiter_set(&limiter, &limits, NULL));
	limiter_clear(&limiter);
}

/* I9: a volume may say anything. */
static void test_strange(const void *data)
{
	static const char *const values[] = {"1", "x", "-1000", "99999999999999999999",
					     "2000000000000"};
	const Limits none = {0};

	(void)data;
	for (guint i = 0; i < G_N_ELEMENTS(values); i++) {
		Properties properties = {{0}};
		Limits limits;

		test_row("%s", values[i]);
		set(&properties, "read_iops", values[i]);
		set(&properties, "write_bytes", values[i]);
		limits_from_properties(&properties, &limits);
		CHECK_MEM(&limits, &none, sizeof limits);
	}
}

int main(int argc, char **argv)
{
	test_add("limits are what people write, in their ranges", test_parse, NULL);
	test_add("each property is its own limit", test_read, NULL);
	test_add("strange values count as none", test_strange, NULL);
	return test_run(argc, argv);
}
