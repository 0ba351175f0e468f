/* SPDX-License-Identifier: Apache-2.0 */
#include "relay/ledger/ledger_ask.h"

#include <stdio.h>
#include <stdlib.h>

#include "core/err.h"
#include "core/id.h"
#include "core/log.h"
#include "evt/evt_inbox.h"
#include "relay/ledger/ledger_own.h"
#include "relay/ledger/ledger_page.h"
#include "sys/sys_map.h"

#define FLUSH_MOST (2 * CLOCK_SEC)
#define LOOK_MOST 2000000 /* rows, for one page */

/* A verification under way, one file at a time between questions. */
struct verifying {
	struct ledger_verify v;
	struct ledger_verify_last last;
	struct ledger_file *files;
	size_t count, at;
	uint64_t of;
	int64_t began, ended;
	const char *state; /* "none", ... */
	int err;
};

/* Customers with the keys that their rows are sealed under: pairs only ever come to these. */
struct pairs {
	struct pair {
		char customer[65];
		uint32_t keyref;
	} * all;
	unsigned count;
	uint64_t seen; /* rows up to this one were looked at */
};

struct ledger_reader {
	struct ledger *ledger;
	struct pairs pairs;
	struct evt_inbox *in;
	pthread_t thread;
	struct relay_msg end;
	int ending;
	struct verifying verifying;
};

struct ledger_ask *ledger_ask_new(enum ledger_ask_kind kind)
{
	struct ledger_ask *a = calloc(1, sizeof(*a));

	if (a)
		a->kind = kind;
	return a;
}

void ledger_ask_free(struct ledger_ask *a)
{
	if (!a)
		return;
	json_decref(a->answer);
	free(a->filter.indexes);
	free(a);
}

static void answer(struct ledger_ask *a, int err)
{
	a->err = err;
	a->msg.run = a->run;
	evt_inbox_post(a->reply, &a->msg.msg);
}

/* --- rows */

static int in_open(struct ledger *l, struct ledger_query_in *in, struct ledger_file **copy)
{
	*in = (struct ledger_query_in){.files = &l->files};
	*copy = ledger_files_snapshot(&l->files, &in->count);
	in->all = *copy;
	return *copy ? 0 : ERR_NOMEM;
}

static int note_pair(void *arg, struct span customer, uint32_t keyref)
{
	struct pairs *p = arg;
	struct pair *more;
	char name[65];

	if (!keyref || span_copy_str(name, sizeof(name), customer) < 0)
		return 0;
	for (unsigned i = 0; i < p->count; i++)
		if (p->all[i].keyref == keyref && !strcmp(p->all[i].customer, name))
			return 0;
	more = realloc(p->all, (p->count + 1) * sizeof(*more));
	if (!more)
		return ERR_NOMEM;
	p->all = more;
	strcpy(p->all[p->count].customer, name);
	p->all[p->count++].keyref = keyref;
	return 0;
}

static int add_index(struct ledger_filter *f, const char *customer, const uint8_t *index)
{
	struct ledger_query_index *more = realloc(f->indexes, (f->index_count + 1) * sizeof(*more));

	if (!more)
		return ERR_NOMEM;
	f->indexes = more;
	strcpy(more[f->index_count].customer, customer);
	memcpy(more[f->index_count++].index, index, LEDGER_INDEX);
	return 0;
}

static void fold(char *s)
{
	for (; *s; s++)
		if (*s >= 'A' && *s <= 'Z')
			*s |= 0x20;
}

