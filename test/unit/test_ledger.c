/* SPDX-License-Identifier: Apache-2.0 */
/* The ledger as a whole: rows that are written, found, signed; what it does when keyd or the disk fail it, and when
 * somebody changes its files. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include <dirent.h>
#include <fcntl.h>
#include <ftw.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "core/clock.h"
#include "core/err.h"
#include "core/log.h"
#include "evt/evt_inbox.h"
#include "relay/ledger/ledger_ask.h"
#include "sys/sys_map.h"
#include "test/unit/ledger_fake.h"

static char dir[64], ledger_dir[80];
static struct ledger *ledger;
static struct ledger_keys *writes, *reads;
static struct evt_inbox *inbox;
static char log_text[65536];
static pthread_mutex_t log_lock = PTHREAD_MUTEX_INITIALIZER;
static atomic_int full_now;

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

static void wait_logged(const char *what)
{
	for (int i = 0; i < 2000 && !logged(what); i++)
		usleep(10000);
	assert_true(logged(what));
}

static void on_full(void *arg, int is)
{
	(void)arg;
	full_now = is;
}

static void open_with(uint64_t file_rows, uint64_t checkpoint_rows, int64_t keep)
{
	struct ledger_options o = {.dir = ledger_dir, .keep = keep, .write_keys = writes, .read_keys = reads,
				   .file_rows = file_rows, .checkpoint_rows = checkpoint_rows, .full = on_full};
	const char *why = "";
	int err = 0;

	ledger = ledger_new(&o, &err, &why);
	if (!ledger)
		fprintf(stderr, "%s: %s\n", why, err_text(err));
	assert_non_null(ledger);
}

static void shut(void)
{
	ledger_free(ledger);
	ledger = NULL;
}

static int set_up(void **state)
{
	(void)state;
	strcpy(dir, "/tmp/test_ledger.XXXXXX");
	assert_non_null(mkdtemp(dir));
	snprintf(ledger_dir, sizeof(ledger_dir), "%s/ledger", dir);
	ledger_fake_reset();
	writes = ledger_fake_keys();
	reads = ledger_fake_keys();
	inbox = evt_inbox_new(NULL, NULL, NULL);
	log_text[0] = '\0';
	log_capture(hear, NULL);
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
	ledger_free(ledger);
	ledger = NULL;
	evt_inbox_free(inbox);
	writes->free(writes);
	reads->free(reads);
	ledger_fake_clear();
	log_capture(NULL, NULL);
	nftw(dir, remove_one, 16, FTW_DEPTH | FTW_PHYS);
	return 0;
}

/* --- posting and asking */

static void post_one(unsigned i, const char *customer, const char *address, const char *domain, uint8_t outcome)
{
	const struct ledger_attempt a = {.id = 0x1000 + i,
					 .recipient = (uint16_t)(i & 7),
					 .at = clock_wall(),
					 .queued = clock_wall() - CLOCK_SEC,
					 .customer = customer,
					 .campaign = "autumn",
					 .domain = domain,
					 .address = address,
					 .sender = "sender@here.test",
					 .reply = outcome == LEDGER_OUTCOME_DELIVERED ? "2.0.0 taken, thanks" : "5.1.1 who?",
					 .source = "mta1",
					 .host = "mx.there.test",
					 .ip = "192.0.2.1",
					 .outcome = outcome,
					 .reached = 1,
					 .code = outcome == LEDGER_OUTCOME_DELIVERED ? 250 : 550,
					 .status = outcome == LEDGER_OUTCOME_DELIVERED ? "2.0.0" : "5.1.1",
					 .attempts = 1,
					 .ms = 12,
					 .size = 1000,
					 .tls = i % 4 ? "TLSv1.3" : NULL,
					 .cipher = "TLS_AES_256_GCM_SHA384",
					 .group = "x25519",
					 .clear = i % 4 ? NULL : "not-offered",
					 .policy = "none",
					 .verified_by = i % 4 == 1 ? "pkix" : "none"};

	ledger_post(ledger, &a);
}

static void post(unsigned from, unsigned count)
{
	char address[64], domain[32];

	for (unsigned i = from; i < from + count; i++) {
		snprintf(domain, sizeof(domain), "d%u.test", i % 3);
		snprintf(address, sizeof(address), "User%u@%s", i, domain);
		post_one(i, "default", address, domain,
			 i % 5 ? LEDGER_OUTCOME_DELIVERED : LEDGER_OUTCOME_BOUNCED);
	}
}

static void flush(int sign)
{
	assert_int_equal(ledger_flush(ledger, sign, 20 * CLOCK_SEC), 0);
}

