/* SPDX-License-Identifier: Apache-2.0 */
/* http_request - a strict reader of HTTP/1.1 request heads, and of response heads for our own clients.
 *
 * Story:     http_request_parse is given what has arrived; it takes a whole head or nothing. What two programs could
 *            read in two ways is refused: bare CR or LF, NUL and other controls, space before a colon, folded lines, two Hosts,
 *            two or signed Content-Lengths, any Transfer-Encoding, absolute targets, dot segments, empty segments and percent
 *            escapes in the path. After a refusal the caller answers and closes.
 * Ownership: spans point into the input. Pure; any thread.
 * Limits:    HTTP_HEAD_MAX bytes, HTTP_FIELDS_MAX fields, HTTP_SEGMENTS_MAX path segments.
 * Errors:    ERR_FORMAT (400), ERR_LIMIT (431), ERR_UNSUPPORTED (501: Transfer-Encoding, or a version other than 1.1).
 * Source:    RFC 9110, RFC 9112. */
#ifndef HTTP_HTTP_REQUEST_H
#define HTTP_HTTP_REQUEST_H

#include "core/buf.h"

#define HTTP_HEAD_MAX 8192
#define HTTP_FIELDS_MAX 64
#define HTTP_SEGMENTS_MAX 8

struct http_field {
	struct span name, value;
};

struct http_request {
	struct span method;
	struct span path; /* "/v1/queue/ID" */
	struct span query; /* after "?", may be empty */
	struct span segments[HTTP_SEGMENTS_MAX];
	unsigned segment_count;
	struct http_field fields[HTTP_FIELDS_MAX];
	unsigned field_count;
	uint64_t content_length;
	int close; /* Connection: close */
};

/* >0: bytes of the head, r filled. 0: more bytes needed. Or an error. */
int http_request_parse(struct span in, struct http_request *r);
/* Value of a field (any case), or an empty span with p NULL. */
struct span http_request_field(const struct http_request *r, const char *name);
/* Value of a query parameter, taken literally, or p NULL. */
struct span http_request_query(const struct http_request *r, const char *name);

struct http_response {
	int status;
	uint64_t content_length;
};
/* Head of a response; our own servers always send Content-Length. */
int http_request_parse_response(struct span in, struct http_response *r);

/* Appends a response head. type may be NULL with length 0. */
int http_request_put_response(struct buf *out, int status, const char *type, size_t length, int close);

#endif
