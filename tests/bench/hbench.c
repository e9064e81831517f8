/* SPDX-License-Identifier: Apache-2.0 */
/* The command line, the phases, and the report as one JSON object (see hbench.h). */
#include "tests/bench/hbench.h"

#include <dlfcn.h>
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

#include "common/base/units.h"

#define DEVICES_MAX 8u

gboolean hbench_initiator_thread;
guint hbench_max_sectors = 2048, hbench_log_level = 3;

/* ---- the command line */

static char *handler_path, **cfgstrings, *then_command;
static const char *workload = "randwrite";
static const char *size_text = "1G", *span_text, *request_text = "4K", *bytes_text;
static guint64 volume_size, request_size, address_span, operation_limit;
static int depth = 1, read_percent = 50, flush_every, seed = 1, hang = 60;
static int sectors_option = 2048, log_option = 3;
static double seconds = 1, ramp;
static gboolean drain, prefill, warm;

static const GOptionEntry options[] = {
	{"handler", 0, 0, G_OPTION_ARG_FILENAME, &handler_path,
	 "the handler's file, or raw, or raw-threads", "FILE"},
	{"cfg", 0, 0, G_OPTION_ARG_STRING_ARRAY, &cfgstrings,
	 "cfgstring of the device; of several devices, which are used at once", "SUBTYPE/..."},
	{"size", 0, 0, G_OPTION_ARG_STRING, &size_text, "bytes of each device (1G)", "N"},
	{"span", 0, 0, G_OPTION_ARG_STRING, &span_text,
	 "bytes that are addressed, in pieces of 1 MiB spread over the device (all)", "N"},
	{"workload", 0, 0, G_OPTION_ARG_STRING, &workload,
	 "read, write, randread, randwrite or randrw", "NAME"},
	{"read-percent", 0, 0, G_OPTION_ARG_INT, &read_percent, "of randrw (50)", "N"},
	{"bs", 0, 0, G_OPTION_ARG_STRING, &request_text, "bytes of a request (4k)", "N"},
	{"depth", 0, 0, G_OPTION_ARG_INT, &depth, "requests under way on each device (1)", "N"},
	{"flush-every", 0, 0, G_OPTION_ARG_INT, &flush_every, "a flush after N writes", "N"},
	{"drain", 0, 0, G_OPTION_ARG_NONE, &drain, "nothing is under way beside a flush", NULL},
	{"seconds", 0, 0, G_OPTION_ARG_DOUBLE, &seconds, "of the measurement (1)", "S"},
	{"ramp", 0, 0, G_OPTION_ARG_DOUBLE, &ramp, "the same load before it (0)", "S"},
	{"bytes", 0, 0, G_OPTION_ARG_STRING, &bytes_text,
	 "ends as soon as so much was transferred to or from each device", "N"},
	{"prefill", 0, 0, G_OPTION_ARG_NONE, &prefill,
	 "first writes everything, with a flush after each MiB", NULL},
	{"warm", 0, 0, G_OPTION_ARG_NONE, &warm, "first reads everything", NULL},
	{"then", 0, 0, G_OPTION_ARG_STRING, &then_command,
	 "run by the shell before the devices are closed", "COMMAND"},
	{"initiator-thread", 0, 0, G_OPTION_ARG_NONE, &hbench_initiator_thread,
	 "answers are taken by a thread of its own", NULL},
	{"max-sectors", 0, 0, G_OPTION_ARG_INT, &sectors_option, "hw_max_sectors (2048)", "N"},
	{"seed", 0, 0, G_OPTION_ARG_INT, &seed, "of the random numbers (1)", "N"},
	{"hang", 0, 0, G_OPTION_ARG_INT, &hang, "seconds without any answer that fail (60)", "S"},
	{"log", 0, 0, G_OPTION_ARG_INT, &log_option, "0 nothing, 1 critical, to 5 debug (3)", "N"},
	{NULL, 0, 0, 0, NULL, NULL, NULL}};

