/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Every way from one state of a failover to another, over a pretended image that two machines share
 * (failover-image.h), and what requests are answered meanwhile.
 */
#include <errno.h>

#include "common/base/logging.h"
#include "tests/handler/failover-image.h"

/* Writes through it until it is the owner. */
static void make_owner(Machine *machine)
{
	for (guint i = 0; i < 100 && machine_write(machine, 0, 1); i++)
		image_pass(machine->image, SECOND / 10);
	CHECK_INT(machine_state(machine), FAILOVER_OWNER);
}

/* Alpha has it and serves nobody, for so long that its record stands still. */
static Image *image_of_alpha(void)
{
	Image *image = image_new();

	make_owner(&image->a);
	image_pass(image, 10 * SECOND);
	return image;
}

/* Time passes while alpha's initiators write. */
static void pass_serving(Image *image, gint64 duration)
{
	for (gint64 end = image->now + duration; image->now < end;) {
		CHECK_INT(machine_write(&image->a, 1, 2), 0);
		image_pass(image, SECOND / 10);
	}
}

/* ---- standby */

static void test_reads_take_nothing(const void *data)
{
	Image *image = image_new();
	guint64 stamp;

	(void)data;
	for (guint i = 0; i < 600; i++) {
		CHECK_INT(machine_read(&image->b, 0, &stamp), 0);
		image_pass(image, SECOND / 10);
	}
	CHECK_INT(machine_state(&image->b), FAILOVER_STANDBY);
	CHECK_UINT(image->owner, 0);
	CHECK_UINT(image->takes, 0);
	image_free(image);
}

static void test_reads_see_what_the_owner_writes(const void *data)
{
	Image *image = image_new();
	guint64 stamp = 0;

	(void)data;
	make_owner(&image->a);
	CHECK_INT(machine_write(&image->a, 3, 77), 0);
	CHECK_INT(machine_read(&image->b, 3, &stamp), 0);
	CHECK_UINT(stamp, 77);
	CHECK_INT(machine_state(&image->b), FAILOVER_STANDBY);
	image_free(image);
}

static void test_nobody_has_it(const void *data)
{
	Image *image = image_new();
	guint64 stamp;

	(void)data;
	CHECK_INT(machine_write(&image->a, 0, 1), -EAGAIN);
	CHECK_INT(machine_state(&image->a), FAILOVER_TAKEOVER);
	CHECK_INT(machine_write(&image->a, 0, 1), -EAGAIN);
	CHECK_INT(machine_read(&image->a, 0, &stamp), 0);
	machine_settle(&image->a);
	CHECK_INT(machine_state(&image->a), FAILOVER_OWNER);
	CHECK_INT(machine_write(&image->a, 0, 1), 0);
	CHECK_UINT(image->breaks, 0);
	image_free(image);
}

/* ---- takeover */

static void test_owner_that_counts_stays(const void *data)
{
	Image *image = image_of_alpha();
	FailoverInfo info;
	int r = -EAGAIN;
	guint i;

	(void)data;
	pass_serving(image, 5 * SECOND);
	for (i = 0; i < 60 && r == -EAGAIN; i++) {
		r = machine_write(&image->b, 0, 9);
		pass_serving(image, SECOND / 10);
	}
	CHECK_INT(r, -ESTALE);
	CHECK(i <= 35);
	CHECK_INT(machine_state(&image->b), FAILOVER_STANDBY);
	CHECK_INT(machine_write(&image->b, 0, 9), -ESTALE);
	CHECK_INT(machine_state(&image->b), FAILOVER_STANDBY);
	failover_describe(image->b.failover, &info);
	CHECK_STR(info.owner.host, "alpha");
	pass_serving(image, FAILOVER_REFUSAL);
	CHECK_INT(machine_write(&image->b, 0, 9), -EAGAIN); /* it looks again */
	CHECK_INT(machine_state(&image->b), FAILOVER_TAKEOVER);
	pass_serving(image, 5 * SECOND);
	CHECK_INT(machine_state(&image->a), FAILOVER_OWNER);
	CHECK_UINT(image->breaks, 0);
	image_free(image);
}

/* Whatever moment of the owner's second it is. */
static void test_writes_that_move_take_it_along(const void *data)
{
	(void)data;
	for (guint tenths = 0; tenths < 10; tenths++) {
		Image *image = image_of_alpha();
		gint64 begun;
		int r = -EAGAIN;

		test_row("%u tenths of a second", tenths);
		pass_serving(image, 5 * SECOND + tenths * SECOND / 10);
		begun = image->now;
		while (r == -EAGAIN && image->now - begun < 20 * SECOND) {
			r = machine_write(&image->b, 0, 9);
			image_pass(image, SECOND / 10);
		}
		CHECK_INT(r, 0);
		CHECK(image->now - begun <= 5 * SECOND);
		image_free(image);
	}
}

