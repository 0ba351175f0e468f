/* SPDX-License-Identifier: Apache-2.0 */
/* keyd_corpus - writes the part of the fuzzers' corpus that comes from a play: `make fuzz-corpus`.
 *
 * usage: keyd_corpus FOLDER                     (test/fuzz/corpus of the source tree)
 * Plays a keyd on files, with the root of keyd_fuzz.h: every request that a row of keyd_permit allows is made once. Each
 * becomes an input of fuzz_keyd_frame; the journal that came of them, and the snapshot at the end, become inputs of
 * fuzz_keyd_store, with the KEKs that they need. Run it when a message or a record has changed, and commit what it wrote. */
#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "core/clock.h"
#include "core/err.h"
#include "core/log.h"
#include "core/num.h"
#include "core/secret.h"
#include "keyd/keyd_crypto.h"
#include "keyd/keyd_journal.h"
#include "keyd/keyd_record.h"
#include "keyd/keyd_rotate.h"
#include "keyd/keyd_snapshot.h"
#include "keyproto/keyproto_rotate.h"
#include "test/fuzz/keyd_fuzz.h"
#include "test/unit/keyd_play.h"
#include "test/unit/keyd_requests.h"

static struct keyd_play play;
static struct keyd_root_keys *keys;
static unsigned char used[KEYD_RING_SHARDS]; /* shards of the customers played */

static void must(int good, const char *what)
{
	if (good)
		return;
	fprintf(stderr, "keyd_corpus: %s\n", what);
	exit(1);
}

static void write_input(const char *folder, const char *target, const char *name, struct span bytes)
{
	char path[512];
	FILE *f;

	snprintf(path, sizeof(path), "%s/%s/play-%s", folder, target, name);
	for (char *p = path + strlen(folder) + strlen(target) + 2; *p; p++)
		if (*p == '/')
			*p = '-';
	f = fopen(path, "wb");
	must(f && fwrite(bytes.p, 1, bytes.n, f) == bytes.n && fclose(f) == 0, path);
}

/* What an earlier run wrote: a request that is no more would stay for ever. */
static void remove_old(const char *folder, const char *target)
{
	char path[512];
	struct dirent *e;
	DIR *d;

	snprintf(path, sizeof(path), "%s/%s", folder, target);
	d = opendir(path);
	must(d != NULL, path);
	while ((e = readdir(d)) != NULL) {
		snprintf(path, sizeof(path), "%s/%s/%s", folder, target, e->d_name);
		if (!strncmp(e->d_name, "play-", 5))
			unlink(path);
	}
	closedir(d);
}

/* A subject that the row allows. */
static const char *subject_of(const struct keyd_permit_row *row)
{
	static char text[80];
	size_t n;

	if (!row->subject)
		return "-";
	n = strlen(row->subject);
	if (n == 1)
		return row->op == KEYPROTO_KEY_ADD ? "dkim/new" : "tls/relay";
	snprintf(text, sizeof(text), "%s", row->subject);
	if (text[n - 1] == '*')
		snprintf(text + n - 1, sizeof(text) - n, "relay");
	return text;
}

/* One request as an input (first byte: role and socket) and, if what it does leaves keyd READY, in
 * the play too. */
static void make_request(const char *folder, const struct keyd_permit_row *row)
{
	static const unsigned ends[] = {KEYPROTO_LOCK, KEYPROTO_ZEROIZE};
	const char *subject = subject_of(row);
	struct keyd_play_client c;
	uint8_t first = (uint8_t)(row->role | (row->socket == KEYD_PERMIT_ADMIN ? 8 : 0));
	char name[200];
	struct buf input;
	size_t at;
	int rc, play_it = 1;

	keyd_play_connect(&c, &play, KEYD_PLAY_ALL, row->socket, row->role);
	keyd_request_put(keyd_play_begin(&c), row->op, subject);
	buf_init(&input, 1 << 17);
	buf_put(&input, &first, 1);
	at = wire_frame_open(&input);
	buf_put_span(&input, buf_span(&c.body));
	must(wire_frame_close(&input, at, (uint16_t)row->op, 1, 0, 0) == 0, "frame");
	snprintf(name, sizeof(name), "%s-%s%s%s", keyproto_role_name(row->role),
		 keyproto_op_name(row->op), row->subject ? "-" : "", row->subject ? subject : "");
	write_input(folder, "keyd_frame", name, buf_span(&input));
	buf_clear(&input);
	for (size_t i = 0; i < sizeof(ends) / sizeof(ends[0]); i++)
		play_it &= row->op != ends[i];
	rc = play_it ? keyd_play_call(&c, row->op) : 0;
	printf("%-50s %s\n", name, play_it ? err_text(rc) : "(not played)");
	keyd_play_leave(&c);
}

