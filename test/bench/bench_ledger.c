/* SPDX-License-Identifier: Apache-2.0 */
/* bench_ledger - what the ledger costs and how quickly it answers, with many rows.
 *
 *   bench_ledger [-n rows] [-d directory] [-k keyd's socket] [-c customer] [-p]
 *
 * Rows go in the way workers post them: 50,000 domains, of which 20 have half of the mail, each message its own
 * recipient. Without -k sealing, blind indexes and signatures are made within the process, as keyd makes them, so the
 * figures lack the way over the socket; with it they come from keyd, whose CPU is not counted here (see bench_ledger.py).
 * Every question has a bar (issue 5); status 1 if one is missed. */
#include <dirent.h>
#include <errno.h>
#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include "core/clock.h"
#include "core/err.h"
#include "core/id.h"
#include "evt/evt_inbox.h"
#include "relay/ledger/ledger_ask.h"
#include "relay/ledger/ledger_keys.h"
#include "test/unit/ledger_fake.h"

#define DOMAINS 50000
#define TIMES 5 /* each question is asked so often, of which the slowest counts */

static unsigned missed;

static void die(const char *what, int err)
{
	fprintf(stderr, "bench_ledger: %s: %s\n", what, err ? err_text(err) : strerror(errno));
	exit(2);
}

static double cpu(void)
{
	struct rusage u;

	getrusage(RUSAGE_SELF, &u);
	return (double)(u.ru_utime.tv_sec + u.ru_stime.tv_sec) +
	       (double)(u.ru_utime.tv_usec + u.ru_stime.tv_usec) / 1e6;
}

static long rss_kib(void)
{
	FILE *f = fopen("/proc/self/statm", "r");
	long size = 0, rss = 0;

	if (f && fscanf(f, "%ld %ld", &size, &rss) != 2)
		rss = 0;
	if (f)
		fclose(f);
	return rss * 4;
}

static void say(const char *what, double value, const char *unit, double bar, int most)
{
	int good = bar == 0 || (most ? value <= bar : value >= bar);

	if (bar == 0)
		printf("%-44s %12.1f %-12s\n", what, value, unit);
	else
		printf("%-44s %12.1f %-12s bar %s %.0f  %s\n", what, value, unit, most ? "<=" : ">=", bar,
		       good ? "good" : "MISSED");
	fflush(stdout);
	missed += !good;
}

/* --- rows */

static uint64_t seed = 88172645463325252ull;
static uint64_t next_random(void)
{
	seed ^= seed << 13;
	seed ^= seed >> 7;
	return seed ^= seed << 17;
}

static void post(struct ledger *l, const char *customer, uint64_t i, int64_t at)
{
	static const char *const sources[] = {"mta1", "mta2", "mta3", ""};
	char domain[64], address[96], host[96], ip[32], reply[64];
	uint64_t r = next_random();
	unsigned d = r & 1 ? (unsigned)(r >> 8) % 20 : (unsigned)(r >> 8) % DOMAINS;
	int clear = (r >> 40) % 100 == 0, failed = (r >> 48) % 50 == 0;
	const struct ledger_attempt a = {
	    .id = (1700000000ull + i / 1000) << 32 | (uint32_t)(i * 2654435761u),
	    .at = at, .queued = at - 1500000, .customer = customer, .campaign = "spring-offer-42",
	    .domain = domain, .address = address, .sender = "bounce@news.example.test", .reply = reply,
	    .source = sources[(r >> 32) & 3], .host = host, .ip = ip, .reached = 1,
	    .outcome = failed ? LEDGER_OUTCOME_BOUNCED : LEDGER_OUTCOME_DELIVERED,
	    .code = failed ? 550 : 250, .attempts = 1, .status = failed ? "5.1.1" : "2.0.0", .ms = 37,
	    .size = 4096, .tls = clear ? NULL : "TLSv1.3",
	    .cipher = clear ? NULL : "TLS_AES_256_GCM_SHA384", .group = clear ? NULL : "x25519",
	    .clear = clear ? "not-offered" : NULL, .policy = "none", .verified_by = d % 3 ? "none" : "pkix"};

	snprintf(domain, sizeof(domain), "domain%05u.example", d);
	snprintf(address, sizeof(address), "recipient.%llu@%s", (unsigned long long)i, domain);
	snprintf(host, sizeof(host), "mx1.%s", domain);
	snprintf(ip, sizeof(ip), "192.0.%u.%u", d >> 8 & 255, d & 255);
	snprintf(reply, sizeof(reply), "2.0.0 Ok: queued as %llX", (unsigned long long)(r >> 16));
	ledger_post(l, &a);
}

static void wait_below(struct ledger *l, uint64_t most)
{
	struct ledger_numbers n;

	for (;;) {
		ledger_numbers(l, &n);
		if (n.stuck)
			die("rows wait", n.stuck);
		if (n.waiting <= most)
			return;
		usleep(2000);
	}
}

