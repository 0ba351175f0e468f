/* SPDX-License-Identifier: Apache-2.0 */
/* The token helper: its frames, keyd's end of it, and the program itself with a module of ours. */
#include <errno.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>
#include <cmocka.h>

#include "core/clock.h"
#include "core/err.h"
#include "core/rand.h"
#include "core/secret.h"
#include "keyd/keyd_token_msg.h"

#define HELPER	"./sealpost-keyd-token"
#define MODULE	"test/tool/fake_p11.so"
#define CONTEXT SPAN_LIT("store and slot")

static char module[4096]; /* absolute */

static const uint8_t secret_key[KEYD_TOKEN_KEY] = "thirty-two bytes of a slot's key";

/* ---- frames ---- */

static struct keyd_token_ask good_ask(unsigned op)
{
	static uint8_t bytes[KEYD_TOKEN_BLOB_MAX];
	struct keyd_token_ask m = {.op = (uint8_t)op,
				   .id = 5,
				   .limit_ms = 30000,
				   .uri = SPAN_LIT("pkcs11:token=t;object=o"),
				   .pin = SPAN_LIT("1234"),
				   .context = CONTEXT};

	if (op == KEYD_TOKEN_WRAP)
		m.data = span_of(bytes, KEYD_TOKEN_KEY);
	if (op == KEYD_TOKEN_UNWRAP) {
		m.kind = KEYD_TOKEN_AES_GCM;
		m.data = span_of(bytes, 60);
	}
	return m;
}

static int ask_holds(const struct keyd_token_ask *m)
{
	struct buf b;
	int rc;

	buf_init(&b, KEYD_TOKEN_MSG_MAX);
	rc = keyd_token_msg_ask_put(&b, m);
	buf_clear(&b);
	return rc == 0;
}

static void requests_come_back_as_they_were_sent(void **state)
{
	(void)state;
	for (unsigned op = KEYD_TOKEN_WRAP; op <= KEYD_TOKEN_TEST; op++) {
		struct keyd_token_ask m = good_ask(op), got;
		struct buf b;
		buf_init(&b, KEYD_TOKEN_MSG_MAX);
		assert_int_equal(keyd_token_msg_ask_put(&b, &m), 0);
		assert_int_equal(keyd_token_msg_ask_get(buf_span(&b), &got), 0);
		assert_int_equal(got.op, op);
		assert_int_equal(got.id, 5);
		assert_int_equal(got.limit_ms, 30000);
		assert_int_equal(got.kind, m.kind);
		assert_true(span_equal(got.uri, m.uri) && span_equal(got.pin, m.pin));
		assert_true(span_equal(got.context, m.context) && span_equal(got.data, m.data));
		/* Cut anywhere, or longer, it is nothing. */
		for (size_t n = 0; n < buf_size(&b); n++)
			assert_int_equal(keyd_token_msg_ask_get(span_of(buf_ptr(&b), n), &got),
					 ERR_FORMAT);
		buf_put(&b, "", 1);
		assert_int_equal(keyd_token_msg_ask_get(buf_span(&b), &got), ERR_FORMAT);
		buf_clear(&b);
	}
}

