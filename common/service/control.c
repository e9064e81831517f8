/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The server's half.  When a client comes, the doorman (doorman.h) leaves the listener to a thread
 * of the socket's own, the server, which polls the listener, an eventfd that ends it, and the
 * clients; it ends with the last client.  No call in it waits for a client.
 */
#include "common/service/control.h"

#include <errno.h>
#include <poll.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include "common/base/error.h"
#include "common/base/fd.h"
#include "common/base/logging.h"
#include "common/base/thread.h"
#include "common/service/doorman.h"

#define JSON_DEPTH 8
#define REST_MICROSECONDS 100000

typedef struct {
	int fd;	     /* -1: free */
	gint64 last; /* when it last sent or received, monotonic microseconds */
	char in[CONTROL_REQUEST_MAX];
	gsize in_used;
	char *out; /* the answer that is being sent, or NULL */
	gsize out_length, out_sent;
	gboolean last_answer; /* disconnect when the answer is sent */
} Client;

struct Control {
	DoormanPost post; /* first */
	int stop;	  /* an eventfd: the server must end */
	char *name;
	ControlHandler handler;
	gpointer data;
	Client *clients; /* the server's: CONTROL_CLIENTS of them */
};

/* ---- answers */

static char *answer_text(Json *data, const char *problem, gsize *ret_length)
{
	g_autoptr(Json) answer = json_object_new_object();
	const char *text;
	char *line;

	json_add_number(answer, "version", CONTROL_VERSION);
	json_add_flag(answer, "ok", data != NULL);
	if (data)
		json_object_object_add(answer, "data", json_object_get(data));
	else
		json_add_text(answer, "error", problem);
	text = json_object_to_json_string_ext(answer, JSON_C_TO_STRING_PLAIN |
							      JSON_C_TO_STRING_NOSLASHESCAPE);
	*ret_length = text ? strlen(text) + 1 : 0;
	line = text ? g_try_malloc(*ret_length) : NULL;
	if (line) {
		memcpy(line, text, *ret_length - 1);
		line[*ret_length - 1] = '\n';
	}
	return line;
}

static Json *request_parse(const char *line, gsize length)
{
	struct json_tokener *tokener = json_tokener_new_ex(JSON_DEPTH);
	Json *request;

	if (!tokener)
		return NULL;
	request = json_tokener_parse_ex(tokener, line, (int)length);
	if (request && (json_tokener_get_error(tokener) != json_tokener_success ||
			!json_object_is_type(request, json_type_object))) {
		json_object_put(request);
		request = NULL;
	}
	json_tokener_free(tokener);
	return request;
}

static Json *request_carry_out(Control *control, const char *line, gsize length, GError **error)
{
	g_autoptr(Json) request = request_parse(line, length);
	const char *command = json_get_text(request, "command");
	gint64 version = json_get_number(request, "version");

	if (!request || !command) {
		error_set(
			error, STORAGEOS_ERROR_INVALID,
			"a request must be a JSON object with `version` and `command` on one line");
		return NULL;
	}
	if (version < 1 || version > CONTROL_VERSION) {
		error_set(error, STORAGEOS_ERROR_UNSUPPORTED,
			  "unsupported version %" G_GINT64_FORMAT " (this server supports 1 to %d)",
			  version, CONTROL_VERSION);
		return NULL;
	}
	return control->handler(control->data, command, request, error);
}

/* ---- clients */

static void client_close(Client *client)
{
	if (client->fd >= 0)
		close(client->fd);
	g_free(client->out);
	*client = (Client){.fd = -1};
}

static void client_answer(Client *client, Json *data, const GError *error)
{
	client->out = answer_text(data, error ? error->message : "failed", &client->out_length);
	client->out_sent = 0;
	if (!client->out)
		client_close(client);
}