static void test_owner_that_stands_still_is_broken(const void *data)
{
	Image *image = image_of_alpha();
	gint64 begun = image->now;
	guint alpha = image->a.client;

	(void)data;
	image->a.frozen = TRUE;
	CHECK_INT(machine_write(&image->b, 0, 9), -EAGAIN);
	while (machine_state(&image->b) == FAILOVER_TAKEOVER && image->now - begun < 20 * SECOND) {
		CHECK_INT(machine_write(&image->b, 0, 9), -EAGAIN);
		image_pass(image, SECOND / 10);
	}
	CHECK_INT(machine_state(&image->b), FAILOVER_OWNER);
	CHECK(image->now - begun >= FAILOVER_LOOK);
	CHECK(image->now - begun <= 6 * SECOND);
	CHECK(image->blocklisted[alpha]);
	CHECK_UINT(image->breaks, 1);
	CHECK_INT(machine_write(&image->b, 0, 9), 0);
	image_free(image);
}

static void test_owner_goes_while_looked_at(const void *data)
{
	Image *image = image_of_alpha();

	(void)data;
	CHECK_INT(machine_write(&image->b, 0, 9), -EAGAIN);
	image_pass(image, SECOND);
	image->owner = 0;
	image_pass(image, 3 * SECOND / 2);
	CHECK_INT(machine_state(&image->b), FAILOVER_OWNER);
	CHECK_UINT(image->breaks, 0);
	image_free(image);
}

/* A third machine has taken it: it begins to serve. */
static void test_owner_changes_while_looked_at(const void *data)
{
	Image *image = image_of_alpha();

	(void)data;
	CHECK_INT(machine_write(&image->b, 0, 9), -EAGAIN);
	image_pass(image, SECOND);
	image->owner = ++image->clients;
	image->machines_of[image->owner] = &image->a;
	image_pass(image, 3 * SECOND / 2);
	CHECK_INT(machine_state(&image->b), FAILOVER_STANDBY);
	CHECK_INT(machine_write(&image->b, 0, 9), -ESTALE);
	CHECK_UINT(image->breaks, 0);
	image_free(image);
}

static void test_another_one_is_faster(const void *data)
{
	Image *image = image_of_alpha();

	(void)data;
	image->b.take_fails = TRUE;
	CHECK_INT(machine_write(&image->b, 0, 9), -EAGAIN);
	image_pass(image, 4 * SECOND);
	CHECK_INT(machine_state(&image->b), FAILOVER_STANDBY);
	CHECK_INT(machine_write(&image->b, 0, 9), -ESTALE);
	CHECK_UINT(image->breaks, 0);
	image_free(image);
}

static void test_storage_fails(const void *data)
{
	Image *image = image_new();

	(void)data;
	image->b.cut = TRUE;
	CHECK_INT(machine_write(&image->b, 0, 9), -EAGAIN);
	machine_settle(&image->b);
	CHECK_INT(machine_state(&image->b), FAILOVER_STANDBY);
	CHECK_INT(machine_write(&image->b, 0, 9), -EAGAIN); /* but begins no other takeover yet */
	CHECK_INT(machine_state(&image->b), FAILOVER_STANDBY);
	image_pass(image, SECOND);
	CHECK_INT(machine_write(&image->b, 0, 9), -EAGAIN);
	CHECK_INT(machine_state(&image->b), FAILOVER_TAKEOVER);
	image->b.cut = FALSE;
	machine_settle(&image->b);
	CHECK_INT(machine_state(&image->b), FAILOVER_OWNER);
	image_free(image);
}

/* ---- fenced */

typedef struct {
	const char *name;
	int result; /* of a change that finds out; 0: no change comes */
	gboolean by_read;
} Discovery;

static const Discovery discoveries[] = {
	{"a change that is refused as from a blocklisted client", -ESHUTDOWN, FALSE},
	{"a change that is refused as from one without the lock", -EROFS, FALSE},
	{"a read that fails", 0, TRUE},
	{"a look every 2 s", 0, FALSE},
};

static void test_fenced_is_found_out(const void *data)
{
	const Discovery *by = data;
	Image *image = image_of_alpha();
	guint64 stamp;

	if (by->result == -EROFS)
		image->owner = 0;
	else
		image_blocklist(image, &image->a);
	if (by->result) {
		CHECK_INT(machine_store(&image->a, 0, 2), by->result);
		CHECK_INT(machine_write(&image->a, 0, 2), -ESTALE);
	} else if (by->by_read) {
		CHECK_INT(machine_read(&image->a, 0, &stamp), -ESTALE);
	} else {
		for (guint i = 0; i < 21 && machine_state(&image->a) == FAILOVER_OWNER; i++)
			image_pass(image, SECOND / 10);
	}
	CHECK(machine_state(&image->a) != FAILOVER_OWNER);
	image_pass(image, SECOND);
	CHECK_INT(machine_state(&image->a), FAILOVER_STANDBY);
	CHECK_UINT(image->a.reopened, 1);
	image_free(image);
}

