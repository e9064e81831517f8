/* SPDX-License-Identifier: Apache-2.0 */
#include "common/machine/tcmu-users.h"

#include <errno.h>
#include <linux/genetlink.h>
#include <linux/netlink.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include "tests/harness.h"

#define HEAD                                                                                       \
	"sk               Eth Pid        Groups   Rmem     Wmem     Dump  Locks    Drops    "      \
	"Inode\n"
/* Group 5 is bit 4 of the mask. */
#define LINE(protocol, groups, inode)                                                              \
	"0000000012345678 " protocol "  4711       " groups                                        \
	" 0        0        0     2        0        " inode "\n"

/* Directories that look like /proc and /sys. */
typedef struct {
	char *proc, *sys;
	TcmuUsers users;
} UsersMachine;

static void put(const char *directory, const char *path, const char *text)
{
	g_autofree char *full = g_build_filename(directory, path, NULL);
	g_autofree char *parent = g_path_get_dirname(full);

	g_mkdir_with_parents(parent, 0755);
	CHECK(g_file_set_contents(full, text, -1, NULL));
}

static void put_link(const char *directory, const char *path, const char *target)
{
	g_autofree char *full = g_build_filename(directory, path, NULL);
	g_autofree char *parent = g_path_get_dirname(full);

	g_mkdir_with_parents(parent, 0755);
	CHECK_INT(symlink(target, full), 0);
}

static void machine_init(UsersMachine *machine, guint32 group)
{
	machine->proc = test_path("-proc");
	machine->sys = test_path("-sys");
	machine->users.group = group;
	put(machine->proc, "uptime", "1 1\n");
}

static void machine_clear(UsersMachine *machine)
{
	tcmu_users_clear(&machine->users);
	g_free(machine->proc);
	g_free(machine->sys);
}
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(UsersMachine, machine_clear)

static void add_process(const UsersMachine *machine, const char *pid, const char *command,
			const char *namespace, const char *sockets)
{
	g_autofree char *comm = g_strconcat(pid, "/comm", NULL);
	g_autofree char *ns = g_strconcat(pid, "/ns/net", NULL);
	g_autofree char *netlink = g_strconcat(pid, "/net/netlink", NULL);
	g_autofree char *fd = g_strconcat(pid, "/fd/0", NULL);

	put(machine->proc, comm, command);
	put_link(machine->proc, ns, namespace);
	put(machine->proc, netlink, sockets);
	put_link(machine->proc, fd, "/dev/null");
}

static void add_file(const UsersMachine *machine, const char *pid, const char *number,
		     const char *target)
{
	g_autofree char *path = g_strconcat(pid, "/fd/", number, NULL);

	put_link(machine->proc, path, target);
}

static const TcmuUser *user(const UsersMachine *machine, guint32 pid)
{
	for (guint i = 0; i < machine->users.users->len; i++) {
		const TcmuUser *one = g_ptr_array_index(machine->users.users, i);

		if (one->pid == pid)
			return one;
	}
	return NULL;
}

static void test_listeners(const void *data G_GNUC_UNUSED)
{
	static const char sockets[] =
		HEAD LINE("16 ", "00000010", "77") LINE("16 ", "0000000f", "78")
			LINE("0  ", "00000010", "79") LINE("16 ", "00000000", "80");
	g_auto(UsersMachine) machine = {0};

	machine_init(&machine, 5);
	add_process(&machine, "10", "tcmu-runner\n", "net:[1]", sockets);
	add_file(&machine, "10", "3", "socket:[77]");
	add_process(&machine, "11", "other\n", "net:[1]", sockets);
	add_file(&machine, "11", "3", "socket:[78]");
	add_file(&machine, "11", "4", "socket:[79]");
	add_file(&machine, "11", "5", "socket:[80]");
	add_process(&machine, "12", "in a \033box\n", "net:[2]",
		    HEAD LINE("16 ", "00000030", "99"));
	add_file(&machine, "12", "7", "socket:[99]");
	tcmu_users_scan(machine.proc, machine.sys, &machine.users);
	CHECK_UINT(machine.users.users->len, 2);
	REQUIRE(user(&machine, 10) && user(&machine, 12));
	CHECK(user(&machine, 10)->listens);
	CHECK_STR(user(&machine, 10)->command, "tcmu-runner");
	test_row("in another network");
	CHECK(user(&machine, 12)->listens);
	CHECK_STR(user(&machine, 12)->command, "in_a__box");
	CHECK_UINT(tcmu_users_other(&machine.users, 10)->pid, 12);
	CHECK_UINT(tcmu_users_other(&machine.users, 12)->pid, 10);
	CHECK(tcmu_users_other(&machine.users, 0) != NULL);
}

