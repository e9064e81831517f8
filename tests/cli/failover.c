/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What `storageos status` says of a volume that several gateways may serve.  The server enters and
 * leaves these states in tests/handler/gateways.c.
 */
#include "cli/sample.h"
#include "tests/harness.h"

static void check_said(const char *data, const char *said)
{
	Sample sample = {.data = json_tokener_parse(data)};
	g_autofree char *failover = sample_failover(&sample);

	CHECK_STR(failover, said);
	json_object_put(sample.data);
}

static void test_states(const void *data)
{
	(void)data;
	check_said("{\"failover\": {\"state\": \"standby\", \"owner\": \"GATEWAY\"}}",
		   "on standby for GATEWAY");
	check_said("{\"failover\": {\"state\": \"standby\"}}", "on standby");
	check_said("{\"failover\": {\"state\": \"takeover\"}}", "being taken over by this gateway");
	check_said("{\"failover\": {\"state\": \"owner\"}}", "this gateway serves it");
	check_said("{\"failover\": {\"state\": \"fenced\"}}",
		   "this gateway was fenced off, and opens it again");
	check_said("{}", NULL);
}

int main(int argc, char **argv)
{
	test_add("the state of a volume that several gateways may serve", test_states, NULL);
	return test_run(argc, argv);
}
