/* SPDX-License-Identifier: Apache-2.0 */
#include "handler/runner-abi-tables.h"

#include <dlfcn.h>
#include <string.h>

#include "common/base/error.h"
#include "common/base/journald.h"
#include "common/base/logging.h"
#include "common/machine/runner-generation.h"
#include "common/base/text.h"

G_STATIC_ASSERT(sizeof(void *) == 8);

#define IN_C(member, c, d, e, f, g) .member = c,
#define IN_D(member, c, d, e, f, g) .member = d,
#define IN_E(member, c, d, e, f, g) .member = e,
#define IN_F(member, c, d, e, f, g) .member = f,
#define IN_G(member, c, d, e, f, g) .member = g,

/* SCSI's status codes, and those of <libtcmu_common.h> (TCMU_STS_*). */
static const int sam_statuses[] = {
	[RUNNER_OK] = 0x00,	     [RUNNER_SENSE_SET] = 0x02, [RUNNER_BUSY] = 0x08,
	[RUNNER_NO_RESOURCE] = 0x28, [RUNNER_NOT_HANDLED] = -1, [RUNNER_LATER] = -1,
};
static const int tcmu_statuses[] = {
	[RUNNER_OK] = 0,	  [RUNNER_SENSE_SET] = 2,    [RUNNER_BUSY] = 3,
	[RUNNER_NO_RESOURCE] = 1, [RUNNER_NOT_HANDLED] = -1, [RUNNER_LATER] = -1,
};

static const RunnerConventions conventions[] = {
	[RUNNER_GENERATION_C] = {.layout = {RUNNER_HANDLER_LAYOUT(IN_C)},
				 .statuses = sam_statuses,
				 .waits_until_idle = TRUE,
				 .wants_locks = TRUE},
	[RUNNER_GENERATION_D] = {.layout = {RUNNER_HANDLER_LAYOUT(IN_D)},
				 .statuses = tcmu_statuses,
				 .tells_reopen = TRUE},
	[RUNNER_GENERATION_E] = {.layout = {RUNNER_HANDLER_LAYOUT(IN_E)},
				 .statuses = tcmu_statuses,
				 .wraps_commands = TRUE,
				 .tells_reopen = TRUE,
				 .completes_itself = TRUE},
	[RUNNER_GENERATION_F] = {.layout = {RUNNER_HANDLER_LAYOUT(IN_F)},
				 .statuses = tcmu_statuses,
				 .wraps_commands = TRUE,
				 .tells_reopen = TRUE,
				 .completes_itself = TRUE},
	[RUNNER_GENERATION_G] = {.layout = {RUNNER_HANDLER_LAYOUT(IN_G)},
				 .statuses = tcmu_statuses,
				 .wraps_commands = TRUE,
				 .tells_reopen = TRUE,
				 .completes_itself = TRUE},
};

/* ---- the runner's functions */

static RunnerFunctions found;

/* In December 2018, between 1.4.1 and 1.5.0, the functions were renamed, all at once.  Since then
 * tcmu_dev_set_private sets the runner's own pointer, and a plugin must not call it. */
static const struct {
	const char *old_name, *new_name;
	gboolean optional;
	void *function;
} symbols[] = {
	{"tcmur_register_handler", "tcmur_register_handler", FALSE, &found.register_handler},
	{"tcmur_cmd_complete", "tcmur_cmd_complete", TRUE, &found.cmd_complete},
	{"tcmulib_processing_complete", "tcmulib_processing_complete", FALSE,
	 &found.processing_complete},
	{"tcmu_get_dev_private", "tcmur_dev_get_private", FALSE, &found.get_private},
	{"tcmu_set_dev_private", "tcmur_dev_set_private", FALSE, &found.set_private},
	{"tcmu_get_dev_cfgstring", "tcmu_dev_get_cfgstring", FALSE, &found.get_cfgstring},
	{"tcmu_get_dev_fd", "tcmu_dev_get_fd", FALSE, &found.get_fd},
	{"tcmu_get_dev_num_lbas", "tcmu_dev_get_num_lbas", FALSE, &found.get_num_lbas},
	{"tcmu_set_dev_num_lbas", "tcmu_dev_set_num_lbas", FALSE, &found.set_num_lbas},
	{"tcmu_get_dev_block_size", "tcmu_dev_get_block_size", FALSE, &found.get_block_size},
	{"tcmu_get_dev_max_xfer_len", "tcmu_dev_get_max_xfer_len", FALSE, &found.get_max_xfer_len},
	{"tcmu_set_dev_max_xfer_len", "tcmu_dev_set_max_xfer_len", FALSE, &found.set_max_xfer_len},
	{"tcmu_set_dev_opt_unmap_gran", "tcmu_dev_set_opt_unmap_gran", FALSE,
	 &found.set_opt_unmap_gran},
	{"tcmu_set_dev_unmap_gran_align", "tcmu_dev_set_unmap_gran_align", FALSE,
	 &found.set_unmap_gran_align},
	{"tcmu_set_dev_write_cache_enabled", "tcmu_dev_set_write_cache_enabled", FALSE,
	 &found.set_write_cache_enabled},
	/* The release candidates of 1.3.0 lack it. */
	{"tcmu_set_dev_solid_state_media", "tcmu_dev_set_solid_state_media", TRUE,
	 &found.set_solid_state_media},
};