void die(const char *format, ...)
{
	va_list args;

	va_start(args, format);
	fputs("hbench: ", stderr);
	vfprintf(stderr, format, args);
	fputc('\n', stderr);
	va_end(args);
	_exit(2);
}

guint64 now_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (guint64)now.tv_sec * 1000000000u + (guint64)now.tv_nsec;
}

static guint64 size_from(const char *text)
{
	guint64 size;

	if (!size_parse(text, &size))
		die("not a size: %s", text);
	return size;
}

static void options_parse(int *argc, char ***argv)
{
	GOptionContext *context = g_option_context_new("- measure a handler of tcmu-runner");
	g_autoptr(GError) error = NULL;

	g_option_context_add_main_entries(context, options, NULL);
	if (!g_option_context_parse(context, argc, argv, &error))
		die("%s", error->message);
	g_option_context_free(context);
	if (*argc > 1 || !handler_path || !cfgstrings || !cfgstrings[0] ||
	    g_strv_length(cfgstrings) > DEVICES_MAX)
		die("--handler and one to %u --cfg are needed; see --help", DEVICES_MAX);
	if (depth < 1 || depth > (int)LOAD_DEPTH_MAX)
		die("--depth: 1 to %u", LOAD_DEPTH_MAX);
	volume_size = size_from(size_text);
	request_size = size_from(request_text);
	address_span = span_text ? size_from(span_text) : volume_size;
	operation_limit = bytes_text ? size_from(bytes_text) : G_MAXUINT64;
	if (!request_size || request_size % BLOCK_SIZE || address_span < MAX(request_size, MIB) ||
	    address_span > volume_size || (address_span < volume_size && request_size > MIB))
		die("--bs, --span and --size do not agree");
	if (seconds <= 0 && operation_limit == G_MAXUINT64)
		die("--seconds or --bytes must be more than 0");
	hbench_max_sectors = (guint)sectors_option;
	hbench_log_level = (guint)log_option;
}

/* ---- devices */

static struct tcmu_device *devices[DEVICES_MAX];
static guint n_devices;

static void handler_load(void)
{
	int (*init)(void) = NULL;
	void *module, *symbol;

	plain_register();
	if (!strcmp(handler_path, "raw") || !strcmp(handler_path, "raw-threads"))
		return;
	module = dlopen(handler_path, RTLD_NOW | RTLD_LOCAL);
	if (!module)
		die("%s", dlerror());
	symbol = dlsym(module, "handler_init");
	memcpy(&init, &symbol, sizeof init);
	if (!init || init())
		die("%s: no handler_init(), or it failed", handler_path);
}

static const struct tcmur_handler *handler_find(const char *cfgstring)
{
	gsize length = strcspn(cfgstring, "/");

	for (GSList *l = hbench_handlers; l; l = l->next) {
		const struct tcmur_handler *handler = l->data;

		if (strlen(handler->subtype) == length &&
		    !strncmp(handler->subtype, cfgstring, length))
			return handler;
	}
	die("no handler registered for '%s'", cfgstring);
}

/* What the kernel shares with the runner. */
static guint8 *data_area_new(void)
{
	gsize size = (gsize)MAX(request_size, MIB) * (gsize)MAX(depth, 8);
	guint8 *area = mmap(NULL, size, PROT_READ | PROT_WRITE,
			    MAP_SHARED | MAP_ANONYMOUS | MAP_POPULATE, -1, 0);
	guint64 word = 88172645463325252u;

	if (area == MAP_FAILED)
		die("no memory for requests: %s", g_strerror(errno));
	for (gsize i = 0; i < size; i += sizeof word) {
		word ^= word << 13;
		word ^= word >> 7;
		word ^= word << 17;
		memcpy(area + i, &word, sizeof word);
	}
	return area;
}

