/* SPDX-License-Identifier: Apache-2.0 */
/* Rule files gathered into a set. */
#include <errno.h>
#include <glob.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/err.h"
#include "shape/shape_rule_own.h"

#define FILES_MAX 256

struct named {
	const char *name;
	const struct shape_rule *rule;
};

struct shape_rules {
	atomic_int refs;
	struct shape_rule_file *files;
	size_t file_count;
	const struct shape_rule **rules; /* those that count */
	size_t count;
	const struct shape_rule *any;
	struct named *domains; /* exact ones, sorted */
	size_t domain_count, domain_suffixes;
};

static void free_file(struct shape_rule_file *f)
{
	struct shape_rule *r = f->rules.items;

	for (size_t i = 0; i < f->rules.count; i++) {
		struct shape_pattern *p = r[i].patterns.items;
		for (size_t j = 0; j < r[i].patterns.count; j++)
			if (p[j].regex) {
				regfree(p[j].regex);
				free(p[j].regex);
			}
	}
	conf_free(shape_rule_table(), f);
}

struct shape_rules *shape_rules_ref(struct shape_rules *s)
{
	atomic_fetch_add(&s->refs, 1);
	return s;
}

void shape_rules_unref(struct shape_rules *s)
{
	if (!s || atomic_fetch_sub(&s->refs, 1) != 1)
		return;
	for (size_t i = 0; i < s->file_count; i++)
		free_file(&s->files[i]);
	free(s->files);
	free(s->rules);
	free(s->domains);
	free(s);
}

static struct shape_rules *make(void)
{
	struct shape_rules *s = calloc(1, sizeof(*s));

	if (!s)
		return NULL;
	atomic_init(&s->refs, 1);
	s->files = calloc(FILES_MAX, sizeof(*s->files));
	s->rules = calloc(SHAPE_RULES_MAX, sizeof(*s->rules));
	if (!s->files || !s->rules) {
		shape_rules_unref(s);
		return NULL;
	}
	return s;
}

/* In the place of the one with its name, or behind all others. */
static int add_rule(struct shape_rules *s, const struct shape_rule *r)
{
	size_t i;

	for (i = 0; i < s->count && strcmp(s->rules[i]->name, r->name); i++)
		;
	if (i == SHAPE_RULES_MAX)
		return ERR_LIMIT;
	s->rules[i] = r;
	if (i == s->count)
		s->count++;
	return 0;
}

static int add_file(struct shape_rules *s, const char *name, char err[CONF_ERR_MAX])
{
	struct shape_rule_file *f = &s->files[s->file_count];
	struct shape_rule *r = f->rules.items;

	s->file_count++;
	for (size_t i = 0; i < f->rules.count; i++) {
		struct shape_pattern *p = r[i].patterns.items;
		for (size_t j = 0; j < i; j++)
			if (!strcmp(r[i].name, r[j].name)) {
				snprintf(err, CONF_ERR_MAX, "%s: two rules of the name %s", name, r[i].name);
				return ERR_CONFIG;
			}
		for (size_t j = 0; j < r[i].patterns.count; j++)
			if (shape_rule_regex(p[j].reply, &p[j].regex)) {
				snprintf(err, CONF_ERR_MAX, "%s: out of memory", name);
				return ERR_NOMEM;
			}
		if (add_rule(s, &r[i]) < 0) {
			snprintf(err, CONF_ERR_MAX, "%s: more than %d rules", name, SHAPE_RULES_MAX);
			return ERR_CONFIG;
		}
	}
	return 0;
}

static int is_any(const struct shape_rule *r)
{
	for (size_t i = 0; i < r->mx.count; i++)
		if (!strcmp(((char **)r->mx.items)[i], "*"))
			return 1;
	return 0;
}

static int by_name(const void *a, const void *b)
{
	return strcmp(((const struct named *)a)->name, ((const struct named *)b)->name);
}

static int index_domains(struct shape_rules *s, char err[CONF_ERR_MAX])
{
	size_t room = 0;

	for (size_t i = 0; i < s->count; i++)
		room += s->rules[i]->domains.count;
	s->domains = calloc(room + 1, sizeof(*s->domains));
	if (!s->domains) {
		snprintf(err, CONF_ERR_MAX, "shaping: out of memory");
		return ERR_NOMEM;
	}
	for (size_t i = 0; i < s->count; i++)
		for (size_t j = 0; j < s->rules[i]->domains.count; j++) {
			const char *name = ((char **)s->rules[i]->domains.items)[j];
			if (name[0] == '.')
				s->domain_suffixes++;
			else
				s->domains[s->domain_count++] = (struct named){name, s->rules[i]};
		}
	qsort(s->domains, s->domain_count, sizeof(*s->domains), by_name);
	for (size_t i = 1; i < s->domain_count; i++)
		if (!strcmp(s->domains[i].name, s->domains[i - 1].name)) {
			snprintf(err, CONF_ERR_MAX, "rules %s and %s both name domain %s",
				 s->domains[i - 1].rule->name, s->domains[i].rule->name, s->domains[i].name);
			return ERR_CONFIG;
		}
	return 0;
}