static void answered(struct relay_msg *m, void *receiver)
{
	(void)m;
	(void)receiver;
}

static struct ledger_ask *begin(enum ledger_ask_kind kind)
{
	struct ledger_ask *a = ledger_ask_new(kind);

	a->reply = inbox;
	a->msg.run = answered;
	a->limit = 100;
	return a;
}

static json_t *ask(struct ledger_ask *a)
{
	json_t *j;

	ledger_ask_post(ledger, a);
	assert_non_null(evt_inbox_wait(inbox, 30 * CLOCK_SEC));
	assert_int_equal(a->err, 0);
	j = a->answer;
	a->answer = NULL;
	ledger_ask_free(a);
	return j;
}

static const char *text_of(const json_t *o, const char *name)
{
	const char *s = json_string_value(json_object_get(o, name));

	return s ? s : "";
}

static json_int_t number_of(const json_t *o, const char *name)
{
	return json_integer_value(json_object_get(o, name));
}

static json_t *rows_of(const char *recipient, const char *domain, unsigned limit)
{
	struct ledger_ask *a = begin(LEDGER_ASK_ROWS);

	if (recipient)
		snprintf(a->recipient, sizeof(a->recipient), "%s", recipient);
	if (domain)
		snprintf(a->filter.domain, sizeof(a->filter.domain), "%s", domain);
	a->limit = limit;
	return ask(a);
}

/* --- verification of the files as they lie there */

static int signature(void *arg, const struct ledger_checkpoint *c)
{
	(void)arg;
	return reads->verify(reads, c);
}

static int by_name(const struct dirent **a, const struct dirent **b)
{
	return strcmp((*a)->d_name, (*b)->d_name);
}

static int is_log(const struct dirent *e)
{
	uint64_t first;

	return ledger_record_name_parse(e->d_name, ".log", &first) == 0;
}

/* Verifies a folder like the CLI does. */
static int verify(struct ledger_verify *v)
{
	const struct ledger_verify_last last = {1, ledger_fake.last.counter, ledger_fake.last.rows, {0}};
	struct dirent **names;
	int n = scandir(ledger_dir, &names, is_log, by_name), err;

	assert_int_equal(ledger_verify_init(v, signature, NULL), 0);
	err = 0;
	for (int i = 0; i < n; i++) {
		char path[400];
		struct span s;
		uint64_t first;
		snprintf(path, sizeof(path), "%s/%s", ledger_dir, names[i]->d_name);
		ledger_record_name_parse(names[i]->d_name, ".log", &first);
		if (err == 0 && sys_map_open(path, 0, &s) == 0) {
			err = ledger_verify_file(v, first, s, i + 1 == n ? LEDGER_VERIFY_LAST : LEDGER_VERIFY_MORE);
			sys_map_close(&s);
		}
		free(names[i]);
	}
	free(names);
	if (err == 0)
		err = ledger_verify_end(v, &last);
	ledger_verify_clear(v);
	return err;
}

static void assert_whole(uint64_t rows)
{
	struct ledger_verify v;
	int err = verify(&v);

	if (err < 0)
		fprintf(stderr, "row %llu: %s\n", (unsigned long long)v.row, v.reason ? v.reason : err_text(err));
	assert_int_equal(err, 0);
	assert_int_equal(v.rows, rows);
}

/* A file of the ledger in memory, to be changed. */
struct file {
	char path[200];
	uint8_t *p;
	size_t n;
};

static struct file load(uint64_t first)
{
	struct file f;
	char name[LEDGER_NAME];
	FILE *in;
	struct stat st;

	ledger_record_name(name, first, ".log");
	snprintf(f.path, sizeof(f.path), "%s/%s", ledger_dir, name);
	in = fopen(f.path, "r");
	assert_non_null(in);
	assert_int_equal(fstat(fileno(in), &st), 0);
	f.n = (size_t)st.st_size;
	f.p = malloc(f.n * 2 + 1);
	assert_int_equal(fread(f.p, 1, f.n, in), f.n);
	fclose(in);
	return f;
}

static void save_bytes(const struct file *f, const uint8_t *p, size_t n)
{
	FILE *out = fopen(f->path, "w");

	assert_non_null(out);
	assert_int_equal(fwrite(p, 1, n, out), n);
	fclose(out);
}

/* Offset of the n-th record (from 0) and its length and kind. */
static size_t record_at(const struct file *f, unsigned n, size_t *length, uint8_t *kind)
{
	struct ledger_record r;
	size_t at = 0;

	for (;; n--) {
		int got = ledger_record_parse(span_of(f->p + at, f->n - at), &r);
		assert_true(got > 0);
		*length = (size_t)got;
		*kind = r.kind;
		if (n == 0)
			return at;
		at += (size_t)got;
	}
}