/* The recipient becomes his blind indexes. */
static int find_indexes(struct ledger_reader *r, const struct ledger_query_in *in, struct ledger_ask *a)
{
	struct ledger_keys *k = r->ledger->options.read_keys;
	const struct ledger_file *last = in->count ? &in->all[in->count - 1] : NULL;
	struct pairs *p = &r->pairs;
	struct buf out;
	int err = ledger_query_customers(in, p->seen, note_pair, p);

	if (err == 0 && last)
		p->seen = last->first + last->rows - 1;
	a->filter.by_recipient = 1;
	fold(a->recipient);
	buf_init(&out, 4096);
	for (unsigned i = 0; err == 0 && i < p->count; i++) {
		struct ledger_keys_item item = {.aad = SPAN_LIT(LEDGER_KEYS_LABEL), .data = span_str(a->recipient)};
		if (a->filter.customer[0] && strcmp(a->filter.customer, p->all[i].customer) != 0)
			continue;
		buf_reset(&out);
		err = k->fields(k, KEYPROTO_BLIND_INDEX, p->all[i].customer, p->all[i].keyref, &item, 1, &out);
		err = err == 0 ? item.err : err;
		if (err == 0 && item.n >= LEDGER_INDEX)
			err = add_index(&a->filter, p->all[i].customer, buf_ptr(&out) + item.at);
		if (err == ERR_NOTFOUND || err == ERR_GONE)
			err = 0;
	}
	buf_clear(&out);
	return err;
}

struct gathering {
	struct ledger_page *page;
	unsigned limit;
	size_t bytes;
};

static int gather(void *arg, const struct ledger_row *r, struct span record)
{
	struct gathering *g = arg;

	(void)r;
	if (ledger_page_add(g->page, record))
		return 1;
	return g->page->count >= g->limit || buf_size(&g->page->records) >= g->bytes;
}

static int rows_page(struct ledger_reader *r, struct ledger_ask *a, struct gathering *g, uint64_t *next)
{
	struct ledger_query_in in;
	struct ledger_file *copy;
	uint64_t cursor = 0;
	int rc = in_open(r->ledger, &in, &copy);

	if (rc == 0 && a->recipient[0])
		rc = find_indexes(r, &in, a);
	if (rc == 0)
		rc = ledger_query_rows(&in, &a->filter, LOOK_MOST, gather, g, &cursor);
	free(copy);
	*next = rc > 0 ? cursor : 0;
	return rc < 0 ? rc : 0;
}

static void cursor_text(char dst[24], uint64_t cursor)
{
	dst[0] = '\0';
	if (cursor)
		snprintf(dst, 24, "%llu", (unsigned long long)cursor);
}

static int ask_rows(struct ledger_reader *r, struct ledger_ask *a)
{
	struct gathering g = {ledger_page_new(), a->limit, SIZE_MAX};
	struct ledger *l = r->ledger;
	uint64_t next = 0;
	char text[24];
	struct buf b;
	int err = g.page ? rows_page(r, a, &g, &next) : ERR_NOMEM;

	buf_init_wiped(&b, 64u << 20);
	if (err == 0) {
		ledger_page_open(g.page, l->options.read_keys, l->files.uuid);
		cursor_text(text, next);
		buf_put_str(&b, "{\"items\":[");
		ledger_page_text(g.page, &b, 0, ",");
		buf_putf(&b, "],\"next\":\"%s\"}", text);
		err = buf_failed(&b);
	}
	if (err == 0) {
		a->answer = json_loadb((const char *)buf_ptr(&b), buf_size(&b), 0, NULL);
		err = a->answer ? 0 : ERR_FORMAT;
	}
	buf_clear(&b);
	ledger_page_free(g.page);
	return err;
}

