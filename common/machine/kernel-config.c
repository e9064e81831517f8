/* SPDX-License-Identifier: Apache-2.0 */
#include "common/machine/kernel-config.h"

#include <gio/gio.h>
#include <string.h>

#define PACKED_MAX ((gsize)1 << 20)
#define TEXT_MAX ((gsize)4 << 20)

struct KernelConfig {
	char *file;
	char *text;
};

/* Unpacks gzip data.  Returns NULL if the data is damaged, or the text is longer than TEXT_MAX. */
static char *gzip_unpack(const char *packed, gsize length)
{
	g_autoptr(GZlibDecompressor) gzip = g_zlib_decompressor_new(G_ZLIB_COMPRESSOR_FORMAT_GZIP);
	g_autofree char *text = g_malloc(TEXT_MAX + 1);
	GConverterResult result = G_CONVERTER_CONVERTED;
	gsize in = 0, out = 0;

	while (result != G_CONVERTER_FINISHED) {
		gsize n_read = 0, n_written = 0;

		if (out == TEXT_MAX)
			return NULL;
		result = g_converter_convert(G_CONVERTER(gzip), packed + in, length - in,
					     text + out, TEXT_MAX - out, G_CONVERTER_INPUT_AT_END,
					     &n_read, &n_written, NULL);
		if (result == G_CONVERTER_ERROR)
			return NULL;
		in += n_read;
		out += n_written;
	}
	text[out] = '\0';
	return g_realloc(g_steal_pointer(&text), out + 1);
}

static char *config_read(const Sysroot *sysroot, const char *path)
{
	gsize length;
	g_autofree char *data = sysroot_read(sysroot, path, TEXT_MAX, &length, NULL);

	if (!data || !g_str_has_suffix(path, ".gz"))
		return g_steal_pointer(&data);
	return length <= PACKED_MAX ? gzip_unpack(data, length) : NULL;
}

static gboolean config_try_file(KernelConfig *config, const Sysroot *sysroot, char *path)
{
	config->text = config_read(sysroot, path);
	if (config->text)
		config->file = path;
	else
		g_free(path);
	return config->text != NULL;
}

KernelConfig *kernel_config_load(const Sysroot *sysroot, const char *release, gboolean running)
{
	static const char *const places[] = {"/boot/config-%s", "/lib/modules/%s/config",
					     "/usr/lib/modules/%s/config", "/lib/kernel/config-%s",
					     "/usr/lib/kernel/config-%s"};
	KernelConfig *config = g_new0(KernelConfig, 1);

	if (running && config_try_file(config, sysroot, g_strdup("/proc/config.gz")))
		return config;
	for (guint i = 0; i < G_N_ELEMENTS(places); i++) {
		g_auto(GStrv) parts = g_strsplit(places[i], "%s", 2);

		if (config_try_file(config, sysroot, g_strjoinv(release, parts)))
			break;
	}
	return config;
}

void kernel_config_free(KernelConfig *config)
{
	if (!config)
		return;
	g_free(config->file);
	g_free(config->text);
	g_free(config);
}

const char *kernel_config_file(const KernelConfig *config)
{
	return config->file;
}

KernelOption kernel_config_option(const KernelConfig *config, const char *name)
{
	g_autofree char *wanted = g_strconcat("CONFIG_", name, "=", NULL);

	if (!config->text)
		return KERNEL_OPTION_UNKNOWN;
	for (const char *at = config->text; (at = strstr(at, wanted)); at++)
		if (at == config->text || at[-1] == '\n')
			switch (at[strlen(wanted)]) {
			case 'y':
				return KERNEL_OPTION_BUILT_IN;
			case 'm':
				return KERNEL_OPTION_MODULE;
			default:
				return KERNEL_OPTION_OFF;
			}
	return KERNEL_OPTION_OFF;
}

const char *kernel_option_name(KernelOption option)
{
	switch (option) {
	case KERNEL_OPTION_UNKNOWN:
		return "not known";
	case KERNEL_OPTION_OFF:
		return "not built";
	case KERNEL_OPTION_MODULE:
		return "module";
	case KERNEL_OPTION_BUILT_IN:
		return "built in";
	}
	return "?";
}
