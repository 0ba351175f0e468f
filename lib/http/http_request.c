/* SPDX-License-Identifier: Apache-2.0 */
#include "http/http_request.h"

#include "core/err.h"
#include "core/num.h"

static int is_token(uint8_t c)
{
	static const char others[] = "!#$%&'*+-.^_`|~";

	return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
	       (c && strchr(others, c));
}

static int all_token(struct span s)
{
	for (size_t i = 0; i < s.n; i++)
		if (!is_token(s.p[i]))
			return 0;
	return s.n > 0;
}

/* Length of the head with its empty line, 0 if it is not complete, ERR_*. Every line must end in CRLF. */
static int head_length(struct span in)
{
	size_t n = in.n < HTTP_HEAD_MAX ? in.n : HTTP_HEAD_MAX;

	for (size_t i = 0; i < n; i++) {
		uint8_t c = in.p[i];
		if (c == '\r') {
			if (i + 1 == n)
				break;
			if (in.p[i + 1] != '\n')
				return ERR_FORMAT;
			if (i >= 2 && in.p[i - 1] == '\n')
				return (int)(i + 2);
			i++;
		} else if (c == '\n' || (c < 0x20 && c != '\t') || c == 0x7f) {
			return ERR_FORMAT;
		}
	}
	return in.n >= HTTP_HEAD_MAX ? ERR_LIMIT : 0;
}

/* Takes the next line (without CRLF) off head, which is known to be whole. */
static struct span take_line(struct span *head)
{
	ptrdiff_t end = span_find(*head, '\r');
	struct span line = span_sub(*head, 0, (size_t)end);

	*head = span_sub(*head, (size_t)end + 2, head->n);
	return line;
}

static int split_path(struct http_request *r)
{
	struct span rest = r->path;

	for (size_t i = 0; i < rest.n; i++)
		if (rest.p[i] <= ' ' || rest.p[i] >= 0x7f || strchr("%\\;\"<>#", rest.p[i]))
			return ERR_FORMAT;
	if (rest.n == 0 || rest.p[0] != '/')
		return ERR_FORMAT;
	if (rest.n == 1)
		return 0;
	while (rest.n) {
		struct span seg;
		ptrdiff_t slash;
		rest = span_sub(rest, 1, rest.n);
		slash = span_find(rest, '/');
		seg = slash < 0 ? rest : span_sub(rest, 0, (size_t)slash);
		if (seg.n == 0 || span_equal(seg, SPAN_LIT(".")) || span_equal(seg, SPAN_LIT("..")))
			return ERR_FORMAT;
		if (r->segment_count == HTTP_SEGMENTS_MAX)
			return ERR_LIMIT;
		r->segments[r->segment_count++] = seg;
		rest = span_sub(rest, seg.n, rest.n);
	}
	return 0;
}

static int parse_request_line(struct span line, struct http_request *r)
{
	ptrdiff_t a = span_find(line, ' '), q;
	struct span rest, target, version;

	if (a <= 0)
		return ERR_FORMAT;
	r->method = span_sub(line, 0, (size_t)a);
	rest = span_sub(line, (size_t)a + 1, line.n);
	a = span_find(rest, ' ');
	if (a <= 0 || !all_token(r->method))
		return ERR_FORMAT;
	target = span_sub(rest, 0, (size_t)a);
	version = span_sub(rest, (size_t)a + 1, rest.n);
	if (version.n != 8 || memcmp(version.p, "HTTP/", 5))
		return ERR_FORMAT;
	if (memcmp(version.p + 5, "1.1", 3))
		return ERR_UNSUPPORTED;
	q = span_find(target, '?');
	r->path = q < 0 ? target : span_sub(target, 0, (size_t)q);
	r->query = q < 0 ? span_of(NULL, 0) : span_sub(target, (size_t)q + 1, target.n);
	for (size_t i = 0; i < r->query.n; i++)
		if (r->query.p[i] <= ' ' || r->query.p[i] >= 0x7f)
			return ERR_FORMAT;
	return split_path(r);
}

static struct span trim(struct span s)
{
	while (s.n && (s.p[0] == ' ' || s.p[0] == '\t'))
		s = span_sub(s, 1, s.n);
	while (s.n && (s.p[s.n - 1] == ' ' || s.p[s.n - 1] == '\t'))
		s.n--;
	return s;
}

static int parse_field(struct span line, struct http_field *f)
{
	ptrdiff_t colon = span_find(line, ':');

	if (colon <= 0)
		return ERR_FORMAT;
	f->name = span_sub(line, 0, (size_t)colon);
	f->value = trim(span_sub(line, (size_t)colon + 1, line.n));
	return all_token(f->name) ? 0 : ERR_FORMAT;
}

