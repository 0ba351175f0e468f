/* SPDX-License-Identifier: Apache-2.0 */
/* The audit log's lines and its verifier: what cannot be written, and what cannot be hidden. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <openssl/evp.h>
#include <openssl/x509.h>

#include "audit/audit_verify.h"
#include "core/err.h"
#include "core/hex.h"

#define WALL  INT64_C(1795328178000001) /* 2026-11-22T06:16:18.000001Z */
#define STORE "000102030405060708090a0b0c0d0e0f"

/* A log in memory, written as keyd writes it. */
struct log {
	struct buf bytes;
	uint64_t seq;
	uint8_t chain[AUDIT_HASH];
	size_t at[64]; /* where each line begins */
	unsigned lines;
};

struct signer {
	EVP_PKEY *key;
	uint8_t spki[AUDIT_SPKI];
};

static void signer_init(struct signer *s)
{
	uint8_t *p = s->spki;

	s->key = EVP_PKEY_Q_keygen(NULL, NULL, "ED25519");
	assert_int_equal(i2d_PUBKEY(s->key, &p), AUDIT_SPKI);
}

static void put(struct log *l, unsigned event, const struct audit_value *values)
{
	struct buf body;

	buf_init(&body, AUDIT_LINE_MAX);
	assert_int_equal(audit_line_body(&body, WALL + (int64_t)l->seq, event, values), 0);
	l->at[l->lines++] = buf_size(&l->bytes);
	l->at[l->lines] = 0;
	assert_int_equal(audit_line_close(&l->bytes, ++l->seq, buf_span(&body), l->chain), 0);
	l->at[l->lines] = buf_size(&l->bytes);
	buf_clear(&body);
}

#define PUT(l, event, ...) put(l, event, (const struct audit_value[]){__VA_ARGS__, {0}})

static void begin(struct log *l, uint32_t number)
{
	char prev[HEX_SIZE(AUDIT_HASH)];

	hex_encode(prev, l->chain, AUDIT_HASH);
	PUT(l, AUDIT_FILE, AUDIT_NUM(FILE, number), AUDIT_STR(PREV, prev), AUDIT_STR(STORE, STORE));
}

static void key_names(const struct signer *s, char id[HEX_SIZE(AUDIT_KEY_ID)],
		      char spki[HEX_SIZE(AUDIT_SPKI)])
{
	uint8_t raw[AUDIT_KEY_ID];

	assert_int_equal(audit_verify_key_id(span_of(s->spki, AUDIT_SPKI), raw), 0);
	hex_encode(id, raw, AUDIT_KEY_ID);
	hex_encode(spki, s->spki, AUDIT_SPKI);
}

static void introduce(struct log *l, const struct signer *s)
{
	char id[HEX_SIZE(AUDIT_KEY_ID)], spki[HEX_SIZE(AUDIT_SPKI)];

	key_names(s, id, spki);
	PUT(l, AUDIT_KEY, AUDIT_STR(KEY, id), AUDIT_STR(PUBLIC, spki));
}

static void sign(struct log *l, const struct signer *s)
{
	char id[HEX_SIZE(AUDIT_KEY_ID)], spki[HEX_SIZE(AUDIT_SPKI)], hex[HEX_SIZE(AUDIT_SIG)];
	uint8_t data[AUDIT_SIGNED_MAX], sig[AUDIT_SIG];
	size_t n = audit_verify_signed(data, STORE, l->seq, l->chain), size = AUDIT_SIG;
	EVP_MD_CTX *ctx = EVP_MD_CTX_new();

	assert_int_equal(EVP_DigestSignInit(ctx, NULL, NULL, NULL, s->key), 1);
	assert_int_equal(EVP_DigestSign(ctx, sig, &size, data, n), 1);
	EVP_MD_CTX_free(ctx);
	key_names(s, id, spki);
	hex_encode(hex, sig, AUDIT_SIG);
	PUT(l, AUDIT_CHECKPOINT, AUDIT_NUM(UPTO, l->seq), AUDIT_STR(KEY, id), AUDIT_STR(SIG, hex));
}