static void requests_that_break_a_rule_are_refused(void **state)
{
	static uint8_t bytes[KEYD_TOKEN_BLOB_MAX + 1];
	struct keyd_token_ask m;

	(void)state;
#define BREAKS(op, change)                   \
	do {                                 \
		m = good_ask(op);            \
		change;                      \
		assert_false(ask_holds(&m)); \
	} while (0)
	BREAKS(KEYD_TOKEN_WRAP, m.op = 0);
	BREAKS(KEYD_TOKEN_WRAP, m.op = 4);
	BREAKS(KEYD_TOKEN_WRAP, m.id = 0);
	BREAKS(KEYD_TOKEN_WRAP, m.limit_ms = 0);
	BREAKS(KEYD_TOKEN_WRAP, m.limit_ms = KEYD_TOKEN_MSG_LIMIT_MAX + 1);
	BREAKS(KEYD_TOKEN_WRAP, m.unattended = 2);
	BREAKS(KEYD_TOKEN_WRAP, m.kind = KEYD_TOKEN_AES_GCM);
	BREAKS(KEYD_TOKEN_WRAP, m.uri = SPAN_LIT("file:/x"));
	BREAKS(KEYD_TOKEN_WRAP, m.pin.n = 0);
	BREAKS(KEYD_TOKEN_WRAP, m.pin = span_of(bytes, KEYD_TOKEN_PIN_MAX + 1));
	BREAKS(KEYD_TOKEN_WRAP, m.context = span_of(bytes, KEYD_TOKEN_CONTEXT_MAX + 1));
	BREAKS(KEYD_TOKEN_WRAP, m.data.n = 31);
	BREAKS(KEYD_TOKEN_WRAP, m.data.n = 33);
	BREAKS(KEYD_TOKEN_TEST, m.data = span_of(bytes, 1));
	BREAKS(KEYD_TOKEN_UNWRAP, m.kind = 0);
	BREAKS(KEYD_TOKEN_UNWRAP, m.kind = 3);
	BREAKS(KEYD_TOKEN_UNWRAP, m.data.n = 61);
	BREAKS(KEYD_TOKEN_UNWRAP, m.kind = KEYD_TOKEN_RSA_OAEP); /* 60 bytes */
	BREAKS(KEYD_TOKEN_UNWRAP, m.kind = KEYD_TOKEN_RSA_OAEP;
	       m.data = span_of(bytes, KEYD_TOKEN_BLOB_MAX + 1));
#undef BREAKS
	m = good_ask(KEYD_TOKEN_UNWRAP);
	m.kind = KEYD_TOKEN_RSA_OAEP;
	m.data = span_of(bytes, KEYD_TOKEN_BLOB_MAX);
	assert_true(ask_holds(&m));
}

static void replies_hold_what_their_outcome_allows(void **state)
{
	static const uint8_t bytes[60];
	static const struct {
		struct keyd_token_reply m;
		int good;
	} rows[] = {{{.id = 1}, 1},
		    {{.id = 1, .data = {bytes, 32}}, 1},
		    {{.id = 1, .kind = KEYD_TOKEN_AES_GCM, .data = {bytes, 60}}, 1},
		    {{.id = 1, .why = KEYD_TOKEN_PIN_WRONG}, 1},
		    {{.id = 0}, 0},
		    {{.id = 1, .data = {bytes, 31}}, 0},
		    {{.id = 1, .kind = KEYD_TOKEN_AES_GCM, .data = {bytes, 32}}, 0},
		    {{.id = 1, .kind = KEYD_TOKEN_RSA_OAEP, .data = {bytes, 60}}, 0},
		    {{.id = 1, .why = KEYD_TOKEN_PIN_WRONG, .data = {bytes, 32}}, 0},
		    {{.id = 1, .why = KEYD_TOKEN_PIN_WRONG, .kind = 1}, 0},
		    {{.id = 1, .why = KEYD_TOKEN_BAD_CALL + 1}, 0}};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct keyd_token_reply got;
		struct buf b;
		buf_init(&b, KEYD_TOKEN_MSG_MAX);
		assert_int_equal(keyd_token_msg_reply_put(&b, &rows[i].m),
				 rows[i].good ? 0 : ERR_FORMAT);
		if (rows[i].good) {
			assert_int_equal(keyd_token_msg_reply_get(buf_span(&b), &got), 0);
			assert_int_equal(got.why, rows[i].m.why);
			assert_int_equal(got.kind, rows[i].m.kind);
			assert_true(span_equal(got.data, rows[i].m.data));
		}
		buf_clear(&b);
	}
	assert_int_equal(keyd_token_msg_err(200), ERR_AWAY);
}

