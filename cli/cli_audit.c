/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/cli_audit.h"

#include <getopt.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <openssl/pem.h>
#include <openssl/x509.h>

#include "cli/cli_audit_read.h"
#include "core/err.h"
#include "core/num.h"
#include "sys/sys_file.h"

#define SHOWN 50 /* lines, unless told */

/* What the options say. */
struct wish {
	const char *dir, *event;
	const char *keys[AUDIT_VERIFY_KEYS];
	unsigned key_count;
	uint64_t limit;
	int json;
};

static int parse(int argc, char **argv, struct wish *w)
{
	static const struct option options[] = {
	    {"dir", required_argument, NULL, 'd'},   {"key", required_argument, NULL, 'k'},
	    {"event", required_argument, NULL, 'e'}, {"limit", required_argument, NULL, 'l'},
	    {"json", no_argument, NULL, 'j'},	     {NULL, 0, NULL, 0}};
	int opt;

	memset(w, 0, sizeof(*w));
	w->limit = SHOWN;
	optind = 0;
	while ((opt = getopt_long(argc, argv, "+", options, NULL)) != -1) {
		if (opt == 'd')
			w->dir = optarg;
		else if (opt == 'k' && w->key_count < AUDIT_VERIFY_KEYS)
			w->keys[w->key_count++] = optarg;
		else if (opt == 'e')
			w->event = optarg;
		else if (opt == 'j')
			w->json = 1;
		else if (opt != 'l' || num_parse_u64(span_str(optarg), &w->limit) < 0)
			return EXIT_USAGE;
	}
	return 0;
}

/* --- show, history: the last lines that match */

struct shown {
	const struct wish *wish;
	const char *const *events; /* of these alone; ends with NULL; or NULL: all */
	char **lines;		   /* a ring of wish->limit */
	uint64_t count;
};

static int wanted(const struct shown *s, struct span event)
{
	if (s->wish->event)
		return span_equal(event, span_str(s->wish->event));
	for (const char *const *e = s->events; e && *e; e++)
		if (span_equal(event, span_str(*e)))
			return 1;
	return !s->events;
}

static struct span event_of(struct span line)
{
	static const char mark[] = "\"event\":\"";
	const uint8_t *at = memmem(line.p, line.n, mark, sizeof(mark) - 1);
	struct span rest;
	ptrdiff_t n;

	if (!at)
		return span_of(NULL, 0);
	rest = span_sub(line, (size_t)(at - line.p) + sizeof(mark) - 1, SIZE_MAX);
	n = span_find(rest, '"');
	return span_sub(rest, 0, n < 0 ? 0 : (size_t)n);
}

static int gather(void *arg, uint32_t number, struct span bytes)
{
	struct shown *s = arg;
	ptrdiff_t n;

	(void)number;
	while ((n = span_find(bytes, '\n')) >= 0) {
		struct span line = span_sub(bytes, 0, (size_t)n);
		if (wanted(s, event_of(line))) {
			char **place = &s->lines[s->count++ % s->wish->limit];
			free(*place);
			*place = strndup((const char *)line.p, line.n);
		}
		bytes = span_sub(bytes, (size_t)n + 1, SIZE_MAX);
	}
	return 0;
}

/* What every line has, or what only a program wants to know. */
static int is_plain(const char *key)
{
	static const char *const left_out[] = {"seq",  "time",	"event",  "hash",	"mark",
					       "branch", "generation", "prev", "public", "sig"};

	for (size_t i = 0; i < sizeof(left_out) / sizeof(left_out[0]); i++)
		if (!strcmp(key, left_out[i]))
			return 0;
	return 1;
}

static void print_line(const char *line)
{
	json_t *j = json_loads(line, JSON_REJECT_DUPLICATES, NULL), *value;
	const char *key;

	if (!j) {
		printf("%s\n", line);
		return;
	}
	printf("%6" PRId64 "  %.19s  %-11s", (int64_t)cli_number(j, "seq"), cli_text(j, "time"), cli_text(j, "event"));
	json_object_foreach(j, key, value) {
		if (!is_plain(key))
			continue;
		if (json_is_integer(value))
			printf(" %s=%" PRId64, key, (int64_t)json_integer_value(value));
		else if (strchr(json_string_value(value), ' '))
			printf(" %s=\"%s\"", key, json_string_value(value));
		else
			printf(" %s=%s", key, json_string_value(value));
	}
	putchar('\n');
	json_decref(j);
}

static int print_last(struct cli *c, const struct wish *w, const char *const *events)
{
	struct shown s = {.wish = w, .events = events};
	struct cli_audit_read r;
	uint64_t first;
	int rc;

	if (w->limit == 0 || w->limit > 1000000)
		return cli_fail(EXIT_USAGE, "--limit: 1 to 1000000");
	rc = cli_audit_read_open(c, w->dir, &r);
	if (rc)
		return rc;
	s.lines = calloc(w->limit, sizeof(s.lines[0]));
	rc = s.lines ? cli_audit_read_each(&r, gather, &s) : EXIT_ENVIRONMENT;
	first = s.count > w->limit ? s.count - w->limit : 0;
	for (uint64_t i = first; rc == 0 && i < s.count; i++) {
		const char *line = s.lines[i % w->limit];
		if (line && w->json)
			puts(line);
		else if (line)
			print_line(line);
	}
	for (uint64_t i = 0; s.lines && i < w->limit; i++)
		free(s.lines[i]);
	free(s.lines);
	cli_audit_read_close(&r);
	return rc;
}

static int show(struct cli *c, const struct wish *w)
{
	return print_last(c, w, NULL);
}

