/* SPDX-License-Identifier: Apache-2.0 */
#include "keyd/token/token_work.h"

#include <sys/socket.h>

#include "core/rand.h"
#include "core/secret.h"
#include "keyd/token/token_key.h"

/* Keys of one request, in secret memory. */
struct keys {
	uint8_t asked[KEYD_TOKEN_KEY], got[KEYD_TOKEN_KEY];
};

/* Wraps asked, and believes it only when it has come back. */
static unsigned wrap_checked(const struct token_open *t, const struct token_key *k,
			     struct span context, struct keys *keys, struct keyd_token_blob *blob)
{
	unsigned why = token_key_wrap(t, k, context, keys->asked, blob);

	if (why == KEYD_TOKEN_OK)
		why = token_key_unwrap(t, k, context, blob, keys->got);
	if (why == KEYD_TOKEN_OK && !secret_equal(keys->asked, keys->got, KEYD_TOKEN_KEY))
		why = KEYD_TOKEN_TOKEN_ERROR;
	return why;
}

static unsigned wrap(const struct token_open *t, const struct keyd_token_ask *ask,
		     struct keys *keys, struct keyd_token_blob *blob)
{
	struct token_key k;
	unsigned why = token_key_find(t, 0, &k);

	if (why == KEYD_TOKEN_NO_KEY)
		why = token_key_make(t, &k);
	memcpy(keys->asked, ask->data.p, KEYD_TOKEN_KEY);
	return why == KEYD_TOKEN_OK ? wrap_checked(t, &k, ask->context, keys, blob) : why;
}

static unsigned unwrap(const struct token_open *t, const struct keyd_token_ask *ask,
		       struct keys *keys, struct keyd_token_blob *blob)
{
	struct token_key k;
	unsigned why = token_key_find(t, ask->kind, &k);

	blob->kind = ask->kind;
	blob->size = (uint16_t)ask->data.n;
	memcpy(blob->bytes, ask->data.p, ask->data.n);
	return why == KEYD_TOKEN_OK ? token_key_unwrap(t, &k, ask->context, blob, keys->got) : why;
}

static unsigned test(const struct token_open *t, const struct keyd_token_ask *ask,
		     struct keys *keys, struct keyd_token_blob *blob)
{
	struct token_key k;
	unsigned why = token_key_find(t, 0, &k);

	rand_bytes(keys->asked, KEYD_TOKEN_KEY);
	return why == KEYD_TOKEN_OK ? wrap_checked(t, &k, ask->context, keys, blob) : why;
}

static unsigned (*const operations[])(const struct token_open *, const struct keyd_token_ask *,
				      struct keys *, struct keyd_token_blob *) = {
    [KEYD_TOKEN_WRAP] = wrap, [KEYD_TOKEN_UNWRAP] = unwrap, [KEYD_TOKEN_TEST] = test};

static void answer(int fd, uint8_t *out, const struct keyd_token_reply *reply)
{
	struct buf b = keyd_token_msg_buf(out, KEYD_TOKEN_MSG_MAX);

	if (keyd_token_msg_reply_put(&b, reply) == 0)
		send(fd, buf_ptr(&b), buf_size(&b), MSG_NOSIGNAL);
	secret_wipe(out, KEYD_TOKEN_MSG_MAX);
}

void token_work(struct span packet, const char *const *modules, size_t module_count, int fd,
		uint8_t *out)
{
	struct keys *keys = secret_alloc(sizeof(*keys));
	struct keyd_token_blob blob = {.kind = 0};
	struct keyd_token_reply reply;
	struct keyd_token_ask ask;
	struct token_open t;
	unsigned why = KEYD_TOKEN_NO_MEMORY;

	if (keyd_token_msg_ask_get(packet, &ask) < 0)
		return;
	memset(&t, 0, sizeof(t));
	if (keys)
		why = token_open(&t, ask.uri, modules, module_count);
	if (why == KEYD_TOKEN_OK)
		why = token_open_login(&t, ask.pin, ask.unattended);
	if (why == KEYD_TOKEN_OK)
		why = operations[ask.op](&t, &ask, keys, &blob);
	reply = (struct keyd_token_reply){.why = (uint8_t)why, .id = ask.id};
	if (why == KEYD_TOKEN_OK && ask.op == KEYD_TOKEN_WRAP) {
		reply.kind = blob.kind;
		reply.data = span_of(blob.bytes, blob.size);
	} else if (why == KEYD_TOKEN_OK && ask.op == KEYD_TOKEN_UNWRAP) {
		reply.data = span_of(keys->got, KEYD_TOKEN_KEY);
	}
	answer(fd, out, &reply);
	secret_free(keys, sizeof(*keys));
	token_open_close(&t);
}
