/* SPDX-License-Identifier: Apache-2.0 */
/* Every role x socket x operation x subject against a second writing of the table, first asked of
 * keyd_permit, then played through sessions: what is not listed here must be denied and change
 * nothing. */
#include <fts.h>
#include <limits.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>
#include <openssl/evp.h>

#include "core/err.h"
#include "core/log.h"
#include "keyd/keyd_crypto.h"
#include "keyproto/keyproto_rotate.h"
#include "test/unit/keyd_play.h"
#include "test/unit/keyd_requests.h"

/* "role socket op subject". subject: "-" for none, a purpose, a label, or the beginning of one and a "*" for
 * whatever stands behind it. Written from the manual, not from keyd_permit.c. */
static const char *const allowed[] = {
    "relay use hello -",
    "relay use status -",
    "relay use derive-new spool",
    "relay use derive-existing spool",
    "relay use seal-fields field",
    "relay use seal-fields cred",
    "relay use open-fields field",
    "relay use open-fields cred",
    "relay use blind-index index",
    "relay use reseal-fields field",
    "relay use reseal-fields cred",
    "relay use customer-keys -",
    "relay use dek-empty -",
    "relay use sign tls/*",
    "relay use sign dkim/*",
    "relay use key-versions *",
    "relay use checkpoint ledger",
    "relay use checkpoint revoked",
    "relay use checkpoint-last ledger",
    "relay use checkpoint-last revoked",
    "relay use manifest-sign -",
    "relay use approvers -",
    "relay use track-key -",
    "relay use audience-key -",
    "relay use public-key *",
    "relay use witness -",
    "milter use hello -",
    "milter use status -",
    "milter use verify-mac campaign/*",
    "milter use public-key manifest/*",
    "milter use public-key audit/*",
    "milter use checkpoint-last revoked",
    "milter use track-key -",
    "milter use audience-key -",
    "officer admin hello -",
    "officer admin status -",
    "officer admin init -",
    "officer admin unseal -",
    "officer admin unseal-cancel -",
    "officer admin slot-add -",
    "officer admin slot-remove -",
    "officer admin slot-test -",
    "officer admin lock -",
    "officer admin customer-add -",
    "officer admin key-add *",
    "officer admin key-list -",
    "officer admin public-key *",
    "officer admin key-versions *",
    "officer admin checkpoint-last ledger",
    "officer admin checkpoint-last revoked",
    "officer admin approver-add -",
    "officer admin approver-remove -",
    "officer admin approvers -",
    "officer admin sign tls/*",
    "officer admin mac campaign/*",
    "officer admin customer-keys -",
    "officer admin accept -",
    "officer admin shred -",
    "officer admin shreds -",
    "officer admin backup -",
    "officer admin backup-forget -",
    "officer admin restore -",
    "officer admin rotate -",
    "officer admin rotation -",
    "officer admin schedule -",
    "officer admin selftest -",
    "officer admin zeroize -",
    "officer admin audit-read -",
    "officer admin approve -",
    "officer admin proposals -",
    "officer admin withdraw -",
    "operator admin hello -",
    "operator admin status -",
    "operator admin unseal -",
    "operator admin unseal-cancel -",
    "operator admin slot-test -",
    "operator admin lock -",
    "operator admin key-list -",
    "operator admin customer-keys -",
    "operator admin public-key *",
    "operator admin key-versions *",
    "operator admin checkpoint-last ledger",
    "operator admin checkpoint-last revoked",
    "operator admin approvers -",
    "operator admin rotation -",
    "operator admin schedule -",
    "operator admin selftest -",
    "operator admin proposals -",
    "operator admin shreds -",
    "auditor admin hello -",
    "auditor admin status -",
    "auditor admin key-list -",
    "auditor admin schedule -",
    "auditor admin shreds -",
    "auditor admin customer-keys -",
    "auditor admin public-key audit/*",
    "auditor admin key-versions audit/*",
    "auditor admin checkpoint-last ledger",
    "auditor admin checkpoint-last revoked",
    "auditor admin public-key manifest/*",
    "auditor admin approvers -",
    "auditor admin audit-read -",
    "auditor admin proposals -",
};

