/* SPDX-License-Identifier: Apache-2.0 */
#include "common/kernel-modules.h"

#include <linux/genetlink.h>
#include <linux/netlink.h>
#include <mntent.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/utsname.h>
#include <unistd.h>

#include "common/autofd.h"

#define TCMU_FAMILY "TCM-USER"
#define NETLINK_SECONDS 2

const char *module_state_name(ModuleState state)
{
	switch (state) {
	case MODULE_MISSING:
		return "missing";
	case MODULE_LOADABLE:
		return "loadable";
	case MODULE_LOADED:
		return "loaded";
	case MODULE_BUILT_IN:
		return "built in";
	}
	return "?";
}

char *kernel_release(void)
{
	struct utsname u;

	return g_strdup(uname(&u) ? "unknown" : u.release);
}

typedef gboolean (*LineTest)(const char *line, const char *name);

/* Whether a line of a text file passes. */
static gboolean any_line(const char *path, LineTest test, const char *name)
{
	FILE *file = fopen(path, "re");
	char line[4096];
	gboolean found = FALSE;

	while (file && !found && fgets(line, sizeof line, file))
		found = test(line, name);
	if (file)
		fclose(file);
	return found;
}

static gboolean is_word(const char *at, gsize length, const char *name)
{
	if (strlen(name) != length)
		return FALSE;
	for (gsize i = 0; i < length; i++)
		if (at[i] != name[i] && !(at[i] == '-' && name[i] == '_'))
			return FALSE;
	return TRUE;
}

static gboolean first_word_is(const char *line, const char *name)
{
	return is_word(line, strcspn(line, " \t\n"), name);
}

static gboolean last_word_is(const char *line, const char *name)
{
	gsize end = strcspn(line, "\n"), start = end;

	while (start && !strchr(" \t", line[start - 1]))
		start--;
	return is_word(line + start, end - start, name);
}

/* "kernel/drivers/target/target_core_user.ko.xz: ..." */
static gboolean file_is(const char *line, const char *name)
{
	gsize end = strcspn(line, ":\n");
	const char *slash = g_strrstr_len(line, (gssize)end, "/");
	const char *base = slash ? slash + 1 : line;
	const char *dot = g_strstr_len(base, (gssize)(line + end - base), ".ko");

	return dot && is_word(base, (gsize)(dot - base), name);
}

static gboolean listed(const char *list, const char *name)
{
	g_autofree char *release = kernel_release();
	static const char *const roots[] = {"/lib/modules", "/usr/lib/modules"};

	for (guint i = 0; i < G_N_ELEMENTS(roots); i++) {
		g_autofree char *path = g_build_filename(roots[i], release, list, NULL);

		if (any_line(path, file_is, name))
			return TRUE;
	}
	return FALSE;
}

/* Shows itself where there is neither a list of modules (a container) nor a parameter in /sys. */
static gboolean works(const char *name)
{
	return any_line("/proc/filesystems", last_word_is, name) ||
	       any_line("/proc/devices", last_word_is, name);
}

ModuleState kernel_module_state(const char *name)
{
	g_autofree char *sys = g_build_filename("/sys/module", name, NULL);

	if (any_line("/proc/modules", first_word_is, name))
		return MODULE_LOADED;
	if (!access(sys, F_OK) || listed("modules.builtin", name) || works(name))
		return MODULE_BUILT_IN;
	return listed("modules.dep", name) ? MODULE_LOADABLE : MODULE_MISSING;
}

char *kernel_configfs(void)
{
	FILE *mounts = setmntent("/proc/self/mounts", "re");
	char *found = NULL;
	struct mntent entry;
	char line[4096];

	while (mounts && !found && getmntent_r(mounts, &entry, line, sizeof line))
		if (!strcmp(entry.mnt_type, "configfs"))
			found = g_strdup(entry.mnt_dir);
	if (mounts)
		endmntent(mounts);
	return found;
}

gboolean kernel_has_tcmu_netlink(void)
{
	struct {
		struct nlmsghdr header;
		struct genlmsghdr generic;
		struct nlattr attribute;
		char name[GENL_NAMSIZ];
	} request = {
		.header = {.nlmsg_len = sizeof request,
			   .nlmsg_type = GENL_ID_CTRL,
			   .nlmsg_flags = NLM_F_REQUEST},
		.generic = {.cmd = CTRL_CMD_GETFAMILY, .version = 1},
		.attribute = {.nla_len = NLA_HDRLEN + GENL_NAMSIZ,
			      .nla_type = CTRL_ATTR_FAMILY_NAME},
		.name = TCMU_FAMILY,
	};
	const struct timeval patience = {.tv_sec = NETLINK_SECONDS};
	union {
		struct nlmsghdr header;
		char bytes[8192];
	} answer;
	autofd fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_GENERIC);

	if (fd < 0 || setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience) ||
	    send(fd, &request, sizeof request, 0) != (ssize_t)sizeof request)
		return FALSE;
	return recv(fd, &answer, sizeof answer, 0) >= (ssize_t)NLMSG_HDRLEN &&
	       answer.header.nlmsg_type == GENL_ID_CTRL;
}