/* File 1: begin, key, start, state, lock (intent, outcome), checkpoint, use: 8 lines. */
static void write_log(struct log *l, const struct signer *s)
{
	memset(l, 0, sizeof(*l));
	buf_init(&l->bytes, 1 << 20);
	begin(l, 1);
	introduce(l, s);
	PUT(l, AUDIT_START, AUDIT_STR(STATE, "locked"));
	PUT(l, AUDIT_STATE, AUDIT_STR(FROM, "locked"), AUDIT_STR(TO, "ready"),
	    AUDIT_STR(WHY, "opened by \"file\" \\ \n\x7f"), AUDIT_NUM(MARK, 17),
	    AUDIT_STR(BRANCH, "00112233445566ff"));
	PUT(l, AUDIT_INTENT, AUDIT_STR(OP, "lock"), AUDIT_NUM(UID, 0), AUDIT_STR(ROLE, "officer"));
	PUT(l, AUDIT_OUTCOME, AUDIT_STR(OP, "lock"), AUDIT_NUM(OF, l->seq), AUDIT_NUM(STATUS, 0));
	sign(l, s);
	PUT(l, AUDIT_USE, AUDIT_STR(OP, "sign"), AUDIT_STR(SUBJECT, "tls/relay"),
	    AUDIT_NUM(COUNT, INT64_MAX));
}

static void free_log(struct log *l)
{
	buf_clear(&l->bytes);
}

static int verify(struct audit_verify *v, const struct signer *s, struct span bytes)
{
	int rc;

	audit_verify_init(v);
	if (s)
		assert_int_equal(audit_verify_key(v, span_of(s->spki, AUDIT_SPKI)), 0);
	rc = audit_verify_file(v, 1, bytes);
	return rc < 0 ? rc : audit_verify_end(v, 0, NULL);
}

static void a_whole_log_verifies(void **state)
{
	struct signer s;
	struct log l;
	struct audit_verify v;

	(void)state;
	signer_init(&s);
	write_log(&l, &s);
	assert_int_equal(verify(&v, &s, buf_span(&l.bytes)), 0);
	assert_int_equal(v.lines, 8);
	assert_int_equal(v.seq, 8);
	assert_int_equal(v.checkpoints, 1);
	assert_int_equal(v.signed_to, 7);
	assert_int_equal(v.mark, 17);
	assert_string_equal(v.branch, "00112233445566ff");
	assert_int_equal(v.good, buf_size(&l.bytes));
	assert_int_equal(audit_verify_end(&v, l.seq, l.chain), 0);
	/* Without a given key nothing is vouched for. */
	assert_int_equal(verify(&v, NULL, buf_span(&l.bytes)), 0);
	assert_int_equal(v.signed_to, 0);
	free_log(&l);
	EVP_PKEY_free(s.key);
}

static void a_line_reads_back(void **state)
{
	struct signer s;
	struct log l;
	struct audit_line line;
	uint8_t chain[AUDIT_HASH] = {0};
	struct span text;

	(void)state;
	signer_init(&s);
	write_log(&l, &s);
	for (unsigned i = 0; i < l.lines; i++) {
		text = span_sub(buf_span(&l.bytes), l.at[i], l.at[i + 1] - l.at[i] - 1);
		assert_int_equal(audit_line_parse(text, &line), 0);
		assert_int_equal(line.seq, i + 1);
		assert_true(audit_line_follows(&line, chain));
		if (line.event != AUDIT_STATE)
			continue;
		assert_true(span_equal(line.time, SPAN_LIT("2026-11-22T06:16:18.000004Z")));
		assert_int_equal(line.count, 5);
		assert_true(span_equal(audit_line_value(&line, AUDIT_F_WHY)->text,
				       SPAN_LIT("opened by \\\"file\\\" \\\\ \\u000a\\u007f")));
		assert_int_equal(audit_line_value(&line, AUDIT_F_MARK)->num, 17);
		assert_null(audit_line_value(&line, AUDIT_F_UID));
	}
	assert_memory_equal(chain, l.chain, AUDIT_HASH);
	free_log(&l);
	EVP_PKEY_free(s.key);
}

static int body(unsigned event, const struct audit_value *values)
{
	struct buf out;
	int rc;

	buf_init(&out, AUDIT_LINE_MAX);
	rc = audit_line_body(&out, WALL, event, values);
	if (rc < 0)
		assert_int_equal(buf_size(&out), 0);
	buf_clear(&out);
	return rc;
}

#define BODY(event, ...) body(event, (const struct audit_value[]){__VA_ARGS__, {0}})

