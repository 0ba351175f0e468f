/* SPDX-License-Identifier: Apache-2.0 */
#include "relay/https/https_url.h"

#include "core/err.h"
#include "core/num.h"

enum { LABEL_MAX = 63, NAME_MAX_ = 253 };

static char host_octet(uint8_t c)
{
	if (c >= 'A' && c <= 'Z')
		return (char)(c | 0x20);
	return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-' ? (char)c : 0;
}

/* The last label of a name is never a number; that of an IPv4 address always is (RFC 3696 2). */
static int is_number(const char *label)
{
	return label[strspn(label, "0123456789")] == '\0';
}

int https_url_host(struct span name, char out[HTTPS_URL_HOST])
{
	size_t label = 0, labels = 1, n = 0;

	if (name.n && name.p[name.n - 1] == '.')
		name.n--;
	if (name.n > NAME_MAX_)
		return ERR_LIMIT;
	for (size_t i = 0; i <= name.n; i++) {
		int end = i == name.n || name.p[i] == '.';
		if (end &&
		    (i == label || i - label > LABEL_MAX || out[label] == '-' || out[i - 1] == '-'))
			return ERR_FORMAT;
		if (i == name.n)
			break;
		out[n] = end ? '.' : host_octet(name.p[i]);
		if (!out[n++])
			return ERR_FORMAT;
		if (end) {
			label = i + 1;
			labels++;
		}
	}
	out[n] = '\0';
	return labels >= 2 && !is_number(out + label) ? 0 : ERR_FORMAT;
}

static int take_port(struct span *rest, uint16_t *port)
{
	size_t n = 0;
	uint64_t number;

	*port = 443;
	if (!rest->n || rest->p[0] != ':')
		return 0;
	while (n + 1 < rest->n && rest->p[n + 1] >= '0' && rest->p[n + 1] <= '9')
		n++;
	if (n < 1 || n > 5 || num_parse_u64(span_sub(*rest, 1, n), &number) < 0 || !number ||
	    number > 65535)
		return ERR_FORMAT;
	*port = (uint16_t)number;
	*rest = span_sub(*rest, 1 + n, rest->n);
	return 0;
}

static int take_path(struct span rest, char path[HTTPS_URL_PATH])
{
	size_t n = 0;

	if (rest.n + 2 > HTTPS_URL_PATH)
		return ERR_LIMIT;
	if (rest.n && rest.p[0] != '/' && rest.p[0] != '?')
		return ERR_FORMAT;
	if (!rest.n || rest.p[0] == '?')
		path[n++] = '/';
	for (size_t i = 0; i < rest.n; i++) {
		if (rest.p[i] <= ' ' || rest.p[i] >= 0x7f || strchr("#\"<>\\^`{|}", rest.p[i]))
			return ERR_FORMAT;
		path[n++] = (char)rest.p[i];
	}
	path[n] = '\0';
	return 0;
}

int https_url_parse(struct span text, struct https_url *out)
{
	static const struct span scheme = SPAN_LIT("https://");
	struct span rest;
	size_t n = 0;
	int err;

	memset(out, 0, sizeof(*out));
	if (!span_equal_nocase(span_sub(text, 0, scheme.n), scheme))
		return ERR_FORMAT;
	rest = span_sub(text, scheme.n, text.n);
	while (n < rest.n && !strchr(":/?#", rest.p[n]))
		n++;
	err = https_url_host(span_sub(rest, 0, n), out->host);
	rest = span_sub(rest, n, rest.n);
	if (err == 0)
		err = take_port(&rest, &out->port);
	return err == 0 ? take_path(rest, out->path) : err;
}