/* Five requests are under way, carried out already or not, when one finds the unit fenced. */
static void test_under_way_is_never_good(const void *data)
{
	Image *image = image_of_alpha();
	Failover *failover = image->a.failover;
	guint old = image->a.client;

	(void)data;
	for (guint i = 0; i < 3; i++)
		CHECK_INT(failover_begin(failover, FAILOVER_CHANGES), 0);
	for (guint i = 0; i < 2; i++)
		CHECK_INT(failover_begin(failover, FAILOVER_READS), 0);
	image_blocklist(image, &image->a);
	CHECK_INT(failover_verdict(failover, -ESHUTDOWN), -ESTALE);
	CHECK_INT(failover_verdict(failover, 0), -ESTALE);
	CHECK_INT(failover_verdict(failover, -EIO), -ESTALE);
	CHECK_INT(failover_verdict(failover, 0), -ESTALE);
	CHECK_INT(failover_verdict(failover, -EILSEQ), -ESTALE);
	CHECK_INT(machine_state(&image->a), FAILOVER_FENCED);
	CHECK_INT(failover_begin(failover, FAILOVER_READS), -ESTALE);
	CHECK_INT(failover_begin(failover, FAILOVER_CHANGES), -ESTALE);
	for (guint i = 0; i < 5; i++) {
		image_pass(image, SECOND);
		CHECK_INT(machine_state(&image->a), FAILOVER_FENCED);
		CHECK_UINT(image->a.client, old); /* whoever is under way may still use it */
		failover_end(failover);
	}
	image_pass(image, SECOND);
	CHECK_INT(machine_state(&image->a), FAILOVER_STANDBY);
	CHECK(image->a.client != old);
	image_free(image);
}

static void test_pause_after_fencing(const void *data)
{
	Image *image = image_of_alpha();
	gint64 fenced;
	guint64 stamp;

	(void)data;
	image_blocklist(image, &image->a);
	CHECK_INT(machine_write(&image->a, 0, 2), -ESTALE);
	fenced = image->now;
	image->owner = 0;
	image_pass(image, SECOND);
	CHECK_INT(machine_state(&image->a), FAILOVER_STANDBY);
	while (image->now + SECOND / 10 < fenced + FAILOVER_PAUSE) {
		CHECK_INT(machine_write(&image->a, 0, 2), -ESTALE);
		CHECK_INT(machine_read(&image->a, 0, &stamp), 0);
		image_pass(image, SECOND / 10);
	}
	CHECK_INT(machine_state(&image->a), FAILOVER_STANDBY);
	CHECK_UINT(image->owner, 0);
	image_pass(image, SECOND / 10);
	CHECK_INT(machine_write(&image->a, 0, 2), -EAGAIN);
	image_pass(image, SECOND / 10);
	CHECK_INT(machine_write(&image->a, 0, 2), 0);
	image_free(image);
}

static void test_reopening_fails(const void *data)
{
	Image *image = image_of_alpha();

	(void)data;
	image_blocklist(image, &image->a);
	CHECK_INT(machine_write(&image->a, 0, 2), -ESTALE);
	image->a.cut = TRUE;
	image_pass(image, 30 * SECOND);
	CHECK_INT(machine_state(&image->a), FAILOVER_FENCED);
	CHECK_INT(machine_write(&image->a, 0, 2), -ESTALE);
	image->a.cut = FALSE;
	image_pass(image, 2 * SECOND);
	CHECK_INT(machine_state(&image->a), FAILOVER_STANDBY);
	image_free(image);
}

/* On standby a client can be blocklisted, too: by hand. */
static void test_standby_is_fenced(const void *data)
{
	Image *image = image_of_alpha();
	guint64 stamp;

	(void)data;
	image_blocklist(image, &image->b);
	CHECK_INT(machine_read(&image->b, 0, &stamp), -ESTALE);
	image_pass(image, SECOND);
	CHECK_INT(machine_read(&image->b, 0, &stamp), 0);
	CHECK_UINT(image->b.reopened, 1);
	image_free(image);
}

