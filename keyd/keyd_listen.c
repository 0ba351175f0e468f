/* SPDX-License-Identifier: Apache-2.0 */
#include "keyd/keyd_listen.h"

#include <stdlib.h>
#include <unistd.h>

#include "core/clock.h"
#include "core/err.h"
#include "core/log.h"
#include "core/secret.h"
#include "evt/evt_conn.h"
#include "evt/evt_listen.h"
#include "keyd/keyd_permit.h"
#include "keyd/keyd_session.h"
#include "sys/sys_peer.h"
#include "wire/wire_frame.h"

#define IN_MAX	     (256 * 1024) /* several of the longest frames */
#define UNSENT_HIGH  (512 * 1024) /* here a peer is no longer read from */
#define UNSENT_LOW   (128 * 1024)
#define OUT_GATHER   (64 * 1024)
#define TURN_TIME    250 /* usec that one peer's requests may take before the others' */
#define HELLO_TIME   (10 * CLOCK_SEC)
#define STALLED_TIME (10 * CLOCK_SEC)

struct peer {
	struct list_link link;
	struct keyd_listen *listen;
	struct evt_conn *conn;
	struct keyd_session *session;
	struct evt_defer late; /* sends what came up outside of a read */
	int stalled;
};

struct door {
	struct keyd_listen *listen;
	unsigned socket;
	struct evt_listen *sock;
};

struct keyd_listen {
	struct keyd *keyd;
	struct door doors[2];
	struct list peers;
	int64_t count, full_at;
};

static void drop(struct peer *p)
{
	evt_loop_undefer(p->listen->keyd->loop, &p->late);
	keyd_session_end(p->session);
	list_remove(&p->link);
	p->listen->count--;
	free(p);
}

/* At once, without what is still unsent. */
static void kill_peer(struct peer *p)
{
	evt_conn_close(p->conn);
	drop(p);
}

/* What the session has to say goes to the connection. */
static int send_out(struct peer *p)
{
	struct buf *out = &p->session->out;
	size_t n = buf_size(out);
	int rc;

	if (p->session->failed)
		return ERR_LIMIT;
	if (n == 0)
		return 0;
	rc = evt_conn_write(p->conn, buf_ptr(out), n);
	secret_wipe((uint8_t *)buf_ptr(out), n);
	buf_drain(out, n);
	return rc;
}

static void slow_reader(struct peer *p)
{
	log_event(LOG_LEVEL_WARN, p->session->name, "slow-reader", "uid=%u unsent=%zu",
		  (unsigned)p->session->uid, evt_conn_unsent(p->conn));
	kill_peer(p);
}

static void send_late(void *arg)
{
	struct peer *p = arg;

	if (send_out(p) < 0)
		slow_reader(p);
}

static void wake(void *arg)
{
	struct peer *p = arg;

	evt_loop_defer(p->listen->keyd->loop, &p->late);
}

/* Deals with the frames that are there, as long as the peer takes the answers. */
static void serve(struct peer *p)
{
	struct buf *in = evt_conn_in(p->conn);
	unsigned role = p->session->role;
	int64_t end = clock_mono() + TURN_TIME;
	int rc = 1;

	while (rc > 0) {
		if (buf_size(&p->session->out) >= OUT_GATHER && send_out(p) < 0) {
			slow_reader(p);
			return;
		}
		if (evt_conn_unsent(p->conn) >= UNSENT_HIGH) {
			p->stalled = 1;
			evt_conn_notify_drained(p->conn, UNSENT_LOW);
			evt_conn_set_timeout(p->conn, STALLED_TIME);
			break;
		}
		rc = keyd_session_step(p->session, in);
		if (rc > 0 && clock_mono() >= end) {
			evt_conn_again(p->conn);
			break;
		}
	}
	if (send_out(p) < 0) {
		slow_reader(p);
	} else if (rc < 0) { /* a refusal may be on its way: let it leave */
		evt_conn_finish(p->conn);
		drop(p);
	} else if (!role && p->session->role) {
		evt_conn_set_timeout(p->conn, 0);
	}
}

