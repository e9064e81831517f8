/* SPDX-License-Identifier: Apache-2.0 */
#include "common/machine/tcmu-users.h"

#include <errno.h>
#include <limits.h>
#include <linux/genetlink.h>
#include <linux/netlink.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "common/base/autofd.h"
#include "common/base/fd.h"
#include "common/base/files.h"
#include "common/machine/runner-bus.h"

#define TCMU_FAMILY "TCM-USER"
#define TCMU_GROUP "config"
#define NETLINK_SECONDS 2
#define HEADS (NLMSG_HDRLEN + GENL_HDRLEN)
#define FILES_MAX 65536 /* descriptors looked at for one process */

/* ---- the netlink family */

typedef struct {
	const guint8 *data;
	gsize length;
} Attributes;

/* Takes attributes off `from` up to the first one of this type (0: any), and gives its payload.
 * FALSE if there is none, or an attribute is malformed. */
static gboolean attribute_next(Attributes *from, guint type, Attributes *ret_payload)
{
	while (from->length >= NLA_HDRLEN) {
		struct nlattr head;
		gsize whole;

		memcpy(&head, from->data, sizeof head);
		if (head.nla_len < NLA_HDRLEN || head.nla_len > from->length)
			return FALSE;
		ret_payload->data = from->data + NLA_HDRLEN;
		ret_payload->length = head.nla_len - NLA_HDRLEN;
		whole = MIN(NLA_ALIGN((gsize)head.nla_len), from->length);
		from->data += whole;
		from->length -= whole;
		if (!type || (head.nla_type & NLA_TYPE_MASK) == type)
			return TRUE;
	}
	return FALSE;
}

static gboolean attribute_find(Attributes in, guint type, Attributes *ret_payload)
{
	return attribute_next(&in, type, ret_payload);
}

static guint32 group_find(Attributes attributes)
{
	Attributes groups, group, name, id;
	guint32 number = 0;

	if (!attribute_find(attributes, CTRL_ATTR_MCAST_GROUPS, &groups))
		return 0;
	while (attribute_next(&groups, 0, &group))
		if (attribute_find(group, CTRL_ATTR_MCAST_GRP_NAME, &name) &&
		    name.length == sizeof TCMU_GROUP &&
		    !memcmp(name.data, TCMU_GROUP, sizeof TCMU_GROUP) &&
		    attribute_find(group, CTRL_ATTR_MCAST_GRP_ID, &id) &&
		    id.length == sizeof number)
			memcpy(&number, id.data, sizeof number);
	return number;
}

typedef union {
	struct nlmsghdr header;
	guint8 bytes[8192];
} Answer;

/* 0 or an errno; ENOENT: there is no such family. */
static int family_ask(Answer *answer, gsize *ret_length)
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
	autofd fd = fd_above_stdio(socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_GENERIC));
	ssize_t length;

	if (fd < 0 || setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience) ||
	    send(fd, &request, sizeof request, 0) != (ssize_t)sizeof request)
		return errno;
	do
		length = recv(fd, answer, sizeof *answer, 0);
	while (length < 0 && errno == EINTR);
	*ret_length = length < 0 ? 0 : (gsize)length;
	return length < 0 ? errno : 0;
}

static int answer_errno(const Answer *answer, gsize length)
{
	struct nlmsgerr refusal;

	if (length >= HEADS && answer->header.nlmsg_type == GENL_ID_CTRL)
		return 0;
	if (length < NLMSG_HDRLEN + sizeof refusal || answer->header.nlmsg_type != NLMSG_ERROR)
		return EPROTO;
	memcpy(&refusal, answer->bytes + NLMSG_HDRLEN, sizeof refusal);
	return refusal.error < 0 ? -refusal.error : EPROTO;
}

/* Only the kernel's answer that there is none counts as one: anything else may pass. */
static void family_find(TcmuUsers *users)
{
	Answer answer;
	gsize length = 0;
	int err = family_ask(&answer, &length);

	if (!err)
		err = answer_errno(&answer, length);
	users->netlink = !err;
	if (!err)
		users->group = group_find((Attributes){answer.bytes + HEADS, length - HEADS});
	else if (err == EAGAIN)
		users->netlink_problem = g_strdup_printf("no answer within %d s", NETLINK_SECONDS);
	else if (err != ENOENT && err != EAFNOSUPPORT && err != EPROTONOSUPPORT)
		users->netlink_problem = g_strdup(g_strerror(err));
}

