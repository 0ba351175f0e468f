/* SPDX-License-Identifier: Apache-2.0 */
#include "keyd/keyd_slot.h"

#include <stdlib.h>

#include "core/err.h"
#include "core/log.h"
#include "core/num.h"
#include "core/rand.h"
#include "core/secret.h"
#include "keyd/keyd_credential.h"
#include "sys/sys_file.h"

struct keyd_slot_vault *keyd_slot_vault_new(void)
{
	return secret_alloc(sizeof(struct keyd_slot_vault));
}

void keyd_slot_vault_free(struct keyd_slot_vault *v)
{
	secret_free(v, sizeof(*v));
}

/* --- gathering */

/* Room for one more secret; it counts once v->count is raised. */
static struct keyd_slot_secret *next_secret(struct keyd_slot_vault *v, unsigned method)
{
	struct keyd_slot_secret *s = &v->secrets[v->count];

	if (v->count == KEYD_ROOT_SLOTS_MAX)
		return NULL;
	secret_wipe(s, sizeof(*s));
	s->method = (uint8_t)method;
	return s;
}

static int keep(struct keyd_slot_secret *s, struct span bytes)
{
	if (bytes.n > sizeof(s->bytes))
		return ERR_LIMIT;
	if (bytes.n)
		memcpy(s->bytes, bytes.p, bytes.n);
	s->n = bytes.n;
	return 0;
}

static int from_file(const struct keyd_conf_slot *entry, struct keyd_slot_secret *s)
{
	s->n = 32;
	return keyd_root_file_read(entry->path, s->bytes);
}

static int from_credential(const struct keyd_conf_slot *entry, struct keyd_slot_secret *s)
{
	struct buf b;
	int rc;

	buf_init_wiped(&b, KEYD_ROOT_SECRET_MAX);
	rc = keyd_credential_read(entry->name, &b);
	if (rc == 0)
		rc = keep(s, buf_span(&b));
	buf_clear(&b);
	return rc;
}

/* The PIN as the first line of its file; whoever has none is asked at UNSEAL. */
static int from_pin_file(const struct keyd_conf_slot *entry, struct keyd_slot_secret *s)
{
	struct span pin;
	struct buf b;
	int rc;

	if (!entry->pin)
		return ERR_NOTFOUND;
	buf_init_wiped(&b, KEYD_TOKEN_PIN_MAX + 2);
	rc = sys_file_read(entry->pin, &b, 1);
	pin = buf_span(&b);
	while (pin.n && (pin.p[pin.n - 1] == '\n' || pin.p[pin.n - 1] == '\r'))
		pin.n--;
	if (rc == 0)
		rc = pin.n >= 1 && pin.n <= KEYD_TOKEN_PIN_MAX ? keep(s, pin) : ERR_FORMAT;
	buf_clear(&b);
	return rc;
}

/* Where methods that open by themselves have their secret. */
static int (*const sources[])(const struct keyd_conf_slot *, struct keyd_slot_secret *) = {
    [KEYPROTO_SLOT_FILE] = from_file,
    [KEYPROTO_SLOT_CREDENTIAL] = from_credential,
    [KEYPROTO_SLOT_TOKEN] = from_pin_file,
};

static int gather_one(const struct keyd_conf *conf, size_t entry, struct keyd_slot_vault *v)
{
	const struct keyd_conf_slot *c = keyd_conf_slot(conf, entry);
	struct keyd_slot_secret *s = next_secret(v, (unsigned)c->method);
	int rc = s ? sources[c->method](c, s) : ERR_LIMIT;

	if (rc == 0) {
		s->unattended = 1;
		s->entry = (uint8_t)entry;
		v->count++;
	}
	return rc;
}

static int has_method(const struct keyd_snapshot_head *head, unsigned method)
{
	for (unsigned i = 0; i < head->slot_count; i++)
		if (head->slots[i].method == method)
			return 1;
	return 0;
}

static void log_entry(const char *session, size_t entry, unsigned method, int rc, const char *why)
{
	log_event(LOG_LEVEL_WARN, session, "slot-failed",
		  "entry=%zu method=%s error=\"%s\" why=\"%s\"", entry,
		  keyd_root_method_name(method), err_text(rc), why ? why : "");
}

/* A PIN is for the slots of its own token: elsewhere it would only cost tries. */
static int gather_pin(const struct keyd_conf *conf, size_t entry,
		      const struct keyd_snapshot_head *head, struct keyd_slot_vault *v)
{
	const char *uri = keyd_conf_slot(conf, entry)->uri;
	int rc = 0;

	for (unsigned i = 0; rc == 0 && i < head->slot_count; i++) {
		const struct keyd_root_slot *s = &head->slots[i];
		if (s->method != KEYPROTO_SLOT_TOKEN || strcmp(s->token.uri, uri) != 0)
			continue;
		rc = gather_one(conf, entry, v);
		if (rc == 0)
			v->secrets[v->count - 1].slot = s->id;
	}
	return rc;
}

