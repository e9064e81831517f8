/* SPDX-License-Identifier: Apache-2.0 */
/*
 * generation PLUGIN NAME
 *
 * A process that exports what tells one generation of the runner, which we do not serve or which
 * lacks what we need: the plugin must load, say what it found, and refuse.
 */
#include <dlfcn.h>
#include <glib.h>
#include <stdio.h>
#include <string.h>

#define EXPORT __attribute__((visibility("default")))
#define SYMBOL(name)                                                                               \
	EXPORT int name(void);                                                                     \
	int name(void)                                                                             \
	{                                                                                          \
		return 0;                                                                          \
	}

#if GENERATION != 0
SYMBOL(tcmur_register_handler)
#endif
#if GENERATION == 'A'
SYMBOL(errp)
SYMBOL(dbgp)
#elif GENERATION == 'B'
SYMBOL(tcmu_err_message)
#elif GENERATION == 'G'
/* The symbols that tell it, but not the functions that are needed. */
SYMBOL(tcmur_cmd_complete)
SYMBOL(tcmu_notify_cmd_timed_out)
#elif GENERATION == 'C'
SYMBOL(tcmur_handle_writesame)
#endif

static char *load_and_listen(const char *plugin, int *ret_result)
{
	void *module = dlopen(plugin, RTLD_NOW | RTLD_LOCAL);
	void *symbol = module ? dlsym(module, "handler_init") : NULL;
	g_autofree char *path = NULL, *text = NULL;
	int (*init)(void);

	if (!symbol || g_file_open_tmp("storageos-XXXXXX", &path, NULL) < 0)
		return g_strdup(dlerror());
	memcpy(&init, &symbol, sizeof init);
	if (!freopen(path, "w", stderr))
		return g_strdup("no log");
	*ret_result = init();
	fflush(stderr);
	g_file_get_contents(path, &text, NULL, NULL);
	remove(path);
	return g_steal_pointer(&text);
}

int main(int argc, char **argv)
{
	int result = 0;
	const char *name = argc > 2 ? argv[2] : "?";
	g_autofree char *text = load_and_listen(argv[1], &result);
	gboolean refused = result != 0;
	gboolean named = text && strstr(text, name);

	printf("%s 1 - the plugin refuses this runner\n", refused ? "ok" : "not ok");
	printf("%s 2 - and says why: %s\n", named ? "ok" : "not ok", name);
	if (!named)
		printf("# it said: %s\n", text ? text : "nothing");
	printf("1..2\n");
	return !(refused && named);
}