/* What a label may look like: those that a pattern above covers, and those that only seem so. */
static const char *const labels[] = {
    "tls/relay",      "tls/relay#2", "tls/a/b",	 "dkim/a",	"jwt/api", "audit/keyd",
    "campaign/1",     "manifest/1",  "spool/a",	 "tls/",	"tls",	   "tlsx/relay",
    "ledger",         "ledger/",     "ledgers",	 "revoked",	"revoked/",
    "dkim/tls/relay", "campaign/",   "campaign", "xcampaign/1", "*",	   "tls/*"};
#define LABELS (sizeof(labels) / sizeof(labels[0]))

/* 1 if subject is that of a line: "-", a purpose, a label, or "tls/" with something behind it. */
static int covers(const char *pattern, const char *subject)
{
	size_t n = strlen(pattern);

	if (strcmp(pattern, "-") && n && pattern[n - 1] == '*')
		return strcmp(subject, "-") && strlen(subject) >= n &&
		       !strncmp(subject, pattern, n - 1);
	return !strcmp(pattern, subject);
}

static unsigned hits[sizeof(allowed) / sizeof(allowed[0])]; /* how often each line said yes */

/* What this file says; odd roles, sockets and operations are in no line. subject: "-" for none. */
static int expected(unsigned role, unsigned socket, unsigned op, const char *subject)
{
	char line[200];
	size_t n;
	int yes = 0;

	if (!keyproto_role_name(role) || !keyproto_op_name(op) ||
	    (socket != KEYD_PERMIT_USE && socket != KEYD_PERMIT_ADMIN))
		return 0;
	n = (size_t)snprintf(line, sizeof(line), "%s %s %s ", keyproto_role_name(role),
			     socket == KEYD_PERMIT_USE ? "use" : "admin", keyproto_op_name(op));
	for (size_t i = 0; i < sizeof(allowed) / sizeof(allowed[0]); i++) {
		if (strncmp(line, allowed[i], n) || !covers(allowed[i] + n, subject))
			continue;
		hits[i]++;
		yes = 1;
	}
	return yes;
}

/* 1 if some subject is allowed. */
static int expected_any(unsigned role, unsigned socket, unsigned op)
{
	int yes = expected(role, socket, op, "-");

	for (unsigned p = 1; p <= KEYPROTO_FOR_HMAC; p++)
		yes |= expected(role, socket, op, keyproto_purpose_name(p));
	for (size_t i = 0; i < LABELS; i++)
		yes |= expected(role, socket, op, labels[i]);
	return yes;
}

/* 1 if anybody may do it with anything. */
static int has_a_line(unsigned op)
{
	for (unsigned role = 1; role <= KEYPROTO_ROLE_AUDITOR; role++)
		if (expected_any(role, KEYD_PERMIT_USE, op) ||
		    expected_any(role, KEYD_PERMIT_ADMIN, op))
			return 1;
	return 0;
}

static void ask(unsigned role, unsigned socket, unsigned op, const char *subject)
{
	struct span s = strcmp(subject, "-") ? span_str(subject) : span_of(NULL, 0);

	if (keyd_permit(role, socket, op, s) != expected(role, socket, op, subject))
		fail_msg("role %u socket %u op %u subject %s: permitted %d", role, socket, op,
			 subject, keyd_permit(role, socket, op, s));
}

