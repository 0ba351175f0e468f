/* SPDX-License-Identifier: Apache-2.0 */
#include "test/unit/keyd_play.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "core/err.h"
#include "core/secret.h"

/* From a file, so that paths in it are below the state: tests run side by side. */
static int from_file(const struct keyd_play *p, const char *text, struct keyd_conf **conf, char err[CONF_ERR_MAX])
{
	char path[sizeof(p->dir) + 16];
	FILE *f;

	snprintf(path, sizeof(path), "%s/keyd.yaml", p->dir);
	f = fopen(path, "w");
	snprintf(err, CONF_ERR_MAX, "%s cannot be written", path);
	if (!f)
		return ERR_IO;
	fputs(text, f);
	return fclose(f) ? ERR_IO : keyd_conf_load(path, conf, err);
}

static int load(struct keyd_play *p, const char *slots)
{
	struct keyd_conf *conf;
	char text[1024], err[CONF_ERR_MAX];
	int rc;

	snprintf(text, sizeof(text),
		 "state: %s/state\nsocket: a.sock\nadmin_socket: b.sock\nslots: %s\n"
		 "peers: {\"1\": relay}\nlimits: {derive_existing: 100, derive_burst: 300}\n"
		 "tamper: {denied: 0}\naudit: %s/state/audit\n",
		 *p->dir ? p->dir : "/nonexistent", slots, *p->dir ? p->dir : "/nonexistent");
	rc = *p->dir ? from_file(p, text, &conf, err) : keyd_conf_parse("test", span_str(text), &conf, err);
	if (rc < 0) {
		fprintf(stderr, "%s\n", err);
		return rc;
	}
	p->keyd = keyd_new(conf, NULL);
	if (p->keyd)
		return 0;
	keyd_conf_free(conf);
	return ERR_NOMEM;
}

int keyd_play_restart(struct keyd_play *p, const char *slots)
{
	int rc = load(p, slots);

	return rc < 0 ? rc : keyd_start(p->keyd);
}

int keyd_play_open(struct keyd_play *p, const char *slots)
{
	memset(p, 0, sizeof(*p));
	strcpy(p->dir, "/tmp/test_keyd.XXXXXX");
	return mkdtemp(p->dir) ? keyd_play_restart(p, slots) : ERR_IO;
}

int keyd_play_memory(struct keyd_play *p)
{
	struct keyd_snapshot_head head = {.next_slot = 2, .slot_count = 1};
	uint8_t *root = secret_alloc(32);
	int rc;

	memset(p, 0, sizeof(*p));
	rc = root ? load(p, "[{method: file, path: root.key}]") : ERR_NOMEM;
	if (rc == 0)
		rc = keyd_create(p->keyd, &head, root);
	secret_free(root, 32);
	return rc;
}

void keyd_play_stop(struct keyd_play *p)
{
	keyd_free(p->keyd);
	p->keyd = NULL;
}

void keyd_play_close(struct keyd_play *p)
{
	char command[64];

	keyd_play_stop(p);
	if (!*p->dir)
		return;
	snprintf(command, sizeof(command), "rm -r %s", p->dir);
	if (system(command) != 0)
		fprintf(stderr, "%s failed\n", command);
}

static void woken(void *arg)
{
	((struct keyd_play_client *)arg)->woken++;
}

void keyd_play_connect(struct keyd_play_client *c, struct keyd_play *p, unsigned roles,
		       unsigned socket, unsigned role)
{
	struct keyproto_hello m = {1, 1, (uint8_t)role, SPAN_LIT("test")};

	memset(c, 0, sizeof(*c));
	c->session = keyd_session_new(p->keyd, 1, roles, socket, woken, c);
	buf_init(&c->in, 1 << 20);
	buf_init(&c->body, 1 << 20);
	buf_init(&c->reply, 1 << 20);
	if (!role)
		return;
	keyproto_hello_put(keyd_play_begin(c), &m);
	keyd_play_call(c, KEYPROTO_HELLO);
}