static void a_uri_names_a_key_and_no_pin(void **state)
{
	static const struct {
		const char *uri;
		int good;
	} rows[] = {{"pkcs11:object=a", 1},
		    {"pkcs11:id=%01", 1},
		    {"pkcs11:token=Sealpost%20root;object=root;type=secret-key", 1},
		    {"pkcs11:token=t;object=o?module-path=/usr/lib/x.so", 1},
		    {"pkcs11:token=t", 0},
		    {"pkcs11:token=object", 0},
		    {"pkcs11:slot-id=3", 0},
		    {"pkcs11:object=a?pin-value=1234", 0},
		    {"pkcs11:object=a?pin-source=file:/etc/pin", 0},
		    {"pkcs11:object=a b", 0},
		    {"pkcs11:object=\"a\"", 0},
		    {"pkcs11:object=\xc3\xa4", 0},
		    {"pkcs12:object=a", 0},
		    {"pkcs11:", 0},
		    {"", 0}};
	char text[KEYD_TOKEN_URI_MAX + 2] = "pkcs11:object=";

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
		assert_int_equal(keyd_token_uri_check(span_str(rows[i].uri)) == NULL, rows[i].good);
	memset(text + 14, 'a', sizeof(text) - 15);
	assert_non_null(keyd_token_uri_check(span_of(text, KEYD_TOKEN_URI_MAX + 1)));
	assert_null(keyd_token_uri_check(span_of(text, KEYD_TOKEN_URI_MAX)));
}

/* ---- keyd's end, with somebody else as the helper ---- */

enum manner { WRONG_ID, GARBAGE, TOO_LONG, BLOB_FOR_KEY, KEY_FOR_BLOB, CLOSES };

struct impostor {
	int fd;
	enum manner manner;
	pthread_t thread;
};

static void *play(void *arg)
{
	struct impostor *im = arg;
	uint8_t in[KEYD_TOKEN_MSG_MAX], bytes[60] = {0};
	struct keyd_token_ask ask;
	struct keyd_token_reply r = {.data = {bytes, 32}};
	struct buf b;
	ssize_t n = recv(im->fd, in, sizeof(in), 0);

	if (n <= 0 || keyd_token_msg_ask_get(span_of(in, (size_t)n), &ask) < 0)
		return im;
	buf_init(&b, 2 * KEYD_TOKEN_MSG_MAX);
	r.id = im->manner == WRONG_ID ? ask.id + 1 : ask.id;
	if (im->manner == BLOB_FOR_KEY)
		r = (struct keyd_token_reply){.id = ask.id, .kind = 1, .data = {bytes, 60}};
	if (im->manner == GARBAGE)
		buf_put_str(&b, "no frame at all");
	else
		keyd_token_msg_reply_put(&b, &r);
	if (im->manner == TOO_LONG)
		while (buf_size(&b) <= KEYD_TOKEN_MSG_MAX)
			buf_put(&b, bytes, sizeof(bytes));
	if (im->manner != CLOSES)
		send(im->fd, buf_ptr(&b), buf_size(&b), MSG_NOSIGNAL);
	buf_clear(&b);
	close(im->fd);
	return NULL;
}

static struct keyd_token_where where(const char *uri, const char *pin)
{
	return (struct keyd_token_where){.uri = uri, .pin = span_str(pin), .context = CONTEXT};
}

static void a_helper_that_answers_wrongly_is_not_asked_again(void **state)
{
	struct keyd_token_where w = where("pkcs11:object=a", "1234");
	struct keyd_token_blob blob = {.kind = 1, .size = 60};
	uint8_t key[KEYD_TOKEN_KEY];
	const char *why;

	(void)state;
	for (enum manner m = WRONG_ID; m <= CLOSES; m++) {
		struct impostor im = {.manner = m};
		struct keyd_token *t;
		void *wrong;
		int pair[2], rc;
		assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET, 0, pair), 0);
		im.fd = pair[1];
		t = keyd_token_attach(pair[0], CLOCK_SEC);
		assert_true(keyd_token_alive(t));
		pthread_create(&im.thread, NULL, play, &im);
		memset(key, 7, sizeof(key));
		if (m == KEY_FOR_BLOB)
			rc = keyd_token_wrap(t, &w, secret_key, &blob, &why);
		else
			rc = keyd_token_unwrap(t, &w, &blob, key, &why);
		assert_int_equal(rc, ERR_AWAY);
		for (unsigned i = 0; i < sizeof(key); i++)
			assert_int_equal(key[i], 7);
		pthread_join(im.thread, &wrong);
		assert_null(wrong);
		assert_false(keyd_token_alive(t));
		assert_int_equal(keyd_token_test(t, &w, &why), ERR_AWAY);
		assert_string_equal(why, "the token helper is not there");
		keyd_token_stop(t);
	}
}

