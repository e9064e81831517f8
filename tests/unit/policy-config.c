/* SPDX-License-Identifier: Apache-2.0 */
#include "common/service/policy-config.h"

#include "common/base/error.h"
#include "common/base/units.h"
#include "tests/harness.h"

static Policies *load(const char *text, GError **error)
{
	g_autofree char *path = test_path(".conf");
	g_autoptr(Config) config = NULL;

	CHECK(g_file_set_contents(path, text, -1, NULL));
	config = config_load_quietly(path, error);
	/* Policies are not the business of those that load the configuration. */
	CHECK(config && !config->warnings->len);
	return config ? policies_load(config, error) : NULL;
}

static void test_values(const void *data)
{
	g_autoptr(GError) error = NULL;
	g_autoptr(Policies) policies = load("[volume db]\n"
					    "policy=often\n"
					    "group=site\n"
					    "[policy often]\n"
					    "hourly=24\n"
					    "daily = 7\n"
					    "weekly=4\n"
					    "monthly=4000\n"
					    "freeze=require\n"
					    "min_free=10%\n"
					    "max_held=1.5GiB\n"
					    "[policy rare]\n"
					    "monthly=1\n"
					    "min_free=5G\n"
					    "often=1\n"
					    "[volume fast/log]\n"
					    "policy=often\n"
					    "group=site\n"
					    "[volume /dev/sdx]\n"
					    "policy=rare\n"
					    "groups=a\n",
					    &error);
	const Policy *often, *rare;
	const PolicyVolume *volume;

	(void)data;
	REQUIRE(CHECK_NO_ERROR(error) && policies);
	REQUIRE(CHECK_UINT(policies->policies->len, 2) && CHECK_UINT(policies->volumes->len, 3));
	often = g_ptr_array_index(policies->policies, 0);
	rare = g_ptr_array_index(policies->policies, 1);
	CHECK_STR(often->name, "often");
	CHECK_UINT(often->keep[POLICY_HOUR], 24);
	CHECK_UINT(often->keep[POLICY_DAY], 7);
	CHECK_UINT(often->keep[POLICY_WEEK], 4);
	CHECK_UINT(often->keep[POLICY_MONTH], 4000);
	CHECK_INT(often->freeze, POLICY_FREEZE_REQUIRE);
	CHECK_UINT(often->min_free_percent, 10);
	CHECK_UINT(often->max_held, GIB + GIB / 2);
	CHECK_UINT(rare->keep[POLICY_HOUR], 0);
	CHECK_INT(rare->freeze, POLICY_FREEZE_AUTO);
	CHECK_UINT(rare->min_free, 5 * GIB);
	CHECK_UINT(rare->min_free_percent, 0);
	CHECK_UINT(rare->max_held, 0);
	volume = g_ptr_array_index(policies->volumes, 0);
	CHECK_STR(volume->name->pool, "default");
	CHECK_STR(volume->name->name, "db");
	CHECK_STR(volume->group, "site");
	CHECK(volume->policy == often);
	volume = g_ptr_array_index(policies->volumes, 2);
	CHECK_STR(volume->name->name, "/dev/sdx");
	CHECK(volume->policy == rare && !volume->group);
	REQUIRE(CHECK_UINT(policies->warnings->len, 2));
	CHECK_STR(g_ptr_array_index(policies->warnings, 0), "unknown key 'often' in [policy rare]");
	CHECK_STR(g_ptr_array_index(policies->warnings, 1),
		  "unknown key 'groups' in [volume /dev/sdx]");
}

#define POLICY "[policy p]\ndaily=1\n"

static const struct {
	const char *text, *message;
} bad[] = {
	{"[policy p]\n", "[policy p] keeps nothing"},
	{"[policy p]\nhourly=0\ndaily=0\n", "[policy p] keeps nothing"},
	{"[policy p]\nhourly=4001\n", "key 'hourly' of [policy p]: '4001' is not a number from 0"},
	{"[policy p]\ndaily=-1\n", "key 'daily' of [policy p]: '-1'"},
	{"[policy p]\nweekly=\n", "key 'weekly' of [policy p]: ''"},
	{"[policy p]\nmonthly=one\n", "key 'monthly' of [policy p]: 'one'"},
	{POLICY "freeze=yes\n", "'yes' is not one of auto, require, never"},
	{POLICY "min_free=91%\n", "'91%' is not a percentage from 0% to 90%"},
	{POLICY "min_free=%\n", "'%' is not a percentage"},
	{POLICY "min_free=\n", "'' is not a size, or a percentage"},
	{POLICY "max_held=10%\n", "key 'max_held' of [policy p]: '10%' is not a size"},
	{"[policy P]\ndaily=1\n", "invalid policy name 'P'"},
	{"[policy ]\ndaily=1\n", "invalid policy name ''"},
	{POLICY "[volume db]\n", "policy"},
	{POLICY "[volume db]\npolicy=q\n", "key 'policy' of [volume db]: there is no [policy q]"},
	{POLICY "[volume DB]\npolicy=p\n", "invalid volume name 'DB'"},
	{POLICY "[volume db]\npolicy=p\ngroup=a b\n", "key 'group' of [volume db]: invalid name"},
	{POLICY "[volume db]\npolicy=p\n[volume default/db]\npolicy=p\n",
	 "the volume default/db has two groups"},
	{POLICY
	 "[policy q]\ndaily=2\n[volume a]\npolicy=p\ngroup=g\n[volume b]\npolicy=q\ngroup=g\n",
	 "the volumes default/a and default/b of the group 'g' have different policies"},
};

static void test_bad_values(const void *data)
{
	(void)data;
	for (guint i = 0; i < G_N_ELEMENTS(bad); i++) {
		g_autoptr(GError) error = NULL;
		g_autoptr(Policies) policies = load(bad[i].text, &error);

		test_row("%s", bad[i].text);
		CHECK(!policies);
		REQUIRE(error);
		CHECK_CONTAINS(error->message, bad[i].message);
		CHECK_CONTAINS(error->message, "configuration ");
	}
}

static void test_files(const void *data)
{
	g_autoptr(GError) error = NULL;
	g_autofree char *missing = test_path(".conf");
	Config config = {.file = missing};
	g_autoptr(Policies) policies = policies_load(&config, &error);

	(void)data;
	REQUIRE(CHECK_NO_ERROR(error) && policies);
	CHECK_UINT(policies->volumes->len, 0);
	config.named = TRUE;
	CHECK(!policies_load(&config, &error));
	CHECK_ERROR(error, STORAGEOS_ERROR_NOT_FOUND, missing);
}

int main(int argc, char **argv)
{
	test_add("policies and volumes", test_values, NULL);
	test_add("bad values are refused with their names", test_bad_values, NULL);
	test_add("a file that does not exist", test_files, NULL);
	return test_run(argc, argv);
}
