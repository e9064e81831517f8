/* SPDX-License-Identifier: Apache-2.0 */
#include "common/base/host.h"

#include <string.h>
#include <unistd.h>

#include "common/base/files.h"

#define MACHINE_FILE "/etc/machine-id"
#define BOOT_FILE "/proc/sys/kernel/random/boot_id"

static const Host *pretended;

/* 32 hexadecimal digits, with or without dashes between them.  Zeros for anything else. */
static void id_parse(const char *text, guint8 ret_id[16])
{
	guint8 id[16] = {0};
	guint digits = 0;

	memset(ret_id, 0, sizeof id);
	for (; *text && *text != '\n'; text++) {
		if (*text == '-')
			continue;
		if (!g_ascii_isxdigit(*text) || digits == 2 * sizeof id)
			return;
		id[digits / 2] = (guint8)(id[digits / 2] << 4 | g_ascii_xdigit_value(*text));
		digits++;
	}
	if (digits == 2 * sizeof id)
		memcpy(ret_id, id, sizeof id);
}

static void id_read(const char *file, guint8 ret_id[16])
{
	g_autofree char *text = files_read_kernel(file, NULL);

	id_parse(text ? text : "", ret_id);
}

void host_get(Host *ret_host)
{
	if (pretended) {
		*ret_host = *pretended;
		return;
	}
	memset(ret_host, 0, sizeof *ret_host);
	id_read(MACHINE_FILE, ret_host->machine);
	id_read(BOOT_FILE, ret_host->boot);
	ret_host->process = (guint32)getpid();
	if (gethostname(ret_host->name, sizeof ret_host->name - 1))
		*ret_host->name = '\0';
}

gboolean host_is_same_boot(const Host *a, const Host *b)
{
	static const guint8 unknown[sizeof a->boot];

	return memcmp(a->boot, unknown, sizeof a->boot) != 0 &&
	       !memcmp(a->boot, b->boot, sizeof a->boot) &&
	       !memcmp(a->machine, b->machine, sizeof a->machine);
}

void host_pretend(const Host *host)
{
	pretended = host;
}