static void without_a_helper_calls_say_so(void **state)
{
	struct keyd_token_conf conf = {.helper = "/nonexistent/helper", .timeout = CLOCK_SEC};
	struct keyd_token_where w = where("pkcs11:object=a", "1234");
	const char *why;

	(void)state;
	assert_null(keyd_token_start(&conf, &why));
	assert_string_equal(why, "sealpost-keyd-token is not installed");
	assert_int_equal(keyd_token_test(NULL, &w, &why), ERR_AWAY);
	assert_false(keyd_token_alive(NULL));
	keyd_token_stop(NULL);
}

/* ---- the helper itself ---- */

static struct keyd_token *helper(int64_t timeout)
{
	const char *modules[] = {"/usr/lib/other.so", module};
	struct keyd_token_conf conf = {
	    .helper = HELPER, .modules = modules, .module_count = 2, .timeout = timeout};
	struct keyd_token *t;
	const char *why;

	if (access(HELPER, X_OK) < 0 || !realpath(MODULE, module))
		skip(); /* built without p11-kit */
	t = keyd_token_start(&conf, &why);
	assert_non_null(t);
	return t;
}

static const char *uri_of(const char *token, const char *object)
{
	static char uri[sizeof(module) + 256];

	snprintf(uri, sizeof(uri), "pkcs11:token=%.64s;object=%.64s?module-path=%s", token, object,
		 module);
	return uri;
}

static void a_key_comes_back_from_the_token(void **state)
{
	struct keyd_token *t = helper(30 * CLOCK_SEC);
	struct keyd_token_where w = where(uri_of("good", "key"), "1234");
	struct keyd_token_blob blob;
	uint8_t *key = secret_alloc(KEYD_TOKEN_KEY);
	const char *why;

	(void)state;
	assert_int_equal(keyd_token_wrap(t, &w, secret_key, &blob, &why), 0);
	assert_int_equal(blob.kind, KEYD_TOKEN_AES_GCM);
	assert_int_equal(blob.size, 60);
	assert_int_equal(keyd_token_unwrap(t, &w, &blob, key, &why), 0);
	assert_memory_equal(key, secret_key, KEYD_TOKEN_KEY);
	assert_int_equal(keyd_token_test(t, &w, &why), 0);
	/* Another store's, or another slot's. */
	w.context = SPAN_LIT("store and slit");
	assert_int_equal(keyd_token_unwrap(t, &w, &blob, key, &why), ERR_CRYPTO);
	secret_free(key, KEYD_TOKEN_KEY);
	keyd_token_stop(t);
}

