/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Images in qemu's formats.  Nothing here knows such a format: `qemu-img info` and `check` say what
 * an image is, and `qemu-nbd` serves its content on a socket in a directory that is ours, and that
 * is gone once all connections are made.
 *
 * An image may come from a stranger, and can name other files as its backing file, its data file
 * or its extents: qemu would read those with our rights.  So qemu is always told the format and the
 * protocol of the file (a name like "nbd:..." is a file's), and is told to open no backing file; an
 * image that names another file is refused before its content is asked for (qemu-img(1),
 * "Security").
 */
#include "cli/medium-private.h"

#include <errno.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cli/nbd-client.h"
#include "cli/process.h"
#include "common/base/error.h"
#include "common/base/files.h"
#include "common/base/json.h"
#include "common/base/units.h"

#define INFO_SECONDS 60
#define CHECK_SECONDS 3600
#define START_SECONDS 30
#define END_SECONDS 3600 /* writing its last metadata to a slow disk */
#define INFO_MAX ((gsize)4 << 20)
#define PAUSE_US 2000

/* Exit statuses of `qemu-img check`. */
enum { CHECK_GOOD = 0, CHECK_CORRUPT = 2, CHECK_LEAKS = 3, CHECK_UNSUPPORTED = 63 };

typedef struct {
	Medium base;
	ProcessChild *server;
	NbdClient *data[MEDIUM_THREADS], *status;
	gboolean writes;
} QemuMedium;

static QemuMedium *qemu_of(Medium *medium)
{
	return (QemuMedium *)medium;
}

gboolean medium_qemu_knows(const char *format)
{
	static const char *const formats[] = {"qcow2", "qcow",	    "vmdk", "vdi", "vhdx",
					      "vpc",   "parallels", "qed",  NULL};

	return g_strv_contains(formats, format);
}

static gboolean program_find(const char *program, GError **error)
{
	g_autofree char *path = g_find_program_in_path(program);

	return path || error_set(error, STORAGEOS_ERROR_UNSUPPORTED,
				 "%s is not installed (package qemu-utils of Debian and Ubuntu, "
				 "qemu-img of Fedora and RHEL, qemu-tools of SUSE)",
				 program);
}

/* ---- what qemu is told */

/* The image as qemu's programs take it instead of a file name: nothing is left to be guessed. */
static char *image_spec(const char *path, const char *format, MediumQemuFlags flags)
{
	g_autofree char *absolute = files_absolute(path, NULL);
	g_autoptr(Json) image = json_object_new_object();
	Json *file = json_object_new_object();
	struct stat st;
	gboolean device = !stat(absolute, &st) && S_ISBLK(st.st_mode);

	json_object_object_add(image, "driver", json_object_new_string(format));
	json_object_object_add(file, "driver",
			       json_object_new_string(device ? "host_device" : "file"));
	json_object_object_add(file, "filename", json_object_new_string(absolute));
	json_object_object_add(image, "file", file);
	if (!(flags & MEDIUM_QEMU_OTHER_FILES))
		json_object_object_add(image, "backing", NULL);
	return g_strconcat("json:", json_object_to_json_string_ext(image, JSON_C_TO_STRING_PLAIN),
			   NULL);
}

/* ---- what qemu says */

static gboolean other_file(const char *path, const char *what, const char *name, GError **error)
{
	g_autofree char *printable = text_printable(name);

	return error_set(error, STORAGEOS_ERROR_INVALID,
			 "%s names another file, its %s '%s', which would be read, too; "
			 "--allow-backing allows that, for an image whose maker you trust",
			 path, what, printable);
}

/* The file is the only one that its content comes from. */
static gboolean info_check(Json *info, const char *path, GError **error)
{
	g_autofree char *absolute = files_absolute(path, NULL);
	Json *specific = json_get_object(json_get_object(info, "format-specific"), "data");
	Json *extents = json_get_list(specific, "extents");
	const char *backing = json_get_text(info, "backing-filename");
	const char *data = json_get_text(specific, "data-file");

	if (!backing)
		backing = json_get_text(info, "full-backing-filename");
	if (backing)
		return other_file(path, "backing file", backing, error);
	if (data)
		return other_file(path, "data file", data, error);
	for (gsize i = 0; extents && i < json_object_array_length(extents); i++) {
		const char *name = json_get_text(json_object_array_get_idx(extents, i), "filename");

		if (g_strcmp0(name, absolute) != 0)
			return other_file(path, "extent", name ? name : "", error);
	}
	return TRUE;
}

static gboolean image_inspect(const char *path, const char *spec, MediumQemuFlags flags,
			      GError **error)
{
	const char *const argv[] = {"qemu-img", "info", "--output=json", spec, NULL};
	g_auto(ProcessResult) result = {0};
	g_autoptr(Json) info = NULL;

	if (!process_read(argv, INFO_SECONDS, INFO_MAX, &result, error))
		return FALSE;
	if (result.status)
		return error_set(error, STORAGEOS_ERROR_CORRUPT, "%s: qemu-img info: %s", path,
				 result.complaint);
	info = json_tokener_parse(result.text);
	if (!json_object_is_type(info, json_type_object))
		return error_set(error, STORAGEOS_ERROR_UNSUPPORTED,
				 "%s: the output of qemu-img info is no JSON object", path);
	return flags & MEDIUM_QEMU_OTHER_FILES || info_check(info, path, error);
}

/* What is behind the end of the file reads as zeros in qemu: only a check finds that an image was
 * cut. */
static gboolean image_check(const char *path, const char *spec, GError **error)
{
	const char *const argv[] = {"qemu-img", "check", "--output=json", spec, NULL};
	g_auto(ProcessResult) result = {0};

	if (!process_read(argv, CHECK_SECONDS, INFO_MAX, &result, error))
		return FALSE;
	if (result.status == CHECK_GOOD || result.status == CHECK_LEAKS ||
	    result.status == CHECK_UNSUPPORTED)
		return TRUE;
	if (result.status == CHECK_CORRUPT)
		return error_set(error, STORAGEOS_ERROR_CORRUPT,
				 "%s is damaged or was cut: see qemu-img check", path);
	return error_set(error, STORAGEOS_ERROR_CORRUPT, "%s: qemu-img check: %s", path,
			 result.complaint);
}

/* ---- the server */

static NbdClient *server_connect(QemuMedium *of, const char *socket, NbdClientUse use,
				 GError **error)
{
	gint64 end = g_get_monotonic_time() + START_SECONDS * G_USEC_PER_SEC;

	for (;;) {
		g_autoptr(GError) problem = NULL;
		NbdClient *client = nbd_client_connect(socket, use, &problem);
		gboolean ended = FALSE;

		if (client)
			return client;
		if (!process_child_wait(of->server, 0, &ended, error))
			return NULL;
		if (ended || g_get_monotonic_time() > end ||
		    !g_error_matches(problem, STORAGEOS_ERROR, STORAGEOS_ERROR_NOT_FOUND)) {
			g_propagate_error(error, g_steal_pointer(&problem));
			return NULL;
		}
		g_usleep(PAUSE_US);
	}
}

static gboolean connections_make(QemuMedium *of, const char *socket, GError **error)
{
	of->status = server_connect(of, socket, NBD_CLIENT_STATUS, error);
	for (guint i = 0; of->status && i < MEDIUM_THREADS; i++) {
		of->data[i] = server_connect(of, socket, NBD_CLIENT_DATA, error);
		if (!of->data[i])
			return FALSE;
	}
	return of->status != NULL;
}

/* With glibc's defaults, each request has a buffer that is mapped, filled with zeros page by page
 * and unmapped again: a third of what qemu-nbd needs for it. */
static char **server_environment(void)
{
	char **with =
		g_environ_setenv(g_get_environ(), "MALLOC_MMAP_THRESHOLD_", "67108864", FALSE);

	return g_environ_setenv(with, "MALLOC_TRIM_THRESHOLD_", "268435456", FALSE);
}

static gboolean server_start(QemuMedium *of, const char *spec, GError **error)
{
	g_autoptr(GError) problem = NULL;
	g_autofree char *directory = g_dir_make_tmp("storageos-XXXXXX", &problem);
	g_autofree char *socket = directory ? g_build_filename(directory, "nbd", NULL) : NULL;
	g_autofree char *at = g_strconcat("--socket=", socket, NULL);
	g_autofree char *shared = g_strdup_printf("--shared=%u", MEDIUM_THREADS + 1);
	/* What is written is a new image, which counts once it is whole: qemu need not flush the
	 * parts of it in their order, but whoever closes it must flush the file. */
	const char *const argv[] = {
		"qemu-nbd", at, shared, of->writes ? "--cache=unsafe" : "--read-only", spec, NULL};
	g_auto(GStrv) environment = server_environment();
	gboolean done;

	if (!directory)
		return error_set(error, STORAGEOS_ERROR_IO, "%s", problem->message);
	of->server = process_child_start(argv, environment, error);
	done = of->server && connections_make(of, socket, error);
	unlink(socket);
	rmdir(directory);
	return done;
}

/* ---- the medium */

static gboolean qemu_extent(Medium *medium, guint64 offset, MediumState *ret_state,
			    guint64 *ret_length, GError **error)
{
	NbdExtent extent;

	if (!nbd_client_extent(qemu_of(medium)->status, offset, &extent, error))
		return FALSE;
	*ret_state = !extent.zero ? MEDIUM_DATA : extent.hole ? MEDIUM_HOLE : MEDIUM_ZERO;
	*ret_length = extent.length;
	return TRUE;
}

static gboolean qemu_read(Medium *medium, guint thread, guint8 *buffer, gsize length,
			  guint64 offset, GError **error)
{
	return nbd_client_read(qemu_of(medium)->data[thread], buffer, (guint32)length, offset,
			       error);
}

static gboolean qemu_write(Medium *medium, guint thread, const guint8 *buffer, gsize length,
			   guint64 offset, GError **error)
{
	return nbd_client_write(qemu_of(medium)->data[thread], buffer, (guint32)length, offset,
				error);
}

/* Has qemu write what it has in memory, and so meet the errors of that; not to the disk. */
static gboolean qemu_flush(Medium *medium, GError **error)
{
	return nbd_client_flush(qemu_of(medium)->data[0], error);
}

static void qemu_stop(Medium *medium)
{
	process_child_kill(qemu_of(medium)->server);
}

/* The server ends by itself once its clients have gone; what it writes last is a part of the image.
 */
static gboolean qemu_close(Medium *medium, GError **error)
{
	QemuMedium *of = qemu_of(medium);
	gboolean ended = TRUE, good = TRUE;

	for (guint i = 0; i < MEDIUM_THREADS; i++)
		nbd_client_free(of->data[i]);
	nbd_client_free(of->status);
	if (of->writes && of->status)
		good = process_child_wait(of->server, END_SECONDS, &ended, error);
	if (good && !ended)
		good = error_set(error, STORAGEOS_ERROR_IO, "qemu-nbd did not end within %u s",
				 END_SECONDS);
	process_child_free(of->server);
	g_free(of);
	return good;
}

Medium *medium_new_of_qemu(const char *path, const char *format, MediumQemuFlags flags,
			   GError **error)
{
	static const MediumOps ops = {
		.extent = qemu_extent,
		.read = qemu_read,
		.write = qemu_write,
		.flush = qemu_flush,
		.stop = qemu_stop,
		.close = qemu_close,
	};
	g_autofree char *spec = image_spec(path, format, flags);
	g_autoptr(Medium) medium = NULL;
	QemuMedium *of;

	if (!program_find("qemu-img", error) || !program_find("qemu-nbd", error) ||
	    !image_inspect(path, spec, flags, error) || !image_check(path, spec, error))
		return NULL;
	of = g_new0(QemuMedium, 1);
	medium = &of->base;
	medium->ops = &ops;
	of->writes = flags & MEDIUM_QEMU_WRITE;
	if (!server_start(of, spec, error)) {
		g_prefix_error(error, "%s: ", path);
		return NULL;
	}
	medium->size = nbd_client_size(of->data[0]);
	return g_steal_pointer(&medium);
}

gboolean medium_qemu_create(const char *path, const char *format, guint64 size, GError **error)
{
	g_autofree char *absolute = files_absolute(path, NULL);
	g_autofree char *file = g_strconcat("file:", absolute, NULL);
	g_autofree char *bytes = g_strdup_printf("%" G_GUINT64_FORMAT, size);
	const char *const argv[] = {
		"qemu-img", "create", "-q",  "-f",
		format,	    file,     bytes, !strcmp(format, "vpc") ? "-oforce_size=on" : NULL,
		NULL};

	if (!program_find("qemu-img", error))
		return FALSE;
	if (process_run(argv, INFO_SECONDS, error))
		return TRUE;
	g_prefix_error(error, "%s: ", path);
	return FALSE;
}
