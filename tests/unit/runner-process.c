/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The process under examination is a copy of this program, which a test may replace, started with
 * "runner": it maps the files that are named, as a runner maps its plugins, and waits.
 */
#include "common/machine/runner-process.h"

#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "tests/harness.h"

typedef struct {
	char *directory, *program, *plugin;
	pid_t pid;
} ProcessRunner;

/* ---- the process itself */

/* argv: PROGRAM runner FILE WORD...  Prints a line when it is ready. */
static int be_runner(char **argv)
{
	int fd = open(argv[2], O_RDONLY | O_CLOEXEC);

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (fd >= 0 && mmap(NULL, 1, PROT_READ, MAP_PRIVATE, fd, 0) == MAP_FAILED)
		return 1;
	if (write(STDOUT_FILENO, "\n", 1) != 1)
		return 1;
	for (;;)
		pause();
}

static void start(ProcessRunner *runner, const char *const *words)
{
	const char *argv[8] = {runner->program, "runner", runner->plugin};
	int ready[2];
	char c;

	for (guint i = 0; words[i]; i++)
		argv[3 + i] = words[i];
	CHECK_INT(pipe2(ready, O_CLOEXEC), 0);
	runner->pid = fork();
	if (!runner->pid) {
		dup2(ready[1], STDOUT_FILENO);
		execv(runner->program, (char **)argv);
		_exit(127);
	}
	close(ready[1]);
	CHECK_INT(read(ready[0], &c, 1), 1);
	close(ready[0]);
}

static void copy_this_program(const char *to)
{
	g_autofree char *this = g_file_read_link("/proc/self/exe", NULL);
	g_autofree char *data = NULL;
	gsize length = 0;

	CHECK(g_file_get_contents(this, &data, &length, NULL));
	CHECK(g_file_set_contents(to, data, (gssize)length, NULL));
	CHECK_INT(chmod(to, 0755), 0);
}

static void runner_init(ProcessRunner *runner)
{
	static const char *const none[] = {NULL};

	runner->directory = test_path("handlers");
	runner->program = test_path("program (of a runner)");
	runner->plugin = g_build_filename(runner->directory, RUNNER_PLUGIN, NULL);
	CHECK_INT(mkdir(runner->directory, 0755), 0);
	CHECK(g_file_set_contents(runner->plugin, "plugin", -1, NULL));
	copy_this_program(runner->program);
	start(runner, none);
}

static void stop(ProcessRunner *runner)
{
	if (runner->pid > 0) {
		kill(runner->pid, SIGKILL);
		waitpid(runner->pid, NULL, 0);
	}
	runner->pid = 0;
}

static void runner_clear(ProcessRunner *runner)
{
	stop(runner);
	g_free(runner->directory);
	g_free(runner->program);
	g_free(runner->plugin);
}
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(ProcessRunner, runner_clear)

/* ---- what is reported of it */

static void test_program(const void *data)
{
	g_auto(ProcessRunner) runner = {0};
	g_auto(RunnerProcess) process = {0};
	gint64 now = time(NULL);

	(void)data;
	runner_init(&runner);
	runner_process_examine((guint32)runner.pid, &process);
	CHECK_STR(process.program, runner.program);
	CHECK(!process.outdated);
	CHECK_STR(process.directory, NULL);
	CHECK(process.started >= now - 5 && process.started <= now + 5);
	test_row("replaced");
	runner_process_clear(&process);
	CHECK_INT(unlink(runner.program), 0);
	copy_this_program(runner.program);
	runner_process_examine((guint32)runner.pid, &process);
	CHECK_STR(process.program, runner.program);
	CHECK(process.outdated);
}