static struct tcmu_device *device_new(const char *cfgstring, guint number)
{
	struct tcmu_device *dev = g_new0(struct tcmu_device, 1);
	char *reason = NULL;

	dev->handler = handler_find(cfgstring);
	dev->cfgstring = g_strdup(cfgstring);
	dev->block_size = SECTOR_SIZE;
	dev->num_lbas = volume_size / SECTOR_SIZE;
	dev->max_xfer_len = dev->opt_unmap_gran = hbench_max_sectors;
	dev->max_unmap_len = 32 * (guint32)MIB;
	dev->unmap_enabled = dev->handler->unmap != NULL;
	dev->uio = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
	dev->kick = eventfd(0, EFD_CLOEXEC);
	dev->data = data_area_new();
	pthread_mutex_init(&dev->state_lock, NULL);
	pthread_mutex_init(&dev->track_lock, NULL);
	pthread_mutex_init(&dev->work_lock, NULL);
	pthread_mutex_init(&dev->load_lock, NULL);
	pthread_cond_init(&dev->work_added, NULL);
	pthread_cond_init(&dev->load_idle, NULL);
	pthread_spin_init(&dev->ring_lock, 0);
	load_device_init(dev, (guint64)seed * DEVICES_MAX + number, address_span);
	if (dev->handler->check_config && !dev->handler->check_config(cfgstring, &reason))
		die("%s: %s", cfgstring, reason ? reason : "refused");
	return dev;
}

/* ---- phases */

/* Processor time and the machine's, in seconds. */
typedef struct {
	double user, system, machine_user, switches;
} HbenchTimes;

static double timeval_seconds(const struct timeval *time)
{
	return (double)time->tv_sec + (double)time->tv_usec / 1e6;
}

static HbenchTimes times_now(void)
{
	struct rusage usage;
	unsigned long long user = 0, niced = 0;
	FILE *stat = fopen("/proc/stat", "re");
	HbenchTimes times;

	getrusage(RUSAGE_SELF, &usage);
	times.user = timeval_seconds(&usage.ru_utime);
	times.system = timeval_seconds(&usage.ru_stime);
	times.switches = (double)(usage.ru_nvcsw + usage.ru_nivcsw);
	if (!stat || fscanf(stat, "cpu %llu %llu", &user, &niced) != 2)
		die("cannot read /proc/stat");
	fclose(stat);
	times.machine_user = (double)(user + niced) / (double)sysconf(_SC_CLK_TCK);
	return times;
}

static HbenchTimes times_between(HbenchTimes from, HbenchTimes to)
{
	return (HbenchTimes){
		.user = to.user - from.user,
		.system = to.system - from.system,
		.machine_user = to.machine_user - from.machine_user,
		.switches = to.switches - from.switches,
	};
}

static void sleep_until(guint64 ns)
{
	struct timespec until = {(time_t)(ns / 1000000000u), (long)(ns % 1000000000u)};

	while (clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &until, NULL))
		;
}

/* The same phase on all devices; free the result with g_free(). */
static LoadPhase *phase_run(const LoadSpec *spec, HbenchTimes *ret_times, double *ret_seconds)
{
	LoadPhase *phases = g_new0(LoadPhase, n_devices);
	gboolean timed = spec->seconds > 0 && spec->limit == G_MAXUINT64;
	HbenchTimes before, after;
	guint64 last = 0;

	for (guint i = 0; i < n_devices; i++) {
		phases[i].spec = *spec;
		load_begin(devices[i], &phases[i]);
	}
	sleep_until(phases[0].measure_from);
	before = times_now();
	if (timed) {
		sleep_until(phases[0].end);
		after = times_now();
	}
	for (guint i = 0; i < n_devices; i++) {
		load_wait(devices[i], (guint)hang);
		last = MAX(last, devices[i]->last_answer);
	}
	if (!timed)
		after = times_now();
	if (ret_times)
		*ret_times = times_between(before, after);
	if (ret_seconds)
		*ret_seconds =
			timed ? spec->seconds : (double)(last - phases[0].measure_from) / 1e9;
	return phases;
}