static gboolean runner_has_symbol(const char *symbol, gconstpointer unused)
{
	(void)unused;
	return dlsym(RTLD_DEFAULT, symbol) != NULL;
}

static gboolean functions_resolve(const char *runner, GError **error)
{
	gboolean renamed = runner_has_symbol("tcmur_dev_get_private", NULL);

	for (guint i = 0; i < G_N_ELEMENTS(symbols); i++) {
		const char *name = renamed ? symbols[i].new_name : symbols[i].old_name;
		void *address = dlsym(RTLD_DEFAULT, name);

		if (!address && !symbols[i].optional)
			return error_set(error, STORAGEOS_ERROR_UNSUPPORTED,
					 "this looks like %s, but lacks the function %s", runner,
					 name);
		memcpy(symbols[i].function, &address, sizeof address);
	}
	return TRUE;
}

/* ---- its log */

/* B's function has no `dev`. */
typedef void (*MessageFunction)(RunnerDevice *dev, const char *function, int line,
				const char *format, ...);
static MessageFunction messages[LOGGING_INFO + 1];

/* The runner cuts a message, prefix included, to 255 bytes, and so loses its newline. */
#define LOG_PIECE 200

static void line_log(LoggingLevel level, const char *line)
{
	MessageFunction message = messages[level];
	const char *lead = "";

	do {
		int n = (int)strnlen(line, LOG_PIECE);

		if (line[n])
			n = (int)text_whole_length(line, (gsize)n);
		message(NULL, "storageos", 0, "%s%.*s\n", lead, n, line);
		line += n;
		lead = "... ";
	} while (*line);
}

/* The runner's lines reach the journal, too, but without fields, which only events are worth a
 * second line for. */
static void log_sink(LoggingLevel level, const char *line)
{
	const LoggingFields *fields = logging_fields();

	line_log(level, line);
	if (fields && fields->event)
		journald_send(&(JournaldEntry){"storageos", level, line, *fields});
}

/* If one of the functions is missing (not seen in C to G), log lines still go to standard error. */
static void log_connect(void)
{
	static const char *const names[] = {
		[LOGGING_ERROR] = "tcmu_err_message",
		[LOGGING_WARNING] = "tcmu_warn_message",
		[LOGGING_INFO] = "tcmu_info_message",
	};

	for (guint i = 0; i < G_N_ELEMENTS(names); i++) {
		void *address = dlsym(RTLD_DEFAULT, names[i]);

		if (!address)
			return;
		memcpy(&messages[i], &address, sizeof address);
	}
	logging_set_sink(log_sink);
}

static char *generation_describe(RunnerGeneration generation)
{
	if (generation == RUNNER_GENERATION_UNKNOWN)
		return g_strdup("no tcmu-runner that is known");
	return g_strdup_printf("tcmu-runner %s (generation %s)",
			       runner_generation_versions(generation),
			       runner_generation_name(generation));
}

const RunnerConventions *runner_conventions_find(RunnerFunctions *ret_functions, char **ret_name,
						 GError **error)
{
	RunnerGeneration generation = runner_generation_tell(runner_has_symbol, NULL);
	g_autofree char *name = generation_describe(generation);

	if (!runner_generation_is_served(generation)) {
		g_autofree char *there = runner_generation_symbols(runner_has_symbol, NULL);

		error_set(error, STORAGEOS_ERROR_UNSUPPORTED,
			  "this is %s, which is not served (%s are); found: %s", name,
			  RUNNER_VERSIONS_SERVED, there);
		return NULL;
	}
	log_connect();
	if (!functions_resolve(name, error))
		return NULL;
	*ret_functions = found;
	*ret_name = g_steal_pointer(&name);
	return &conventions[generation];
}