static void what_the_table_does_not_allow_is_not_written(void **state)
{
	char longest[AUDIT_WORD_MAX + 2];

	(void)state;
	for (unsigned e = 0; e <= AUDIT_EVENT_COUNT; e++)
		for (unsigned f = 1; f <= AUDIT_FIELD_COUNT; f++) {
			struct audit_value one[] = {{.field = f}, {0}};
			assert_int_equal(body(e, one), audit_event_allows(e, f) ? 0 : ERR_DENIED);
		}
	assert_int_equal(BODY(AUDIT_USE, AUDIT_STR(SUBJECT, "anna@example.test")), ERR_FORMAT);
	assert_int_equal(BODY(AUDIT_USE, AUDIT_STR(SUBJECT, "two words")), ERR_FORMAT);
	assert_int_equal(BODY(AUDIT_USE, AUDIT_STR(SUBJECT, "quote\"")), ERR_FORMAT);
	assert_int_equal(BODY(AUDIT_STATE, AUDIT_STR(FROM, "a\nb")), ERR_FORMAT);
	assert_int_equal(BODY(AUDIT_FILE, AUDIT_STR(PREV, "AB")), ERR_FORMAT);
	assert_int_equal(BODY(AUDIT_USE, AUDIT_NUM(COUNT, UINT64_MAX)), ERR_FORMAT);
	assert_int_equal(BODY(AUDIT_USE, AUDIT_NUM(COUNT, 1), AUDIT_NUM(COUNT, 1)), ERR_FORMAT);
	memset(longest, 'a', sizeof(longest));
	longest[AUDIT_WORD_MAX] = '\0';
	assert_int_equal(BODY(AUDIT_USE, AUDIT_STR(SUBJECT, longest)), 0);
	longest[AUDIT_WORD_MAX] = 'a';
	longest[AUDIT_WORD_MAX + 1] = '\0';
	assert_int_equal(BODY(AUDIT_USE, AUDIT_STR(SUBJECT, longest)), ERR_FORMAT);
}

static unsigned line_of(const struct log *l, size_t at)
{
	unsigned i = 0;

	while (i + 1 < l->lines && l->at[i + 1] <= at)
		i++;
	return i + 1;
}

static void any_flipped_byte_is_named(void **state)
{
	struct signer s;
	struct log l;
	struct audit_verify v;

	(void)state;
	signer_init(&s);
	write_log(&l, &s);
	for (size_t i = 0; i < buf_size(&l.bytes); i++)
		for (unsigned bit = 0; bit < 8; bit++) {
			l.bytes.data[i] ^= (uint8_t)(1u << bit);
			assert_int_equal(verify(&v, &s, buf_span(&l.bytes)), ERR_DAMAGED);
			assert_int_equal(v.file, 1);
			assert_int_equal(v.line, line_of(&l, i));
			assert_non_null(v.reason);
			l.bytes.data[i] ^= (uint8_t)(1u << bit);
		}
	free_log(&l);
	EVP_PKEY_free(s.key);
}

/* The log with lines in another order: order lists line numbers from 0. */
static struct buf arranged(const struct log *l, const unsigned *order, unsigned count)
{
	struct buf out;

	buf_init(&out, 1 << 20);
	for (unsigned i = 0; i < count; i++)
		buf_put_span(&out, span_sub(buf_span(&l->bytes), l->at[order[i]],
					    l->at[order[i] + 1] - l->at[order[i]]));
	return out;
}

static void lines_cannot_be_dropped_doubled_or_swapped(void **state)
{
	struct signer s;
	struct log l;
	struct audit_verify v;
	struct buf b;
	unsigned order[16], n;

	(void)state;
	signer_init(&s);
	write_log(&l, &s);
	for (unsigned i = 0; i < l.lines; i++) {
		n = 0;
		for (unsigned k = 0; k < l.lines; k++)
			if (k != i)
				order[n++] = k;
		b = arranged(&l, order, n);
		if (i + 1 < l.lines) {
			assert_int_equal(verify(&v, &s, buf_span(&b)), ERR_DAMAGED);
			assert_int_equal(v.line, i + 1);
		} else { /* the end is known to keyd alone */
			assert_int_equal(verify(&v, &s, buf_span(&b)), 0);
			assert_int_equal(audit_verify_end(&v, l.seq, l.chain), ERR_DAMAGED);
			assert_string_equal(v.reason, "lines are missing from here on");
		}
		buf_clear(&b);
		n = 0;
		for (unsigned k = 0; k < l.lines; k++) {
			order[n++] = k;
			if (k == i)
				order[n++] = k;
		}
		b = arranged(&l, order, n);
		assert_int_equal(verify(&v, &s, buf_span(&b)), ERR_DAMAGED);
		assert_int_equal(v.line, i + 2);
		buf_clear(&b);
		if (i + 1 == l.lines)
			break;
		for (unsigned k = 0; k < l.lines; k++)
			order[k] = k == i ? i + 1 : k == i + 1 ? i : k;
		b = arranged(&l, order, l.lines);
		assert_int_equal(verify(&v, &s, buf_span(&b)), ERR_DAMAGED);
		assert_int_equal(v.line, i + 1);
		buf_clear(&b);
	}
	free_log(&l);
	EVP_PKEY_free(s.key);
}