/* ---- devices */

static char *text_read(const char *path)
{
	char *text = files_read_kernel(path, NULL);

	return text ? g_strchomp(text) : NULL;
}

/* The subtype in the name of a UIO device, "tcm-user/HBA/NAME/SUBTYPE/CONFIG"; NULL if the device
 * is not TCMU's. */
static char *subtype_of(const char *name)
{
	g_auto(GStrv) parts = g_strsplit(name, "/", 5);

	if (g_strv_length(parts) < 4 || strcmp(parts[0], "tcm-user"))
		return NULL;
	return g_strdup(parts[3]);
}

/* Whether the list has this subtype as an element of its own, not as a part of another one. */
static gboolean has_subtype(const char *list, const char *subtype)
{
	g_auto(GStrv) subtypes = g_strsplit(list, ", ", 0);

	return g_strv_contains((const char *const *)subtypes, subtype);
}

static void users_add_device(TcmuUsers *users, GHashTable *rings, const char *uio,
			     const char *subtype)
{
	users->devices++;
	g_hash_table_add(rings, g_strconcat("/dev/", uio, NULL));
	if (!strcmp(subtype, RUNNER_SUBTYPE)) {
		users->own_devices++;
	} else if (!users->subtypes || !has_subtype(users->subtypes, subtype)) {
		g_autofree char *before = users->subtypes;

		users->subtypes =
			g_strconcat(before ? before : "", before ? ", " : "", subtype, NULL);
	}
}

/* The paths of the UIO devices that are rings of TCMU devices. */
static GHashTable *rings_find(const char *sys, TcmuUsers *users)
{
	GHashTable *rings = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
	g_autofree char *path = g_build_filename(sys, "class/uio", NULL);
	g_autoptr(GDir) directory = g_dir_open(path, 0, NULL);
	const char *uio;

	while (directory && (uio = g_dir_read_name(directory))) {
		g_autofree char *file = g_build_filename(path, uio, "name", NULL);
		g_autofree char *name = text_read(file);
		g_autofree char *subtype = name ? subtype_of(name) : NULL;

		if (subtype)
			users_add_device(users, rings, uio, subtype);
	}
	return rings;
}

/* ---- processes */

typedef struct {
	const char *proc;
	guint32 group_mask; /* the group's bit in /proc/net/netlink; 0: not shown there */
	GHashTable *rings;
	GHashTable *namespaces; /* network namespaces whose sockets were read */
	GHashTable *sockets;	/* "socket:[INODE]" of each socket in the group */
	TcmuUsers *users;
} Scan;

/* Adds the socket of a line of /proc/net/netlink (sk protocol port groups ... inode) if it is in
 * the group. */
static void scan_add_socket(Scan *scan, const char *line)
{
	g_auto(GStrv) raw = g_strsplit_set(line, " \t", 0);
	const char *words[16];
	guint n = 0;

	for (guint i = 0; raw[i] && n < G_N_ELEMENTS(words); i++)
		if (*raw[i])
			words[n++] = raw[i];
	if (n >= 10 && atoi(words[1]) == NETLINK_GENERIC &&
	    (strtoul(words[3], NULL, 16) & scan->group_mask))
		g_hash_table_add(scan->sockets, g_strdup_printf("socket:[%s]", words[9]));
}

static char *link_read(const char *path)
{
	char target[PATH_MAX];
	ssize_t length = readlink(path, target, sizeof target);

	return length > 0 && length < (ssize_t)sizeof target ? g_strndup(target, (gsize)length)
							     : NULL;
}

/* Reads the sockets of the process's network namespace, once for each namespace. */
static void scan_add_sockets_of(Scan *scan, const char *pid)
{
	g_autofree char *link = g_build_filename(scan->proc, pid, "ns/net", NULL);
	g_autofree char *path = g_build_filename(scan->proc, pid, "net/netlink", NULL);
	char *name = link_read(link);
	g_autofree char *text = NULL;
	g_auto(GStrv) lines = NULL;

	if (!name)
		return;
	if (g_hash_table_contains(scan->namespaces, name)) {
		g_free(name);
		return;
	}
	g_hash_table_add(scan->namespaces, name);
	text = text_read(path);
	lines = text ? g_strsplit(text, "\n", 0) : NULL;
	for (guint i = 0; lines && lines[i]; i++)
		scan_add_socket(scan, lines[i]);
}

