/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The file is removed with the claim.  So whoever has locked a file checks that it still has its
 * name: its last holder may have removed it in between.
 */
#include "common/service/claim.h"

#include <fcntl.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>

#include "common/base/autofd.h"
#include "common/backing/backing.h"
#include "common/base/error.h"
#include "common/base/fd.h"
#include "common/base/files.h"
#include "common/base/json.h"

#define ATTEMPTS 10
#define PAUSE_MICROSECONDS 30000
#define NOTE_MAX 4096

struct Claim {
	char *path;
	int fd;
};

char *claim_path(const Config *config, const char uuid[UUID_TEXT])
{
	return g_build_filename(config->run_directory, "identity", uuid, NULL);
}

static gboolean make_directory(const Config *config)
{
	g_autofree char *path = g_build_filename(config->run_directory, "identity", NULL);

	return files_make_directory(config->run_directory, NULL) &&
	       (!mkdir(path, 0700) || errno == EEXIST);
}

/* Whether `path` still names the file that `fd` has open. */
static gboolean file_has_name(int fd, const char *path)
{
	struct stat ours, named;

	return !fstat(fd, &ours) && !lstat(path, &named) && ours.st_dev == named.st_dev &&
	       ours.st_ino == named.st_ino;
}

/* The locked descriptor; -1 with errno EWOULDBLOCK if the claim is held. */
static int claim_try_lock(const char *path)
{
	autofd fd = fd_open(path, O_RDWR | O_CREAT | O_NOFOLLOW, 0600);

	if (fd < 0 || flock(fd, LOCK_EX | LOCK_NB))
		return -1;
	if (!file_has_name(fd, path)) {
		errno = EWOULDBLOCK;
		return -1;
	}
	return autofd_steal(&fd);
}

static int claim_lock(const char *path)
{
	for (guint attempt = 1;; attempt++) {
		int fd = claim_try_lock(path);

		if (fd >= 0 || (errno != EWOULDBLOCK && errno != EINTR) || attempt == ATTEMPTS)
			return fd;
		g_usleep(PAUSE_MICROSECONDS);
	}
}

/* The note is for messages only: a failure to write it is ignored. */
static void note_write(int fd, const char *volume, const char *as)
{
	g_autoptr(Json) note = json_object_new_object();
	g_autofree char *text = NULL;

	json_add_text(note, "volume", volume);
	json_add_text(note, "as", as);
	text = json_to_text(note);
	if (ftruncate(fd, 0) || pwrite(fd, text, strlen(text), 0) < 0)
		return;
}

/* The holder's note, empty if it cannot be read; NULL if nobody holds the claim. */
static Json *note_read(const char *path)
{
	autofd fd = fd_open(path, O_RDONLY | O_NOFOLLOW | O_NONBLOCK, 0);
	g_autofree char *text = NULL;
	Json *note;

	if (fd < 0 || !flock(fd, LOCK_SH | LOCK_NB))
		return NULL;
	text = files_read(path, NOTE_MAX, NULL, NULL);
	note = text ? json_tokener_parse(text) : NULL;
	return note ? note : json_object_new_object();
}

static char *holder_process(const char *path)
{
	struct stat st;

	return lstat(path, &st) ? NULL : backing_holder_of_stat(&st);
}

char *claim_holder(const Config *config, const char uuid[UUID_TEXT])
{
	g_autofree char *path = claim_path(config, uuid);
	g_autoptr(Json) note = note_read(path);
	g_autofree char *process = note ? holder_process(path) : NULL;
	const char *volume, *as;

	if (!note)
		return NULL;
	volume = json_get_text(note, "volume");
	as = json_get_text(note, "as");
	return g_strdup_printf("%s, which %s serves%s%s", volume ? volume : "a volume",
			       process ? process : "another process", as ? " as " : "",
			       as ? as : "");
}

char *claim_holder_as(const Config *config, const char uuid[UUID_TEXT])
{
	g_autofree char *path = claim_path(config, uuid);
	g_autoptr(Json) note = note_read(path);

	return g_strdup(json_get_text(note, "as"));
}

/* Says who serves the same volume already; FALSE if the claim is held for another one. */
static gboolean claim_refuse_same(const char *path, const char *volume, GError **error)
{
	g_autoptr(Json) note = note_read(path);
	g_autofree char *process = holder_process(path);
	const char *as = json_get_text(note, "as");

	if (g_strcmp0(json_get_text(note, "volume"), volume) != 0)
		return FALSE;
	error_set(error, STORAGEOS_ERROR_BUSY, "%s serves it already%s%s",
		  process ? process : "another process", as ? ", as " : "", as ? as : "");
	return TRUE;
}

static gboolean claim_refuse(const Config *config, const char *uuid, const char *volume,
			     GError **error)
{
	g_autofree char *path = claim_path(config, uuid);
	g_autofree char *holder = claim_holder(config, uuid);

	if (claim_refuse_same(path, volume, error))
		return FALSE;
	if (strchr(volume, '@')) /* import keeps UUIDs, and a snapshot cannot get another one */
		return error_set(error, STORAGEOS_ERROR_BUSY,
				 "it is the same snapshot as %s; detach that first",
				 holder ? holder : "one that is served");
	return error_set(error, STORAGEOS_ERROR_BUSY,
			 "it has the UUID of %s (a copy gets one of its own by: storageos set %s "
			 "uuid=new)",
			 holder ? holder : "a volume that is served", volume);
}

gboolean claim_check(const Config *config, const char uuid[UUID_TEXT], const char *volume,
		     GError **error)
{
	g_autofree char *path = claim_path(config, uuid);
	g_autoptr(Json) note = note_read(path);

	return !note || !g_strcmp0(json_get_text(note, "volume"), volume) ||
	       claim_refuse(config, uuid, volume, error);
}

Claim *claim_take(const Config *config, const char uuid[UUID_TEXT], const char *volume,
		  const char *as, GError **error)
{
	g_autofree char *path = claim_path(config, uuid);
	Claim *claim;
	int fd;

	fd = make_directory(config) ? claim_lock(path) : -1;
	if (fd < 0) {
		if (errno == EWOULDBLOCK)
			claim_refuse(config, uuid, volume, error);
		else
			error_set(error, STORAGEOS_ERROR_IO, "claim %s: %s", path,
				  g_strerror(errno));
		return NULL;
	}
	note_write(fd, volume, as);
	claim = g_new0(Claim, 1);
	claim->path = g_steal_pointer(&path);
	claim->fd = fd;
	return claim;
}

void claim_release(Claim *claim)
{
	if (!claim)
		return;
	unlink(claim->path);
	close(claim->fd);
	g_free(claim->path);
	g_free(claim);
}
