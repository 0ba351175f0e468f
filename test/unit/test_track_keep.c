/* SPDX-License-Identifier: Apache-2.0 */
/* The keeper: recipients sealed, hits noted as far as consent goes, erased, expired, destroyed; webhooks' queue. The thread, the
 * database and the ledger are real, keyd is played (ledger_fake). */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include <ftw.h>
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "campaign/camp_consent.h"
#include "core/clock.h"
#include "core/err.h"
#include "core/log.h"
#include "relay/ledger/ledger.h"
#include "relay/track/track_ask.h"
#include "relay/track/track_keep_own.h"
#include "relay/track/track_push.h"
#include "test/unit/ledger_fake.h"

#define DAY (24 * 3600 * CLOCK_SEC)

static char dir[64], ledger_dir[80];
static struct relay relay;
static struct relay_conf conf;
static struct track track;
static struct ledger_keys *writes, *reads;
static char log_text[65536];
static pthread_mutex_t log_lock = PTHREAD_MUTEX_INITIALIZER;

static void hear(void *arg, const char *line)
{
	(void)arg;
	pthread_mutex_lock(&log_lock);
	if (strlen(log_text) + strlen(line) + 2 < sizeof(log_text)) {
		strcat(log_text, line);
		strcat(log_text, "\n");
	}
	pthread_mutex_unlock(&log_lock);
}

static int logged(const char *what)
{
	int yes;

	pthread_mutex_lock(&log_lock);
	yes = strstr(log_text, what) != NULL;
	pthread_mutex_unlock(&log_lock);
	return yes;
}

/* --- the keeper's life */

static void open_keep(void)
{
	const char *why = "";
	int err = 0;

	track.relay = &relay;
	track.keep = track_keep_new(&track, &conf, &err, &why);
	if (!track.keep)
		fprintf(stderr, "%s: %s\n", why, err_text(err));
	assert_non_null(track.keep);
	track.keep->keys->free(track.keep->keys); /* which would ask a keyd that is not there */
	track.keep->keys = ledger_fake_keys();
	assert_int_equal(track_keep_start(track.keep), 0);
}

static void close_keep(void)
{
	track_keep_free(track.keep);
	track.keep = NULL;
}

static int set_up(void **state)
{
	struct ledger_options o = {.dir = ledger_dir};
	const char *why = "";
	int err = 0;

	(void)state;
	strcpy(dir, "/tmp/test_track_keep.XXXXXX");
	assert_non_null(mkdtemp(dir));
	snprintf(ledger_dir, sizeof(ledger_dir), "%s/ledger", dir);
	clock_set(clock_mono(), clock_wall());
	ledger_fake_reset();
	o.write_keys = writes = ledger_fake_keys();
	o.read_keys = reads = ledger_fake_keys();
	memset(&relay, 0, sizeof(relay));
	memset(&conf, 0, sizeof(conf));
	conf.state = dir;
	conf.keyd = (char *)"/nonexistent";
	conf.tracking.keep = 180 * DAY;
	conf.tracking.webhook_timeout = CLOCK_SEC;
	atomic_store(&relay.conf, &conf);
	atomic_store(&relay.stopping, 1); /* so no webhook is told: there are no workers, and no web */
	relay.inbox = evt_inbox_new(NULL, NULL, NULL);
	relay.ledger = ledger_new(&o, &err, &why);
	assert_non_null(relay.ledger);
	log_text[0] = '\0';
	log_capture(hear, NULL);
	open_keep();
	return 0;
}

static int remove_one(const char *path, const struct stat *st, int kind, struct FTW *at)
{
	(void)st;
	(void)kind;
	(void)at;
	return remove(path);
}

static int tear_down(void **state)
{
	(void)state;
	track_keep_free(track.keep);
	ledger_free(relay.ledger);
	evt_inbox_free(relay.inbox);
	writes->free(writes);
	reads->free(reads);
	ledger_fake_clear();
	clock_restore();
	log_capture(NULL, NULL);
	nftw(dir, remove_one, 16, FTW_DEPTH | FTW_PHYS);
	return 0;
}

/* --- saying and asking */

static void send_for(uint64_t tid, const char *customer, const char *recipient, unsigned consent)
{
	const struct track_sent s = {.tid = tid, .number = 7, .customer = customer, .campaign = "autumn", .consent = consent,
				     .recipient = recipient, .at = clock_wall() - 60 * CLOCK_SEC};

	track_keep_sent(track.keep, &s);
	track_keep_delivered(track.keep, tid, s.at + CLOCK_SEC);
}