static guint64 phases_errors(const LoadPhase *phases)
{
	guint64 errors = 0;

	for (guint i = 0; i < n_devices; i++)
		errors += phases[i].errors;
	return errors;
}

/* A phase that must succeed and of which only the duration counts. */
static double phase_pass(const LoadSpec *spec)
{
	double passed;
	g_autofree LoadPhase *phases = phase_run(spec, NULL, &passed);

	if (phases_errors(phases))
		die("requests failed");
	return passed;
}

static double flush_all(void)
{
	const LoadSpec spec = {.request = BLOCK_SIZE, .depth = 1, .flush = TRUE, .repeat = TRUE};

	return phase_pass(&spec);
}

/* With a flush after each MiB: on some virtual disks, one late burst of writeback leaves a state in
 * which small overwrites are three to four times slower. */
static double prefill_all(void)
{
	const LoadSpec spec = {.request = MIB,
			       .depth = 1,
			       .flush_every = 1,
			       .drain = TRUE,
			       .limit = address_span / MIB,
			       .repeat = TRUE};

	return phase_pass(&spec) + flush_all();
}

static void read_all(void)
{
	const LoadSpec spec = {.read_percent = 100,
			       .request = MIB,
			       .depth = 8,
			       .limit = address_span / MIB,
			       .repeat = TRUE};

	phase_pass(&spec);
}

static void devices_open(void)
{
	for (guint i = 0; cfgstrings[i]; i++) {
		struct tcmu_device *dev = device_new(cfgstrings[i], i);
		int r = dev->handler->open(dev, false);

		if (r)
			die("%s: cannot be opened: %s", cfgstrings[i], g_strerror(ABS(r)));
		runner_start(dev);
		devices[n_devices++] = dev;
	}
}

static gboolean device_answers(struct tcmu_device *dev)
{
	g_autofree LoadPhase *phase = g_new0(LoadPhase, 1);

	phase->spec =
		(LoadSpec){.read_percent = 100, .request = BLOCK_SIZE, .depth = 1, .limit = 1};
	load_begin(dev, phase);
	load_wait(dev, (guint)hang);
	if (phase->errors)
		die("%s: the first read failed", dev->cfgstring);
	return !phase->busy;
}

/* Returns how long it took until each device had answered a read: a handler may open a device and
 * answer BUSY until it is ready. */
static double devices_open_ready(void)
{
	guint64 begun = now_ns();

	devices_open();
	for (guint i = 0; i < n_devices; i++)
		while (!device_answers(devices[i])) {
			if (now_ns() > begun + (guint64)hang * 1000000000u)
				die("%s: busy for %d s", devices[i]->cfgstring, hang);
			g_usleep(1000);
		}
	return (double)(now_ns() - begun) / 1e9;
}

static double devices_close(void)
{
	guint64 begun = now_ns();

	for (guint i = 0; i < n_devices; i++) {
		runner_stop(devices[i]);
		devices[i]->handler->close(devices[i]);
	}
	return (double)(now_ns() - begun) / 1e9;
}

static LoadSpec spec_measured(void)
{
	gboolean random = g_str_has_prefix(workload, "rand");
	const char *kind = workload + (random ? strlen("rand") : 0);
	LoadSpec spec = {
		.random = random,
		.request = request_size,
		.depth = (guint)depth,
		.flush_every = (guint)flush_every,
		.drain = drain,
		.limit = operation_limit == G_MAXUINT64 ? G_MAXUINT64
							: operation_limit / request_size,
		.ramp = ramp,
		.seconds = seconds,
		.repeat = TRUE,
	};

	if (!strcmp(kind, "read"))
		spec.read_percent = 100;
	else if (random && !strcmp(kind, "rw"))
		spec.read_percent = (guint)read_percent;
	else if (strcmp(kind, "write"))
		die("no workload '%s'", workload);
	return spec;
}