int cli_audit_history(struct cli *c, int argc, char **argv)
{
	static const char *const events[] = {"kek",	 "rewrapped", "dek",	 "signing-key", "shred",   "slot", "backup",
					     "restore", "rollback",  "zeroize", "audit-key",   NULL};
	struct wish w;

	if (parse(argc, argv, &w) || optind != argc || w.key_count || w.event)
		return cli_usage("key");
	return print_last(c, &w, events);
}

/* --- verify */

static int look_at(void *arg, uint32_t number, struct span bytes)
{
	struct audit_verify *v = arg;

	audit_verify_file(v, number, bytes);
	return v->reason ? CLI_NOT_THERE : 0;
}

/* The keys to trust: given ones, else keyd's, or the one that lies beside the files. */
static int add_keys(struct audit_verify *v, const struct wish *w, struct cli_audit_read *r)
{
	uint8_t spki[AUDIT_SPKI];

	for (unsigned i = 0; i < w->key_count; i++)
		if (cli_audit_read_pem(w->keys[i], spki) < 0 || audit_verify_key(v, span_of(spki, AUDIT_SPKI)) < 0)
			return cli_fail(EXIT_USAGE, "%s: not an Ed25519 public key in PEM", w->keys[i]);
	if (!w->key_count && cli_audit_read_public(r, spki) == 0)
		audit_verify_key(v, span_of(spki, AUDIT_SPKI));
	return 0;
}

static void print_good(const struct audit_verify *v, const struct wish *w, const struct cli_audit_read *r)
{
	printf("good: files %" PRIu32 " to %" PRIu32 ", %" PRIu64 " lines, %" PRIu64 " checkpoints\n", v->first_file,
	       v->file, v->lines, v->checkpoints);
	if (v->first_file > 1)
		printf("earlier files are not here, and were not looked at\n");
	if (!v->given)
		printf("no key was given and keyd has none now: that the log was not made anew is not known\n");
	else if (v->signed_to < v->seq)
		printf("the last %" PRIu64 " lines are not signed yet\n", v->seq - v->signed_to);
	else
		printf("signed to the end\n");
	if (v->given && !w->key_count && r->dir)
		printf("the key was taken from the same folder: give one that you kept, with --key\n");
	if (!r->head)
		printf("only keyd knows whether lines are missing at the end\n");
}

static int verify(struct cli *c, const struct wish *w)
{
	struct audit_verify v;
	struct cli_audit_read r;
	int rc = cli_audit_read_open(c, w->dir, &r);

	if (rc)
		return rc;
	audit_verify_init(&v);
	rc = add_keys(&v, w, &r);
	if (rc == 0)
		rc = cli_audit_read_each(&r, look_at, &v);
	if (rc == 0 && audit_verify_end(&v, r.head, r.hash) < 0)
		rc = CLI_NOT_THERE;
	if (rc == 0)
		print_good(&v, w, &r);
	else if (v.reason && v.file)
		printf("bad: audit-%06" PRIu32 ".log, line %u: %s\n", v.file, v.line, v.reason);
	else if (v.reason)
		printf("bad: %s\n", v.reason);
	cli_audit_read_close(&r);
	return rc;
}

/* --- export */

static int save(void *arg, uint32_t number, struct span bytes)
{
	char path[4200];
	int rc;

	snprintf(path, sizeof(path), "%s/audit-%06" PRIu32 ".log", (const char *)arg, number);
	rc = sys_file_replace(path, bytes, 0600);
	return rc < 0 ? cli_fail(EXIT_ENVIRONMENT, "%s: %s", path, err_text(rc)) : 0;
}

static int save_key(const char *dir, const uint8_t spki[AUDIT_SPKI])
{
	const uint8_t *p = spki;
	EVP_PKEY *key = d2i_PUBKEY(NULL, &p, AUDIT_SPKI);
	char path[4200];
	FILE *f;
	int good;

	snprintf(path, sizeof(path), "%s/" CLI_AUDIT_READ_KEY, dir);
	f = key ? fopen(path, "w") : NULL;
	good = f && PEM_write_PUBKEY(f, key);
	if (f && fclose(f) != 0)
		good = 0;
	EVP_PKEY_free(key);
	return good ? 0 : cli_fail(EXIT_ENVIRONMENT, "%s cannot be written", path);
}

static int export(struct cli *c, const char *to)
{
	struct cli_audit_read r;
	uint8_t spki[AUDIT_SPKI];
	char dir[4096];
	int rc = cli_audit_read_open(c, NULL, &r);

	if (rc)
		return rc;
	snprintf(dir, sizeof(dir), "%s", to);
	rc = sys_file_mkdir(dir, 0700);
	if (rc < 0)
		rc = cli_fail(EXIT_ENVIRONMENT, "%s: %s", dir, err_text(rc));
	else
		rc = cli_audit_read_each(&r, save, dir);
	if (rc == 0 && cli_audit_read_public(&r, spki) == 0)
		rc = save_key(dir, spki);
	else if (rc == 0)
		printf("keyd is not open: the key that signs was not exported\n");
	if (rc == 0)
		printf("exported to %s; \"sealpost key audit verify --dir %s\" looks at it\n", dir, dir);
	cli_audit_read_close(&r);
	return rc;
}

int cli_audit(struct cli *c, int argc, char **argv)
{
	const char *what = argc > 1 ? argv[1] : "";
	struct wish w;

	if (!strcmp(what, "export") && argc == 3 && argv[2][0] != '-')
		return export(c, argv[2]);
	if (argc < 2 || parse(argc - 1, argv + 1, &w) || optind != argc - 1)
		return cli_usage("key");
	if (!strcmp(what, "show") && !w.key_count)
		return show(c, &w);
	if (!strcmp(what, "verify") && !w.event && !w.json)
		return verify(c, &w);
	return cli_usage("key");
}