static void test_devices(const void *data G_GNUC_UNUSED)
{
	g_auto(UsersMachine) machine = {0};

	machine_init(&machine, 0);
	put(machine.sys, "class/uio/uio0/name", "tcm-user/0/a/storageos/default/a\n");
	put(machine.sys, "class/uio/uio1/name", "tcm-user/1/b/rbd/pool/b;x=/y\n");
	put(machine.sys, "class/uio/uio2/name", "tcm-user/2/c/rbd\n");
	put(machine.sys, "class/uio/uio3/name", "some_card\n");
	put(machine.sys, "class/uio/uio4/name", "tcm-user/x\n");
	put(machine.sys, "class/uio/uio5/name", "tcm-user/3/d/qcow/d\n");
	put(machine.sys, "class/uio/uio6/name", "tcm-user/4/e/bd/e\n");
	put(machine.sys, "class/uio/uio7/name", "tcm-user/5/f/qcow/f\n");
	add_process(&machine, "20", "runner\n", "net:[1]", HEAD);
	add_file(&machine, "20", "3", "/dev/uio1");
	add_process(&machine, "21", "card\n", "net:[1]", HEAD);
	add_file(&machine, "21", "3", "/dev/uio3");
	tcmu_users_scan(machine.proc, machine.sys, &machine.users);
	CHECK_UINT(machine.users.devices, 6);
	CHECK_UINT(machine.users.own_devices, 1);
	REQUIRE(machine.users.subtypes);
	CHECK_CONTAINS(machine.users.subtypes, "rbd");
	CHECK_CONTAINS(machine.users.subtypes, "qcow");
	CHECK_UINT(strlen(machine.users.subtypes), strlen("rbd, qcow, bd")); /* in any order */
	CHECK_UINT(machine.users.users->len, 1);
	REQUIRE(user(&machine, 20));
	CHECK_STR(user(&machine, 20)->device, "/dev/uio1");
	CHECK(!user(&machine, 20)->listens);
}

/* Some processes end while they are examined, others cannot be read. */
static void test_odd(const void *data G_GNUC_UNUSED)
{
	g_auto(UsersMachine) machine = {0};

	machine_init(&machine, 5);
	put(machine.proc, "30/comm", "no fd\n");
	put_link(machine.proc, "31/ns/net", "net:[3]");
	put(machine.proc, "31/net/netlink", "garbage\n16 16\n\n" LINE("16 ", "zz", "1") "a b c");
	put_link(machine.proc, "32/fd/3", "socket:[1]");
	put(machine.proc, "33", "a file\n");
	tcmu_users_scan(machine.proc, machine.sys, &machine.users);
	CHECK_UINT(machine.users.users->len, 0);
	CHECK(!tcmu_users_other(&machine.users, 0));
}

/* A tcmu-runner that starts or ends has no name on the bus, and does not count as a second daemon.
 */