static void hit(uint64_t tid, enum track_kind kind, const char *customer)
{
	struct track_hit h = {.bot = {.at = clock_wall(), .tid = tid, .number = 7, .kind = (uint8_t)kind, .agent = 3,
				      .net = 1000 + tid},
			      .net = "192.0.2.0/24", .links = 9};

	strcpy(h.customer, customer);
	track_keep_hit(track.keep, &h);
}

static void told(struct track_ask *a)
{
	(void)a;
}

static struct track_ask *about(enum track_ask_kind kind, const char *customer)
{
	struct track_ask *a = track_ask_new(kind);

	a->told = told;
	strcpy(a->customer, customer);
	return a;
}

/* What was posted before is done when it is answered. */
static int ask_err(struct track_ask *a, json_t **answer)
{
	struct evt_msg *m;
	int err;

	track_ask_post(&track, a);
	m = evt_inbox_wait(relay.inbox, 30 * CLOCK_SEC);
	assert_ptr_equal(m, a);
	((struct relay_msg *)m)->run((struct relay_msg *)m, &relay);
	err = a->err;
	*answer = a->answer;
	a->answer = NULL;
	track_ask_free(a);
	return err;
}

static json_t *ask(struct track_ask *a)
{
	json_t *answer;

	assert_int_equal(ask_err(a, &answer), 0);
	return answer;
}

static json_int_t number_of(const json_t *o, const char *name)
{
	return json_integer_value(json_object_get(o, name));
}

static unsigned events_of(const char *customer)
{
	json_t *j = ask(about(TRACK_ASK_EVENTS_OF, customer));
	unsigned n = (unsigned)json_array_size(json_object_get(j, "items"));

	json_decref(j);
	return n;
}

/* Whatever was posted is done, recipients are sealed (behind the questions that come with them), and what is old has gone. */
static void settle(void)
{
	struct track_keep_numbers n = {.waiting = 1};

	for (int i = 0; i < 3000 && n.waiting; i++) {
		clock_advance(CLOCK_SEC); /* keyd is asked again */
		json_decref(ask(about(TRACK_ASK_HOOK_LIST, "")));
		track_keep_numbers(track.keep, &n);
	}
	assert_int_equal(n.waiting, 0);
}

/* All clicks, whoever made them. */
static json_int_t total_of(const char *customer, const char *what)
{
	json_t *j = ask(about(TRACK_ASK_STATS, customer)), *n;
	const json_t *item = json_array_get(json_object_get(j, "items"), 0), *o = json_object_get(item, what);
	json_int_t sum = json_is_integer(o) ? json_integer_value(o) : 0;
	const char *class;

	if (json_is_object(o))
		json_object_foreach((json_t *)o, class, n) sum += json_integer_value(n);
	json_decref(j);
	return sum;
}

static unsigned exported(const char *address)
{
	struct track_ask *a = about(TRACK_ASK_EXPORT, "shop");
	json_t *j;
	unsigned n;

	strcpy(a->address, address);
	j = ask(a);
	n = (unsigned)json_array_size(json_object_get(j, "messages"));
	json_decref(j);
	return n;
}

/* One number that the database gives. */
static int64_t query(const char *sql)
{
	sqlite3_stmt *s;
	sqlite3 *db;
	char path[128];
	int64_t n;

	snprintf(path, sizeof(path), "%s/track.db", dir);
	assert_int_equal(sqlite3_open(path, &db), SQLITE_OK);
	sqlite3_busy_timeout(db, 10000);
	assert_int_equal(sqlite3_prepare_v2(db, sql, -1, &s, NULL), SQLITE_OK);
	n = sqlite3_step(s) == SQLITE_ROW ? sqlite3_column_int64(s, 0) : -1;
	sqlite3_finalize(s);
	sqlite3_close(db);
	return n;
}

/* While no keeper has it open. */
static void change(const char *sql)
{
	sqlite3 *db;
	char path[128], *wrong = NULL;

	snprintf(path, sizeof(path), "%s/track.db", dir);
	assert_int_equal(sqlite3_open(path, &db), SQLITE_OK);
	if (sqlite3_exec(db, sql, NULL, NULL, &wrong) != SQLITE_OK)
		fprintf(stderr, "%s\n", wrong);
	assert_null(wrong);
	sqlite3_close(db);
}

static int holds(const char *path, const char *text)
{
	char bytes[1 << 16], full[128];
	size_t n, size = strlen(text);
	FILE *f;

	snprintf(full, sizeof(full), "%s/%s", dir, path);
	f = fopen(full, "r");
	if (!f)
		return 0;
	n = fread(bytes, 1, sizeof(bytes), f);
	fclose(f);
	return n >= size && memmem(bytes, n, text, size) != NULL;
}