static void each_failure_has_its_own_code_and_text(void **state)
{
	static const struct {
		const char *token, *object, *pin;
		int unattended, rc;
		const char *why;
	} rows[] = {
	    {"good", "key", "4321", 0, ERR_AUTH, "the PIN is wrong"},
	    {"good", "key", "far too long", 0, ERR_AUTH, "the PIN is wrong"},
	    {"good", "key", "full", 0, ERR_BUSY,
	     "the token has locked its PIN: its officer must "
	     "set a new one"},
	    {"locked", "key", "1234", 0, ERR_BUSY,
	     "the token has locked its PIN: its officer must "
	     "set a new one"},
	    {"good", "key", "aged", 0, ERR_BUSY, "the PIN has expired: set a new one"},
	    {"low", "key", "1234", 1, ERR_BUSY,
	     "few tries of the PIN are left: they are kept for "
	     "people"},
	    {"low", "key", "1234", 0, 0, "done"},
	    {"unset", "key", "1234", 0, ERR_NOTFOUND, "the token has no user PIN yet"},
	    {"blank", "key", "1234", 0, ERR_NOTFOUND, "no token matches the URI"},
	    {"other", "key", "1234", 0, ERR_NOTFOUND, "no token matches the URI"},
	    {"good", "key", "gone", 0, ERR_NOTFOUND, "no token matches the URI"},
	    {"twin", "key", "1234", 0, ERR_FORMAT, "the URI matches more than one token"},
	    {"good", "none", "1234", 0, ERR_NOTFOUND, "no key on the token matches the URI"},
	    {"good", "keys", "1234", 0, ERR_FORMAT, "the URI matches more than one key"},
	    {"good", "key;type=private", "1234", 0, ERR_NOTFOUND,
	     "no key on the token matches the URI"},
	    {"weak", "key", "1234", 0, ERR_DENIED,
	     "the key can be read out of the token, or is too short"},
	    {"old", "key", "1234", 0, ERR_UNSUPPORTED,
	     "the token can neither AES-GCM nor RSA-OAEP"},
	    {"good", "key", "liar", 0, ERR_IO, "the token reports an error"},
	    {"good", "key", "odd", 0, ERR_IO, "the token reports an error"},
	    {"good", "key", "crash", 0, ERR_IO, "the module crashed"},
	    {"good", "key", "late", 0, 0, "done"},
	    {"good", "key;strange=1", "1234", 0, ERR_FORMAT, "not a PKCS#11 URI that can be used"},
	    {"%zz", "key", "1234", 0, ERR_FORMAT, "not a PKCS#11 URI that can be used"},
	    {"good", "key", "", 0, ERR_FORMAT, "PIN, URI or wrapped key have a wrong form"},
	    {"good", "key", "1234", 0, 0, "done"},
	};
	struct keyd_token *t = helper(30 * CLOCK_SEC);

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct keyd_token_where w =
		    where(uri_of(rows[i].token, rows[i].object), rows[i].pin);
		const char *why;
		int rc;
		w.unattended = rows[i].unattended;
		rc = keyd_token_test(t, &w, &why);
		if (!why)
			why = "done";
		if (rc != rows[i].rc || strcmp(why, rows[i].why) != 0)
			fail_msg("row %zu: %s (%s)", i, err_text(rc), why);
	}
	assert_true(keyd_token_alive(t));
	keyd_token_stop(t);
}

static void only_wrapping_makes_a_key(void **state)
{
	struct keyd_token *t = helper(30 * CLOCK_SEC);
	struct keyd_token_where w = where(uri_of("good", "fresh"), "1234");
	struct keyd_token_blob blob;
	uint8_t key[KEYD_TOKEN_KEY];
	const char *why;

	(void)state;
	assert_int_equal(keyd_token_wrap(t, &w, secret_key, &blob, &why), 0);
	/* This module forgets what was made: as if it had been deleted. */
	assert_int_equal(keyd_token_unwrap(t, &w, &blob, key, &why), ERR_NOTFOUND);
	w.uri = uri_of("sealed", "fresh");
	assert_int_equal(keyd_token_wrap(t, &w, secret_key, &blob, &why), ERR_DENIED);
	assert_string_equal(why, "the token is write-protected: a key cannot be made");
	w.uri = uri_of("good", "fresh;type=private");
	assert_int_equal(keyd_token_wrap(t, &w, secret_key, &blob, &why), ERR_NOTFOUND);
	w.uri = uri_of("weak", "fresh");
	assert_int_equal(keyd_token_wrap(t, &w, secret_key, &blob, &why), ERR_DENIED);
	keyd_token_stop(t);
}

static void only_listed_modules_are_loaded_by_path(void **state)
{
	struct keyd_token *t = helper(30 * CLOCK_SEC);
	struct keyd_token_where w =
	    where("pkcs11:object=a?module-path=/usr/lib/x86_64-linux-gnu/libcrypto.so.3", "1234");
	const char *why;

	(void)state;
	assert_int_equal(keyd_token_test(t, &w, &why), ERR_DENIED);
	assert_string_equal(why, "module-path is not listed in token_modules");
	w.uri = "pkcs11:object=a?module-path=/usr/lib/other.so"; /* listed, but not there */
	assert_int_equal(keyd_token_test(t, &w, &why), ERR_NOTFOUND);
	assert_string_equal(why, "there is no such module");
	keyd_token_stop(t);
}