static int export_rows(struct ledger_reader *r, struct ledger_ask *a)
{
	struct gathering g = {ledger_page_new(), LEDGER_PAGE_ROWS, LEDGER_ASK_PAGE};
	struct ledger *l = r->ledger;
	uint64_t next = 0;
	char text[24];
	struct buf b;
	int err = 0;

	a->filter.oldest_first = 1;
	err = g.page ? rows_page(r, a, &g, &next) : ERR_NOMEM;
	buf_init_wiped(&b, 64u << 20);
	if (err == 0 && !a->sealed)
		ledger_page_open(g.page, l->options.read_keys, l->files.uuid);
	if (err == 0 && a->csv && !a->filter.after)
		ledger_text_csv_head(&b);
	if (err == 0)
		err = ledger_page_text(g.page, &b, a->csv, a->csv ? "" : "\n");
	if (err == 0 && !a->csv && g.page->count)
		err = buf_put_str(&b, "\n");
	cursor_text(text, next);
	if (err == 0) {
		a->answer = json_pack("{s:s%, s:i, s:s}", "text", buf_size(&b) ? (const char *)buf_ptr(&b) : "",
				      buf_size(&b), "rows", (int)g.page->count, "next", text);
		if (g.page->closed) {
			json_object_set_new(a->answer, "closed", json_integer((json_int_t)g.page->closed));
			json_object_set_new(a->answer, "why", json_string(g.page->closed_why));
		}
		err = a->answer ? 0 : ERR_FORMAT;
	}
	buf_clear(&b);
	ledger_page_free(g.page);
	return err;
}

static int export_events(struct ledger_reader *r, struct ledger_ask *a)
{
	struct ledger_query_in in;
	struct ledger_file *copy;
	char next[LEDGER_HITS_PLACE] = "";
	unsigned count = 0;
	struct buf b;
	int err = in_open(r->ledger, &in, &copy);

	buf_init(&b, LEDGER_ASK_PAGE + (64u << 10));
	if (err == 0 && a->csv && !a->place.first)
		ledger_text_event_csv_head(&b);
	if (err == 0)
		err = ledger_hits_text(&in, &a->filter, &a->place, a->csv, LEDGER_ASK_PAGE, &b, &count);
	free(copy);
	if (err > 0)
		ledger_hits_place_format(next, &a->place);
	if (err >= 0) {
		a->answer = json_pack("{s:s%, s:i, s:s}", "text", buf_size(&b) ? (const char *)buf_ptr(&b) : "",
				      buf_size(&b), "rows", (int)count, "next", next);
		err = a->answer ? 0 : ERR_FORMAT;
	}
	buf_clear(&b);
	return err;
}

static int ask_export(struct ledger_reader *r, struct ledger_ask *a)
{
	return a->events ? export_events(r, a) : export_rows(r, a);
}

/* --- counters */

static int by_attempts(const void *a, const void *b)
{
	const struct ledger_query_stat *x = a, *y = b;

	if (x->stat.attempts != y->stat.attempts)
		return x->stat.attempts > y->stat.attempts ? -1 : 1;
	return strcmp(x->domain, y->domain);
}

static int ask_stats(struct ledger_reader *r, struct ledger_ask *a)
{
	struct ledger_query_stats s;
	struct ledger_query_in in;
	struct ledger_file *copy;
	json_t *list = json_array();
	int err = in_open(r->ledger, &in, &copy);

	memset(&s, 0, sizeof(s));
	if (err == 0)
		err = ledger_query_stats(&in, &a->filter, &s);
	free(copy);
	if (err == 0 && s.count)
		qsort(s.all, s.count, sizeof(*s.all), by_attempts);
	for (size_t i = 0; err == 0 && i < s.count && i < a->limit; i++) {
		json_t *o = json_pack("{s:s}", "domain", s.all[i].domain);
#define PUT(name) json_object_set_new(o, #name, json_integer((json_int_t)s.all[i].stat.name));
		LEDGER_STATS(PUT)
#undef PUT
		json_array_append_new(list, o);
	}
	a->answer = json_pack("{s:o, s:I}", "items", list, "domains", (json_int_t)s.count);
	ledger_query_stats_clear(&s);
	return err;
}

static int ask_status(struct ledger_reader *r, struct ledger_ask *a)
{
	struct ledger_numbers n;

	ledger_numbers(r->ledger, &n);
	a->answer = json_pack("{s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:s}", "rows", (json_int_t)n.rows,
			      "first", (json_int_t)n.first, "waiting", (json_int_t)n.waiting, "checkpoint",
			      (json_int_t)n.checkpoint, "signed", (json_int_t)n.signed_to, "files",
			      (json_int_t)n.files, "bytes", (json_int_t)n.bytes, "oldest", (json_int_t)n.oldest,
			      "newest", (json_int_t)n.newest, "stuck", n.stuck ? err_text(n.stuck) : "");
	return a->answer ? 0 : ERR_NOMEM;
}