static void a_cut_line_is_named(void **state)
{
	struct signer s;
	struct log l;
	struct audit_verify v;

	(void)state;
	signer_init(&s);
	write_log(&l, &s);
	for (size_t n = 0; n < buf_size(&l.bytes); n++) {
		int rc = verify(&v, NULL, span_sub(buf_span(&l.bytes), 0, n));
		if (n && l.bytes.data[n - 1] == '\n') {
			assert_int_equal(rc, 0);
			continue;
		}
		assert_int_equal(rc, ERR_DAMAGED);
		assert_int_equal(v.line, line_of(&l, n));
		assert_int_equal(v.good, l.at[line_of(&l, n) - 1]);
	}
	free_log(&l);
	EVP_PKEY_free(s.key);
}

static void a_log_made_anew_is_not_signed(void **state)
{
	struct signer s, thief;
	struct log l;
	struct audit_verify v;

	(void)state;
	signer_init(&s);
	signer_init(&thief);
	write_log(&l, &thief);
	assert_int_equal(verify(&v, &s, buf_span(&l.bytes)), ERR_DAMAGED);
	assert_string_equal(v.reason, "no checkpoint is signed with a given key");
	free_log(&l);
	/* Nor can he go on behind what keyd signed, with a key that he introduces himself. */
	write_log(&l, &s);
	introduce(&l, &thief);
	sign(&l, &thief);
	assert_int_equal(verify(&v, &s, buf_span(&l.bytes)), ERR_DAMAGED);
	assert_int_equal(v.line, 10);
	assert_string_equal(v.reason,
			    "the checkpoint is signed with a key that nobody vouches for");
	free_log(&l);
	/* Or sign with keyd's name. */
	write_log(&l, &s);
	memcpy(thief.spki, s.spki, AUDIT_SPKI);
	sign(&l, &thief);
	assert_int_equal(verify(&v, &s, buf_span(&l.bytes)), ERR_DAMAGED);
	assert_string_equal(v.reason, "the signature of the checkpoint is wrong");
	assert_int_equal(v.line, 9);
	free_log(&l);
	EVP_PKEY_free(s.key);
	EVP_PKEY_free(thief.key);
}

static void a_new_key_is_vouched_for_by_the_old(void **state)
{
	struct signer old, new;
	struct log l;
	struct audit_verify v;

	(void)state;
	signer_init(&old);
	signer_init(&new);
	write_log(&l, &old);
	introduce(&l, &new);
	sign(&l, &old);
	sign(&l, &new);
	PUT(&l, AUDIT_STOP, AUDIT_STR(STATE, "ready"));
	assert_int_equal(verify(&v, &old, buf_span(&l.bytes)), 0);
	assert_int_equal(v.signed_to, 11);
	/* Who has the new key alone trusts what lies before it, too. */
	assert_int_equal(verify(&v, &new, buf_span(&l.bytes)), 0);
	assert_int_equal(v.signed_to, 11);
	free_log(&l);
	EVP_PKEY_free(old.key);
	EVP_PKEY_free(new.key);
}