static void a_module_that_hangs_costs_its_request_alone(void **state)
{
	struct keyd_token *t = helper(CLOCK_SEC / 5);
	struct keyd_token_where w = where(uri_of("good", "key"), "hang");
	const char *why;
	int64_t begun = clock_mono();

	(void)state;
	assert_int_equal(keyd_token_test(t, &w, &why), ERR_TIMEOUT);
	assert_string_equal(why, "the module took too long and was ended");
	assert_true(clock_mono() - begun >= CLOCK_SEC / 5);
	keyd_token_stop(t);
	t = helper(30 * CLOCK_SEC);
	w.pin = SPAN_LIT("1234");
	assert_int_equal(keyd_token_test(t, &w, &why), 0);
	keyd_token_stop(t);
}

struct second {
	struct keyd_token *t;
	int rc;
	pthread_t thread;
};

static void *ask_second(void *arg)
{
	struct second *s = arg;
	struct keyd_token_where w = where("pkcs11:object=a", "1234");
	const char *why;

	s->rc = keyd_token_test(s->t, &w, &why);
	return NULL;
}

static void a_second_call_is_told_that_the_token_is_busy(void **state)
{
	struct keyd_token_where w = where("pkcs11:object=a", "1234");
	struct second s;
	uint8_t in[KEYD_TOKEN_MSG_MAX];
	const char *why;
	int pair[2];

	(void)state;
	assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET, 0, pair), 0);
	s.t = keyd_token_attach(pair[0], CLOCK_SEC);
	pthread_create(&s.thread, NULL, ask_second, &s);
	assert_true(recv(pair[1], in, sizeof(in), 0) > 0); /* the first is under way */
	assert_int_equal(keyd_token_test(s.t, &w, &why), ERR_BUSY);
	close(pair[1]);
	pthread_join(s.thread, NULL);
	assert_int_equal(s.rc, ERR_AWAY);
	keyd_token_stop(s.t);
}

static void a_call_ends_when_keyd_stops(void **state)
{
	struct second s;
	uint8_t in[KEYD_TOKEN_MSG_MAX];
	int pair[2];

	(void)state;
	assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET, 0, pair), 0);
	s.t = keyd_token_attach(pair[0], 600 * CLOCK_SEC);
	pthread_create(&s.thread, NULL, ask_second, &s);
	assert_true(recv(pair[1], in, sizeof(in), 0) > 0);
	keyd_token_quit(s.t);
	pthread_join(s.thread, NULL);
	assert_int_equal(s.rc, ERR_AWAY);
	assert_false(keyd_token_alive(s.t));
	assert_int_equal(recv(pair[1], in, sizeof(in), 0), 0); /* so the helper ends */
	keyd_token_stop(s.t);
	close(pair[1]);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(requests_come_back_as_they_were_sent),
	    cmocka_unit_test(requests_that_break_a_rule_are_refused),
	    cmocka_unit_test(replies_hold_what_their_outcome_allows),
	    cmocka_unit_test(a_uri_names_a_key_and_no_pin),
	    cmocka_unit_test(a_helper_that_answers_wrongly_is_not_asked_again),
	    cmocka_unit_test(without_a_helper_calls_say_so),
	    cmocka_unit_test(a_key_comes_back_from_the_token),
	    cmocka_unit_test(each_failure_has_its_own_code_and_text),
	    cmocka_unit_test(only_wrapping_makes_a_key),
	    cmocka_unit_test(only_listed_modules_are_loaded_by_path),
	    cmocka_unit_test(a_module_that_hangs_costs_its_request_alone),
	    cmocka_unit_test(a_second_call_is_told_that_the_token_is_busy),
	    cmocka_unit_test(a_call_ends_when_keyd_stops),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