/* --- verification */

static int signature(void *arg, const struct ledger_checkpoint *c)
{
	struct ledger_keys *k = ((struct ledger *)arg)->options.read_keys;

	return k->verify(k, c);
}

static void verify_end(struct ledger_reader *r, int err)
{
	struct verifying *y = &r->verifying;

	y->state = err == 0 ? "good" : err == ERR_DAMAGED ? "bad" : "failed";
	y->err = err;
	y->ended = clock_mono();
	if (err == ERR_DAMAGED)
		log_event(LOG_LEVEL_ERROR, NULL, "ledger-damaged", "row=%llu file=%llu offset=%llu why=\"%s\"",
			  (unsigned long long)y->v.row, (unsigned long long)y->v.file,
			  (unsigned long long)y->v.offset, y->v.reason);
	free(y->files);
	y->files = NULL;
}

static void verify_clear(struct ledger_reader *r)
{
	free(r->verifying.files);
	ledger_verify_clear(&r->verifying.v);
	memset(&r->verifying, 0, sizeof(r->verifying));
	r->verifying.state = "none";
}

/* What keyd signed last and what there is are taken down together. */
static void verify_begin(struct ledger_reader *r)
{
	struct ledger *l = r->ledger;
	struct verifying *y = &r->verifying;
	struct ledger_keys_signed s = {.counter = 0};
	int err;

	verify_clear(r);
	y->state = "running";
	y->began = clock_mono();
	err = ledger_verify_init(&y->v, signature, l);
	pthread_mutex_lock(&l->checkpointing);
	if (err == 0)
		err = l->options.read_keys->last(l->options.read_keys, &s);
	y->files = ledger_files_snapshot(&l->files, &y->count);
	pthread_mutex_unlock(&l->checkpointing);
	err = err == ERR_NOTFOUND ? 0 : err;
	y->last = (struct ledger_verify_last){.known = err == 0, .counter = s.counter, .rows = s.rows};
	for (size_t i = 0; i < y->count; i++)
		y->of += y->files[i].rows;
	if (err == 0 && !y->files)
		err = ERR_NOMEM;
	if (err < 0)
		verify_end(r, err);
}

static void verify_step(struct ledger_reader *r)
{
	struct ledger *l = r->ledger;
	struct verifying *y = &r->verifying;
	const struct ledger_file *one = &y->files[y->at];
	struct span log;
	char path[4200];
	int err;

	if (y->at == y->count) {
		verify_end(r, ledger_verify_end(&y->v, &y->last));
		return;
	}
	ledger_files_path(&l->files, path, sizeof(path), one->first, ".log");
	err = sys_map_open(path, one->size, &log);
	if (err == 0 && log.n < one->size) {
		y->v.file = one->first;
		y->v.offset = log.n;
		y->v.row = one->first;
		y->v.reason = "the file was cut";
		err = ERR_DAMAGED;
	}
	sys_map_in_order(log);
	if (err == 0)
		err = ledger_verify_file(&y->v, one->first, log,
					 y->at + 1 == y->count ? LEDGER_VERIFY_WHOLE : LEDGER_VERIFY_MORE);
	sys_map_close(&log);
	y->at++;
	if (err < 0)
		verify_end(r, err);
}