/* --- recipients */

static void a_recipient_is_sealed_and_found_whatever_the_case(void **state)
{
	(void)state;
	send_for(1, "shop", "Anna@Reader.Example", CAMP_CONSENT_ALL);
	settle();
	assert_int_equal(exported("anna@reader.example"), 1);
	assert_int_equal(exported("ANNA@READER.EXAMPLE"), 1);
	assert_int_equal(exported("ann@reader.example"), 0);
	assert_false(holds("track.db", "Reader.Example") || holds("track.db-wal", "Reader.Example") ||
		     holds("track.db-wal", "reader.example"));
	assert_int_equal(query("SELECT count(*) FROM sent WHERE length(who)=16 AND length(recipient)>20"), 1);
}

static void while_keyd_is_locked_recipients_wait_and_hits_are_theirs(void **state)
{
	struct track_keep_numbers n;

	(void)state;
	ledger_fake.err = ERR_LOCKED;
	send_for(1, "shop", "anna@reader.example", CAMP_CONSENT_ALL);
	hit(1, TRACK_KIND_CLICK, "shop");
	assert_int_equal(events_of("shop"), 1);
	track_keep_numbers(track.keep, &n);
	assert_int_equal(n.waiting, 1);
	assert_int_equal(query("SELECT count(*) FROM sent"), 0);
	ledger_fake.err = 0;
	settle();
	assert_int_equal(exported("anna@reader.example"), 1);
	assert_int_equal(query("SELECT count(*) FROM sent WHERE delivered>0"), 1);
}

static void an_end_without_keyd_says_what_is_lost(void **state)
{
	(void)state;
	ledger_fake.err = ERR_AWAY;
	send_for(1, "shop", "anna@reader.example", CAMP_CONSENT_ALL);
	close_keep();
	assert_true(logged("event=tracking-lost n=1 why=\"keyd did not seal them\""));
	ledger_fake.err = 0;
	open_keep();
	assert_int_equal(exported("anna@reader.example"), 0);
}

/* --- consent */

static void what_is_kept_is_what_a_reader_agreed_to(void **state)
{
	static const struct {
		unsigned consent;
		int click, open;
	} rows[] = {{CAMP_CONSENT_NONE, 0, 0}, {CAMP_CONSENT_AGGREGATE, 0, 0}, {CAMP_CONSENT_OPENS, 0, 1},
		    {CAMP_CONSENT_CLICKS, 1, 0}, {CAMP_CONSENT_ALL, 1, 1}};
	unsigned events = 0;

	(void)state;
	for (unsigned i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		char address[64];
		snprintf(address, sizeof(address), "r%u@reader.example", i);
		send_for(i + 1, "shop", address, rows[i].consent);
		hit(i + 1, TRACK_KIND_CLICK, "shop");
		hit(i + 1, TRACK_KIND_OPEN, "shop");
		hit(i + 1, TRACK_KIND_UNSUBSCRIBE, "shop"); /* which is asked for */
		events += (unsigned)(rows[i].click + rows[i].open + 1);
		assert_int_equal(events_of("shop"), events);
	}
	settle();
	assert_int_equal(total_of("shop", "click"), 5);
	assert_int_equal(total_of("shop", "open"), 5);
	assert_int_equal(query("SELECT count(*) FROM event WHERE kind=0 AND tid IN (4, 5)"), 2);
	assert_int_equal(query("SELECT count(*) FROM event WHERE kind=1 AND tid IN (3, 5)"), 2);
	assert_int_equal(total_of("shop", "sent"), 5);
	assert_int_equal(total_of("shop", "delivered"), 5);
}

static void nobody_in_particular_leaves_totals_alone(void **state)
{
	(void)state;
	send_for(1, "shop", "anna@reader.example", CAMP_CONSENT_ALL);
	hit(0, TRACK_KIND_CLICK, "shop");  /* a token without a number */
	hit(99, TRACK_KIND_CLICK, "shop"); /* not known (any more) */
	hit(1, TRACK_KIND_CLICK, "other"); /* another customer's host */
	assert_int_equal(events_of("shop"), 0);
	assert_int_equal(events_of("other"), 0);
	assert_int_equal(query("SELECT sum(hits) FROM total WHERE what=0"), 3);
}

/* --- erasing, expiring, destroying */