static void fill(struct ledger *l, const char *customer, uint64_t rows, int progress)
{
	int64_t began = clock_mono(), at = clock_wall() - (int64_t)rows * 1000;
	double used = cpu(), took;

	for (uint64_t i = 0; i < rows; i++) {
		post(l, customer, i, at + (int64_t)i * 1000);
		if (i % 10000 == 0)
			wait_below(l, 20000);
		if (progress && i % 1000000 == 0 && i)
			fprintf(stderr, "%llu rows\n", (unsigned long long)i);
	}
	if (ledger_flush(l, 1, 60 * CLOCK_SEC) < 0)
		die("flush", ERR_TIMEOUT);
	took = (double)(clock_mono() - began) / 1e6;
	say("fill: rows a second", (double)rows / took, "rows/s", 0, 0);
	say("fill: CPU of this process", (cpu() - used) / (double)rows * 1e6, "us/row", 12, 1);
	say("fill: memory afterwards", (double)rss_kib() / 1024, "MiB", 0, 0);
}

/* --- questions */

struct asker {
	struct ledger *ledger;
	struct evt_inbox *in;
};

static void answered(struct relay_msg *m, void *receiver)
{
	(void)m;
	(void)receiver;
}

static struct ledger_ask *begin(struct asker *k, enum ledger_ask_kind kind)
{
	struct ledger_ask *a = ledger_ask_new(kind);

	a->reply = k->in;
	a->msg.run = answered;
	a->limit = 100;
	return a;
}

/* msec it took; the ask with its answer is the caller's. */
static double ask(struct asker *k, struct ledger_ask *a)
{
	int64_t began = clock_mono();

	ledger_ask_post(k->ledger, a);
	if (!evt_inbox_wait(k->in, 600 * CLOCK_SEC))
		die("no answer", ERR_TIMEOUT);
	if (a->err < 0)
		die("question", a->err);
	return (double)(clock_mono() - began) / 1e3;
}

static void statistic(struct asker *k, const char *domain, int64_t since, const char *what, double bar)
{
	double slowest = 0;

	for (int i = 0; i < TIMES; i++) {
		struct ledger_ask *a = begin(k, LEDGER_ASK_STATS);
		double ms;
		if (domain)
			snprintf(a->filter.domain, sizeof(a->filter.domain), "%s", domain);
		a->filter.since = since;
		ms = ask(k, a);
		slowest = ms > slowest ? ms : slowest;
		if (!json_array_size(json_object_get(a->answer, "items")))
			die("statistic", ERR_NOTFOUND);
		ledger_ask_free(a);
	}
	say(what, slowest, "ms", bar, 1);
}

static void lookup(struct asker *k, uint64_t rows)
{
	double slowest = 0;
	unsigned found = 0;

	for (int i = 0; i < 4 * TIMES; i++) {
		struct ledger_ask *a = begin(k, LEDGER_ASK_EXPORT), *b = begin(k, LEDGER_ASK_ROWS);
		json_t *row;
		double ms;
		/* a recipient of whom there is a row: read anywhere */
		a->filter.after = next_random() % rows;
		a->limit = 1;
		ask(k, a);
		row = json_loadb(json_string_value(json_object_get(a->answer, "text")),
				 strcspn(json_string_value(json_object_get(a->answer, "text")), "\n"), 0, NULL);
		snprintf(b->recipient, sizeof(b->recipient), "%s",
			 row ? json_string_value(json_object_get(row, "rcpt")) : "");
		ms = ask(k, b);
		slowest = ms > slowest ? ms : slowest;
		found += json_array_size(json_object_get(b->answer, "items")) == 1;
		json_decref(row);
		ledger_ask_free(a);
		ledger_ask_free(b);
	}
	if (found != 4 * TIMES)
		die("lookup", ERR_NOTFOUND);
	say("recipient by blind index, slowest of 20", slowest, "ms", 50, 1);
}

static void export(struct asker *k, int csv, int sealed, uint64_t most, const char *what, double bar)
{
	int64_t began = clock_mono();
	uint64_t rows = 0, after = 0;

	do {
		struct ledger_ask *a = begin(k, LEDGER_ASK_EXPORT);
		a->csv = csv;
		a->sealed = sealed;
		a->filter.after = after;
		ask(k, a);
		rows += (uint64_t)json_integer_value(json_object_get(a->answer, "rows"));
		after = strtoull(json_string_value(json_object_get(a->answer, "next")), NULL, 10);
		ledger_ask_free(a);
	} while (after && rows < most);
	say(what, (double)rows / ((double)(clock_mono() - began) / 1e6), "rows/s", bar, 0);
}