static void test_runner(const void *data G_GNUC_UNUSED)
{
	static const char sockets[] =
		HEAD LINE("16 ", "00000010", "77") LINE("16 ", "00000010", "78");
	g_auto(UsersMachine) machine = {0};

	machine_init(&machine, 5);
	put_link(machine.proc, "self/ns/pid", "pid:[1]");
	add_process(&machine, "10", "tcmu-runner\n", "net:[1]", sockets);
	add_file(&machine, "10", "3", "socket:[77]");
	put_link(machine.proc, "10/ns/pid", "pid:[1]");
	tcmu_users_scan(machine.proc, machine.sys, &machine.users);
	REQUIRE(user(&machine, 10));
	CHECK(user(&machine, 10)->ours);
	CHECK(!tcmu_users_other(&machine.users, 0));
	test_row("one in a container");
	g_ptr_array_set_size(machine.users.users, 0);
	add_process(&machine, "11", "tcmu-runner\n", "net:[1]", sockets);
	add_file(&machine, "11", "3", "socket:[78]");
	put_link(machine.proc, "11/ns/pid", "pid:[2]");
	tcmu_users_scan(machine.proc, machine.sys, &machine.users);
	REQUIRE(tcmu_users_other(&machine.users, 0));
	CHECK_UINT(tcmu_users_other(&machine.users, 0)->pid, 11);
}

/* ---- the kernel's answer about the family, which the test makes up */

static guint8 answer[1024];
static gssize answer_length; /* -1: no answer */

ssize_t recv(int fd, void *data, size_t length, int flags)
{
	(void)fd, (void)flags;
	if (answer_length < 0) {
		errno = EAGAIN;
		return -1;
	}
	length = MIN(length, (size_t)answer_length);
	memcpy(data, answer, length);
	return (ssize_t)length;
}

static void append(const void *data, gsize length)
{
	memcpy(answer + answer_length, data, length);
	answer_length += (gssize)NLA_ALIGN(length);
}

static void begin_message(guint16 type, const void *body, gsize length)
{
	const struct nlmsghdr header = {.nlmsg_type = type};

	memset(answer, 0, sizeof answer);
	answer_length = 0;
	append(&header, sizeof header);
	append(body, length);
}

static void begin_answer(guint16 type)
{
	const struct genlmsghdr generic = {.cmd = CTRL_CMD_NEWFAMILY};

	begin_message(type, &generic, sizeof generic);
}

static gssize begin_attribute(guint16 type)
{
	const struct nlattr head = {.nla_type = type};
	gssize at = answer_length;

	append(&head, sizeof head);
	return at;
}

static void end_attribute(gssize at)
{
	const guint16 length = (guint16)(answer_length - at);

	memcpy(answer + at, &length, sizeof length);
}

static void add_attribute(guint16 type, const void *data, gsize length)
{
	const struct nlattr head = {.nla_type = type, .nla_len = (guint16)(NLA_HDRLEN + length)};

	append(&head, sizeof head);
	append(data, length);
}

static void add_group(const char *name, guint32 number, gsize number_length)
{
	gssize at = begin_attribute(1 | NLA_F_NESTED);

	add_attribute(CTRL_ATTR_MCAST_GRP_ID, &number, number_length);
	add_attribute(CTRL_ATTR_MCAST_GRP_NAME, name, strlen(name) + 1);
	end_attribute(at);
}

/* An answer with two groups, which no kernel gives yet. */
static void answer_of_kernel(const char *name, gsize number_length)
{
	const guint16 family = 30;
	gssize groups;

	begin_answer(GENL_ID_CTRL);
	add_attribute(CTRL_ATTR_FAMILY_NAME, "TCM-USER", 9);
	add_attribute(CTRL_ATTR_FAMILY_ID, &family, sizeof family);
	groups = begin_attribute(CTRL_ATTR_MCAST_GROUPS);
	add_group("other", 9, sizeof(guint32));
	add_group(name, 40, number_length);
	end_attribute(groups);
}

static void answer_with_error(int error)
{
	const struct nlmsgerr refusal = {.error = error};

	begin_message(NLMSG_ERROR, &refusal, sizeof refusal);
}