static unsigned records(const struct file *f)
{
	struct ledger_record r;
	unsigned n = 0;
	size_t at = 0;
	int got;

	for (; at < f->n; n++, at += (size_t)got) {
		got = ledger_record_parse(span_of(f->p + at, f->n - at), &r);
		assert_true(got > 0);
	}
	return n;
}

/* Which row verify has to name if record n is not what it was: the row itself; for what stands between rows, the row
 * before. */
static uint64_t row_at(const struct file *f, unsigned n)
{
	uint64_t last = 0;

	for (unsigned i = 0; i <= n; i++) {
		struct ledger_record r;
		struct ledger_row row;
		struct ledger_head h;
		size_t length;
		uint8_t kind;
		size_t at = record_at(f, i, &length, &kind);
		ledger_record_parse(span_of(f->p + at, length), &r);
		if (kind == LEDGER_ROW && ledger_record_get_row(r.body, &row) == 0)
			last = row.row;
		else if (kind == LEDGER_HEAD && ledger_record_get_head(r.body, &h) == 0)
			last = h.first - 1;
	}
	return last;
}

static void make_tampered_ledger(void)
{
	open_with(20, 7, 0);
	for (unsigned i = 0; i < 50; i += 5) {
		post(i, 5);
		flush(0);
	}
	shut();
	assert_whole(50);
}

/* --- tests */

static void a_reply_in_another_charset_can_be_read_but_for_its_letters(void **state)
{
	struct ledger_attempt a = {.id = 0x7000, .at = clock_wall(), .customer = "shop", .domain = "d.test",
				   .reply = "5.1.1 Empf\xe4nger \xc3\xa4 \xf0\x9f\x98\x80 \xed\xa0\x80 unbekannt \xc3",
				   .outcome = LEDGER_OUTCOME_BOUNCED, .code = 550};
	json_t *j;

	(void)state;
	open_with(0, 0, 0);
	ledger_post(ledger, &a);
	flush(0);
	j = rows_of(NULL, "d.test", 10);
	assert_string_equal(text_of(json_array_get(json_object_get(j, "items"), 0), "reply"),
			    "5.1.1 Empf\xef\xbf\xbdnger \xc3\xa4 \xf0\x9f\x98\x80 "
			    "\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd unbekannt \xef\xbf\xbd");
	assert_null(json_object_get(json_array_get(json_object_get(j, "items"), 0), "rcpt")); /* nobody opened it */
	json_decref(j);
	shut();
}

static void rows_are_found_by_recipient_message_and_domain(void **state)
{
	json_t *j, *i;

	(void)state;
	open_with(16, 10, 0); /* several files, closed and open */
	for (unsigned k = 0; k < 60; k += 10) {
		post(k, 10);
		flush(0);
	}
	j = rows_of("uSER41@d2.test", NULL, 10);
	i = json_array_get(json_object_get(j, "items"), 0);
	assert_int_equal(json_array_size(json_object_get(j, "items")), 1);
	assert_string_equal(text_of(i, "rcpt"), "User41@d2.test");
	assert_string_equal(text_of(i, "orig"), "sender@here.test");
	assert_string_equal(text_of(i, "reply"), "2.0.0 taken, thanks");
	assert_string_equal(text_of(i, "tls"), "TLSv1.3");
	assert_string_equal(text_of(i, "verified_by"), "pkix");
	assert_string_equal(text_of(i, "outcome"), "delivered");
	assert_string_equal(text_of(i, "host"), "mx.there.test");
	assert_int_equal(number_of(i, "row"), 42);
	json_decref(j);
	j = rows_of("nobody@d2.test", NULL, 10);
	assert_int_equal(json_array_size(json_object_get(j, "items")), 0);
	json_decref(j);
	j = rows_of(NULL, "d1.test", 100);
	assert_int_equal(json_array_size(json_object_get(j, "items")), 20);
	json_decref(j);
	{
		struct ledger_ask *a = begin(LEDGER_ASK_ROWS);
		a->filter.id = 0x1000 + 7;
		j = ask(a);
		assert_int_equal(json_array_size(json_object_get(j, "items")), 1);
		assert_string_equal(text_of(json_array_get(json_object_get(j, "items"), 0), "rcpt"), "User7@d1.test");
		json_decref(j);
	}
}