static struct span read_file(const char *name)
{
	char path[100];
	struct stat st;
	uint8_t *p;
	FILE *f;

	snprintf(path, sizeof(path), "%s/state/%s", play.dir, name);
	f = fopen(path, "rb");
	must(f && fstat(fileno(f), &st) == 0, path);
	p = malloc((size_t)st.st_size + 1);
	must(p && fread(p, 1, (size_t)st.st_size, f) == (size_t)st.st_size, path);
	fclose(f);
	return span_of(p, (size_t)st.st_size);
}

/* Of the 256 shards only those that somebody lives in, or inputs would be long. */
static int unused_kek(unsigned type, struct span body)
{
	type &= KEYD_FUZZ_OLD - 1;
	return (type == KEYD_RECORD_KEK || type == KEYD_RECORD_KEK_STATE ||
		type == KEYD_RECORD_REWRAP) &&
	       body.n && !used[body.p[0]];
}

/* As a snapshot has it. */
static int put_long(void *arg, unsigned type, struct span body)
{
	uint8_t head[5] = {(uint8_t)type};

	if (unused_kek(type, body))
		return 0;
	num_put_u32(head + 1, (uint32_t)body.n);
	buf_put(arg, head, sizeof(head));
	return buf_put_span(arg, body);
}

/* As fuzz_keyd_store has a journal's. */
static int put_short(void *arg, unsigned type, struct span body)
{
	uint8_t head[3] = {(uint8_t)type};

	if (unused_kek(type, body))
		return 0;
	must(body.n < 65536, "a record longer than an input can have");
	num_put_u16(head + 1, (uint16_t)body.n);
	buf_put(arg, head, sizeof(head));
	return buf_put_span(arg, body);
}

static int put_old(void *arg, unsigned type, struct span body)
{
	return put_short(arg, type | KEYD_FUZZ_OLD, body);
}

/* The snapshot that the store began with holds the KEKs, the journal all that came then. */
static void write_journal(const char *folder, const char *name)
{
	static const uint8_t first = KEYD_FUZZ_JOURNAL | KEYD_FUZZ_EMPTY;
	struct span snap = read_file("store.snap"), journal = read_file("store.journal");
	struct keyd_snapshot_head head;
	struct keyd_journal_base base = {.key = keys->journal, .store = head.id};
	struct keyd_journal_read end;
	struct buf out;

	buf_init(&out, 1 << 22);
	buf_put(&out, &first, 1);
	must(keyd_snapshot_head_parse(snap, &head) > 0, "head");
	must(keyd_snapshot_parse(snap, keys->snapshot, put_old, &out, &base.snapshot) == 0,
	     "snapshot");
	base.generation = head.generation;
	must(keyd_journal_replay(journal, &base, put_short, &out, &end) == 0, "journal");
	write_input(folder, "keyd_store", name, buf_span(&out));
	buf_clear(&out);
	free((void *)snap.p);
	free((void *)journal.p);
}

static void write_snapshot(const char *folder)
{
	static const uint8_t first = KEYD_FUZZ_SNAPSHOT | KEYD_FUZZ_EMPTY,
			     head_first = KEYD_FUZZ_HEAD;
	struct span snap = read_file("store.snap");
	struct keyd_snapshot_head head;
	int64_t n = keyd_snapshot_head_parse(snap, &head);
	const uint8_t *tag;
	struct buf out;

	must(n > 0, "head");
	buf_init(&out, 1 << 22);
	buf_put(&out, &first, 1);
	must(keyd_snapshot_parse(snap, keys->snapshot, put_long, &out, &tag) == 0, "snapshot");
	buf_put(&out, "", 1);
	write_input(folder, "keyd_store", "snapshot", buf_span(&out));
	buf_reset(&out);
	buf_put(&out, &head_first, 1);
	buf_put(&out, snap.p, (size_t)n);
	write_input(folder, "keyd_store", "head", buf_span(&out));
	buf_clear(&out);
	free((void *)snap.p);
}

