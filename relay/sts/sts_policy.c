/* SPDX-License-Identifier: Apache-2.0 */
#include "relay/sts/sts_policy.h"

#include <stdlib.h>

#include "core/clock.h"
#include "core/err.h"
#include "core/num.h"

enum { KEY_MAX = 32, LABEL_MAX = 63, HOST_MAX = 253, AGE_DIGITS = 10 };

static const char *const modes[] = {
    [STS_NONE] = "none", [STS_TESTING] = "testing", [STS_ENFORCE] = "enforce"};

const char *sts_mode_name(enum sts_mode m)
{
	return modes[m];
}

static int is_alnum(uint8_t c)
{
	return (c >= '0' && c <= '9') || (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z');
}

static int is_blank(uint8_t c)
{
	return c == ' ' || c == '\t';
}

static struct span trim(struct span s)
{
	while (s.n && is_blank(s.p[0]))
		s = span_sub(s, 1, s.n);
	while (s.n && is_blank(s.p[s.n - 1]))
		s.n--;
	return s;
}

/* RFC 8461 3.1, 3.2: sts-ext-name; the names of the RFC's own are of this form too. */
static int key_ok(struct span k)
{
	if (k.n < 1 || k.n > KEY_MAX || !is_alnum(k.p[0]))
		return 0;
	for (size_t i = 1; i < k.n; i++)
		if (!is_alnum(k.p[i]) && k.p[i] != '_' && k.p[i] != '-' && k.p[i] != '.')
			return 0;
	return 1;
}

/* --- policy */

struct draft {
	struct sts_policy *policy;
	char *names; /* where the next pattern's text goes */
	int has_version, has_mode, has_age;
};
typedef const char *(*take_fn)(struct draft *d, struct span value);

static const char *take_version(struct draft *d, struct span value)
{
	if (!d->has_version && !span_equal(value, SPAN_LIT("STSv1")))
		return "the version is not STSv1";
	d->has_version = 1;
	return NULL;
}

static const char *take_mode(struct draft *d, struct span value)
{
	for (int i = 0; !d->has_mode && i < (int)(sizeof(modes) / sizeof(modes[0])); i++)
		if (span_equal(value, span_str(modes[i]))) {
			d->policy->mode = (enum sts_mode)i;
			d->has_mode = 1;
		}
	return d->has_mode ? NULL : "mode is not enforce, testing or none";
}

static const char *take_age(struct draft *d, struct span value)
{
	uint64_t n;

	if (d->has_age)
		return NULL;
	if (value.n > AGE_DIGITS || num_parse_u64(value, &n) < 0)
		return "max_age is not a number of seconds";
	d->policy->max_age = n > STS_POLICY_MAX_AGE ? STS_POLICY_MAX_AGE : (uint32_t)n;
	d->has_age = 1;
	return NULL;
}

/* RFC 5321 Domain: letters, digits, hyphens inside; copied in lower case. */
static int take_domain(struct span name, char *dst)
{
	size_t label = 0;

	if (name.n > HOST_MAX)
		return 0;
	for (size_t i = 0; i <= name.n; i++) {
		if (i == name.n || name.p[i] == '.') {
			if (i == label || i - label > LABEL_MAX || name.p[label] == '-' ||
			    name.p[i - 1] == '-')
				return 0;
			label = i + 1;
		} else if (!is_alnum(name.p[i]) && name.p[i] != '-') {
			return 0;
		}
		if (i < name.n)
			dst[i] = name.p[i] >= 'A' && name.p[i] <= 'Z' ? (char)(name.p[i] | 0x20)
								      : (char)name.p[i];
	}
	dst[name.n] = '\0';
	return 1;
}

static const char *take_mx(struct draft *d, struct span value)
{
	size_t wild = value.n > 2 && value.p[0] == '*' && value.p[1] == '.' ? 2 : 0;

	if (d->policy->count == STS_POLICY_PATTERNS)
		return "it has too many mx";
	memcpy(d->names, "*.", wild);
	if (!take_domain(span_sub(value, wild, value.n), d->names + wild))
		return "an mx is not a host name";
	d->policy->patterns[d->policy->count++] = d->names;
	d->names += value.n + 1;
	return NULL;
}

static const struct {
	const char *name;
	take_fn take;
} keys[] = {{"version", take_version}, {"mode", take_mode}, {"max_age", take_age}, {"mx", take_mx}};

static const char *take_line(struct draft *d, struct span line)
{
	ptrdiff_t colon;
	struct span key, value;

	for (size_t i = 0; i < line.n; i++)
		if ((line.p[i] < ' ' && line.p[i] != '\t') || line.p[i] == 0x7f)
			return "it holds a control character";
	line = trim(line);
	if (!line.n)
		return NULL;
	colon = span_find(line, ':');
	if (colon < 0)
		return "a line is not key: value";
	key = span_sub(line, 0, (size_t)colon);
	value = trim(span_sub(line, (size_t)colon + 1, line.n));
	if (!key_ok(key) || !value.n)
		return "a line is not key: value";
	for (size_t i = 0; i < sizeof(keys) / sizeof(keys[0]); i++)
		if (span_equal(key, span_str(keys[i].name)))
			return keys[i].take(d, value);
	return NULL;
}

static const char *take_lines(struct draft *d, struct span text)
{
	const char *wrong = NULL;

	while (text.n && !wrong) {
		ptrdiff_t at = span_find(text, '\n');
		size_t n = at < 0 ? text.n : (size_t)at;
		struct span line = span_sub(text, 0, n);
		text = span_sub(text, n + 1, text.n);
		if (line.n && line.p[line.n - 1] == '\r')
			line.n--;
		wrong = take_line(d, line);
	}
	return wrong;
}

static const char *missing(const struct draft *d)
{
	if (!d->has_version)
		return "it has no version";
	if (!d->has_mode)
		return "it has no mode";
	if (!d->has_age)
		return "it has no max_age";
	return d->policy->count == 0 && d->policy->mode != STS_NONE ? "it has no mx" : NULL;
}

static unsigned lines_in(struct span text)
{
	unsigned n = 1;

	for (size_t i = 0; i < text.n; i++)
		n += text.p[i] == '\n';
	return n < STS_POLICY_PATTERNS ? n : STS_POLICY_PATTERNS;
}

/* One piece of memory: the struct, the patterns' pointers, the text, the patterns' texts. */
static struct sts_policy *make(struct span text, char **names)
{
	size_t pointers = sizeof(const char *) * lines_in(text);
	struct sts_policy *p = calloc(1, sizeof(*p) + pointers + 2 * (text.n + 1));
	char *copy;

	if (!p)
		return NULL;
	atomic_init(&p->refs, 1);
	p->patterns = (const char **)(p + 1);
	copy = (char *)(p + 1) + pointers;
	if (text.n)
		memcpy(copy, text.p, text.n);
	p->text = copy;
	p->size = text.n;
	*names = copy + text.n + 1;
	return p;
}

struct sts_policy *sts_policy_parse(struct span text, const char *id, int64_t fetched, int *err,
				    const char **why)
{
	struct draft d = {0};

	*err = ERR_LIMIT;
	*why = "it is too long";
	if (text.n > STS_POLICY_TEXT || strlen(id) >= STS_POLICY_ID)
		return NULL;
	*err = ERR_NOMEM;
	*why = err_text(ERR_NOMEM);
	d.policy = make(text, &d.names);
	if (!d.policy)
		return NULL;
	*err = ERR_FORMAT;
	*why = take_lines(&d, text);
	if (!*why)
		*why = missing(&d);
	if (*why) {
		sts_policy_unref(d.policy);
		return NULL;
	}
	strcpy(d.policy->id, id);
	d.policy->fetched = fetched;
	d.policy->expires = fetched + d.policy->max_age * CLOCK_SEC;
	*err = 0;
	return d.policy;
}

struct sts_policy *sts_policy_ref(const struct sts_policy *p)
{
	struct sts_policy *q = (struct sts_policy *)p;

	if (q)
		atomic_fetch_add_explicit(&q->refs, 1, memory_order_relaxed);
	return q;
}

void sts_policy_unref(const struct sts_policy *p)
{
	struct sts_policy *q = (struct sts_policy *)p;

	if (q && atomic_fetch_sub_explicit(&q->refs, 1, memory_order_acq_rel) == 1)
		free(q);
}

int sts_policy_match(const struct sts_policy *p, const char *host)
{
	struct span name = span_str(host), below;
	ptrdiff_t dot;

	if (name.n && name.p[name.n - 1] == '.')
		name.n--;
	dot = span_find(name, '.');
	below = dot > 0 ? span_sub(name, (size_t)dot + 1, name.n) : span_of(NULL, 0);
	for (unsigned i = 0; i < p->count; i++) {
		const char *pattern = p->patterns[i];
		if (pattern[0] == '*' ? below.n && span_equal_nocase(below, span_str(pattern + 2))
				      : name.n && span_equal_nocase(name, span_str(pattern)))
			return 1;
	}
	return 0;
}

/* --- record */

static int record_value_ok(struct span v)
{
	for (size_t i = 0; i < v.n; i++)
		if (v.p[i] <= ' ' || v.p[i] >= 0x7f || v.p[i] == ';' || v.p[i] == '=')
			return 0;
	return v.n > 0;
}

static int take_id(struct span value, char id[STS_POLICY_ID])
{
	if (value.n >= STS_POLICY_ID)
		return ERR_FORMAT;
	for (size_t i = 0; i < value.n; i++)
		if (!is_alnum(value.p[i]))
			return ERR_FORMAT;
	return span_copy_str(id, STS_POLICY_ID, value);
}

static int take_field(struct span field, char id[STS_POLICY_ID])
{
	ptrdiff_t equal = span_find(field, '=');
	struct span key, value;

	if (equal < 0)
		return ERR_FORMAT;
	key = span_sub(field, 0, (size_t)equal);
	value = span_sub(field, (size_t)equal + 1, field.n);
	if (!key_ok(key) || !record_value_ok(value))
		return ERR_FORMAT;
	return !id[0] && span_equal(key, SPAN_LIT("id")) ? take_id(value, id) : 0;
}

int sts_record_parse(struct span txt, char id[STS_POLICY_ID])
{
	static const struct span version = SPAN_LIT("v=STSv1");
	struct span rest = span_sub(txt, version.n, txt.n);

	id[0] = '\0';
	while (rest.n && is_blank(rest.p[0]))
		rest = span_sub(rest, 1, rest.n);
	if (!span_equal(span_sub(txt, 0, version.n), version) || !rest.n || rest.p[0] != ';')
		return ERR_NOTFOUND;
	while (rest.n) { /* it begins with the semicolon before a field */
		ptrdiff_t end;
		struct span field;
		rest = span_sub(rest, 1, rest.n);
		end = span_find(rest, ';');
		field = trim(span_sub(rest, 0, end < 0 ? rest.n : (size_t)end));
		rest = span_sub(rest, end < 0 ? rest.n : (size_t)end, rest.n);
		if (!field.n && !trim(rest).n)
			break;
		if (take_field(field, id) < 0)
			return ERR_FORMAT;
	}
	return id[0] ? 0 : ERR_FORMAT;
}
