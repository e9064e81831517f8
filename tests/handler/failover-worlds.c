/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Two gateways over one pretended image (failover-image.h), for hours of its clock: initiators that
 * retry as Linux does, machines that freeze, paths that are cut; and threads.
 *
 * What must hold: a write that was answered GOOD is never lost, an older one never replaces a newer
 * one, and the LUN does not go to and fro between the machines (tcmu-runner#341).
 */
#include <errno.h>

#include "common/base/logging.h"
#include "common/base/thread.h"
#include "tests/handler/failover-image.h"

/* ---- bouncing */

/* An initiator, which has one write under way. */
typedef struct {
	Machine *path; /* that it uses */
	gboolean both; /* it has the other one, too */
	guint block;
	guint64 good; /* writes that were answered GOOD */
	gint64 last;  /* when */
} Initiator;

static void initiator_try(Initiator *initiator, Image *image, guint64 stamp)
{
	int r = machine_write(initiator->path, initiator->block, stamp);

	if (!r) {
		initiator->good++;
		initiator->last = image->now;
	}
	if (r == -ESTALE && initiator->both)
		initiator->path = image_other(image, initiator->path);
}

static guint bounces(const Image *image)
{
	return image->takes - 1;
}

#define HOUR (3600 * SECOND)

/* Each write by the other path, as of a multipath that knows no preference. */
static void test_paths_in_turn(const void *data)
{
	Image *image = image_new();
	Initiator one = {.path = &image->a, .both = TRUE};
	gint64 end = image->now + HOUR;

	(void)data;
	for (guint64 stamp = 1; image->now < end; stamp++) {
		one.path = stamp % 2 ? &image->a : &image->b;
		initiator_try(&one, image, stamp);
		image_pass(image, SECOND / 10);
	}
	CHECK_UINT(bounces(image), 0);
	CHECK(one.good > 15000);
	image_free(image);
}

/* Each of two initiators has lost another path, and writes all the time: the owner stays. */
static void test_each_its_path(const void *data)
{
	Image *image = image_new();
	Initiator one = {.path = &image->a, .block = 1}, two = {.path = &image->b, .block = 2};
	gint64 end = image->now + HOUR;

	(void)data;
	for (guint64 stamp = 1; image->now < end; stamp++) {
		initiator_try(&one, image, stamp);
		initiator_try(&two, image, stamp);
		image_pass(image, SECOND / 10);
	}
	CHECK_UINT(bounces(image), 0);
	CHECK(one.good > 35000);
	CHECK_UINT(two.good, 0);
	image_free(image);
}

/* The same, but the one with the owner has pauses: then the other one gets its turn, no more often
 * than fencing allows. */
static void test_each_its_path_with_pauses(const void *data)
{
	Image *image = image_new();
	Initiator one = {.path = &image->a, .block = 1}, two = {.path = &image->b, .block = 2};
	gint64 begun = image->now;

	(void)data;
	for (guint64 stamp = 1; image->now < begun + HOUR; stamp++) {
		gint64 phase = (image->now - begun) % (60 * SECOND);

		if (phase < 20 * SECOND)
			initiator_try(&one, image, stamp);
		if (phase >= 30 * SECOND && phase < 50 * SECOND)
			initiator_try(&two, image, stamp);
		image_pass(image, SECOND / 10);
	}
	CHECK(bounces(image) <= 2 * 60);
	CHECK(bounces(image) >= 60);
	CHECK(one.good > 60 * 100 && two.good > 60 * 100);
	CHECK(!image->regressed);
	image_free(image);
}

/* Both write rarely and far apart, so that neither is seen to serve: at most one turn in 10 s. */
static void test_rare_writes(const void *data)
{
	Image *image = image_new();
	Initiator one = {.path = &image->a, .block = 1}, two = {.path = &image->b, .block = 2};
	gint64 begun = image->now;

	(void)data;
	for (guint64 stamp = 1; image->now < begun + HOUR; stamp++) {
		gint64 phase = (image->now - begun) % (12 * SECOND);

		if (phase < 5 * SECOND && (gint64)one.good * 12 * SECOND <= image->now - begun)
			initiator_try(&one, image, stamp);
		if (phase >= 6 * SECOND && (gint64)two.good * 12 * SECOND <= image->now - begun)
			initiator_try(&two, image, stamp);
		image_pass(image, SECOND / 10);
	}
	CHECK(bounces(image) <= 360);
	CHECK(bounces(image) > 10);
	CHECK(one.good > 10 && two.good > 10);
	image_free(image);
}

typedef struct {
	const char *name;
	gboolean frozen, cut;
} Loss;

static const Loss losses[] = {
	{"is frozen", TRUE, FALSE},
	{"has no path to its initiator", FALSE, FALSE},
	{"has no path to Ceph", FALSE, TRUE},
};

/* The owner fails its initiator: writes go on by the other one within 15 s, and when it is back it
 * has no way to spoil them. */
static void test_owner_is_lost(const void *data)
{
	const Loss *loss = data;
	Image *image = image_new();
	Initiator one = {.path = &image->a, .both = TRUE};
	guint64 stamp = 1, good;
	gint64 lost, gap = 0;

	for (; stamp < 100; stamp++) {
		initiator_try(&one, image, stamp);
		image_pass(image, SECOND / 10);
	}
	image->a.frozen = loss->frozen;
	image->a.cut = loss->cut;
	lost = one.last;
	image_pass(image, 5 * SECOND); /* until the initiator gives the path up */
	one.path = &image->b;
	good = one.good;
	for (; one.good == good && image->now - lost < 60 * SECOND; stamp++) {
		initiator_try(&one, image, stamp);
		one.path = &image->b;
		image_pass(image, SECOND / 10);
	}
	gap = one.last - lost;
	CHECK(gap > 0 && gap <= 15 * SECOND);
	image->a.frozen = image->a.cut = FALSE;
	CHECK_INT(machine_write(&image->a, 0, 1), -ESTALE); /* late */
	for (guint i = 0; i < 600; i++) {
		initiator_try(&one, image, stamp++);
		image_pass(image, SECOND / 10);
	}
	CHECK(!image->regressed);
	CHECK_UINT(bounces(image), 1);
	CHECK_INT(machine_state(&image->a), FAILOVER_STANDBY);
	image_free(image);
}

/* ---- random worlds */

#define FLIGHTS 6

/* A write under way: between its begin and its end. */
typedef struct {
	Machine *machine; /* NULL: none */
	guint64 stamp;
	gboolean stored;
	int result;
} Flight;

/* One initiator for each block.  It gives a write up now and then, and sends it by the other path;
 * it sends nothing by a path on which one that it gave up is still under way, as the target waits
 * for that. */
typedef struct {
	Machine *path;
	guint64 stamp, acknowledged;
	gboolean sent;	    /* and not answered */
	Flight given_up[2]; /* by machine */
	Flight flight;
} Writer;

typedef struct {
	Image *image;
	TestRandom random;
	Writer writers[IMAGE_BLOCKS];
	guint good;
} World;

static gboolean chance(World *world, guint one_in)
{
	return !test_random_below(&world->random, one_in);
}

static guint number_of(const Machine *machine)
{
	return machine == &machine->image->b;
}

/* Carries a flight on by one phase.  TRUE: it has ended with *ret_result. */
static gboolean flight_go(World *world, Flight *flight, guint block, int *ret_result)
{
	if (flight->machine->frozen || !chance(world, 3))
		return FALSE;
	if (!flight->stored) {
		flight->result = machine_store(flight->machine, block, flight->stamp);
		flight->stored = TRUE;
		return FALSE;
	}
	*ret_result = failover_verdict(flight->machine->failover, flight->result);
	failover_end(flight->machine->failover);
	flight->machine = NULL;
	return TRUE;
}

static void writer_send(World *world, Writer *writer)
{
	int r;

	if (writer->path->frozen || writer->given_up[number_of(writer->path)].machine)
		return;
	r = failover_begin(writer->path->failover, FAILOVER_CHANGES);
	if (r == -ESTALE)
		writer->path = image_other(world->image, writer->path);
	if (!r)
		writer->flight = (Flight){.machine = writer->path, .stamp = writer->stamp};
}

static void writer_answer(World *world, Writer *writer, guint block, int result)
{
	if (result == -ESTALE || result == -EIO)
		writer->path = image_other(world->image, writer->path);
	if (result)
		return;
	writer->acknowledged = writer->stamp;
	CHECK(world->image->blocks[block] >= writer->acknowledged);
	writer->sent = FALSE;
	world->good++;
}

static void writer_go(World *world, guint block)
{
	Writer *writer = &world->writers[block];
	int result;

	for (guint i = 0; i < 2; i++)
		if (writer->given_up[i].machine)
			flight_go(world, &writer->given_up[i], block, &result);
	if (!writer->sent) {
		writer->stamp++;
		writer->sent = TRUE;
	}
	if (!writer->flight.machine) {
		writer_send(world, writer);
	} else if (chance(world, 40)) {
		writer->given_up[number_of(writer->path)] = writer->flight;
		writer->flight.machine = NULL;
		writer->path = image_other(world->image, writer->path);
	} else if (flight_go(world, &writer->flight, block, &result)) {
		writer_answer(world, writer, block, result);
	}
}

static void machine_misfortune(World *world, Machine *machine)
{
	if (chance(world, machine->frozen ? 100 : 1000))
		machine->frozen = !machine->frozen;
	if (chance(world, machine->cut ? 50 : 2000))
		machine->cut = !machine->cut;
	if (chance(world, 5000))
		image_blocklist(world->image, machine);
	machine->take_fails = chance(world, 20);
}

static void world_check(World *world)
{
	CHECK(!world->image->regressed);
	for (guint i = 0; i < IMAGE_BLOCKS; i++)
		CHECK(world->image->blocks[i] >= world->writers[i].acknowledged);
}

/* All is well again: everybody writes within 15 s. */
static void world_calm(World *world)
{
	Image *image = world->image;
	guint64 before[IMAGE_BLOCKS];
	gboolean all = FALSE;
	gint64 begun = image->now;

	image->a.frozen = image->a.cut = image->a.take_fails = FALSE;
	image->b.frozen = image->b.cut = image->b.take_fails = FALSE;
	for (guint i = 0; i < IMAGE_BLOCKS; i++)
		before[i] = world->writers[i].acknowledged;
	while (!all && image->now - begun < 60 * SECOND) {
		for (guint i = 0; i < 20; i++)
			writer_go(world, i % IMAGE_BLOCKS);
		image_pass(image, SECOND / 10);
		all = TRUE;
		for (guint i = 0; i < IMAGE_BLOCKS; i++)
			all &= world->writers[i].acknowledged > before[i];
	}
	CHECK(all);
	CHECK(image->now - begun <= 20 * SECOND); /* after two pauses in the worst case */
}

static void test_random_world(const void *data)
{
	const guint *rounds = data;
	guint64 seed = test_seed(), good = 0, takes = 0;

	for (guint round = 0; round < *rounds && !test_failed(); round++) {
		World world = {.image = image_new(), .random = test_random_new(seed + round)};

		test_row("seed %" G_GUINT64_FORMAT, seed + round);
		for (guint i = 0; i < IMAGE_BLOCKS; i++)
			world.writers[i].path =
				chance(&world, 2) ? &world.image->a : &world.image->b;
		for (guint i = 0; i < 20000 && !test_failed(); i++) {
			writer_go(&world, (guint)test_random_below(&world.random, IMAGE_BLOCKS));
			if (chance(&world, 4))
				image_pass(world.image, SECOND / 10);
			machine_misfortune(&world, &world.image->a);
			machine_misfortune(&world, &world.image->b);
		}
		world_check(&world);
		world_calm(&world);
		world_check(&world);
		good += world.good;
		takes += world.image->takes;
		image_free(world.image);
	}
	test_row(NULL);
	test_note("%" G_GUINT64_FORMAT " writes GOOD, %" G_GUINT64_FORMAT " takeovers", good,
		  takes);
	CHECK(good > 100 && takes > 2 * *rounds);
}

/* ---- threads */

typedef struct {
	Image *image;
	guint number;
	gint *ends; /* atomic */
	guint64 good, read;
} Client;

static gpointer client_main(gpointer data)
{
	Client *client = data;
	Machine *path = client->number % 2 ? &client->image->a : &client->image->b;
	guint64 stamp = 1, seen = 0;

	while (!g_atomic_int_get(client->ends)) {
		int r = machine_write(path, client->number, stamp);

		if (!r)
			client->good = stamp++;
		if (r == -ESTALE)
			path = image_other(client->image, path);
		if (r)
			g_usleep(100);
		if (!machine_read(path, client->number, &seen)) {
			client->read++;
			CHECK(seen >= client->good);
		}
	}
	return NULL;
}

/* Requests come from threads of their own while steps are taken and a machine is fenced by hand. */
static void test_threads(const void *data)
{
	Image *image = image_new();
	Client clients[4];
	GThread *threads[4];
	gint ends = FALSE;

	(void)data;
	for (guint i = 0; i < 4; i++) {
		clients[i] = (Client){.image = image, .number = i, .ends = &ends};
		threads[i] = thread_start("client", client_main, &clients[i], NULL);
	}
	for (guint i = 0; i < 2000; i++) {
		image_pass(image, SECOND / 10);
		if (i % 250 == 249)
			image_blocklist(image, i % 500 == 249 ? &image->a : &image->b);
		g_usleep(200);
	}
	g_atomic_int_set(&ends, TRUE);
	for (guint i = 0; i < 4; i++) {
		g_thread_join(threads[i]);
		CHECK(clients[i].good > 10);
		CHECK(clients[i].read > 10);
		CHECK(image->blocks[i] >= clients[i].good);
	}
	CHECK(!image->regressed);
	CHECK(image->takes > 2);
	image_free(image);
}

/* With the failover's own threads and the true clock. */
static gint64 true_now(gpointer data)
{
	(void)data;
	return g_get_monotonic_time();
}

static gboolean alone_owner(gpointer data, BackingOwner *ret_owner, GError **error)
{
	(void)error;
	*ret_owner = (BackingOwner){.count = 7};
	g_strlcpy(ret_owner->client, data ? "client.4100" : "", sizeof ret_owner->client);
	return TRUE;
}

static gboolean alone_take(gpointer data, const char *client, GError **error)
{
	(void)error;
	return CHECK_STR(client, data ? "client.4100" : NULL);
}

static gboolean alone_reopen(gpointer data, GError **error)
{
	(void)data, (void)error;
	return TRUE;
}

static gboolean alone_is_fenced(gpointer data)
{
	(void)data;
	return FALSE;
}

static gboolean can_change(Failover *failover)
{
	int r = failover_begin(failover, FAILOVER_CHANGES);

	if (!r)
		failover_end(failover);
	return !r;
}

static void test_own_thread(const void *data)
{
	const FailoverOps ops = {.owner = alone_owner,
				 .take = alone_take,
				 .reopen = alone_reopen,
				 .is_fenced = alone_is_fenced,
				 .now = true_now};
	Failover *failover = failover_new(&ops, (gpointer)data, "test");
	gint64 begun = g_get_monotonic_time(), took;
	FailoverInfo info;

	REQUIRE(failover_start(failover, NULL));
	WAIT_WITHIN(10, can_change(failover));
	took = g_get_monotonic_time() - begun;
	CHECK(can_change(failover));
	CHECK_WITHIN(begun, data ? 6 : 1);
	CHECK(data ? took >= FAILOVER_LOOK : took < FAILOVER_LOOK);
	CHECK_INT(failover_begin(failover, FAILOVER_CHANGES), 0);
	CHECK_INT(failover_verdict(failover, -ESHUTDOWN), -ESTALE);
	g_usleep(100000);
	failover_describe(failover, &info);
	CHECK_INT(info.state, FAILOVER_FENCED);
	failover_end(failover);
	begun = g_get_monotonic_time();
	do {
		failover_describe(failover, &info);
		g_usleep(1000);
	} while (info.state == FAILOVER_FENCED &&
		 g_get_monotonic_time() - begun < test_time_limit(2));
	CHECK_INT(info.state, FAILOVER_STANDBY);
	failover_free(failover);
}

static void drop_line(LoggingLevel level, const char *line)
{
	(void)level, (void)line;
}

int main(int argc, char **argv)
{
	static const guint few = 20, many = 300;

	logging_set_sink(drop_line);
	test_add("both paths in turn: the owner stays", test_paths_in_turn, NULL);
	test_add("two initiators without a path in common: the owner stays", test_each_its_path,
		 NULL);
	test_add("two initiators without a path in common: each gets a turn in the other's pauses",
		 test_each_its_path_with_pauses, NULL);
	test_add("rare writes by both paths: no more than one turn in 10 s", test_rare_writes,
		 NULL);
	for (guint i = 0; i < G_N_ELEMENTS(losses); i++) {
		g_autofree char *name = g_strconcat("an owner that ", losses[i].name,
						    " is taken over from within 15 s", NULL);

		test_add(name, test_owner_is_lost, &losses[i]);
	}
	test_add("random worlds lose nothing", test_random_world,
		 test_is_instrumented() ? &few : &many);
	test_add("threads, while machines are fenced", test_threads, NULL);
	test_add("its own thread takes what nobody has", test_own_thread, NULL);
	test_add("its own thread breaks an owner that stands still", test_own_thread, "dead");
	return test_run(argc, argv);
}
