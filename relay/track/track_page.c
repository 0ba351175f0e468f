/* SPDX-License-Identifier: Apache-2.0 */
#include "relay/track/track_page.h"

#include <stdio.h>
#include <time.h>

#include <openssl/evp.h>

#include "core/clock.h"
#include "core/err.h"

static const struct {
	unsigned status;
	const char *phrase, *title, *text;
} replies[TRACK_REPLY_COUNT] = {
#define TRACK_X(sym, status, phrase, title, text) {status, phrase, title, text},
    TRACK_REPLIES(TRACK_X)
#undef TRACK_X
};

/* 1 x 1, transparent. */
static const uint8_t pixel[43] = {'G', 'I', 'F', '8', '9', 'a', 1, 0, 1, 0, 0x80, 0, 0, 0, 0,
				  0, 0xff, 0xff, 0xff, 0x21, 0xf9, 4, 1, 0, 0, 0, 0, 0x2c, 0, 0,
				  0, 0, 1, 0, 1, 0, 0, 2, 2, 0x44, 1, 0, 0x3b};
static const char robots[] = "User-agent: *\nDisallow: /\n";

/* Colours have a contrast of 7:1 and more, in light and dark. */
static const char style[] =
    ":root{color-scheme:light dark}"
    "body{margin:0;min-height:100vh;display:grid;place-items:center;background:#f4f4f1;color:#1c1c1a;"
    "font:1.0625rem/1.5 system-ui,sans-serif}"
    "main{box-sizing:border-box;width:min(32rem,100% - 2rem);padding:2.5rem 2rem;margin:1rem;background:#fff;"
    "border:1px solid #d9d9d3;border-radius:.75rem}"
    "h1{margin:0 0 .75rem;font-size:1.5rem;line-height:1.25}p{margin:0}form{margin:1.75rem 0 0}"
    "button{font:inherit;font-weight:600;padding:.7rem 1.4rem;border:0;border-radius:.5rem;background:#12466b;"
    "color:#fff;cursor:pointer}"
    "button:hover{background:#0c334f}button:focus-visible{outline:3px solid #e08a00;outline-offset:3px}"
    "@media(prefers-color-scheme:dark){body{background:#161615;color:#ececea}"
    "main{background:#212120;border-color:#3c3c39}button{background:#a9d3f2;color:#10202c}"
    "button:hover{background:#c8e4f8}}";

static char policy[256];

int track_page_init(void)
{
	uint8_t sum[32];
	char text[64];
	size_t n = 0;

	if (!EVP_Q_digest(NULL, "SHA256", "provider=default", style, sizeof(style) - 1, sum, &n))
		return ERR_CRYPTO;
	EVP_EncodeBlock((uint8_t *)text, sum, sizeof(sum));
	snprintf(policy, sizeof(policy),
		 "default-src 'none'; style-src 'sha256-%s'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'",
		 text);
	return 0;
}

unsigned track_page_status(enum track_reply r)
{
	return replies[r].status;
}

static void put_html(struct buf *b, enum track_reply r)
{
	buf_putf(b,
		 "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n"
		 "<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n"
		 "<meta name=\"robots\" content=\"noindex\">\n<title>%s</title>\n<style>%s</style>\n</head>\n"
		 "<body>\n<main>\n<h1>%s</h1>\n<p>%s</p>\n",
		 replies[r].title, style, replies[r].title, replies[r].text);
	if (r == TRACK_REPLY_CONFIRM)
		buf_put_str(b, "<form method=\"post\">\n"
			       "<input type=\"hidden\" name=\"List-Unsubscribe\" value=\"One-Click\">\n"
			       "<button type=\"submit\">Unsubscribe</button>\n</form>\n");
	buf_put_str(b, "</main>\n</body>\n</html>\n");
}

static const char *put_body(struct buf *b, enum track_reply r)
{
	if (r == TRACK_REPLY_PIXEL) {
		buf_put(b, pixel, sizeof(pixel));
		return "image/gif";
	}
	if (r == TRACK_REPLY_ROBOTS) {
		buf_put_str(b, robots);
		return "text/plain";
	}
	if (replies[r].title[0]) {
		put_html(b, r);
		return "text/html; charset=utf-8";
	}
	return NULL;
}

static void put_date(struct buf *b, int64_t now)
{
	static const char days[][4] = {"Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat"};
	static const char months[][4] = {"Jan", "Feb", "Mar", "Apr", "May", "Jun",
					 "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"};
	time_t t = (time_t)(now / CLOCK_SEC);
	struct tm tm;

	if (gmtime_r(&t, &tm))
		buf_putf(b, "Date: %s, %02d %s %d %02d:%02d:%02d GMT\r\n", days[tm.tm_wday], tm.tm_mday,
			 months[tm.tm_mon], tm.tm_year + 1900, tm.tm_hour, tm.tm_min, tm.tm_sec);
}

int track_page_put(struct buf *out, const struct track_page *p, int64_t now)
{
	struct buf body;
	const char *type;

	buf_init(&body, TRACK_PAGE_MAX);
	type = put_body(&body, p->reply);
	buf_putf(out, "HTTP/1.1 %u %s\r\n", replies[p->reply].status, replies[p->reply].phrase);
	put_date(out, now);
	if (type)
		buf_putf(out, "Content-Type: %s\r\n", type);
	buf_putf(out, "Content-Length: %zu\r\n", buf_size(&body));
	if (p->reply == TRACK_REPLY_GO)
		buf_putf(out, "Location: %s\r\n", p->location);
	if (p->reply == TRACK_REPLY_METHOD)
		buf_putf(out, "Allow: GET, HEAD%s\r\n", p->form ? ", POST" : "");
	if (p->reply == TRACK_REPLY_AWAY || p->reply == TRACK_REPLY_MANY)
		buf_putf(out, "Retry-After: %d\r\n", TRACK_PAGE_RETRY);
	buf_putf(out,
		 "Cache-Control: no-store\r\nReferrer-Policy: no-referrer\r\nX-Robots-Tag: noindex\r\n"
		 "X-Content-Type-Options: nosniff\r\nContent-Security-Policy: %s\r\n"
		 "Strict-Transport-Security: max-age=31536000\r\n%s\r\n",
		 policy, p->close ? "Connection: close\r\n" : "");
	if (!p->head)
		buf_put_span(out, buf_span(&body));
	if (buf_failed(&body))
		out->failed = buf_failed(&body);
	buf_clear(&body);
	return buf_failed(out);
}

int track_page_location(char dst[TRACK_PAGE_URL_MAX], struct span url)
{
	int https = span_equal_nocase(span_sub(url, 0, 8), SPAN_LIT("https://"));
	int http = span_equal_nocase(span_sub(url, 0, 7), SPAN_LIT("http://"));
	size_t scheme = https ? 8 : 7;

	if ((!https && !http) || url.n <= scheme || url.p[scheme] == '/' || url.n > TRACK_PAGE_URL_MAX - 2)
		return ERR_FORMAT;
	for (size_t i = 0; i < url.n; i++)
		if (url.p[i] <= ' ' || url.p[i] >= 0x7f)
			return ERR_FORMAT;
	snprintf(dst, TRACK_PAGE_URL_MAX, "%.*s%s", (int)url.n, (const char *)url.p,
		 span_find(url, '#') < 0 ? "#" : "");
	return 0;
}