static void pages_go_on_where_the_last_one_ended(void **state)
{
	uint64_t after = 0, last = 0;
	unsigned seen = 0;

	(void)state;
	open_with(16, 10, 0);
	post(0, 50);
	flush(1);
	do {
		struct ledger_ask *a = begin(LEDGER_ASK_ROWS);
		json_t *j;
		a->limit = 7;
		a->filter.after = after;
		j = ask(a);
		for (size_t i = 0; i < json_array_size(json_object_get(j, "items")); i++, seen++) {
			uint64_t row = (uint64_t)number_of(json_array_get(json_object_get(j, "items"), i), "row");
			assert_true(!last || row == last - 1); /* the newest first */
			last = row;
		}
		after = strtoull(text_of(j, "next"), NULL, 10);
		json_decref(j);
	} while (after);
	assert_int_equal(seen, 50);
	assert_int_equal(last, 1);
}

static void counters_of_a_domain_add_up(void **state)
{
	struct ledger_ask *a;
	json_t *j, *i;

	(void)state;
	open_with(16, 10, 0);
	for (unsigned k = 0; k < 60; k += 10) {
		post(k, 10);
		flush(0);
	}
	a = begin(LEDGER_ASK_STATS);
	strcpy(a->filter.domain, "d0.test");
	j = ask(a);
	i = json_array_get(json_object_get(j, "items"), 0);
	assert_string_equal(text_of(i, "domain"), "d0.test");
	assert_int_equal(number_of(i, "attempts"), 20);
	assert_int_equal(number_of(i, "clear"), 5);
	assert_int_equal(number_of(i, "encrypted"), 15);
	assert_int_equal(number_of(i, "tls13"), 15);
	assert_int_equal(number_of(i, "pkix"), 5);
	assert_int_equal(number_of(i, "plain"), 10);
	assert_int_equal(number_of(i, "delivered") + number_of(i, "bounced"), 20);
	json_decref(j);
	a = begin(LEDGER_ASK_STATS); /* the time cuts files in two: rows are counted one by one */
	a->filter.since = 1;
	a->filter.until = clock_wall() + CLOCK_SEC;
	j = ask(a);
	assert_int_equal(number_of(j, "domains"), 3);
	json_decref(j);
}

static void export_has_the_columns_of_powermta(void **state)
{
	struct ledger_ask *a;
	const char *text;
	json_t *j;

	(void)state;
	open_with(0, 0, 0);
	post_one(1, "default", "who,is@d1.test", "d1.test", LEDGER_OUTCOME_DELIVERED);
	post_one(2, "default", "b@d1.test", "d1.test", LEDGER_OUTCOME_BOUNCED);
	a = begin(LEDGER_ASK_EXPORT);
	a->csv = 1;
	j = ask(a);
	text = text_of(j, "text");
	assert_ptr_equal(strstr(text, "type,timeLogged,timeQueued,orig,rcpt,orcpt,dsnAction,dsnStatus,dsnDiag,dsnMta,"
				      "bounceCat,srcType,srcMta,dlvType,dlvSourceIp,dlvDestinationIp,dlvEsmtpAvailable,"
				      "dlvSize,vmta,jobId,envId,queue,vmtaPool,"), text);
	assert_non_null(strstr(text, "\nd,"));
	assert_non_null(strstr(text, ",sender@here.test,\"who,is@d1.test\",,relayed,2.0.0,\"smtp;250 2.0.0 taken, thanks\","
				     "mx.there.test (192.0.2.1),,smtp,,smtp,,192.0.2.1,,1000,mta1,autumn,,d1.test/mta1,,TLSv1.3,"));
	assert_non_null(strstr(text, ",failed,5.1.1,smtp;550 5.1.1 who?,mx.there.test (192.0.2.1),other,smtp,"));
	json_decref(j);
	a = begin(LEDGER_ASK_EXPORT);
	a->csv = 1;
	a->sealed = 1;
	j = ask(a);
	assert_null(strstr(text_of(j, "text"), "@"));
	json_decref(j);
}

static int holds_address(const char *path, const struct stat *st, int kind, struct FTW *at)
{
	struct span s;
	int found;

	(void)st;
	(void)at;
	if (kind != FTW_F || sys_map_open(path, 0, &s) < 0)
		return 0;
	found = memmem(s.p, s.n, "sender@", 7) || memmem(s.p, s.n, "ser1", 4) || memmem(s.p, s.n, "thanks", 6);
	sys_map_close(&s);
	return found;
}

static void files_show_no_address(void **state)
{
	(void)state;
	open_with(16, 10, 0);
	post(0, 40);
	flush(1);
	shut();
	assert_int_equal(nftw(ledger_dir, holds_address, 16, FTW_PHYS), 0);
}

