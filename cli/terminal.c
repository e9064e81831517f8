/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/terminal.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <termios.h>
#include <unistd.h>

#include "common/base/error.h"

#define ENTER "\033[?1049h\033[?25l"
#define LEAVE "\033[?25h\033[?1049l"

static struct termios before;
static gboolean entered;

gboolean terminal_is_there(void)
{
	return isatty(STDIN_FILENO) && isatty(STDOUT_FILENO);
}

gboolean terminal_has_colours(void)
{
	const char *off = g_getenv("NO_COLOR");

	return (!off || !*off) && g_strcmp0(g_getenv("TERM"), "dumb") != 0;
}

gboolean terminal_enter(GError **error)
{
	struct termios mode;

	if (tcgetattr(STDIN_FILENO, &before))
		return error_set_errno(error, errno, "the terminal");
	mode = before;
	mode.c_lflag &= ~(tcflag_t)(ICANON | ECHO);
	mode.c_cc[VMIN] = 1;
	mode.c_cc[VTIME] = 0;
	/* Stopped, or ended in a way that cannot be held back, it would stay as it is. */
	mode.c_cc[VSUSP] = mode.c_cc[VQUIT] = _POSIX_VDISABLE;
	if (tcsetattr(STDIN_FILENO, TCSAFLUSH, &mode))
		return error_set_errno(error, errno, "the terminal");
	entered = TRUE;
	fputs(ENTER, stdout);
	fflush(stdout);
	return TRUE;
}

void terminal_leave(void)
{
	if (!entered)
		return;
	fputs(LEAVE, stdout);
	fflush(stdout);
	tcsetattr(STDIN_FILENO, TCSAFLUSH, &before);
	entered = FALSE;
}

void terminal_size(guint *ret_columns, guint *ret_lines)
{
	struct winsize size;
	gboolean known = !ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) && size.ws_col && size.ws_row;

	*ret_columns = known ? size.ws_col : 80;
	*ret_lines = known ? size.ws_row : 24;
}

/* Each line is cleared behind its end, and the rest of the screen at last: nothing flickers. */
void terminal_show(const char *text)
{
	g_auto(GStrv) lines = g_strsplit(text, "\n", -1);
	g_autofree char *joined = g_strjoinv("\033[K\r\n", lines);

	fputs("\033[H", stdout);
	fputs(joined, stdout);
	fputs("\033[J", stdout);
	fflush(stdout);
}

int terminal_key(guint milliseconds)
{
	struct pollfd input = {.fd = STDIN_FILENO, .events = POLLIN};
	unsigned char key;

	if (poll(&input, 1, (int)milliseconds) <= 0)
		return 0;
	return read(STDIN_FILENO, &key, 1) == 1 ? key : -1;
}