static void verify(struct asker *k)
{
	const char *state;
	char kept[16];
	int64_t began = clock_mono();
	uint64_t rows;
	int start = 1;

	do {
		struct ledger_ask *a = begin(k, LEDGER_ASK_VERIFY);
		a->start = start;
		start = 0;
		ask(k, a);
		state = json_string_value(json_object_get(a->answer, "state"));
		snprintf(kept, sizeof(kept), "%s", state);
		rows = (uint64_t)json_integer_value(json_object_get(a->answer, "rows"));
		if (!strcmp(kept, "bad"))
			json_dumpf(a->answer, stderr, 0);
		ledger_ask_free(a);
		usleep(20000);
	} while (!strcmp(kept, "running"));
	if (strcmp(kept, "good") != 0)
		die("verify", ERR_DAMAGED);
	say("verify", (double)(clock_mono() - began) / 1e6, "s", 0, 0);
	say("verify: rows a second", (double)rows / ((double)(clock_mono() - began) / 1e6), "rows/s", 0, 0);
}

/* --- all */

static uint64_t bytes_in(const char *dir, const char *suffix)
{
	char path[4400];
	struct dirent *e;
	uint64_t sum = 0;
	DIR *d = opendir(dir);
	FILE *f;

	while (d && (e = readdir(d))) {
		size_t n = strlen(e->d_name);
		if (n < 4 || strcmp(e->d_name + n - 4, suffix) != 0)
			continue;
		snprintf(path, sizeof(path), "%s/%s", dir, e->d_name);
		f = fopen(path, "r");
		if (f && fseek(f, 0, SEEK_END) == 0)
			sum += (uint64_t)ftell(f);
		if (f)
			fclose(f);
	}
	if (d)
		closedir(d);
	return sum;
}

static int remove_one(const char *path, const struct stat *st, int kind, struct FTW *at)
{
	(void)st;
	(void)kind;
	(void)at;
	return remove(path);
}

static struct ledger_keys *keys_of(const char *socket)
{
	struct ledger_keys *k = socket ? ledger_keys_new(socket) : ledger_fake_keys();

	if (!k)
		die("keys", ERR_NOMEM);
	return k;
}

int main(int argc, char **argv)
{
	char made[] = "/tmp/bench_ledger.XXXXXX", dir[4200];
	const char *base = NULL, *socket = NULL, *customer = "default", *why = "";
	uint64_t rows = 10000000;
	int progress = 0, c, err = 0;
	struct ledger_options o = {.dir = dir};
	struct asker k;
	int64_t began;

	while ((c = getopt(argc, argv, "n:d:k:c:p")) != -1) {
		if (c == 'n')
			rows = strtoull(optarg, NULL, 10);
		else if (c == 'd')
			base = optarg;
		else if (c == 'k')
			socket = optarg;
		else if (c == 'c')
			customer = optarg;
		else if (c == 'p')
			progress = 1;
		else
			return 64;
	}
	if (!base && !(base = mkdtemp(made)))
		die("directory", 0);
	snprintf(dir, sizeof(dir), "%s/ledger", base);
	if (!socket)
		ledger_fake_reset();
	o.write_keys = keys_of(socket);
	o.read_keys = keys_of(socket);
	k.ledger = ledger_new(&o, &err, &why);
	if (!k.ledger)
		die(why, err);
	printf("%llu rows, keys %s\n", (unsigned long long)rows, socket ? "of keyd" : "made in the process");
	fill(k.ledger, customer, rows, progress);
	ledger_free(k.ledger);
	say("record", (double)bytes_in(dir, ".log") / (double)rows, "octets/row", 0, 0);
	say("index", (double)bytes_in(dir, ".idx") / (double)rows, "octets/row", 0, 0);
	began = clock_mono();
	k.ledger = ledger_new(&o, &err, &why);
	if (!k.ledger)
		die(why, err);
	say("start", (double)(clock_mono() - began) / 1e3, "ms", 2000, 1);
	k.in = evt_inbox_new(NULL, NULL, NULL);
	statistic(&k, "domain00007.example", 0, "statistic of a large domain", 200);
	statistic(&k, "domain31234.example", 0, "statistic of a small domain", 200);
	statistic(&k, "domain00007.example", clock_wall() - (int64_t)rows * 700, "statistic of a domain since then", 200);
	statistic(&k, NULL, 0, "statistic of all domains", 0);
	lookup(&k, rows);
	export(&k, 1, 1, rows, "export: CSV without addresses", 50000);
	export(&k, 0, 1, rows, "export: JSON without addresses", 50000);
	export(&k, 1, 0, rows < 1000000 ? rows : 1000000, "export: CSV with addresses", 0);
	verify(&k);
	ledger_free(k.ledger);
	evt_inbox_free(k.in);
	o.write_keys->free(o.write_keys);
	o.read_keys->free(o.read_keys);
	ledger_fake_clear();
	if (base == made)
		nftw(base, remove_one, 16, FTW_DEPTH | FTW_PHYS);
	return missed ? 1 : 0;
}