static void rows_wait_while_keyd_is_locked(void **state)
{
	struct ledger_numbers n;

	(void)state;
	open_with(0, 0, 0);
	ledger_fake.err = ERR_LOCKED;
	post(0, 10);
	wait_logged("event=ledger-waiting rows=10 why=\"keyd is locked\"");
	assert_int_equal(ledger_flush(ledger, 0, 5 * CLOCK_SEC), ERR_LOCKED);
	ledger_numbers(ledger, &n);
	assert_int_equal(n.waiting, 10);
	assert_int_equal(n.stuck, ERR_LOCKED);
	ledger_fake.err = 0;
	while (ledger_flush(ledger, 1, 5 * CLOCK_SEC) != 0)
		usleep(10000);
	assert_true(logged("event=ledger-goes-on"));
	shut();
	assert_whole(10);
}

static void an_end_without_keyd_keeps_the_rows_but_not_the_recipients(void **state)
{
	json_t *j, *i;

	(void)state;
	open_with(0, 0, 0);
	post(0, 3);
	flush(1);
	ledger_fake.err = ERR_AWAY;
	post(3, 3);
	shut();
	assert_true(logged("event=ledger-unsealed rows=3"));
	ledger_fake.err = 0;
	open_with(0, 0, 0);
	j = rows_of(NULL, NULL, 10);
	i = json_array_get(json_object_get(j, "items"), 0);
	assert_int_equal(json_array_size(json_object_get(j, "items")), 6);
	assert_string_equal(text_of(i, "domain"), "d2.test");
	assert_null(json_object_get(i, "rcpt"));
	json_decref(j);
	flush(1);
	shut();
	assert_whole(6);
}

static void a_destroyed_customer_has_rows_without_recipients(void **state)
{
	json_t *j;

	(void)state;
	open_with(0, 0, 0);
	ledger_fake.destroyed = "gone";
	post_one(1, "default", "a@d1.test", "d1.test", LEDGER_OUTCOME_DELIVERED);
	post_one(2, "gone", "b@d1.test", "d1.test", LEDGER_OUTCOME_DELIVERED);
	j = rows_of(NULL, NULL, 10);
	assert_string_equal(text_of(json_array_get(json_object_get(j, "items"), 0), "sealed"),
			    "the customer's keys were destroyed");
	assert_string_equal(text_of(json_array_get(json_object_get(j, "items"), 1), "rcpt"), "a@d1.test");
	json_decref(j);
}

static void a_full_disk_makes_rows_wait_and_nothing_is_lost(void **state)
{
	struct rlimit before, small;

	(void)state;
	open_with(0, 0, 0);
	post(0, 10);
	flush(1);
	getrlimit(RLIMIT_FSIZE, &before);
	small = before;
	small.rlim_cur = 6000; /* the ledger's file may not grow beyond */
	signal(SIGXFSZ, SIG_IGN);
	setrlimit(RLIMIT_FSIZE, &small);
	post(10, 100);
	assert_true(ledger_flush(ledger, 0, 5 * CLOCK_SEC) < 0);
	wait_logged("event=ledger-waiting rows=100");
	setrlimit(RLIMIT_FSIZE, &before);
	while (ledger_flush(ledger, 1, 5 * CLOCK_SEC) != 0)
		usleep(10000);
	shut();
	assert_whole(110);
}

static void a_torn_end_is_cut_and_told(void **state)
{
	struct file f;

	(void)state;
	open_with(0, 0, 0);
	post(0, 10);
	flush(1);
	post(10, 10);
	flush(0);
	shut();
	assert_whole(20);
	f = load(1);
	for (size_t cut = 1; cut < 1200; cut += 37) { /* into the last checkpoint, and the rows before it */
		char copy[200];
		save_bytes(&f, f.p, f.n - cut);
		log_text[0] = '\0';
		open_with(0, 0, 0);
		assert_true(logged("event=ledger-torn"));
		post(20, 1);
		flush(1);
		shut();
		snprintf(copy, sizeof(copy), "%s", f.path);
	}
	free(f.p);
}

static void an_answer_that_is_lost_makes_no_second_checkpoint(void **state)
{
	(void)state;
	open_with(0, 5, 0);
	ledger_fake.lose = 1;
	post(0, 5);
	while (ledger_flush(ledger, 1, 5 * CLOCK_SEC) != 0)
		usleep(10000);
	post(5, 5);
	flush(1);
	shut();
	assert_whole(10);
}