static void on_event(void *arg, struct evt_conn *c, enum evt_conn_event ev)
{
	struct peer *p = arg;
	const char *text;

	switch (ev) {
	case EVT_CONN_DRAINED:
		p->stalled = 0;
		evt_conn_set_timeout(c, 0);
		serve(p);
		break;
	case EVT_CONN_DATA:
		if (!p->stalled)
			serve(p);
		break;
	case EVT_CONN_TIMEOUT:
		if (p->stalled) {
			slow_reader(p);
			break;
		}
		log_event(LOG_LEVEL_WARN, p->session->name, "hello-missing", "uid=%u",
			  (unsigned)p->session->uid);
		kill_peer(p);
		break;
	case EVT_CONN_EOF: /* he may still read what he asked for */
		evt_conn_finish(c);
		drop(p);
		break;
	case EVT_CONN_ERROR:
		evt_conn_error(c, &text);
		log_debug("session", p->session->name, "session-broken", "error=\"%s\"", text);
		kill_peer(p);
		break;
	default:
		break;
	}
}

/* Too many connections: said once a second, since whoever does this does it often. */
static void refuse(struct keyd_listen *l, int fd, uid_t uid)
{
	int64_t now = clock_mono();

	close(fd);
	if (l->full_at && now - l->full_at < CLOCK_SEC)
		return;
	l->full_at = now ? now : 1;
	log_event(LOG_LEVEL_WARN, NULL, "connections-full", "uid=%u", (unsigned)uid);
}

static void on_accept(void *arg, int fd, const struct sockaddr_storage *peer)
{
	struct door *d = arg;
	struct keyd_listen *l = d->listen;
	struct keyd *k = l->keyd;
	struct peer *p = NULL;
	uid_t uid = (uid_t)-1;

	(void)peer;
	if (l->count >= k->conf->limits.connections || sys_peer_uid(fd, &uid, NULL) < 0) {
		refuse(l, fd, uid);
		return;
	}
	p = calloc(1, sizeof(*p));
	if (p)
		p->session =
		    keyd_session_new(k, uid, keyd_conf_roles(k->conf, uid), d->socket, wake, p);
	if (!p || !p->session) {
		close(fd);
		free(p);
		return;
	}
	p->listen = l;
	p->late.fn = send_late;
	p->late.arg = p;
	p->conn = evt_conn_accept(k->loop, fd, IN_MAX, on_event, p);
	list_push_back(&l->peers, &p->link);
	l->count++;
	if (!p->conn) {
		drop(p);
		return;
	}
	evt_conn_set_secret(p->conn);
	evt_conn_set_timeout(p->conn, HELLO_TIME);
}

int keyd_listen_open(struct keyd *k, struct keyd_listen **out, const char **failed)
{
	const char *paths[2] = {k->conf->socket, k->conf->admin_socket};
	struct keyd_listen *l = calloc(1, sizeof(*l));
	int err = ERR_NOMEM;

	*failed = "";
	if (!l)
		return ERR_NOMEM;
	l->keyd = k;
	list_init(&l->peers);
	for (unsigned i = 2; i-- > 0;) { /* who finds the one for use finds the other too */
		struct door *d = &l->doors[i];
		d->listen = l;
		d->socket = i == 0 ? KEYD_PERMIT_USE : KEYD_PERMIT_ADMIN;
		d->sock = evt_listen_unix(k->loop, paths[i], k->conf->mode, on_accept, d, &err);
		if (!d->sock) {
			*failed = paths[i];
			keyd_listen_close(l);
			return err;
		}
	}
	*out = l;
	return 0;
}

void keyd_listen_close(struct keyd_listen *l)
{
	if (!l)
		return;
	for (unsigned i = 0; i < 2; i++)
		if (l->doors[i].sock)
			evt_listen_close(l->doors[i].sock);
	while (!list_empty(&l->peers))
		kill_peer(list_entry(list_first(&l->peers), struct peer, link));
	free(l);
}

void keyd_listen_recheck(struct keyd_listen *l)
{
	struct list_link *next;

	for (struct list_link *at = list_first(&l->peers); at && at != &l->peers.head; at = next) {
		struct peer *p = list_entry(at, struct peer, link);
		struct keyd_session *s = p->session;
		next = at->next;
		s->roles = keyd_conf_roles(l->keyd->conf, s->uid);
		if (s->role && !(s->roles & 1u << s->role)) {
			log_event(LOG_LEVEL_WARN, s->name, "role-revoked", "uid=%u role=%s",
				  (unsigned)s->uid, keyproto_role_name(s->role));
			kill_peer(p);
		}
	}
}