static void files_continue_each_other(void **state)
{
	struct signer s;
	struct log l;
	struct audit_verify v;
	struct buf first;
	struct span second;
	size_t at;

	(void)state;
	signer_init(&s);
	write_log(&l, &s);
	buf_init(&first, 1 << 20);
	buf_put_span(&first, buf_span(&l.bytes));
	at = buf_size(&l.bytes);
	begin(&l, 2);
	introduce(&l, &s);
	sign(&l, &s);
	second = span_sub(buf_span(&l.bytes), at, SIZE_MAX);

	audit_verify_init(&v);
	audit_verify_key(&v, span_of(s.spki, AUDIT_SPKI));
	assert_int_equal(audit_verify_file(&v, 1, buf_span(&first)), 0);
	assert_int_equal(audit_verify_file(&v, 2, second), 0);
	assert_int_equal(audit_verify_end(&v, l.seq, l.chain), 0);
	assert_int_equal(v.signed_to, 11);
	/* The second alone, as after a clean-up of old files. */
	audit_verify_init(&v);
	audit_verify_key(&v, span_of(s.spki, AUDIT_SPKI));
	assert_int_equal(audit_verify_file(&v, 2, second), 0);
	assert_int_equal(audit_verify_end(&v, l.seq, l.chain), 0);
	assert_int_equal(v.first_file, 2);
	/* A file that is missing, one under another number, one that lost its end. */
	audit_verify_init(&v);
	assert_int_equal(audit_verify_file(&v, 1, buf_span(&first)), 0);
	assert_int_equal(audit_verify_file(&v, 3, second), ERR_DAMAGED);
	assert_string_equal(v.reason, "a file before it is missing");
	audit_verify_init(&v);
	assert_int_equal(audit_verify_file(&v, 3, second), ERR_DAMAGED);
	assert_string_equal(v.reason, "it is the beginning of another file");
	audit_verify_init(&v);
	assert_int_equal(audit_verify_file(&v, 1, span_sub(buf_span(&first), 0, l.at[7])), 0);
	assert_int_equal(audit_verify_file(&v, 2, second), ERR_DAMAGED);
	assert_string_equal(v.reason, "it does not continue the file before");
	assert_int_equal(v.file, 2);
	assert_int_equal(v.line, 1);
	buf_clear(&first);
	free_log(&l);
	EVP_PKEY_free(s.key);
}

static void lines_that_mean_the_same_are_refused(void **state)
{
	static const char *const good =
	    "{\"seq\":1,\"time\":\"2026-11-22T06:16:18.000001Z\",\"event\":\"stop\",\"state\":"
	    "\"ready\",\"hash\":\"" /* and 64 digits */;
	static const struct {
		const char *from, *to;
	} edits[] = {{"{\"seq\":1", "{ \"seq\":1"},
		     {"seq\":1", "seq\":01"},
		     {"\"ready\"", "\"re\\u0061dy\""},
		     {"\"ready\"", "\"ready\",\"state\":\"ready\""},
		     {"\"ready\"", "1"},
		     {"\"state\"", "\"uid\""},
		     {"stop", "stopp"},
		     {"22T06", "22 06"},
		     {"\"state\"", "\"hash\""}};
	char text[512], hash[] = "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef";
	struct audit_line line;

	(void)state;
	snprintf(text, sizeof(text), "%s%s\"}", good, hash);
	assert_int_equal(audit_line_parse(span_str(text), &line), 0);
	strcat(text, " ");
	assert_int_equal(audit_line_parse(span_str(text), &line), ERR_FORMAT);
	for (size_t i = 0; i < sizeof(edits) / sizeof(edits[0]); i++) {
		const char *at = strstr(good, edits[i].from);
		assert_non_null(at);
		snprintf(text, sizeof(text), "%.*s%s%s%s\"}", (int)(at - good), good, edits[i].to,
			 at + strlen(edits[i].from), hash);
		assert_int_equal(audit_line_parse(span_str(text), &line), ERR_FORMAT);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(a_whole_log_verifies),
	    cmocka_unit_test(a_line_reads_back),
	    cmocka_unit_test(what_the_table_does_not_allow_is_not_written),
	    cmocka_unit_test(any_flipped_byte_is_named),
	    cmocka_unit_test(lines_cannot_be_dropped_doubled_or_swapped),
	    cmocka_unit_test(a_cut_line_is_named),
	    cmocka_unit_test(a_log_made_anew_is_not_signed),
	    cmocka_unit_test(a_new_key_is_vouched_for_by_the_old),
	    cmocka_unit_test(files_continue_each_other),
	    cmocka_unit_test(lines_that_mean_the_same_are_refused),
	};

	return cmocka_run_group_tests_name("audit", tests, NULL, NULL);
}