void keyd_play_leave(struct keyd_play_client *c)
{
	keyd_session_end(c->session);
	buf_clear(&c->in);
	buf_clear(&c->body);
	buf_clear(&c->reply);
}

struct buf *keyd_play_begin(struct keyd_play_client *c)
{
	buf_reset(&c->body);
	return &c->body;
}

int keyd_play_raw(struct keyd_play_client *c, const void *p, size_t n)
{
	int rc;

	buf_put(&c->in, p, n);
	while ((rc = keyd_session_step(c->session, &c->in)) > 0)
		;
	return rc;
}

int keyd_play_take(struct keyd_play_client *c, int *status)
{
	struct wire_frame f;
	int n, found = 0;

	while ((n = wire_frame_parse(buf_span(&c->session->out), &f)) > 0) {
		c->epoch = f.epoch;
		if (f.request == 0) {
			c->pushes++;
			c->pushed = f.body.n == 1 ? f.body.p[0] : 0;
		} else if (f.request == c->request) {
			found = 1;
			*status = keyproto_err_of_status(f.status);
			buf_reset(&c->reply);
			buf_put_span(&c->reply, f.body);
		}
		buf_drain(&c->session->out, (size_t)n);
	}
	return found;
}

int keyd_play_call(struct keyd_play_client *c, unsigned op)
{
	struct buf frame;
	size_t at;
	int rc, status = 0;

	buf_init(&frame, 1 << 20);
	at = wire_frame_open(&frame);
	buf_put_span(&frame, buf_span(&c->body));
	rc = wire_frame_close(&frame, at, (uint16_t)op, ++c->request, 0, 0);
	if (rc == 0)
		rc = keyd_play_raw(c, buf_ptr(&frame), buf_size(&frame));
	buf_clear(&frame);
	if (keyd_play_take(c, &status))
		return status;
	return rc < 0 ? ERR_CLOSED : ERR_TIMEOUT;
}

int keyd_play_init(struct keyd_play_client *c, const char *passphrase)
{
	struct keyproto_init m = {.count = 1};

	m.slots[0].method = KEYPROTO_SLOT_FILE;
	if (passphrase) {
		m.count = 2;
		m.slots[1].method = KEYPROTO_SLOT_PASSPHRASE;
		m.slots[1].secret = span_str(passphrase);
	}
	keyproto_init_put(keyd_play_begin(c), &m);
	return keyd_play_call(c, KEYPROTO_INIT);
}

int keyd_play_unseal(struct keyd_play_client *c, unsigned method, const char *secret)
{
	struct keyproto_slot m = {(uint8_t)method, span_str(secret)};

	keyproto_slot_put(keyd_play_begin(c), &m);
	return keyd_play_call(c, KEYPROTO_UNSEAL);
}

int keyd_play_customer(struct keyd_play_client *c, const char *name)
{
	keyproto_bytes_put(keyd_play_begin(c), span_str(name));
	return keyd_play_call(c, KEYPROTO_CUSTOMER_ADD);
}

int keyd_play_key(struct keyd_play_client *c, const char *label, unsigned type)
{
	struct keyproto_key_add m = {span_str(label), (uint8_t)type};

	keyproto_key_add_put(keyd_play_begin(c), &m);
	return keyd_play_call(c, KEYPROTO_KEY_ADD);
}

int keyd_play_derive(struct keyd_play_client *c, const char *customer, unsigned purpose,
		     unsigned count, struct keyproto_derived *out)
{
	struct keyproto_derive_new m = {
	    .customer = span_str(customer), .purpose = (uint8_t)purpose, .count = (uint16_t)count};
	int rc;

	for (unsigned i = 0; i < count; i++)
		m.contexts[i] = SPAN_LIT("context");
	keyproto_derive_new_put(keyd_play_begin(c), &m);
	rc = keyd_play_call(c, KEYPROTO_DERIVE_NEW);
	return rc < 0 ? rc : keyproto_derived_get(buf_span(&c->reply), out);
}
