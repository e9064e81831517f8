/* SPDX-License-Identifier: Apache-2.0 */
#include "common/base/journald.h"

#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <syslog.h>
#include <unistd.h>

#include "common/base/autofd.h"
#include "common/base/fd.h"
#include "common/base/text.h"

static const struct sockaddr_un address = {AF_UNIX, "/run/systemd/journal/socket"};

gboolean journald_is_there(void)
{
	return !access(address.sun_path, F_OK);
}

int journald_priority(LoggingLevel level)
{
	static const int priorities[] = {
		[LOGGING_ERROR] = LOG_ERR,
		[LOGGING_WARNING] = LOG_WARNING,
		[LOGGING_INFO] = LOG_INFO,
	};

	return priorities[level];
}

/* A value with a newline would need another form. */
static void field_add(GString *text, const char *key, const char *value)
{
	g_autofree char *printable = value ? text_printable(value) : NULL;

	if (printable)
		g_string_append_printf(text, "%s=%s\n", key, printable);
}

/* The pool of a volume whose name is POOL/NAME.  Free the result. */
static char *pool_of(const char *volume)
{
	const char *slash = volume ? strchr(volume, '/') : NULL;

	return slash && slash != volume ? g_strndup(volume, (gsize)(slash - volume)) : NULL;
}

static GString *entry_format(const JournaldEntry *entry)
{
	const LoggingFields *fields = &entry->fields;
	g_autofree char *pool = fields->pool ? g_strdup(fields->pool) : pool_of(fields->volume);
	GString *text = g_string_new(NULL);

	g_string_append_printf(text, "PRIORITY=%d\n", journald_priority(entry->level));
	field_add(text, "SYSLOG_IDENTIFIER", entry->identifier);
	field_add(text, "MESSAGE", entry->line);
	field_add(text, "STORAGEOS_EVENT", fields->event);
	field_add(text, "STORAGEOS_VOLUME", fields->volume);
	field_add(text, "STORAGEOS_POOL", pool);
	return text;
}

gboolean journald_send(const JournaldEntry *entry)
{
	autofd fd = fd_above_stdio(socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0));
	GString *text;
	ssize_t sent;

	if (fd < 0)
		return FALSE;
	text = entry_format(entry);
	sent = sendto(fd, text->str, text->len, MSG_DONTWAIT | MSG_NOSIGNAL,
		      (const struct sockaddr *)&address, sizeof address);
	g_string_free(text, TRUE);
	return sent >= 0 || errno == EAGAIN;
}