static void erasing_one_recipient_leaves_the_others_and_totals(void **state)
{
	struct track_ask *a;
	json_t *j;

	(void)state;
	send_for(1, "shop", "anna@reader.example", CAMP_CONSENT_ALL);
	send_for(2, "shop", "bert@reader.example", CAMP_CONSENT_ALL);
	hit(1, TRACK_KIND_CLICK, "shop");
	hit(2, TRACK_KIND_CLICK, "shop");
	assert_int_equal(events_of("shop"), 2);
	ledger_fake.err = ERR_LOCKED;
	send_for(3, "shop", "anna@reader.example", CAMP_CONSENT_ALL); /* in memory only */
	a = about(TRACK_ASK_ERASE, "shop");
	strcpy(a->address, "Anna@reader.example");
	assert_int_equal(ask_err(a, &j), ERR_LOCKED); /* nothing, rather than half of it */
	json_decref(j);
	assert_int_equal(events_of("shop"), 2);
	ledger_fake.err = 0;
	a = about(TRACK_ASK_ERASE, "shop");
	strcpy(a->address, "Anna@reader.example");
	j = ask(a);
	assert_int_equal(number_of(j, "messages"), 2);
	json_decref(j);
	assert_int_equal(events_of("shop"), 1);
	assert_int_equal(exported("anna@reader.example"), 0);
	assert_int_equal(exported("bert@reader.example"), 1);
	assert_int_equal(total_of("shop", "click"), 2);
	assert_true(logged("event=tracking-erased customer=shop messages=2"));
	assert_false(logged("anna"));
}

static void what_is_older_than_it_may_be_goes_at_start(void **state)
{
	(void)state;
	send_for(1, "shop", "anna@reader.example", CAMP_CONSENT_ALL);
	send_for(2, "shop", "bert@reader.example", CAMP_CONSENT_ALL);
	hit(1, TRACK_KIND_CLICK, "shop");
	assert_int_equal(events_of("shop"), 1);
	close_keep();
	change("UPDATE sent SET at=at-181*86400*1000000 WHERE tid=1; UPDATE event SET at=at-181*86400*1000000");
	open_keep();
	settle();
	assert_int_equal(events_of("shop"), 0);
	assert_int_equal(exported("anna@reader.example"), 0);
	assert_int_equal(exported("bert@reader.example"), 1);
	assert_int_equal(total_of("shop", "click"), 1);
	assert_true(logged("event=tracking-expired rows=2"));
}

static void of_a_destroyed_customer_totals_stay_and_nothing_else(void **state)
{
	struct track_ask *a = about(TRACK_ASK_HOOK_ADD, "shop");

	(void)state;
	strcpy(a->url, "https://hook.example/");
	a->kinds = 7;
	json_decref(ask(a));
	a = about(TRACK_ASK_HOOK_ADD, "other");
	strcpy(a->url, "https://hook.example/");
	a->kinds = 7;
	json_decref(ask(a));
	send_for(1, "shop", "anna@reader.example", CAMP_CONSENT_ALL);
	send_for(2, "other", "anna@reader.example", CAMP_CONSENT_ALL);
	settle();
	assert_int_equal(total_of("shop", "sent"), 1);
	close_keep();
	ledger_fake.destroyed = "shop";
	open_keep();
	send_for(3, "shop", "bert@reader.example", CAMP_CONSENT_ALL);
	settle();
	assert_int_equal(total_of("shop", "sent"), 1); /* of the new one nothing was kept at all */
	assert_int_equal(query("SELECT count(*) FROM sent"), 1);
	assert_int_equal(query("SELECT count(*) FROM sent WHERE customer='other'"), 1);
	assert_int_equal(query("SELECT count(*) FROM hook WHERE customer='shop'"), 0);
	assert_int_equal(query("SELECT count(*) FROM hook"), 1);
	assert_true(logged("event=tracking-destroyed customer=shop rows=1 webhooks=1"));
}

/* --- webhooks: what waits */

/* Its number. */
static int64_t add_hook(const char *customer, unsigned kinds)
{
	struct track_ask *a = about(TRACK_ASK_HOOK_ADD, customer);
	json_t *j;
	int64_t id;

	strcpy(a->url, "https://hook.example/");
	a->kinds = kinds;
	j = ask(a);
	id = number_of(j, "id");
	json_decref(j);
	return id;
}

static json_int_t of_hook(int64_t id, const char *name)
{
	json_t *j = ask(about(TRACK_ASK_HOOK_LIST, "")), *h;
	json_int_t n = -1;
	size_t i;

	json_array_foreach(json_object_get(j, "items"), i, h) if (number_of(h, "id") == id) n = number_of(h, name);
	json_decref(j);
	return n;
}