static void what_is_not_listed_is_denied(void **state)
{
	static const unsigned far[] = {255, 256, 1000, 65535, 65536 + KEYPROTO_STATUS, UINT_MAX};

	(void)state;
	for (unsigned role = 0; role < 34; role++) {
		for (unsigned socket = 0; socket < 4; socket++) {
			for (unsigned i = 0; i < 128 + sizeof(far) / sizeof(far[0]); i++) {
				unsigned op = i < 128 ? i : far[i - 128];
				ask(role, socket, op, "-");
				for (unsigned p = 1; p <= KEYPROTO_FOR_HMAC; p++)
					ask(role, socket, op, keyproto_purpose_name(p));
				for (size_t l = 0; l < LABELS; l++)
					ask(role, socket, op, labels[l]);
				assert_int_equal(keyd_permit_any(role, socket, op),
						 expected_any(role, socket, op));
			}
		}
	}
	for (size_t i = 0; i < sizeof(allowed) / sizeof(allowed[0]); i++)
		if (!hits[i])
			fail_msg("nothing is covered by: %s", allowed[i]);
}

static void a_prefix_needs_something_behind_it_and_is_not_found_elsewhere(void **state)
{
	static const struct {
		const char *label;
		int allowed;
	} rows[] = {{"tls/relay", 1},  {"tls/a/b", 1},	      {"tls/", 0},    {"tls", 0},
		    {"tlsx/relay", 0}, {"dkim/tls/relay", 1}, {"dkim/", 0}, {"xdkim/a", 0},
		    {"jwt/api", 0},    {"audit/ledger", 0},   {"", 0}};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
		assert_int_equal(keyd_permit(KEYPROTO_ROLE_RELAY, KEYD_PERMIT_USE, KEYPROTO_SIGN,
					     span_str(rows[i].label)),
				 rows[i].allowed);
}

/* --- The same, played through sessions: what is denied has no effect. */

/* All that a request could change, and that others could see of it. */
struct world {
	unsigned state, sessions;
	uint32_t epoch;
	int opening;
	struct keyd_ring_counts counts;
	uint8_t files[32];
};

static void add_file(EVP_MD_CTX *sum, const char *path)
{
	static uint8_t piece[65536];
	FILE *f = fopen(path, "rb");
	size_t n;

	EVP_DigestUpdate(sum, path, strlen(path));
	while (f && (n = fread(piece, 1, sizeof(piece), f)) > 0)
		EVP_DigestUpdate(sum, piece, n);
	if (f)
		fclose(f);
}

static void look(const struct keyd_play *p, struct world *w)
{
	char root[100], *paths[] = {root, NULL};
	EVP_MD_CTX *sum = EVP_MD_CTX_new();
	FTSENT *e;
	FTS *fts;

	memset(w, 0, sizeof(*w));
	w->state = p->keyd->state;
	w->epoch = p->keyd->epoch;
	w->opening = p->keyd->opening;
	if (p->keyd->ring)
		keyd_ring_counts(p->keyd->ring, &w->counts);
	EVP_DigestInit_ex(sum, EVP_sha256(), NULL);
	snprintf(root, sizeof(root), "%s", p->dir);
	fts = fts_open(paths, FTS_PHYSICAL | FTS_NOCHDIR, NULL);
	assert_non_null(fts);
	while ((e = fts_read(fts)) != NULL)
		if (e->fts_info == FTS_F)
			add_file(sum, e->fts_path);
	fts_close(fts);
	EVP_DigestFinal_ex(sum, w->files, NULL);
	EVP_MD_CTX_free(sum);
}

/* A session in a role, on a socket, also where HELLO would not have let it in. */
static void join(struct keyd_play_client *c, struct keyd_play *p, unsigned role, unsigned socket)
{
	keyd_play_connect(c, p, KEYD_PLAY_ALL, socket, 0);
	c->session->role = role;
}

static int send_request(struct keyd_play_client *c, unsigned op, const char *subject)
{
	struct buf *body = keyd_play_begin(c);

	keyd_request_put(body, op, subject);
	if (buf_failed(body)) /* a label that no request can carry */
		return KEYD_REQUEST_ANY;
	return keyd_play_call(c, op);
}

typedef void visit(struct keyd_play *p, unsigned role, unsigned socket, unsigned op,
		   const char *subject);

