/* SPDX-License-Identifier: Apache-2.0 */
/*
 * targetcli and targetctl in the guests of the kernel tests, whose loading takes seconds there:
 * asks a server that has them loaded (server) to run the call, and starts it if there is none.
 * enter_guest puts this in front of the installed programs in PATH.
 *
 * What the server cannot do just as they would, they do: for a terminal, another user, other
 * namespaces or another root than the server's, and if there is no server.
 */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

static const struct sockaddr_un address = {AF_UNIX, "/run/warm-targetcli"};

static int server_start(void)
{
	int listener = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
	int null = open("/dev/null", O_WRONLY | O_CLOEXEC);

	if (bind(listener, (const struct sockaddr *)&address, sizeof address))
		return -1;
	if (vfork())
		return close(listener);
	listen(listener, 64); /* calls wait until it has loaded everything */
	setsid();
	dup2(listener, STDIN_FILENO);
	dup2(null, STDOUT_FILENO);
	dup2(null, STDERR_FILENO);
	if (!chdir("/"))
		execl(SERVER, SERVER, (char *)NULL);
	_exit(127);
}

static int server_connect(void)
{
	int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
	int failed = connect(fd, (const struct sockaddr *)&address, sizeof address);

	if (failed && errno == ENOENT && !server_start())
		failed = connect(fd, (const struct sockaddr *)&address, sizeof address);
	return failed ? -1 : fd;
}

static ssize_t call(int server, int *ret_status)
{
	const int fds[] = {STDIN_FILENO, STDOUT_FILENO, STDERR_FILENO};
	char nothing = 0;
	struct iovec byte = {.iov_base = &nothing, .iov_len = 1};
	union {
		struct cmsghdr header;
		char space[CMSG_SPACE(sizeof fds)];
	} control = {.header = {CMSG_LEN(sizeof fds), SOL_SOCKET, SCM_RIGHTS}};
	struct msghdr message = {.msg_iov = &byte,
				 .msg_iovlen = 1,
				 .msg_control = &control,
				 .msg_controllen = sizeof control};

	memcpy(CMSG_DATA(&control.header), fds, sizeof fds);
	if (sendmsg(server, &message, MSG_NOSIGNAL) < 0)
		return -1;
	return recv(server, ret_status, sizeof *ret_status, 0);
}

int main(int argc, char **argv)
{
	char program[64];
	int status = SIGKILL; /* if the server dies */
	ssize_t length = call(server_connect(), &status);

	(void)argc;
	if (!length || length == sizeof status) {
		if (WIFEXITED(status))
			return WEXITSTATUS(status);
		raise(WTERMSIG(status));
	}
	snprintf(program, sizeof program, "/usr/bin/%s", program_invocation_short_name);
	execv(program, argv);
	perror(program);
	return 127;
}