static void client_send(Client *client)
{
	while (client->out) {
		ssize_t n =
			send(client->fd, client->out + client->out_sent,
			     client->out_length - client->out_sent, MSG_DONTWAIT | MSG_NOSIGNAL);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0 && errno == EAGAIN)
			return;
		if (n < 0) {
			client_close(client);
			return;
		}
		client->last = g_get_monotonic_time();
		client->out_sent += (gsize)n;
		if (client->out_sent < client->out_length)
			continue;
		g_clear_pointer(&client->out, g_free);
		if (client->last_answer)
			client_close(client);
	}
}

/* Carries out the first complete request.  FALSE if there is none. */
static gboolean client_serve_one(Control *control, Client *client)
{
	char *end = memchr(client->in, '\n', client->in_used);
	g_autoptr(GError) error = NULL;
	g_autoptr(Json) data = NULL;
	gsize length;

	if (!end && client->in_used < sizeof client->in)
		return FALSE;
	if (!end) {
		error_set(&error, STORAGEOS_ERROR_INVALID, "a request must have at most %u bytes",
			  CONTROL_REQUEST_MAX);
		client->last_answer = TRUE;
		client->in_used = 0;
	} else {
		length = (gsize)(end - client->in);
		data = request_carry_out(control, client->in, length, &error);
		client->in_used -= length + 1;
		memmove(client->in, end + 1, client->in_used);
	}
	client_answer(client, data, error);
	client_send(client);
	return TRUE;
}

/* Serves requests until one is incomplete or its answer has not been sent whole. */
static void client_serve(Control *control, Client *client)
{
	while (client->fd >= 0 && !client->out && client_serve_one(control, client))
		;
}

static void client_receive(Client *client)
{
	ssize_t n = recv(client->fd, client->in + client->in_used,
			 sizeof client->in - client->in_used, MSG_DONTWAIT);

	if (n < 0 && (errno == EINTR || errno == EAGAIN))
		return;
	if (n <= 0) {
		client_close(client);
		return;
	}
	client->last = g_get_monotonic_time();
	client->in_used += (gsize)n;
}

/* A second line of defence behind the directory's mode. */
static gboolean peer_is_allowed(int fd)
{
	struct ucred peer;
	socklen_t length = sizeof peer;

	return !getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &length) &&
	       (peer.uid == 0 || peer.uid == geteuid());
}

/* A free place, or that of the client that has been idle longest. */
static Client *client_place(Control *control)
{
	Client *oldest = &control->clients[0];

	for (guint i = 0; i < CONTROL_CLIENTS; i++) {
		if (control->clients[i].fd < 0)
			return &control->clients[i];
		if (control->clients[i].last < oldest->last)
			oldest = &control->clients[i];
	}
	client_close(oldest);
	return oldest;
}

/* Without a descriptor or memory the event stays pending, and poll() would return at once: sleep,
 * so as not to spin. */
static void thread_rest(void)
{
	g_usleep(REST_MICROSECONDS);
}

static void client_accept(Control *control)
{
	int fd = fd_above_stdio(
		accept4(control->post.listener.fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK));
	Client *client;

	if (fd < 0) {
		if (errno == EMFILE || errno == ENFILE || errno == ENOBUFS || errno == ENOMEM)
			thread_rest();
		return;
	}
	if (!peer_is_allowed(fd)) {
		close(fd);
		return;
	}
	client = client_place(control);
	client->fd = fd;
	client->last = g_get_monotonic_time();
}

/* ---- the server */

/* Disconnects clients that have been idle for too long.  Returns the time until the next one will
 * be, or `longest` if that is less; milliseconds. */
static int clients_expire(Control *control, int longest)
{
	gint64 now = g_get_monotonic_time(), next = (gint64)longest * 1000;

	for (guint i = 0; i < CONTROL_CLIENTS; i++) {
		Client *client = &control->clients[i];
		gint64 left = client->last + CONTROL_SECONDS * G_USEC_PER_SEC - now;

		if (client->fd < 0)
			continue;
		if (left <= 0)
			client_close(client);
		else if (left < next)
			next = left;
	}
	return (int)(next / 1000) + 1;
}

static void client_event(Control *control, Client *client, short events)
{
	if (events & POLLOUT)
		client_send(client);
	else if (events)
		client_receive(client);
	client_serve(control, client);
}