/* Every operation x role x socket x what it can be about. */
static void each_request(struct keyd_play *p, visit *fn)
{
	for (unsigned op = 1; op < KEYPROTO_EVENT; op++) {
		enum keyd_request_about about = keyd_request_of(op)->about;
		/* What is in no line is no operation: a test of its own below. */
		if (!has_a_line(op) || op == KEYPROTO_HELLO)
			continue;
		for (unsigned i = 0; i < 2 * KEYPROTO_ROLE_AUDITOR; i++) {
			unsigned role = 1 + i / 2, socket = 1 + i % 2;
			if (about == KEYD_REQUEST_NOTHING)
				fn(p, role, socket, op, "-");
			for (unsigned k = 1;
			     about == KEYD_REQUEST_PURPOSE && k <= KEYPROTO_FOR_HMAC; k++)
				fn(p, role, socket, op, keyproto_purpose_name(k));
			for (size_t k = 0; about == KEYD_REQUEST_LABEL && k < LABELS; k++)
				fn(p, role, socket, op, labels[k]);
		}
	}
}

static unsigned denials;

static void denied_without_effect(struct keyd_play *p, unsigned role, unsigned socket, unsigned op,
				  const char *subject)
{
	uint64_t counted = p->keyd->counts.denied;
	struct keyd_play_client c;
	struct world before, after;
	int rc;

	if (expected(role, socket, op, subject))
		return;
	look(p, &before);
	join(&c, p, role, socket);
	rc = send_request(&c, op, subject);
	/* Who may do it with another subject is told first that keyd is not ready. */
	if (rc != KEYD_REQUEST_ANY &&
	    !(p->keyd->state != KEYPROTO_READY && expected_any(role, socket, op))) {
		if (rc != ERR_DENIED)
			fail_msg("%s on socket %u: %s %s answered %s", keyproto_role_name(role),
				 socket, keyproto_op_name(op), subject, err_text(rc));
		assert_int_equal(buf_size(&c.reply), 0);
		assert_int_equal(p->keyd->counts.denied, counted + 1);
		denials++;
	}
	keyd_play_leave(&c);
	look(p, &after);
	assert_memory_equal(&before, &after, sizeof(before));
}

static void served(struct keyd_play *p, unsigned role, unsigned socket, unsigned op,
		   const char *subject)
{
	struct keyd_play_client officer, c;
	int want = keyd_request_of(op)->result, rc;

	if (!expected(role, socket, op, subject))
		return;
	assert_int_equal(keyd_play_memory(p), 0);
	keyd_play_connect(&officer, p, KEYD_PLAY_ALL, KEYD_PERMIT_ADMIN, KEYPROTO_ROLE_OFFICER);
	assert_int_equal(keyd_play_customer(&officer, "default"), 0);
	keyd_play_leave(&officer);
	join(&c, p, role, socket);
	rc = send_request(&c, op, subject);
	if (want == KEYD_REQUEST_ANY ? rc == ERR_DENIED : rc != want)
		fail_msg("%s: %s %s answered %s", keyproto_role_name(role), keyproto_op_name(op),
			 subject, err_text(rc));
	assert_int_equal(p->keyd->counts.denied, 0);
	keyd_play_leave(&c);
	keyd_play_close(p);
}

static void what_is_denied_has_no_effect_in_any_state(void **state)
{
	static const char slots[] = "[{method: file, path: root.key}]";
	struct keyd_play p;
	struct keyd_play_client c;

	(void)state;
	assert_int_equal(keyd_play_open(&p, slots), 0);
	assert_int_equal(p.keyd->state, KEYPROTO_EMPTY);
	each_request(&p, denied_without_effect);
	keyd_play_connect(&c, &p, KEYD_PLAY_ALL, KEYD_PERMIT_ADMIN, KEYPROTO_ROLE_OFFICER);
	assert_int_equal(keyd_play_init(&c, NULL), 0);
	assert_int_equal(keyd_play_customer(&c, "default"), 0);
	assert_int_equal(keyd_play_key(&c, "tls/relay", KEYPROTO_KEY_EC_P256), 0);
	c.pushes = 0;
	each_request(&p, denied_without_effect);
	assert_int_equal(c.pushes, 0);
	assert_int_equal(keyd_play_call((keyd_play_begin(&c), &c), KEYPROTO_LOCK), 0);
	assert_int_equal(p.keyd->state, KEYPROTO_LOCKED);
	each_request(&p, denied_without_effect);
	assert_true(denials > 1000);
	keyd_play_leave(&c);
	keyd_play_close(&p);
}