static void events_wait_for_those_who_want_them(void **state)
{
	int64_t clicks = add_hook("shop", 1 << TRACK_KIND_CLICK), all = add_hook("shop", 7), others = add_hook("other", 7);

	(void)state;
	send_for(1, "shop", "anna@reader.example", CAMP_CONSENT_ALL);
	hit(1, TRACK_KIND_CLICK, "shop");
	hit(1, TRACK_KIND_OPEN, "shop");
	hit(0, TRACK_KIND_CLICK, "shop");
	assert_int_equal(of_hook(clicks, "waiting"), 1);
	assert_int_equal(of_hook(all, "waiting"), 2);
	assert_int_equal(of_hook(others, "waiting"), 0);
}

static void a_customer_has_so_many_webhooks_and_no_more(void **state)
{
	struct track_ask *a;
	json_t *j;

	(void)state;
	add_hook("shop", 7);
	close_keep();
	change("INSERT INTO hook(customer, url, kinds, secret, sealed, created)"
	       " SELECT customer, url, kinds, secret, sealed, created FROM hook,"
	       " (WITH RECURSIVE n(i) AS (SELECT 2 UNION ALL SELECT i+1 FROM n WHERE i<32) SELECT i FROM n)");
	assert_int_equal(TRACK_PUSH_CUSTOMER, 32);
	open_keep();
	a = about(TRACK_ASK_HOOK_ADD, "shop");
	strcpy(a->url, "https://hook.example/");
	a->kinds = 7;
	assert_int_equal(ask_err(a, &j), ERR_LIMIT);
	json_decref(j);
	assert_true(add_hook("other", 7) > 0);
}

static void a_webhook_without_a_sealed_secret_is_not_added(void **state)
{
	struct track_ask *a = about(TRACK_ASK_HOOK_ADD, "shop");
	json_t *j;

	(void)state;
	ledger_fake.err = ERR_LOCKED;
	strcpy(a->url, "https://hook.example/");
	a->kinds = 7;
	assert_int_equal(ask_err(a, &j), ERR_LOCKED);
	assert_null(json_object_get(j, "secret"));
	json_decref(j);
	assert_int_equal(query("SELECT count(*) FROM hook"), 0);
}

static void counts_of_a_database_of_before_are_made(void **state)
{
	int64_t id = add_hook("shop", 7);

	(void)state;
	close_keep();
	/* as the first version had it */
	change("DROP TRIGGER push_comes; DROP TRIGGER push_goes; DROP INDEX push_of;"
	       "ALTER TABLE hook DROP COLUMN waiting; ALTER TABLE hook DROP COLUMN lost; ALTER TABLE hook DROP COLUMN ended;"
	       "ALTER TABLE hook DROP COLUMN quiet;"
	       "CREATE INDEX push_due ON push(due); CREATE INDEX push_hook ON push(hook); PRAGMA user_version=1;"
	       "INSERT INTO push(hook, event, revised, due, tries, made) VALUES(1, 1, 0, 4000000000000000, 1, 1),"
	       " (1, 2, 0, 4000000000000000, 1, 1), (1, 3, 0, 4000000000000000, 1, 1);");
	open_keep();
	assert_int_equal(of_hook(id, "waiting"), 3);
	assert_int_equal(of_hook(id, "ended"), 0);
	send_for(1, "shop", "anna@reader.example", CAMP_CONSENT_ALL);
	hit(1, TRACK_KIND_CLICK, "shop");
	assert_int_equal(of_hook(id, "waiting"), 4);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
	const struct CMUnitTest tests[] = {
	    TEST(a_recipient_is_sealed_and_found_whatever_the_case),
	    TEST(while_keyd_is_locked_recipients_wait_and_hits_are_theirs),
	    TEST(an_end_without_keyd_says_what_is_lost),
	    TEST(what_is_kept_is_what_a_reader_agreed_to),
	    TEST(nobody_in_particular_leaves_totals_alone),
	    TEST(erasing_one_recipient_leaves_the_others_and_totals),
	    TEST(what_is_older_than_it_may_be_goes_at_start),
	    TEST(of_a_destroyed_customer_totals_stay_and_nothing_else),
	    TEST(events_wait_for_those_who_want_them),
	    TEST(a_customer_has_so_many_webhooks_and_no_more),
	    TEST(a_webhook_without_a_sealed_secret_is_not_added),
	    TEST(counts_of_a_database_of_before_are_made),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