static void a_checkpoint_that_keyd_signed_and_a_crash_lost_is_found_again(void **state)
{
	struct file f;
	size_t length;
	uint8_t kind;
	unsigned n;

	(void)state;
	open_with(0, 0, 0);
	post(0, 10);
	flush(1);
	shut();
	f = load(1);
	n = records(&f);
	save_bytes(&f, f.p, record_at(&f, n - 2, &length, &kind)); /* checkpoint and its end of a batch */
	assert_int_equal(kind, LEDGER_CHECKPOINT);
	free(f.p);
	open_with(0, 0, 0);
	post(10, 1);
	flush(1);
	shut();
	assert_whole(11);
	assert_false(logged("event=ledger-truncated"));
}

static void flipping_any_octet_names_the_record(void **state)
{
	static const uint64_t files[] = {1, 21, 41};

	(void)state;
	make_tampered_ledger();
	for (unsigned k = 0; k < 3; k++) {
		struct file f = load(files[k]);
		unsigned n = records(&f);
		for (unsigned i = 0; i < n; i++) {
			size_t length, at;
			uint8_t kind;
			at = record_at(&f, i, &length, &kind);
			for (size_t o = 0; o < length; o += 1 + length / 9) {
				uint64_t want = row_at(&f, i);
				struct ledger_verify v;
				f.p[at + o] ^= 0x10;
				save_bytes(&f, f.p, f.n);
				assert_int_equal(verify(&v), ERR_DAMAGED);
				assert_int_equal(v.file, files[k]);
				if (k < 2 || i + 1 < n) /* at the very end keyd says what is missing */
					assert_int_equal(v.offset, i ? at : 0);
				if (kind == LEDGER_ROW)
					assert_int_equal(v.row, want);
				f.p[at + o] ^= 0x10;
			}
		}
		save_bytes(&f, f.p, f.n);
		free(f.p);
	}
	assert_whole(50);
}

static void a_dropped_record_is_named(void **state)
{
	static const uint64_t files[] = {1, 21, 41};

	(void)state;
	make_tampered_ledger();
	for (unsigned k = 0; k < 3; k++) {
		struct file f = load(files[k]);
		unsigned n = records(&f);
		uint8_t *copy = malloc(f.n);
		for (unsigned i = 0; i < n; i++) {
			size_t length, at;
			uint8_t kind;
			struct ledger_verify v;
			at = record_at(&f, i, &length, &kind);
			memcpy(copy, f.p, at);
			memcpy(copy + at, f.p + at + length, f.n - at - length);
			save_bytes(&f, copy, f.n - length);
			assert_int_equal(verify(&v), ERR_DAMAGED);
			assert_true(v.file == files[k] || i + 1 == n);
			if (kind == LEDGER_ROW)
				assert_int_equal(v.row, row_at(&f, i));
		}
		save_bytes(&f, f.p, f.n);
		free(copy);
		free(f.p);
	}
	assert_whole(50);
}

static void an_inserted_or_moved_record_is_named(void **state)
{
	struct file f;
	uint8_t *copy;
	unsigned n;

	(void)state;
	make_tampered_ledger();
	f = load(21);
	n = records(&f);
	copy = malloc(f.n * 2);
	for (unsigned i = 1; i + 1 < n; i++) {
		size_t length, at, length2, at2;
		uint8_t kind, kind2;
		struct ledger_verify v;
		at = record_at(&f, i, &length, &kind);
		at2 = record_at(&f, i + 1, &length2, &kind2);
		memcpy(copy, f.p, at + length); /* once more behind itself */
		memcpy(copy + at + length, f.p + at, f.n - at);
		save_bytes(&f, copy, f.n + length);
		assert_int_equal(verify(&v), ERR_DAMAGED);
		assert_int_equal(v.offset, at + length);
		memcpy(copy, f.p, f.n); /* the next one before it */
		memcpy(copy + at, f.p + at2, length2);
		memcpy(copy + at + length2, f.p + at, length);
		save_bytes(&f, copy, f.n);
		assert_int_equal(verify(&v), ERR_DAMAGED);
		assert_int_equal(v.offset, at);
		if (kind == LEDGER_ROW && kind2 == LEDGER_ROW)
			assert_int_equal(v.row, row_at(&f, i));
	}
	save_bytes(&f, f.p, f.n);
	free(copy);
	free(f.p);
	assert_whole(50);
}