int keyd_slot_gather(const struct keyd_conf *conf, unsigned method,
		     const struct keyd_snapshot_head *head, const char *session,
		     struct keyd_slot_vault *v)
{
	const unsigned before = v->count;

	for (size_t i = 0; i < conf->slots.count; i++) {
		const struct keyd_conf_slot *c = keyd_conf_slot(conf, i);
		const unsigned m = (unsigned)c->method;
		int rc;
		if ((method != KEYPROTO_SLOT_ANY && m != method) || !keyd_root_method(m)->alone ||
		    !has_method(head, m) || (m == KEYPROTO_SLOT_TOKEN && !c->pin))
			continue;
		rc = m == KEYPROTO_SLOT_TOKEN ? gather_pin(conf, i, head, v)
					      : gather_one(conf, i, v);
		if (rc < 0)
			log_entry(session, i, m, rc, NULL);
	}
	return v->count > before ? 0 : ERR_NOTFOUND;
}

int keyd_slot_give(unsigned method, struct span secret, struct keyd_slot_vault *v)
{
	struct keyd_slot_secret *s = next_secret(v, method);
	int rc = s ? keep(s, secret) : ERR_LIMIT;

	if (rc == 0)
		v->count++;
	return rc;
}

int keyd_slot_gather_new(const struct keyd_conf *conf, size_t entry, struct span given,
			 struct keyd_slot_vault *v)
{
	const struct keyd_conf_slot *c = keyd_conf_slot(conf, entry);
	int rc = 0;

	if (c->method == KEYPROTO_SLOT_PASSPHRASE && given.n < KEYD_ROOT_PASSPHRASE_MIN)
		return ERR_FORMAT;
	if (!keyd_root_method((unsigned)c->method)->alone || given.n)
		return keyd_slot_give((unsigned)c->method, given, v);
	if (c->method == KEYPROTO_SLOT_FILE)
		rc = keyd_root_file_make(c->path);
	return rc == 0 ? gather_one(conf, entry, v) : rc;
}

int keyd_slot_entry(const struct keyd_conf *conf, unsigned method, struct span name)
{
	for (size_t i = 0; i < conf->slots.count; i++) {
		const struct keyd_conf_slot *c = keyd_conf_slot(conf, i);
		if ((unsigned)c->method == method &&
		    (name.n == 0 || span_equal(name, span_str(c->name))))
			return (int)i;
	}
	return -1;
}

/* --- opening */

/* One share of each line; the key that they give. ERR_AUTH: not this slot's, or too few. */
static int key_of_shares(const struct keyd_root_slot *s, struct span text, uint8_t key[32])
{
	struct shares {
		struct keyd_share one;
		struct keyd_shamir_share points[KEYD_ROOT_SHARES_MAX];
	} *m = secret_alloc(sizeof(*m));
	unsigned count = 0;
	int rc = m ? 0 : ERR_NOMEM;

	while (rc == 0 && text.n && count < s->shares.need) {
		ptrdiff_t end = span_find(text, '\n');
		struct span line = end < 0 ? text : span_sub(text, 0, (size_t)end);
		text = end < 0 ? span_of(NULL, 0) : span_sub(text, (size_t)end + 1, text.n);
		rc = keyd_share_parse(line, &m->one);
		if (rc == 0 && (memcmp(m->one.set, s->shares.set, KEYD_SHARE_SET) != 0 ||
				m->one.k != s->shares.need))
			rc = ERR_AUTH;
		if (rc == 0)
			m->points[count++] = m->one.point;
	}
	if (rc == 0 && (count < s->shares.need || keyd_shamir_combine(m->points, count, key) < 0))
		rc = ERR_AUTH;
	secret_free(m, sizeof(*m));
	return rc;
}

/* Binds what the token wraps to this store and slot. */
static void token_context(uint8_t context[20], const uint8_t store[16], uint32_t id)
{
	memcpy(context, store, 16);
	num_put_u32(context + 16, id);
}

static struct keyd_token_where token_where(const struct keyd_root_slot *s,
					   const struct keyd_slot_secret *secret,
					   const uint8_t context[20])
{
	return (struct keyd_token_where){.uri = s->token.uri,
					 .pin = span_of(secret->bytes, secret->n),
					 .context = span_of(context, 20),
					 .unattended = secret->unattended};
}

static int open_with_key(const struct keyd_root_slot *s, const uint8_t store[16],
			 const struct keyd_slot_secret *secret, struct keyd_token *token,
			 uint8_t root[32], const char **why)
{
	uint8_t *key = secret_alloc(32), context[20];
	struct keyd_token_where where;
	int rc;

	if (!key)
		return ERR_NOMEM;
	if (s->method == KEYPROTO_SLOT_SHARES) {
		rc = key_of_shares(s, span_of(secret->bytes, secret->n), key);
	} else {
		token_context(context, store, s->id);
		where = token_where(s, secret, context);
		rc = keyd_token_unwrap(token, &where, &s->token.blob, key, why);
	}
	if (rc == 0)
		rc = keyd_root_slot_open(s, store, span_of(key, 32), root);
	secret_free(key, 32);
	return rc;
}