static int ask_verify(struct ledger_reader *r, struct ledger_ask *a)
{
	struct verifying *y = &r->verifying;
	const struct ledger_verify *v = &y->v;
	char message[ID_TEXT_SIZE] = "", file[LEDGER_NAME] = "";
	json_int_t done = 0;

	if (a->start && strcmp(y->state, "running") != 0)
		verify_begin(r);
	if (v->begun && v->rows >= v->first)
		done = (json_int_t)(v->rows - v->first + 1);
	if (v->message)
		id_format(message, v->message);
	if (v->file)
		ledger_record_name(file, v->file, ".log");
	a->answer = json_pack("{s:s, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I}", "state", y->state, "done", done,
			      "of", (json_int_t)y->of, "first", (json_int_t)v->first, "rows",
			      (json_int_t)v->rows, "events", (json_int_t)v->events, "checkpoints",
			      (json_int_t)v->checkpoints, "checkpoint",
			      (json_int_t)v->counter, "signed", (json_int_t)v->signed_to, "ms",
			      (json_int_t)((y->ended ? y->ended : clock_mono()) - y->began) / 1000);
	if (!strcmp(y->state, "bad"))
		json_object_set_new(a->answer, "bad",
				    json_pack("{s:s, s:I, s:I, s:I, s:s, s:s}", "file", file, "offset",
					      (json_int_t)v->offset, "row", (json_int_t)v->row, "from",
					      (json_int_t)v->from, "message", message, "reason", v->reason));
	if (!strcmp(y->state, "failed"))
		json_object_set_new(a->answer, "why", json_string(err_text(y->err)));
	return a->answer ? 0 : ERR_NOMEM;
}

/* --- the thread */

static int (*const asks[])(struct ledger_reader *r, struct ledger_ask *a) = {[LEDGER_ASK_ROWS] = ask_rows,
									     [LEDGER_ASK_EXPORT] = ask_export,
									     [LEDGER_ASK_STATS] = ask_stats,
									     [LEDGER_ASK_STATUS] = ask_status,
									     [LEDGER_ASK_VERIFY] = ask_verify};

static void run_ask(struct relay_msg *m, void *receiver)
{
	struct ledger_ask *a = (struct ledger_ask *)m;
	struct ledger_reader *r = receiver;

	if (r->ending) {
		answer(a, ERR_AWAY);
		return;
	}
	if (!a->filter.after && !a->place.first && !(a->kind == LEDGER_ASK_VERIFY && !a->start))
		ledger_flush(r->ledger, 0, FLUSH_MOST);
	answer(a, asks[a->kind](r, a));
}

void ledger_ask_post(struct ledger *l, struct ledger_ask *a)
{
	a->run = a->msg.run;
	a->msg.run = run_ask;
	evt_inbox_post(l->reader->in, &a->msg.msg);
}

static void run_end(struct relay_msg *m, void *receiver)
{
	struct ledger_reader *r = receiver;

	(void)m;
	r->ending = 1;
}

static void *thread(void *arg)
{
	struct ledger_reader *r = arg;

	while (!r->ending) {
		int running = !strcmp(r->verifying.state, "running");
		struct evt_msg *batch;
		log_flush();
		batch = evt_inbox_wait(r->in, running ? 0 : -1);
		while (batch) {
			struct relay_msg *m = (struct relay_msg *)batch;
			batch = batch->next;
			m->run(m, r);
		}
		if (!r->ending && !strcmp(r->verifying.state, "running"))
			verify_step(r);
	}
	log_flush();
	return NULL;
}

struct ledger_reader *ledger_reader_new(struct ledger *l)
{
	struct ledger_reader *r = calloc(1, sizeof(*r));

	if (!r)
		return NULL;
	r->ledger = l;
	r->verifying.state = "none";
	r->end.run = run_end;
	r->in = evt_inbox_new(NULL, NULL, NULL);
	if (!r->in || pthread_create(&r->thread, NULL, thread, r) != 0) {
		evt_inbox_free(r->in);
		free(r);
		return NULL;
	}
	return r;
}

void ledger_reader_free(struct ledger_reader *r)
{
	struct evt_msg *left;

	if (!r)
		return;
	evt_inbox_post(r->in, &r->end.msg);
	pthread_join(r->thread, NULL);
	while ((left = evt_inbox_wait(r->in, 0))) {
		while (left) {
			struct relay_msg *m = (struct relay_msg *)left;
			left = left->next;
			m->run(m, r);
		}
	}
	evt_inbox_free(r->in);
	verify_clear(r);
	free(r->pairs.all);
	free(r);
}