/* When all files are in. */
static int finish(struct shape_rules *s, char err[CONF_ERR_MAX])
{
	static atomic_uint ids; /* of all sets: what counts hits outlives a set */

	for (size_t i = 0; i < s->count; i++) {
		struct shape_pattern *p = s->rules[i]->patterns.items;
		for (size_t j = 0; j < s->rules[i]->patterns.count; j++)
			p[j].id = atomic_fetch_add(&ids, 1);
		if (!is_any(s->rules[i]))
			continue;
		if (s->any) {
			snprintf(err, CONF_ERR_MAX, "rules %s and %s both match *", s->any->name,
				 s->rules[i]->name);
			return ERR_CONFIG;
		}
		s->any = s->rules[i];
	}
	return index_domains(s, err);
}

struct shape_rules *shape_rules_parse(const char *name, struct span text, char err[CONF_ERR_MAX])
{
	struct shape_rules *s = make();

	if (!s) {
		snprintf(err, CONF_ERR_MAX, "%s: out of memory", name);
		return NULL;
	}
	if (conf_parse(name, text, shape_rule_table(), &s->files[0], err) < 0 || add_file(s, name, err) < 0 ||
	    finish(s, err) < 0) {
		shape_rules_unref(s);
		return NULL;
	}
	return s;
}

/* A folder that is not there holds no rules; one that cannot be read may. */
static int unreadable(const char *path, int errnum)
{
	(void)path;
	return errnum != ENOENT && errnum != ENOTDIR;
}

static int load_pattern(struct shape_rules *s, const char *pattern, char err[CONF_ERR_MAX])
{
	glob_t g;
	int rc = glob(pattern, 0, unreadable, &g);

	if (rc == GLOB_NOMATCH && strpbrk(pattern, "*?["))
		return 0;
	if (rc == GLOB_NOMATCH) { /* a file that somebody named */
		snprintf(err, CONF_ERR_MAX, "%s: no such file, and shaping names it", pattern);
		return ERR_CONFIG;
	}
	if (rc) {
		snprintf(err, CONF_ERR_MAX, "%s: cannot be read", pattern);
		return ERR_CONFIG;
	}
	for (size_t i = 0; i < g.gl_pathc && rc == 0; i++) {
		if (s->file_count == FILES_MAX) {
			snprintf(err, CONF_ERR_MAX, "%s: more than %d files", pattern, FILES_MAX);
			rc = ERR_CONFIG;
			break;
		}
		rc = conf_load(g.gl_pathv[i], shape_rule_table(), &s->files[s->file_count], err);
		if (rc == 0)
			rc = add_file(s, g.gl_pathv[i], err);
	}
	globfree(&g);
	return rc;
}

struct shape_rules *shape_rules_load(const struct conf_list *files, const char *base,
				     char err[CONF_ERR_MAX])
{
	struct shape_rules *s = make();
	int rc = s ? 0 : ERR_NOMEM;

	if (!s)
		snprintf(err, CONF_ERR_MAX, "shaping: out of memory");
	for (size_t i = 0; rc == 0 && i < files->count; i++) {
		char *path = conf_path_join(base, ((char **)files->items)[i]);
		if (!path) {
			snprintf(err, CONF_ERR_MAX, "shaping: out of memory");
			rc = ERR_NOMEM;
		} else {
			rc = load_pattern(s, path, err);
		}
		free(path);
	}
	if (rc == 0)
		rc = finish(s, err);
	if (rc < 0) {
		shape_rules_unref(s);
		return NULL;
	}
	return s;
}

size_t shape_rules_count(const struct shape_rules *s)
{
	return s->count;
}

const struct shape_rule *shape_rules_at(const struct shape_rules *s, size_t i)
{
	return s->rules[i];
}

const struct shape_rule *shape_rules_any(const struct shape_rules *s)
{
	return s->any;
}

/* How well one entry fits: 0 not at all. */
static size_t fits(const char *entry, struct span name)
{
	struct span m = span_str(entry);

	if (m.n == 1 && m.p[0] == '*')
		return 1;
	if (m.p[0] == '.')
		return name.n > m.n && span_equal_nocase(span_sub(name, name.n - m.n, m.n), m) ? m.n + 1 : 0;
	return span_equal_nocase(name, m) ? 1000 : 0;
}

static const struct shape_rule *best(const struct shape_rules *s, struct span name, int by_domain)
{
	const struct shape_rule *found = NULL;
	size_t most = 0;

	for (size_t i = 0; i < s->count; i++) {
		const struct conf_list *l = by_domain ? &s->rules[i]->domains : &s->rules[i]->mx;
		for (size_t j = 0; j < l->count; j++) {
			size_t n = fits(((char **)l->items)[j], name);
			if (n > most) {
				most = n;
				found = s->rules[i];
			}
		}
	}
	return found;
}

const struct shape_rule *shape_rules_domain(const struct shape_rules *s, struct span domain)
{
	size_t lo = 0, hi = s->domain_count;

	while (lo < hi) {
		size_t mid = (lo + hi) / 2;
		struct span name = span_str(s->domains[mid].name);
		int order = memcmp(name.p, domain.p, name.n < domain.n ? name.n : domain.n);
		if (order == 0 && name.n == domain.n)
			return s->domains[mid].rule;
		if (order < 0 || (order == 0 && name.n < domain.n))
			lo = mid + 1;
		else
			hi = mid;
	}
	return s->domain_suffixes ? best(s, domain, 1) : NULL;
}

const struct shape_rule *shape_rules_host(const struct shape_rules *s, struct span host)
{
	return best(s, host, 0);
}