static void be_quiet(void *arg, const char *line)
{
	(void)arg;
	(void)line;
}

static void pass(unsigned seconds)
{
	for (unsigned i = 0; i < seconds; i++) {
		clock_advance(CLOCK_SEC);
		keyd_rotate_tick(play.keyd->rotate);
	}
}

/* One thing gets a new version. To rotate all shards would fill the input with notes. */
static void rotate(struct keyd_play_client *officer, unsigned what, const char *name,
		   unsigned flags)
{
	struct keyproto_rotate m = {(uint8_t)what, span_str(name), (uint8_t)flags};

	keyproto_rotate_put(keyd_play_begin(officer), &m);
	must(keyd_play_call(officer, KEYPROTO_ROTATE) == 0, name);
	pass(60);
}

static void begin(void)
{
	static const char *const customers[] = {"default", "other", "somebody"};
	struct keyd_snapshot_head head = {.id = KEYD_FUZZ_ID, .next_slot = 2, .slot_count = 1};
	struct keyd_play_client c;
	uint8_t *root = secret_alloc(32);
	char name[16];

	keys = secret_alloc(sizeof(*keys));
	must(root && keys && keyd_play_open(&play, "[{method: file, path: root.key}]") == 0,
	     "keyd");
	memcpy(root, KEYD_FUZZ_ROOT, 32);
	head.slots[0].id = 1;
	head.slots[0].method = KEYPROTO_SLOT_FILE;
	must(keyd_root_derive(root, keys) == 0 && keyd_create(play.keyd, &head, root) == 0,
	     "store");
	secret_free(root, 32);
	keyd_play_connect(&c, &play, KEYD_PLAY_ALL, KEYD_PERMIT_ADMIN, KEYPROTO_ROLE_OFFICER);
	for (size_t i = 0; i < sizeof(customers) / sizeof(customers[0]); i++) {
		int shard = keyd_record_shard(span_str(customers[i]));
		must(shard >= 0, "shard");
		used[shard] = 1;
		if (i < 2)
			must(keyd_play_customer(&c, customers[i]) == 0, "customer");
		if (i == 0) {
			snprintf(name, sizeof(name), "%d", shard);
			rotate(&c, KEYPROTO_ROTATE_KEK, name, 0);
		}
	}
	must(keyd_play_key(&c, "tls/relay", KEYPROTO_KEY_EC_P256) == 0 &&
		 keyd_play_key(&c, "tls/ed", KEYPROTO_KEY_ED25519) == 0 &&
		 keyd_play_key(&c, "tls/rsa", KEYPROTO_KEY_RSA2048) == 0,
	     "key");
	rotate(&c, KEYPROTO_ROTATE_DEK, "default", 0);
	rotate(&c, KEYPROTO_ROTATE_KEY, "tls/ed", 0);
	rotate(&c, KEYPROTO_ROTATE_KEY, "tls/ed", KEYPROTO_ROTATE_ACTIVATE);
	keyd_play_leave(&c);
}

int main(int argc, char **argv)
{
	const struct keyd_permit_row *row;

	must(argc == 2, "usage: keyd_corpus FOLDER");
	must(keyd_crypto_init() == 0, "locked memory");
	log_capture(be_quiet, NULL);
	clock_set(1000 * CLOCK_SEC, 1800000000 * CLOCK_SEC);
	remove_old(argv[1], "keyd_frame");
	remove_old(argv[1], "keyd_store");
	begin();
	/* In the order of their numbers, so that what is destroyed was used before. */
	for (unsigned op = KEYPROTO_STATUS; op < KEYPROTO_EVENT; op++)
		for (unsigned i = 0; (row = keyd_permit_row(i)) != NULL; i++)
			if (row->op == op)
				make_request(argv[1], row);
	write_journal(argv[1], "journal");
	pass(600); /* the customer's destruction ends, with a snapshot and a journal behind it */
	write_journal(argv[1], "journal-later");
	keyd_play_stop(&play); /* takes a snapshot */
	write_snapshot(argv[1]);
	keyd_play_close(&play);
	secret_free(keys, sizeof(*keys));
	return 0;
}