static void test_directory_option(const void *data)
{
	static const struct {
		const char *words[4];
		const char *directory;
	} rows[] = {
		{{"--handler-path", "/a b"}, "/a b"},
		{{"-d", "--handler-path=/a"}, "/a"},
		{{"--handler-path=/a", "--handler-path=/b"}, "/a"},
		{{"--handler-path="}, ""},
		{{"--handler-path"}, NULL},
		{{"--handler-paths", "/a", "/--handler-path"}, NULL},
	};

	(void)data;
	for (guint i = 0; i < G_N_ELEMENTS(rows); i++) {
		g_auto(ProcessRunner) runner = {0};
		g_auto(RunnerProcess) process = {0};

		test_row("%s", rows[i].words[0]);
		runner_init(&runner);
		stop(&runner);
		start(&runner, rows[i].words);
		runner_process_examine((guint32)runner.pid, &process);
		CHECK_STR(process.directory, rows[i].directory);
	}
}

static RunnerPlugin plugin_of(const ProcessRunner *runner, const char *installed)
{
	g_auto(RunnerProcess) process = {0};

	runner_process_examine((guint32)runner->pid, &process);
	return runner_process_plugin((guint32)runner->pid, &process, installed);
}

static void test_plugin(const void *data)
{
	static const char *const none[] = {NULL};
	g_auto(ProcessRunner) runner = {0};
	g_autofree char *aside = NULL;

	(void)data;
	runner_init(&runner);
	aside = g_strconcat(runner.plugin, ".new", NULL);
	CHECK_INT(plugin_of(&runner, runner.plugin), RUNNER_PLUGIN_CURRENT);
	CHECK_INT(plugin_of(&runner, NULL), RUNNER_PLUGIN_REPLACED);
	test_row("a package puts another in its place");
	CHECK(g_file_set_contents(aside, "plugin", -1, NULL));
	CHECK_INT(rename(aside, runner.plugin), 0);
	CHECK_INT(plugin_of(&runner, runner.plugin), RUNNER_PLUGIN_REPLACED);
	test_row("the runner was restarted");
	stop(&runner);
	start(&runner, none);
	CHECK_INT(plugin_of(&runner, runner.plugin), RUNNER_PLUGIN_CURRENT);
	test_row("a runner without it");
	stop(&runner);
	CHECK_INT(unlink(runner.plugin), 0);
	start(&runner, none);
	CHECK_INT(plugin_of(&runner, NULL), RUNNER_PLUGIN_ABSENT);
}

/* A loaded file is overwritten in place. */
static void test_written_in_place(const void *data)
{
	g_auto(ProcessRunner) runner = {0};
	const struct timespec later[] = {{.tv_nsec = UTIME_OMIT}, {.tv_sec = time(NULL) + 10}};

	(void)data;
	runner_init(&runner);
	CHECK_INT(utimensat(AT_FDCWD, runner.plugin, later, 0), 0);
	CHECK_INT(plugin_of(&runner, runner.plugin), RUNNER_PLUGIN_REPLACED);
}

static void test_nobody(const void *data)
{
	g_auto(ProcessRunner) runner = {0};
	g_auto(RunnerProcess) process = {0};
	pid_t pid;

	(void)data;
	runner_process_examine(0, &process);
	CHECK(!process.program && !process.directory && !process.started && !process.outdated);
	CHECK_INT(runner_process_plugin(0, &process, NULL), RUNNER_PLUGIN_UNSEEN);
	test_row("it has ended");
	runner_init(&runner);
	pid = runner.pid;
	stop(&runner);
	runner_process_examine((guint32)pid, &process);
	CHECK(!process.program && !process.directory && !process.started && !process.outdated);
	CHECK_INT(runner_process_plugin((guint32)pid, &process, NULL), RUNNER_PLUGIN_UNSEEN);
}

int main(int argc, char **argv)
{
	if (argc > 2 && !strcmp(argv[1], "runner"))
		return be_runner(argv);
	test_add("a runner's program, start, and whether it was replaced", test_program, NULL);
	test_add("the plugin directory that a runner was given", test_directory_option, NULL);
	test_add("whether a runner's plugin is the installed one", test_plugin, NULL);
	test_add("a plugin that was overwritten in place", test_written_in_place, NULL);
	test_add("without a process nothing is reported", test_nobody, NULL);
	return test_run(argc, argv);
}