static void user_free(gpointer data)
{
	TcmuUser *user = data;

	g_free(user->command);
	g_free(user->device);
	g_free(user);
}

/* The name in /proc/PID/comm, which the process may set itself: reduced to harmless characters. */
static char *command_of(const Scan *scan, const char *pid)
{
	g_autofree char *path = g_build_filename(scan->proc, pid, "comm", NULL);
	char *name = text_read(path);

	return name ? g_strcanon(name, G_CSET_A_2_Z G_CSET_a_2_z G_CSET_DIGITS "-_.:+/", '_')
		    : g_strdup("?");
}

/* Whether the process is in our PID namespace: a container has its own, a sandboxed service does
 * not. */
static gboolean shares_processes(const Scan *scan, const char *pid)
{
	g_autofree char *theirs = g_build_filename(scan->proc, pid, "ns/pid", NULL);
	g_autofree char *mine = g_build_filename(scan->proc, "self/ns/pid", NULL);
	g_autofree char *their_name = link_read(theirs);
	g_autofree char *my_name = link_read(mine);

	return my_name && !g_strcmp0(their_name, my_name);
}

static void scan_process(Scan *scan, const char *pid)
{
	g_autofree char *path = g_build_filename(scan->proc, pid, "fd", NULL);
	g_autoptr(GDir) files = g_dir_open(path, 0, NULL);
	TcmuUser found = {0}, *user;
	const char *fd;

	for (guint n = 0; files && n < FILES_MAX && (fd = g_dir_read_name(files)); n++) {
		g_autofree char *link = g_build_filename(path, fd, NULL);
		g_autofree char *target = link_read(link);

		if (target && g_hash_table_contains(scan->sockets, target))
			found.listens = TRUE;
		if (target && !found.device && g_hash_table_contains(scan->rings, target))
			found.device = g_steal_pointer(&target);
	}
	if (!found.listens && !found.device)
		return;
	found.pid = (guint32)strtoul(pid, NULL, 10);
	found.command = command_of(scan, pid);
	found.ours = !strcmp(found.command, "tcmu-runner") && shares_processes(scan, pid);
	user = g_new(TcmuUser, 1);
	*user = found;
	g_ptr_array_add(scan->users->users, user);
}

static void scan_each_process(Scan *scan, void (*look)(Scan *scan, const char *pid))
{
	g_autoptr(GDir) directory = g_dir_open(scan->proc, 0, NULL);
	const char *name;

	while (directory && (name = g_dir_read_name(directory)))
		if (g_ascii_isdigit(*name))
			look(scan, name);
}

static GHashTable *texts_new(void)
{
	return g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
}

void tcmu_users_scan(const char *proc, const char *sys, TcmuUsers *users)
{
	g_autoptr(GHashTable) rings = rings_find(sys, users);
	g_autoptr(GHashTable) namespaces = texts_new();
	g_autoptr(GHashTable) sockets = texts_new();
	Scan scan = {.proc = proc,
		     .rings = rings,
		     .namespaces = namespaces,
		     .sockets = sockets,
		     .users = users};

	if (users->group >= 1 && users->group <= 32)
		scan.group_mask = (guint32)1 << (users->group - 1);
	if (!users->users)
		users->users = g_ptr_array_new_with_free_func(user_free);
	if (scan.group_mask)
		scan_each_process(&scan, scan_add_sockets_of);
	if (g_hash_table_size(sockets) || g_hash_table_size(rings))
		scan_each_process(&scan, scan_process);
}

void tcmu_users_find(TcmuUsers *ret_users)
{
	memset(ret_users, 0, sizeof *ret_users);
	ret_users->complete = geteuid() == 0;
	family_find(ret_users);
	tcmu_users_scan("/proc", "/sys", ret_users);
}

const TcmuUser *tcmu_users_other(const TcmuUsers *users, guint32 runner)
{
	for (guint i = 0; users->users && i < users->users->len; i++) {
		const TcmuUser *user = g_ptr_array_index(users->users, i);

		if (user->pid != runner && !user->ours)
			return user;
	}
	return NULL;
}

void tcmu_users_clear(TcmuUsers *users)
{
	g_clear_pointer(&users->netlink_problem, g_free);
	g_clear_pointer(&users->subtypes, g_free);
	g_clear_pointer(&users->users, g_ptr_array_unref);
}