static void a_cut_end_is_named(void **state)
{
	struct file f;
	char name[LEDGER_NAME], path[200];
	struct ledger_verify v;

	(void)state;
	make_tampered_ledger();
	f = load(41);
	for (size_t n = 0; n < f.n; n += 101) {
		save_bytes(&f, f.p, n);
		assert_int_equal(verify(&v), ERR_DAMAGED);
		assert_true(v.row > 40 || v.rows == 40);
		assert_non_null(v.reason);
	}
	assert_int_equal(remove(f.path), 0); /* the whole last file */
	assert_int_equal(verify(&v), ERR_DAMAGED);
	assert_int_equal(v.rows, 40);
	save_bytes(&f, f.p, f.n);
	free(f.p);
	ledger_record_name(name, 21, ".log"); /* one in the middle */
	snprintf(path, sizeof(path), "%s/%s", ledger_dir, name);
	f = load(21);
	assert_int_equal(remove(path), 0);
	assert_int_equal(verify(&v), ERR_DAMAGED);
	assert_int_equal(v.row, 21);
	assert_string_equal(v.reason, "the file with this row is missing");
	save_bytes(&f, f.p, f.n);
	free(f.p);
	f = load(1); /* the first */
	assert_int_equal(remove(f.path), 0);
	assert_int_equal(verify(&v), ERR_DAMAGED);
	assert_string_equal(v.reason, "the rows before are gone, and no note of retention says so");
	save_bytes(&f, f.p, f.n);
	free(f.p);
	assert_whole(50);
}

/* Whoever knows the format alters a row and makes all checks anew: only the signature tells. */
static void a_chain_made_anew_fails_at_the_next_checkpoint(void **state)
{
	struct ledger_chain c;
	struct ledger_verify v;
	struct ledger_record r;
	struct ledger_head h;
	struct file f;
	struct buf out;
	size_t at = 0;
	uint64_t rows = 0;
	int n;

	(void)state;
	open_with(0, 7, 0);
	for (unsigned i = 0; i < 20; i += 5) {
		post(i, 5);
		flush(0);
	}
	shut();
	f = load(1);
	buf_init(&out, 1u << 20);
	n = ledger_record_parse(span_of(f.p, f.n), &r);
	assert_int_equal(ledger_record_get_head(r.body, &h), 0);
	assert_int_equal(ledger_chain_init(&c, h.uuid), 0);
	for (; at < f.n; at += (size_t)n) {
		struct ledger_row row;
		struct ledger_batch b;
		struct ledger_checkpoint k;
		uint8_t before[LEDGER_HASH];
		n = ledger_record_parse(span_of(f.p + at, f.n - at), &r);
		memcpy(before, c.hash, LEDGER_HASH);
		if (r.kind == LEDGER_ROW) {
			ledger_record_get_row(r.body, &row);
			if (row.row == 12)
				row.outcome = LEDGER_OUTCOME_BOUNCED;
			rows = row.row;
			ledger_record_put_row(&out, &c, &row);
		} else if (r.kind == LEDGER_BATCH) {
			ledger_record_get_batch(r.body, &b);
			b.hash = before;
			ledger_record_put_batch(&out, &c, &b);
		} else if (r.kind == LEDGER_CHECKPOINT) {
			ledger_record_get_checkpoint(r.body, &k);
			k.hash = before;
			ledger_record_put_checkpoint(&out, &c, &k);
		} else {
			ledger_record_put_head(&out, &c, &h);
		}
	}
	assert_int_equal(rows, 20);
	save_bytes(&f, buf_ptr(&out), buf_size(&out));
	assert_int_equal(verify(&v), ERR_DAMAGED);
	assert_int_equal(v.from, 11); /* the checkpoint before is at row 10 */
	assert_true(v.row >= 12 && v.row <= 20);
	assert_non_null(strstr(v.reason, "signature"));
	ledger_chain_clear(&c);
	buf_clear(&out);
	free(f.p);
}

static void retention_drops_whole_files_and_verify_still_holds(void **state)
{
	struct ledger_numbers n;
	struct ledger_verify v;

	(void)state;
	make_tampered_ledger();
	usleep(2000);
	open_with(20, 7, 1000); /* a millisecond */
	wait_logged("event=ledger-dropped files=2 through=40");
	ledger_numbers(ledger, &n);
	assert_int_equal(n.first, 41);
	assert_true(ledger_oldest_sealed(ledger) > 0);
	post(50, 5);
	flush(1);
	shut();
	assert_int_equal(verify(&v), 0);
	assert_int_equal(v.first, 41);
	assert_int_equal(v.rows, 55);
}

