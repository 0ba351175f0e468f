/* SPDX-License-Identifier: Apache-2.0 */
/* Arbitrary bytes from a client to the session engine of a READY keyd. The first byte says who
 * speaks: bits 0..2 the role (0: HELLO is for the input itself to say), bit 3 the socket, bit 4
 * that a second session listens. */
#include <stdint.h>
#include <stdlib.h>

#include "core/clock.h"
#include "core/log.h"
#include "keyd/keyd_crypto.h"
#include "test/unit/keyd_play.h"

#define CUSTOMERS_MAX 200
#define KEYS_MAX      20

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static struct keyd_play play;
static struct keyd_crypto_key *ec, *rsa;

/* OpenSSL's tables may lie in its locked heap, which LeakSanitizer does not search: what only they
 * point to would count as leaked. test_keyd_ops looks for leaks. */
const char *__asan_default_options(void);
const char *__asan_default_options(void)
{
	return "detect_leaks=0";
}

static void be_quiet(void *arg, const char *line)
{
	(void)arg;
	(void)line;
}

/* Making an RSA key takes longer than a thousand inputs: it is made once. */
static void add_key(const char *label, unsigned type, struct keyd_crypto_key **key)
{
	struct buf b;

	buf_init(&b, KEYD_RECORD_BODY_MAX);
	if ((!*key && keyd_crypto_generate(type, key) < 0) ||
	    keyd_ring_make_key(play.keyd->ring, span_str(label), type, *key, 1, 1, &b) < 0 ||
	    keyd_ring_apply(play.keyd->ring, KEYD_RECORD_KEY, buf_span(&b), 1) < 0)
		abort();
	buf_clear(&b);
}

/* A keyd that is READY and has something to ask for. */
static void set_up(void)
{
	struct keyd_play_client c;

	if (keyd_play_memory(&play) < 0)
		abort();
	keyd_play_connect(&c, &play, KEYD_PLAY_ALL, KEYD_PERMIT_ADMIN, KEYPROTO_ROLE_OFFICER);
	if (keyd_play_customer(&c, "default") < 0)
		abort();
	keyd_play_leave(&c);
	add_key("tls/relay", KEYPROTO_KEY_EC_P256, &ec);
	add_key("tls/rsa", KEYPROTO_KEY_RSA2048, &rsa);
}

/* Inputs add customers and keys, and lock: begin anew when that has gone far. */
static void renew(void)
{
	struct keyd_ring_counts n;

	if (!play.keyd) {
		if (keyd_crypto_init() < 0)
			abort();
		clock_set(1000 * CLOCK_SEC, 1000 * CLOCK_SEC);
		log_capture(be_quiet, NULL);
		set_up();
		return;
	}
	if (play.keyd->ring) {
		keyd_ring_counts(play.keyd->ring, &n);
		if (n.customers < CUSTOMERS_MAX && n.keys < KEYS_MAX)
			return;
	}
	keyd_play_close(&play);
	set_up();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct keyd_play_client c, other;
	struct wire_frame f;
	int n;

	if (size < 1)
		return 0;
	renew();
	if (data[0] & 16)
		keyd_play_connect(&other, &play, KEYD_PLAY_ALL, KEYD_PERMIT_USE,
				  KEYPROTO_ROLE_RELAY);
	keyd_play_connect(&c, &play, KEYD_PLAY_ALL,
			  data[0] & 8 ? KEYD_PERMIT_ADMIN : KEYD_PERMIT_USE,
			  (data[0] & 7) <= KEYPROTO_ROLE_AUDITOR ? data[0] & 7 : 0);
	keyd_play_raw(&c, data + 1, size - 1);
	/* What it wrote must be whole frames. */
	while ((n = wire_frame_parse(buf_span(&c.session->out), &f)) > 0)
		buf_drain(&c.session->out, (size_t)n);
	if (n < 0 || buf_size(&c.session->out))
		abort();
	keyd_play_leave(&c);
	if (data[0] & 16)
		keyd_play_leave(&other);
	return 0;
}