/* `problem`: why it is not known whether the family is there. */
static void check_family(const char *row, gboolean netlink, guint32 group, const char *problem)
{
	g_auto(TcmuUsers) users = {0};

	test_row("%s", row);
	tcmu_users_find(&users);
	CHECK_INT(users.netlink, netlink);
	CHECK_UINT(users.group, group);
	CHECK_STR(users.netlink_problem, problem);
	CHECK_INT(users.complete, geteuid() == 0);
}

static void test_family(const void *data G_GNUC_UNUSED)
{
	gssize whole;

	answer_of_kernel("config", sizeof(guint32));
	check_family("there", TRUE, 40, NULL);
	whole = answer_length;
	for (answer_length = whole - 1; answer_length >= 0; answer_length--) {
		g_auto(TcmuUsers) users = {0};

		test_row("cut off at %zd of %zd bytes", answer_length, whole);
		tcmu_users_find(&users);
		CHECK_INT(users.netlink, answer_length >= (gssize)(NLMSG_HDRLEN + GENL_HDRLEN));
		CHECK_INT(users.netlink_problem != NULL, !users.netlink);
		CHECK_UINT(users.group, 0);
	}
	check_family("no answer", FALSE, 0, "no answer within 2 s");
	answer_of_kernel("configs", sizeof(guint32));
	check_family("no group of that name", TRUE, 0, NULL);
	answer_of_kernel("config", sizeof(guint16));
	check_family("a number of another length", TRUE, 0, NULL);
	begin_answer(GENL_ID_CTRL);
	check_family("no groups", TRUE, 0, NULL);
	begin_attribute(CTRL_ATTR_MCAST_GROUPS);
	check_family("an attribute of no length", TRUE, 0, NULL);
	answer_with_error(-ENOENT);
	check_family("no such family", FALSE, 0, NULL);
	answer_with_error(-ENOMEM);
	check_family("no memory to answer", FALSE, 0, g_strerror(ENOMEM));
	answer_with_error(0);
	check_family("an acknowledgement", FALSE, 0, g_strerror(EPROTO));
	begin_answer(NLMSG_DONE);
	check_family("another message", FALSE, 0, g_strerror(EPROTO));
}

/* No socket can be made, as at the limit of open files. */
static void test_no_socket(const void *data G_GNUC_UNUSED)
{
	struct rlimit before, none;

	answer_of_kernel("config", sizeof(guint32));
	CHECK_INT(getrlimit(RLIMIT_NOFILE, &before), 0);
	none = (struct rlimit){.rlim_cur = 0, .rlim_max = before.rlim_max};
	CHECK_INT(setrlimit(RLIMIT_NOFILE, &none), 0);
	check_family("no socket", FALSE, 0, g_strerror(EMFILE));
	CHECK_INT(setrlimit(RLIMIT_NOFILE, &before), 0);
}

static void test_nothing(const void *data G_GNUC_UNUSED)
{
	g_auto(UsersMachine) machine = {0};

	machine.proc = test_path("-none");
	machine.sys = test_path("-none");
	machine.users.group = 40;
	tcmu_users_scan(machine.proc, machine.sys, &machine.users);
	CHECK_UINT(machine.users.users->len, 0);
	CHECK_UINT(machine.users.devices, 0);
}

int main(int argc, char **argv)
{
	test_add("a listener of the multicast group is a user, in any network", test_listeners,
		 NULL);
	test_add("TCMU devices differ from other uio, ours from foreign ones", test_devices, NULL);
	test_add("tcmu-runner is no second daemon, unless in a container", test_runner, NULL);
	test_add("incomplete entries are skipped", test_odd, NULL);
	test_add("no /proc and no /sys", test_nothing, NULL);
	test_add("the group is the one that the kernel names", test_family, NULL);
	test_add("without a socket it is not known", test_no_socket, NULL);
	return test_run(argc, argv);
}