static void the_running_ledger_verifies_itself(void **state)
{
	struct ledger_ask *a;
	struct file f;
	json_t *j;
	int start = 1;
	char state_text[16];

	(void)state;
	open_with(20, 7, 0);
	post(0, 50);
	flush(1);
	for (int round = 0; round < 2; round++) {
		do {
			a = begin(LEDGER_ASK_VERIFY);
			a->start = start;
			start = 0;
			j = ask(a);
			snprintf(state_text, sizeof(state_text), "%s", text_of(j, "state"));
			if (!strcmp(state_text, "bad")) {
				assert_int_equal(number_of(json_object_get(j, "bad"), "row"), 5);
				assert_string_equal(text_of(json_object_get(j, "bad"), "file"),
						    "ledger-00000000000000000001.log");
			}
			json_decref(j);
		} while (!strcmp(state_text, "running"));
		assert_string_equal(state_text, round ? "bad" : "good");
		if (round == 0) {
			size_t length;
			uint8_t kind;
			f = load(1);
			f.p[record_at(&f, 5, &length, &kind) + 40] ^= 1;
			save_bytes(&f, f.p, f.n);
			free(f.p);
			start = 1;
		}
	}
	assert_true(logged("event=ledger-damaged row=5"));
}

static void an_index_that_is_lost_or_wrong_is_made_again(void **state)
{
	char name[LEDGER_NAME], path[200];
	FILE *out;
	json_t *j;

	(void)state;
	make_tampered_ledger();
	ledger_record_name(name, 1, ".idx");
	snprintf(path, sizeof(path), "%s/%s", ledger_dir, name);
	assert_int_equal(remove(path), 0);
	ledger_record_name(name, 21, ".idx");
	snprintf(path, sizeof(path), "%s/%s", ledger_dir, name);
	out = fopen(path, "w");
	fputs("no index", out);
	fclose(out);
	open_with(20, 7, 0);
	assert_true(logged("event=ledger-index-made files=2"));
	j = rows_of("user30@d0.test", NULL, 10);
	assert_int_equal(json_array_size(json_object_get(j, "items")), 1);
	json_decref(j);
}

static void a_ledger_that_was_set_back_is_told(void **state)
{
	struct file f;
	struct ledger_verify v;

	(void)state;
	open_with(0, 5, 0);
	post(0, 10);
	flush(1);
	shut();
	f = load(1);
	open_with(0, 5, 0);
	post(10, 10);
	flush(1);
	shut();
	save_bytes(&f, f.p, f.n);
	free(f.p);
	open_with(0, 5, 0);
	post(20, 5);
	flush(1);
	assert_true(logged("event=ledger-truncated rows=10 signed=20"));
	shut();
	assert_int_equal(verify(&v), ERR_DAMAGED);
	assert_int_equal(v.from, 16);
	assert_non_null(strstr(v.reason, "checkpoints before this one are missing"));
}

static void too_many_rows_stop_new_attempts(void **state)
{
	(void)state;
	open_with(0, 0, 0);
	ledger_fake.err = ERR_LOCKED;
	for (unsigned i = 0; i < LEDGER_WAIT_MOST; i++)
		post_one(i, "default", "a@b.test", "b.test", LEDGER_OUTCOME_DELIVERED);
	wait_logged("event=ledger-full rows=200000");
	for (int i = 0; i < 2000 && !full_now; i++) /* it is told behind the line */
		usleep(10000);
	assert_int_equal(full_now, 1);
	ledger_fake.err = 0;
	while (ledger_flush(ledger, 1, 20 * CLOCK_SEC) != 0)
		usleep(10000);
	for (int i = 0; i < 2000 && full_now; i++)
		usleep(10000);
	assert_int_equal(full_now, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
	    TEST(a_reply_in_another_charset_can_be_read_but_for_its_letters),
	    TEST(rows_are_found_by_recipient_message_and_domain),
	    TEST(pages_go_on_where_the_last_one_ended),
	    TEST(counters_of_a_domain_add_up),
	    TEST(export_has_the_columns_of_powermta),
	    TEST(files_show_no_address),
	    TEST(rows_wait_while_keyd_is_locked),
	    TEST(an_end_without_keyd_keeps_the_rows_but_not_the_recipients),
	    TEST(a_destroyed_customer_has_rows_without_recipients),
	    TEST(a_full_disk_makes_rows_wait_and_nothing_is_lost),
	    TEST(a_torn_end_is_cut_and_told),
	    TEST(an_answer_that_is_lost_makes_no_second_checkpoint),
	    TEST(a_checkpoint_that_keyd_signed_and_a_crash_lost_is_found_again),
	    TEST(flipping_any_octet_names_the_record),
	    TEST(a_dropped_record_is_named),
	    TEST(an_inserted_or_moved_record_is_named),
	    TEST(a_cut_end_is_named),
	    TEST(a_chain_made_anew_fails_at_the_next_checkpoint),
	    TEST(retention_drops_whole_files_and_verify_still_holds),
	    TEST(the_running_ledger_verifies_itself),
	    TEST(an_index_that_is_lost_or_wrong_is_made_again),
	    TEST(a_ledger_that_was_set_back_is_told),
	    TEST(too_many_rows_stop_new_attempts),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