/* A read finds the handle fenced while the takeover looks: its end takes nothing. */
static void test_fenced_during_takeover(const void *data)
{
	Image *image = image_of_alpha();
	guint64 stamp;

	(void)data;
	CHECK_INT(machine_write(&image->b, 0, 9), -EAGAIN);
	image_pass(image, 2 * SECOND);
	CHECK_INT(machine_state(&image->b), FAILOVER_TAKEOVER);
	image_blocklist(image, &image->b);
	CHECK_INT(machine_read(&image->b, 0, &stamp), -ESTALE);
	CHECK_INT(machine_state(&image->b), FAILOVER_FENCED);
	image_pass(image, 5 * SECOND);
	CHECK_INT(machine_state(&image->b), FAILOVER_STANDBY);
	CHECK_UINT(image->breaks, 0);
	CHECK_INT(machine_state(&image->a), FAILOVER_OWNER);
	image_free(image);
}

/* A read finds the handle fenced before the takeover's thread knows that it has the lock. */
static void test_fenced_while_taking(const void *data)
{
	Image *image = image_new();

	(void)data;
	image->a.dies_young = TRUE;
	CHECK_INT(machine_write(&image->a, 0, 9), -EAGAIN);
	failover_step(image->a.failover);
	CHECK_UINT(image->takes, 1);
	CHECK_INT(machine_state(&image->a), FAILOVER_FENCED);
	CHECK_INT(machine_write(&image->a, 0, 9), -ESTALE);
	machine_settle(&image->a);
	CHECK_INT(machine_state(&image->a), FAILOVER_STANDBY);
	image_free(image);
}

static void test_errors_of_others_are_passed_on(const void *data)
{
	static const int results[] = {0, -EIO, -ENOSPC, -EILSEQ, -EINVAL, -ETIMEDOUT, -ENOMEM};
	Image *image = image_of_alpha();

	(void)data;
	for (guint i = 0; i < G_N_ELEMENTS(results); i++) {
		CHECK_INT(failover_begin(image->a.failover, FAILOVER_CHANGES), 0);
		CHECK_INT(failover_verdict(image->a.failover, results[i]), results[i]);
		failover_end(image->a.failover);
	}
	CHECK_INT(machine_state(&image->a), FAILOVER_OWNER);
	image_free(image);
}

/* ---- what is told */

static void test_described(const void *data)
{
	Image *image = image_of_alpha();
	FailoverInfo info;

	(void)data;
	image->a.frozen = TRUE;
	make_owner(&image->b);
	image->a.frozen = FALSE;
	image_pass(image, 3 * SECOND);
	failover_describe(image->a.failover, &info);
	CHECK_STR(failover_state_name(info.state), "standby");
	CHECK_UINT(info.takeovers, 1);
	CHECK_UINT(info.fencings, 1);
	failover_describe(image->b.failover, &info);
	CHECK_STR(failover_state_name(info.state), "owner");
	CHECK_UINT(info.takeovers, 1);
	CHECK_UINT(info.fencings, 0);
	CHECK_STR(info.owner.host, "");
	image_free(image);
}

static void drop_line(LoggingLevel level, const char *line)
{
	(void)level, (void)line;
}

int main(int argc, char **argv)
{
	logging_set_sink(drop_line);
	test_add("reads on standby are carried out and take nothing over", test_reads_take_nothing,
		 NULL);
	test_add("reads on standby see what the owner writes", test_reads_see_what_the_owner_writes,
		 NULL);
	test_add("a change takes what nobody has", test_nobody_has_it, NULL);
	test_add("an owner that counts stays", test_owner_that_counts_stays, NULL);
	test_add("an initiator that moves its writes takes it along",
		 test_writes_that_move_take_it_along, NULL);
	test_add("an owner that stands still is broken, after 3 s and within 6",
		 test_owner_that_stands_still_is_broken, NULL);
	test_add("an owner that goes meanwhile is not broken", test_owner_goes_while_looked_at,
		 NULL);
	test_add("an owner that is new stays", test_owner_changes_while_looked_at, NULL);
	test_add("a takeover that another one precedes ends on standby", test_another_one_is_faster,
		 NULL);
	test_add("a takeover that meets an error is tried again", test_storage_fails, NULL);
	for (guint i = 0; i < G_N_ELEMENTS(discoveries); i++) {
		g_autofree char *name =
			g_strconcat("fenced is found out by ", discoveries[i].name, NULL);

		test_add(name, test_fenced_is_found_out, &discoveries[i]);
	}
	test_add("what is under way when fenced is never good, and keeps its handle",
		 test_under_way_is_never_good, NULL);
	test_add("no takeover for 10 s after the fencing", test_pause_after_fencing, NULL);
	test_add("reopening is tried until it succeeds", test_reopening_fails, NULL);
	test_add("fenced on standby is opened again", test_standby_is_fenced, NULL);
	test_add("fenced during a takeover takes nothing", test_fenced_during_takeover, NULL);
	test_add("fenced while the lock is taken stays fenced", test_fenced_while_taking, NULL);
	test_add("errors of other kinds are passed on", test_errors_of_others_are_passed_on, NULL);
	test_add("states and counts are told", test_described, NULL);
	return test_run(argc, argv);
}