static int open_one(const struct keyd_root_slot *s, const uint8_t store[16],
		    const struct keyd_slot_secret *secret, struct keyd_token *token,
		    uint8_t root[32], const char **why)
{
	if (s->method == KEYPROTO_SLOT_SHARES || s->method == KEYPROTO_SLOT_TOKEN)
		return open_with_key(s, store, secret, token, root, why);
	return keyd_root_slot_open(s, store, span_of(secret->bytes, secret->n), root);
}

/* Whether this secret is for this slot. A PIN that one slot on a token refused is not tried on the
 * next one there: the token counts. */
static int may_open(const struct keyd_slot_secret *secret, const struct keyd_snapshot_head *head,
		    unsigned n, const int *refused)
{
	const struct keyd_root_slot *s = &head->slots[n];

	if (s->method != secret->method || (secret->slot && secret->slot != s->id))
		return 0;
	for (unsigned i = 0; s->method == KEYPROTO_SLOT_TOKEN && i < n; i++)
		if (refused[i] && !strcmp(head->slots[i].token.uri, s->token.uri))
			return 0;
	return 1;
}

int keyd_slot_open(struct keyd_slot_vault *v, const struct keyd_snapshot_head *head, uint32_t only,
		   struct keyd_token *token, struct keyd_slot_outcome *out)
{
	memset(out, 0, sizeof(*out));
	for (unsigned i = 0; i < v->count; i++) {
		int refused[KEYD_ROOT_SLOTS_MAX] = {0};
		out->errors[i] = ERR_AUTH;
		for (unsigned n = 0; n < head->slot_count; n++) {
			const struct keyd_root_slot *s = &head->slots[n];
			if ((only && s->id != only) || !may_open(&v->secrets[i], head, n, refused))
				continue;
			out->errors[i] =
			    open_one(s, head->id, &v->secrets[i], token, v->root, &out->why);
			refused[n] = s->method == KEYPROTO_SLOT_TOKEN && out->errors[i] == ERR_AUTH;
			if (out->errors[i] == 0) {
				out->id = s->id;
				out->used = i;
				return 0;
			}
		}
	}
	/* One secret, one reason; several may have failed each for its own. */
	return v->count == 1 ? out->errors[0] : ERR_AUTH;
}

void keyd_slot_log(const struct keyd_slot_vault *v, const struct keyd_slot_outcome *out,
		   const char *session)
{
	for (unsigned i = 0; i < v->count; i++)
		if (v->secrets[i].unattended && out->errors[i] < 0)
			log_entry(session, v->secrets[i].entry, v->secrets[i].method,
				  out->errors[i], out->why);
}

int keyd_slot_reply(int rc)
{
	return rc == ERR_DENIED ? ERR_IO : rc;
}

/* --- making */

static int make_shares(struct keyd_root_slot *s, const uint8_t key[32],
		       struct keyd_slot_shares *out)
{
	struct work {
		struct keyd_share one;
		struct keyd_shamir_share points[KEYD_ROOT_SHARES_MAX];
	} *w = secret_alloc(sizeof(*w));
	int rc;

	if (!w)
		return ERR_NOMEM;
	rand_bytes(s->shares.set, sizeof(s->shares.set));
	rc = keyd_shamir_split(key, s->shares.need, s->shares.of, w->points);
	for (unsigned i = 0; rc >= 0 && i < s->shares.of; i++) {
		memcpy(w->one.set, s->shares.set, KEYD_SHARE_SET);
		w->one.k = s->shares.need;
		w->one.point = w->points[i];
		rc = keyd_share_format(&w->one, out->texts[i]);
	}
	if (rc >= 0)
		out->count = s->shares.of;
	secret_free(w, sizeof(*w));
	return rc < 0 ? rc : 0;
}

int keyd_slot_make(struct keyd_root_slot *s, const uint8_t store[16],
		   const struct keyd_slot_vault *v, const struct keyd_slot_secret *secret,
		   struct keyd_token *token, struct keyd_slot_shares *shares, const char **why)
{
	struct keyd_token_where where;
	uint8_t *key, context[20];
	int rc;

	if (s->method != KEYPROTO_SLOT_SHARES && s->method != KEYPROTO_SLOT_TOKEN)
		return keyd_root_slot_make(s, store, span_of(secret->bytes, secret->n), v->root);
	key = secret_alloc(32);
	if (!key)
		return ERR_NOMEM;
	rand_bytes(key, 32);
	if (s->method == KEYPROTO_SLOT_SHARES) {
		rc = make_shares(s, key, shares);
	} else {
		token_context(context, store, s->id);
		where = token_where(s, secret, context);
		rc = keyd_token_wrap(token, &where, key, &s->token.blob, why);
	}
	if (rc == 0)
		rc = keyd_root_slot_make(s, store, span_of(key, 32), v->root);
	secret_free(key, 32);
	return rc;
}
