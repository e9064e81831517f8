/* SPDX-License-Identifier: Apache-2.0 */
#include "common/machine/kernel-config.h"

#include <gio/gio.h>

#include "tests/harness.h"

#define PACKED_MAX ((gsize)4 << 20)

#define TEXT                                                                                       \
	"#\n# Linux 6.1\n#\nCONFIG_TARGET_CORE=m\nCONFIG_TCM_USER2=y\n"                            \
	"# CONFIG_UIO is not set\nCONFIG_CMDLINE=\"CONFIG_FUSE_FS=y\"\nCONFIG_LSM=\"y\""

static const struct {
	const char *name;
	KernelOption option;
} options[] = {
	{"TARGET_CORE", KERNEL_OPTION_MODULE},
	{"TCM_USER2", KERNEL_OPTION_BUILT_IN},
	{"UIO", KERNEL_OPTION_OFF},
	{"FUSE_FS", KERNEL_OPTION_OFF},
	{"TCM_USER", KERNEL_OPTION_OFF},
	{"USER2", KERNEL_OPTION_OFF},
	{"LSM", KERNEL_OPTION_OFF},
};

static const char *const places[] = {"boot/config-1", "lib/modules/1/config",
				     "usr/lib/modules/1/config", "usr/lib/kernel/config-1"};

static char *tree_with(const char *path, const char *data, gssize length)
{
	char *directory = test_path("-root");
	g_autofree char *full = g_build_filename(directory, path, NULL);
	g_autofree char *parent = g_path_get_dirname(full);

	g_mkdir_with_parents(parent, 0755);
	CHECK(g_file_set_contents(full, data, length, NULL));
	return directory;
}

static void check_options(const KernelConfig *config)
{
	for (guint i = 0; i < G_N_ELEMENTS(options); i++) {
		test_row("%s", options[i].name);
		CHECK_STR(kernel_option_name(kernel_config_option(config, options[i].name)),
			  kernel_option_name(options[i].option));
	}
	test_row(NULL);
}

static void test_places(const void *data G_GNUC_UNUSED)
{
	for (guint i = 0; i < G_N_ELEMENTS(places); i++) {
		g_autofree char *directory = tree_with(places[i], TEXT, -1);
		g_autoptr(Sysroot) sysroot = sysroot_open(directory, NULL);
		g_autoptr(KernelConfig) config = kernel_config_load(sysroot, "1", FALSE);
		g_autoptr(KernelConfig) other = kernel_config_load(sysroot, "2", FALSE);

		CHECK_STR(kernel_config_file(config) + 1, places[i]);
		check_options(config);
		CHECK(!kernel_config_file(other));
		CHECK_INT(kernel_config_option(other, "UIO"), KERNEL_OPTION_UNKNOWN);
	}
}

static GBytes *pack(const char *text, gsize length)
{
	g_autoptr(GZlibCompressor) gzip = g_zlib_compressor_new(G_ZLIB_COMPRESSOR_FORMAT_GZIP, 9);
	g_autoptr(GInputStream) plain =
		g_memory_input_stream_new_from_data(text, (gssize)length, NULL);
	g_autoptr(GInputStream) packed = g_converter_input_stream_new(plain, G_CONVERTER(gzip));

	char *data = g_malloc(PACKED_MAX);
	gsize written = 0;

	CHECK(g_input_stream_read_all(packed, data, PACKED_MAX, &written, NULL, NULL));
	return g_bytes_new_take(data, written);
}

static KernelConfig *load_packed(const void *data, gsize length, gboolean running)
{
	g_autofree char *directory = tree_with("proc/config.gz", data, (gssize)length);
	g_autoptr(Sysroot) sysroot = sysroot_open(directory, NULL);

	return kernel_config_load(sysroot, "1", running);
}

static void test_packed(const void *data G_GNUC_UNUSED)
{
	g_autoptr(GBytes) packed = pack(TEXT, strlen(TEXT));
	gsize length;
	const char *bytes = g_bytes_get_data(packed, &length);
	g_autoptr(KernelConfig) config = load_packed(bytes, length, TRUE);
	g_autoptr(KernelConfig) stopped = load_packed(bytes, length, FALSE);
	g_autoptr(KernelConfig) cut = load_packed(bytes, length / 2, TRUE);
	g_autoptr(KernelConfig) plain = load_packed(TEXT, strlen(TEXT), TRUE);
	g_autoptr(KernelConfig) empty = load_packed("", 0, TRUE);

	CHECK_STR(kernel_config_file(config), "/proc/config.gz");
	check_options(config);
	CHECK(!kernel_config_file(stopped));
	CHECK(!kernel_config_file(cut));
	CHECK(!kernel_config_file(plain));
	CHECK(!kernel_config_file(empty));
}

/* A few KiB that unpack to very much. */
static void test_bomb(const void *data G_GNUC_UNUSED)
{
	const gsize length = (gsize)16 << 20;
	g_autofree char *zeros = g_malloc0(length);
	g_autoptr(GBytes) packed = pack(zeros, length);
	g_autoptr(KernelConfig) config =
		load_packed(g_bytes_get_data(packed, NULL), g_bytes_get_size(packed), TRUE);

	CHECK(g_bytes_get_size(packed) < 100000);
	CHECK(!kernel_config_file(config));
	CHECK_INT(kernel_config_option(config, "UIO"), KERNEL_OPTION_UNKNOWN);
}

int main(int argc, char **argv)
{
	test_add("a configuration is found where distributions put it", test_places, NULL);
	test_add("the running kernel's own configuration is unpacked", test_packed, NULL);
	test_add("a configuration that unpacks to too much is refused", test_bomb, NULL);
	return test_run(argc, argv);
}