static int count_field(const struct http_request *r, const char *name)
{
	int n = 0;

	for (unsigned i = 0; i < r->field_count; i++)
		n += span_equal_nocase(r->fields[i].name, span_str(name));
	return n;
}

/* What the fields mean for the connection; ambiguity ends it. */
static int judge(struct http_request *r)
{
	struct span length;

	if (count_field(r, "transfer-encoding"))
		return ERR_UNSUPPORTED;
	if (count_field(r, "host") != 1 || count_field(r, "content-length") > 1 ||
	    count_field(r, "connection") > 1)
		return ERR_FORMAT;
	length = http_request_field(r, "content-length");
	if (length.p && num_parse_u64(length, &r->content_length) < 0)
		return ERR_FORMAT;
	r->close = span_equal_nocase(http_request_field(r, "connection"), SPAN_LIT("close"));
	return 0;
}

int http_request_parse(struct span in, struct http_request *r)
{
	int n = head_length(in), rc;
	struct span head;

	if (n <= 0)
		return n;
	memset(r, 0, sizeof(*r));
	head = span_sub(in, 0, (size_t)n - 2);
	rc = parse_request_line(take_line(&head), r);
	while (rc == 0 && head.n) {
		if (r->field_count == HTTP_FIELDS_MAX)
			return ERR_LIMIT;
		rc = parse_field(take_line(&head), &r->fields[r->field_count++]);
	}
	if (rc == 0)
		rc = judge(r);
	return rc < 0 ? rc : n;
}

struct span http_request_field(const struct http_request *r, const char *name)
{
	for (unsigned i = 0; i < r->field_count; i++)
		if (span_equal_nocase(r->fields[i].name, span_str(name)))
			return r->fields[i].value;
	return span_of(NULL, 0);
}

struct span http_request_query(const struct http_request *r, const char *name)
{
	struct span rest = r->query;

	while (rest.n) {
		ptrdiff_t amp = span_find(rest, '&'), eq;
		struct span pair = amp < 0 ? rest : span_sub(rest, 0, (size_t)amp);
		rest = amp < 0 ? span_of(NULL, 0) : span_sub(rest, (size_t)amp + 1, rest.n);
		eq = span_find(pair, '=');
		if (eq >= 0 && span_equal(span_sub(pair, 0, (size_t)eq), span_str(name)))
			return span_sub(pair, (size_t)eq + 1, pair.n);
	}
	return span_of(NULL, 0);
}

int http_request_parse_response(struct span in, struct http_response *r)
{
	int n = head_length(in);
	struct span head, line;
	uint64_t status;

	if (n <= 0)
		return n;
	memset(r, 0, sizeof(*r));
	head = span_sub(in, 0, (size_t)n - 2);
	line = take_line(&head);
	if (line.n < 12 || memcmp(line.p, "HTTP/1.1 ", 9) ||
	    num_parse_u64(span_sub(line, 9, 3), &status) < 0 || status < 100)
		return ERR_FORMAT;
	r->status = (int)status;
	while (head.n) {
		struct http_field f;
		if (parse_field(take_line(&head), &f) < 0)
			return ERR_FORMAT;
		if (span_equal_nocase(f.name, SPAN_LIT("content-length")) &&
		    num_parse_u64(f.value, &r->content_length) < 0)
			return ERR_FORMAT;
	}
	return n;
}

static const char *status_text(int status)
{
	static const struct {
		int status;
		const char *text;
	} texts[] = {{200, "OK"},	     {204, "No Content"},	    {400, "Bad Request"},
		     {403, "Forbidden"},     {404, "Not Found"},	    {405, "Method Not Allowed"},
		     {413, "Content Too Large"}, {431, "Request Header Fields Too Large"},
		     {500, "Internal Server Error"}, {501, "Not Implemented"},
		     {503, "Service Unavailable"}};

	for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++)
		if (texts[i].status == status)
			return texts[i].text;
	return "Status";
}

int http_request_put_response(struct buf *out, int status, const char *type, size_t length, int close)
{
	buf_putf(out, "HTTP/1.1 %d %s\r\n", status, status_text(status));
	if (type)
		buf_putf(out, "Content-Type: %s\r\n", type);
	buf_putf(out, "Content-Length: %zu\r\nCache-Control: no-store\r\n", length);
	if (close)
		buf_put_str(out, "Connection: close\r\n");
	return buf_put_str(out, "\r\n");
}
