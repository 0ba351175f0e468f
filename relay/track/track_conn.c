/* SPDX-License-Identifier: Apache-2.0 */
/* One connection to the tracking host: its limits, its requests one after the other, and their replies. */
#include <stdlib.h>
#include <unistd.h>

#include "core/err.h"
#include "core/num.h"
#include "relay/track/track_form.h"
#include "relay/track/track_host_own.h"

static void set_timeout(struct track_conn *c, int reading)
{
	const struct relay_conf *conf = c->site->conf;

	c->reading = reading;
	evt_conn_set_timeout(c->conn, reading ? conf->tracking.header : conf->tracking.idle);
}

static void conn_free(struct track_conn *c)
{
	if (c->visit)
		track_visit_leave(c->visit);
	list_remove(&c->link);
	atomic_fetch_sub(&c->host->connections, 1);
	track_host_site_done(c->site);
	free(c);
}

void track_conn_drop(struct track_conn *c)
{
	evt_conn_close(c->conn);
	conn_free(c);
}

void track_conn_reply(struct track_conn *c, const struct track_page *p)
{
	struct track_page page = *p;
	struct buf out;

	c->visit = NULL;
	c->close |= track_page_status(p->reply) >= 400 && track_page_status(p->reply) != 404 &&
		    track_page_status(p->reply) != 410;
	page.close = c->close;
	buf_init(&out, TRACK_PAGE_MAX + TRACK_PAGE_URL_MAX);
	if (track_page_put(&out, &page, clock_wall()) < 0 ||
	    evt_conn_write(c->conn, buf_ptr(&out), buf_size(&out)) < 0) {
		buf_clear(&out);
		track_conn_drop(c);
		return;
	}
	buf_clear(&out);
	if (c->close) {
		evt_conn_finish(c->conn);
		conn_free(c);
		return;
	}
	set_timeout(c, 0);
	evt_conn_again(c->conn);
}

static void refuse(struct track_conn *c, enum track_reply reply)
{
	atomic_fetch_add(&c->host->refused, 1);
	c->close = 1;
	track_conn_reply(c, &(struct track_page){.reply = reply});
}

/* The host without a port, if the port is one. */
static struct span host_of(const struct http_request *r)
{
	struct span host = http_request_field(r, "host");
	ptrdiff_t colon = span_find(host, ':');
	uint64_t port;

	if (colon < 0)
		return host;
	if (num_parse_u64(span_sub(host, (size_t)colon + 1, host.n), &port) < 0 || port < 1 || port > 65535)
		return span_of(NULL, 0);
	return span_sub(host, 0, (size_t)colon);
}

static int bad_reply(int err)
{
	return err == ERR_LIMIT ? TRACK_REPLY_HEAD_LARGE : TRACK_REPLY_BAD;
}

static void on_data(struct track_conn *c)
{
	struct buf *in = evt_conn_in(c->conn);
	const struct relay_track_host *host;
	struct track_visit *v;
	struct http_request r;
	int n;

	if (c->visit || !buf_size(in))
		return;
	if (!c->reading)
		set_timeout(c, 1);
	n = http_request_parse(buf_span(in), &r);
	if (n == 0)
		return;
	if (n < 0) {
		refuse(c, (enum track_reply)bad_reply(n));
		return;
	}
	if (r.content_length > TRACK_FORM_MAX) {
		refuse(c, TRACK_REPLY_LARGE);
		return;
	}
	if (buf_size(in) < (size_t)n + r.content_length)
		return;
	host = track_host_named(c->site, host_of(&r));
	if (!host || (c->named && host != c->named)) {
		refuse(c, TRACK_REPLY_MISDIRECTED);
		return;
	}
	atomic_fetch_add(&c->host->requests, 1);
	c->close |= r.close || ++c->requests >= TRACK_HOST_REQUESTS;
	evt_conn_set_timeout(c->conn, 0);
	v = track_visit_new(c, host, &r, span_sub(buf_span(in), (size_t)n, (size_t)r.content_length));
	buf_drain(in, (size_t)n + (size_t)r.content_length); /* r must not be looked at from here on */
	if (v)
		track_visit_run(v);
	else
		track_conn_drop(c);
}

static void on_tls(struct track_conn *c)
{
	const char *name = SSL_get_servername(evt_conn_ssl(c->conn), TLSEXT_NAMETYPE_host_name);

	if (name)
		c->named = track_host_named(c->site, span_str(name));
}

static void on_timeout(struct track_conn *c)
{
	if (c->reading && evt_conn_ssl(c->conn) && buf_size(evt_conn_in(c->conn)))
		refuse(c, TRACK_REPLY_TIMEOUT);
	else
		track_conn_drop(c);
}

static void on_event(void *arg, struct evt_conn *conn, enum evt_conn_event ev)
{
	struct track_conn *c = arg;

	(void)conn;
	switch (ev) {
	case EVT_CONN_TLS:
		on_tls(c);
		break;
	case EVT_CONN_DATA:
		on_data(c);
		break;
	case EVT_CONN_TIMEOUT:
		on_timeout(c);
		break;
	case EVT_CONN_EOF:
	case EVT_CONN_ERROR:
		track_conn_drop(c);
		break;
	default:
		break;
	}
}

void track_conn_accept(void *host, int fd, const struct sockaddr_storage *peer)
{
	struct track_host *h = host;
	const struct relay_conf *conf = h->site->conf;
	struct track_conn *c = NULL;

	/* whoever opens many and sends nothing is counted, too */
	if (!h->stopping && atomic_load(&h->connections) < (unsigned)conf->tracking.connections &&
	    in_limit_take(h->limit, IN_LIMIT_SESSIONS, in_limit_client(peer), conf->tracking.rate, clock_mono()))
		c = calloc(1, sizeof(*c));
	if (!c) {
		close(fd);
		return;
	}
	c->host = h;
	c->key = in_limit_client(peer);
	track_net_format(c->net, peer);
	c->conn = evt_conn_accept(h->loop, fd, HTTP_HEAD_MAX + TRACK_FORM_MAX, on_event, c);
	if (!c->conn) {
		free(c);
		return;
	}
	c->site = track_host_site(h);
	list_push_back(&h->conns, &c->link);
	atomic_fetch_add(&h->connections, 1);
	set_timeout(c, 1);
	if (evt_conn_tls_accept(c->conn, c->site->ctx[0]) < 0)
		track_conn_drop(c);
}