/* One turn of the thread.  FALSE if it must end.  Client i is at fds[2 + i]. */
static gboolean control_serve_once(Control *control)
{
	int look = control_listener_look(&control->post.listener);
	struct pollfd fds[2 + CONTROL_CLIENTS] = {{control->stop, POLLIN, 0},
						  {control->post.listener.fd, POLLIN, 0}};
	int timeout = clients_expire(control, look);
	eventfd_t stopped;

	for (guint i = 0; i < CONTROL_CLIENTS; i++) {
		const Client *client = &control->clients[i];

		fds[2 + i] = (struct pollfd){client->fd, client->out ? POLLOUT : POLLIN, 0};
	}
	if (poll(fds, G_N_ELEMENTS(fds), timeout) < 0) {
		if (errno != EINTR)
			thread_rest();
		return eventfd_read(control->stop, &stopped) != 0;
	}
	if (fds[0].revents)
		return FALSE;
	for (guint i = 0; i < CONTROL_CLIENTS; i++)
		if (fds[2 + i].revents)
			client_event(control, &control->clients[i], fds[2 + i].revents);
	if (fds[1].revents & POLLIN)
		client_accept(control);
	return TRUE;
}

static gboolean control_has_clients(const Control *control)
{
	for (guint i = 0; i < CONTROL_CLIENTS; i++)
		if (control->clients[i].fd >= 0)
			return TRUE;
	return FALSE;
}

/* The control may be freed as soon as it is the doorman's again. */
static gpointer server_main(gpointer data)
{
	Control *control = data;

	client_accept(control);
	while (control_has_clients(control) && control_serve_once(control))
		;
	for (guint i = 0; i < CONTROL_CLIENTS; i++)
		client_close(&control->clients[i]);
	g_clear_pointer(&control->clients, g_free);
	doorman_return(&control->post);
	return NULL;
}

/* Makes a server for the clients that have come. */
static gboolean server_start(DoormanPost *post)
{
	Control *control = (Control *)post; /* its first member */

	control->clients = g_try_new0(Client, CONTROL_CLIENTS);
	if (!control->clients)
		return FALSE;
	for (guint i = 0; i < CONTROL_CLIENTS; i++)
		control->clients[i].fd = -1;
	if (thread_start_detached("storageos-ctl", server_main, control, NULL))
		return TRUE;
	g_clear_pointer(&control->clients, g_free);
	return FALSE;
}

/* ---- beginning and ending */

/* A failure to take the name is not one to start: the doorman tries again. */
static gboolean control_start(Control *control, const Config *config, GError **error)
{
	g_autoptr(GError) problem = NULL;

	control_listener_init(&control->post.listener, config, control->name);
	control->stop = fd_above_stdio(eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
	if (control->stop < 0)
		return error_set_errno(error, errno, "eventfd");
	if (!doorman_add(&control->post, error))
		return FALSE;
	if (!control_listener_take(&control->post.listener, &problem))
		log_warning("it cannot be watched: %s (will be retried)", problem->message);
	doorman_return(&control->post);
	return TRUE;
}

Control *control_new(const Config *config, const char *name, ControlHandler handler, gpointer data,
		     GError **error)
{
	Control *control = g_try_new0(Control, 1);

	if (!control) {
		error_set_errno(error, ENOMEM, "control socket");
		return NULL;
	}
	control->stop = -1;
	control->name = g_strdup(name);
	control->post.come = server_start;
	control->handler = handler;
	control->data = data;
	if (control_start(control, config, error))
		return control;
	g_prefix_error(error, "control socket %s/control/%s: ", config->run_directory, name);
	control_free(control);
	return NULL;
}

void control_free(Control *control)
{
	if (!control)
		return;
	if (control->stop >= 0)
		eventfd_write(control->stop, 1);
	doorman_remove(&control->post);
	control_listener_clear(&control->post.listener);
	if (control->stop >= 0)
		close(control->stop);
	g_free(control->name);
	g_free(control);
}