/* ---- the report */

static void histogram_merge(LoadHistogram *into, const LoadHistogram *from)
{
	into->count += from->count;
	into->sum += from->sum;
	into->max = MAX(into->max, from->max);
	for (guint i = 0; i < LOAD_BUCKETS; i++)
		into->buckets[i] += from->buckets[i];
}

/* What all devices did. */
static void phases_merge(LoadPhase *phases)
{
	for (guint i = 1; i < n_devices; i++) {
		phases[0].bytes += phases[i].bytes;
		phases[0].errors += phases[i].errors;
		phases[0].busy += phases[i].busy;
		for (guint k = 0; k < LOAD_KINDS; k++)
			histogram_merge(&phases[0].latency[k], &phases[i].latency[k]);
	}
}

static void print_latency(const char *name, const LoadHistogram *histogram)
{
	if (!histogram->count)
		return;
	printf("\"%s\": {\"count\": %" G_GUINT64_FORMAT ", \"mean_us\": %.2f, \"p50_us\": %.2f, "
	       "\"p99_us\": %.2f, \"p999_us\": %.2f, \"max_us\": %.1f}, ",
	       name, histogram->count, (double)histogram->sum / 1e3 / (double)histogram->count,
	       load_quantile(histogram, .5), load_quantile(histogram, .99),
	       load_quantile(histogram, .999), (double)histogram->max / 1e3);
}

static void print_rates(const LoadPhase *phase, double passed, double flush, HbenchTimes times)
{
	double count = (double)(phase->latency[LOAD_READ].count + phase->latency[LOAD_WRITE].count);

	printf("\"seconds\": %.6f, \"iops\": %.1f, \"mb_s\": %.2f, \"iops_flushed\": %.1f, "
	       "\"mb_s_flushed\": %.2f, \"cpu_us\": %.3f, \"user_s\": %.3f, \"system_s\": %.3f, "
	       "\"machine_user_s\": %.3f, \"switches\": %.3f, ",
	       passed, count / passed, (double)phase->bytes / passed / 1e6,
	       count / (passed + flush), (double)phase->bytes / (passed + flush) / 1e6,
	       count > 0 ? (times.user + times.system) * 1e6 / count : 0, times.user, times.system,
	       times.machine_user, count > 0 ? times.switches / count : 0);
}

static gboolean measure_and_report(double opened, double prefilled)
{
	static const char *const names[] = {"read", "write", "flush"};
	LoadSpec spec = spec_measured();
	HbenchTimes times;
	double passed, flush, closed;
	g_autofree LoadPhase *phases = phase_run(&spec, &times, &passed);

	flush = spec.read_percent == 100 ? 0 : flush_all();
	if (then_command && system(then_command))
		die("failed: %s", then_command);
	closed = devices_close();
	phases_merge(phases);
	printf("{");
	print_rates(&phases[0], passed, flush, times);
	for (guint k = 0; k < LOAD_KINDS; k++)
		print_latency(names[k], &phases[0].latency[k]);
	printf("\"open_s\": %.4f, \"prefill_s\": %.3f, \"last_flush_s\": %.4f, \"close_s\": %.4f, "
	       "\"busy\": %" G_GUINT64_FORMAT ", \"errors\": %" G_GUINT64_FORMAT "}\n",
	       opened, prefilled, flush, closed, phases[0].busy, phases[0].errors);
	return !phases[0].errors;
}

int main(int argc, char **argv)
{
	double opened, prefilled = 0;

	options_parse(&argc, &argv);
	handler_load();
	opened = devices_open_ready();
	if (prefill)
		prefilled = prefill_all();
	if (warm)
		read_all();
	return measure_and_report(opened, prefilled) ? 0 : 1;
}