static void what_is_listed_is_served(void **state)
{
	struct keyd_play p;

	(void)state;
	each_request(&p, served);
}

static void a_number_that_is_no_operation_ends_the_connection(void **state)
{
	struct world before, after;
	struct keyd_play_client c;
	struct keyd_play p;

	(void)state;
	assert_int_equal(keyd_play_open(&p, "[{method: file, path: root.key}]"), 0);
	keyd_play_connect(&c, &p, KEYD_PLAY_ALL, KEYD_PERMIT_ADMIN, KEYPROTO_ROLE_OFFICER);
	assert_int_equal(keyd_play_init(&c, NULL), 0);
	keyd_play_leave(&c);
	look(&p, &before);
	for (unsigned op = 0; op < 65536; op += op < 300 ? 1 : 251) {
		if (has_a_line(op) && op != KEYPROTO_HELLO)
			continue;
		for (unsigned role = 1; role <= KEYPROTO_ROLE_AUDITOR; role++) {
			uint64_t bad = p.keyd->counts.bad_frames;
			join(&c, &p, role, role > 2 ? KEYD_PERMIT_ADMIN : KEYD_PERMIT_USE);
			assert_int_equal(send_request(&c, op, "-"), ERR_CLOSED);
			assert_int_equal(p.keyd->counts.bad_frames, bad + 1);
			keyd_play_leave(&c);
		}
	}
	look(&p, &after);
	assert_memory_equal(&before, &after, sizeof(before));
	keyd_play_close(&p);
}

static void nobody_enters_in_a_role_or_on_a_socket_that_is_not_his(void **state)
{
	struct keyproto_hello m = {1, 1, 0, SPAN_LIT("test")};
	struct keyd_play_client c;
	struct keyd_play p;

	(void)state;
	assert_int_equal(keyd_play_memory(&p), 0);
	for (unsigned role = 1; role <= KEYPROTO_ROLE_AUDITOR; role++) {
		for (unsigned i = 0; i < 4; i++) {
			unsigned socket = 1 + i % 2, held = i < 2 ? KEYD_PLAY_ALL : 0;
			held = i < 2 ? held : KEYD_PLAY_ALL & ~(1u << role);
			keyd_play_connect(&c, &p, held, socket, 0);
			m.role = (uint8_t)role;
			keyproto_hello_put(keyd_play_begin(&c), &m);
			if (held & 1u << role && expected(role, socket, KEYPROTO_HELLO, "-")) {
				assert_int_equal(keyd_play_call(&c, KEYPROTO_HELLO), 0);
				assert_int_equal(c.session->role, role);
			} else {
				assert_int_equal(keyd_play_call(&c, KEYPROTO_HELLO), ERR_DENIED);
				assert_int_equal(c.session->role, 0);
			}
			keyd_play_leave(&c);
		}
	}
	keyd_play_close(&p);
}

static void be_quiet(void *arg, const char *line)
{
	(void)arg;
	(void)line;
}

static int set_up(void **state)
{
	(void)state;
	log_capture(be_quiet, NULL); /* thousands of denials, each with its line */
	return keyd_crypto_init();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(what_is_not_listed_is_denied),
	    cmocka_unit_test(a_prefix_needs_something_behind_it_and_is_not_found_elsewhere),
	    cmocka_unit_test(what_is_denied_has_no_effect_in_any_state),
	    cmocka_unit_test(what_is_listed_is_served),
	    cmocka_unit_test(a_number_that_is_no_operation_ends_the_connection),
	    cmocka_unit_test(nobody_enters_in_a_role_or_on_a_socket_that_is_not_his),
	};

	return cmocka_run_group_tests(tests, set_up, NULL);
}
