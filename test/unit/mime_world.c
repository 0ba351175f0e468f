/* SPDX-License-Identifier: Apache-2.0 */
#include "test/unit/mime_world.h"

#include <stdio.h>

#include "mail/mail_cte.h"
#include "test/unit/gate_play.h"

enum { ASCII, UTF8, LATIN1 };

static unsigned any(unsigned n)
{
	return gate_play_random(n);
}

static int chance(unsigned percent)
{
	return any(100) < percent;
}

/* --- text */

static void put_word(struct buf *b, int charset)
{
	static const char *const ascii[] = {
	    "Hello",   "offer", "a=b",	    "=",   "-",	       "--",	"--=_b",
	    "50%",     "<p>",	"</td>",    ".",   "\"q\"",    "&amp;", "From",
	    "x=\"y\"", "=3D",	"style=''", "a?b", "==_b1_--", "\t",	"begin"};
	static const char *const utf8[] = {"caf\xc3\xa9", "\xe2\x82\xac", "\xf0\x9f\x98\x80",
					   "\xd0\x9f\xd1\x80\xd0\xb8", "\xe4\xbd\xa0\xe5\xa5\xbd"};

	if (charset == UTF8 && chance(20))
		buf_put_str(b, utf8[any(5)]);
	else if (charset == LATIN1 && chance(20))
		buf_put_str(b, "caf\xe9\xfc");
	else
		buf_put_str(b, ascii[any(sizeof(ascii) / sizeof(ascii[0]))]);
}

static void put_link(struct buf *b)
{
	buf_put_str(b, "<a href=\"https://shop.example/w");
	for (unsigned n = any(12); n; n--)
		buf_putf(b, "/%x?=&%u", any(4096), any(10));
	buf_put_str(b, "\">");
}

/* Lines with LF. */
static void make_text(struct buf *b, int charset)
{
	for (unsigned lines = chance(5) ? 0 : any(12); lines; lines--) {
		unsigned words = chance(10) ? 60 : any(9);
		if (chance(10)) {
			buf_put_str(b, chance(50) ? "-- " : "--");
			words = 0;
		}
		for (; words; words--) {
			if (chance(15))
				put_link(b);
			else
				put_word(b, charset);
			if (chance(85))
				buf_put_str(b, " ");
		}
		if (lines > 1 || chance(80))
			buf_put_str(b, "\n");
		if (chance(8))
			buf_put_str(b, "\n\n");
	}
}

/* --- encodings */

static void encode_plain(struct buf *b, struct span text)
{
	unsigned column = 0;

	for (size_t i = 0; i < text.n; i++) {
		/* long lines are cut, though not within a character */
		if (text.p[i] == '\n' || (column > 980 && (text.p[i] & 0xc0) != 0x80)) {
			buf_put_str(b, "\r\n");
			column = 0;
		}
		if (text.p[i] == '\n')
			continue;
		buf_put(b, text.p + i, 1);
		column += column > 900 && text.p[i] == ' ' ? 1000 : 1;
	}
}

static int at_line_end(struct span text, size_t i)
{
	return i + 1 >= text.n || text.p[i + 1] == '\n';
}

/* How one program writes quoted-printable. */
struct qp_habit {
	unsigned width, soft, needless;
	int lower, encoded_ends;
};

static void put_qp_octet(struct buf *b, const struct qp_habit *h, uint8_t c, int last)
{
	int blank = c == ' ' || c == '\t';

	if (c == '=' || c > '~' || (c < ' ' && c != '\t') || (blank && last) || chance(h->needless))
		buf_putf(b, h->lower ? "=%02x" : "=%02X", c);
	else
		buf_put(b, &c, 1);
}

static void encode_qp(struct buf *b, struct span text)
{
	struct qp_habit h = {.width = chance(70) ? 76 : 10 + any(190),
			     .soft = chance(40) ? any(20) : 0,
			     .needless = chance(30) ? any(30) : 0,
			     .lower = chance(10),
			     .encoded_ends = chance(5)};
	size_t start = buf_size(b);
	int softly = 0;

	for (size_t i = 0; i < text.n; i++) {
		int hard = text.p[i] == '\n' && !(h.encoded_ends && chance(50));
		if (hard) {
			buf_put_str(b, "\r\n");
			start = buf_size(b);
			softly = 0;
			continue;
		}
		if (buf_size(b) - start + 4 > h.width || (!softly && chance(h.soft))) {
			buf_put_str(b, "=\r\n");
			start = buf_size(b);
		}
		softly = buf_size(b) == start;
		if (text.p[i] == '\n')
			buf_put_str(b, "=0A");
		else
			put_qp_octet(b, &h, text.p[i], at_line_end(text, i));
	}
}

static void encode_base64(struct buf *b, struct span text)
{
	static const unsigned widths[] = {76, 76, 76, 72, 64, 60, 77, 4, 1, 5, 200};
	unsigned width = widths[any(11)], ragged = chance(10), crlf = chance(60), column = 0;
	struct buf octets;
	char quantum[4];

	buf_init(&octets, 1 << 20);
	for (size_t i = 0; i < text.n; i++)
		if (text.p[i] == '\n' && crlf)
			buf_put_str(&octets, "\r\n");
		else
			buf_put(&octets, text.p + i, 1);
	for (size_t i = 0; i < buf_size(&octets); i += 3) {
		mail_cte_base64_put(quantum, span_sub(buf_span(&octets), i, 3));
		for (int k = 0; k < 4; k++) {
			if (column == width || (ragged && column && chance(3))) {
				buf_put_str(b, "\r\n");
				column = 0;
			}
			buf_put(b, quantum + k, 1);
			column++;
		}
	}
	if (chance(80))
		buf_put_str(b, "\r\n");
	if (chance(5))
		buf_put_str(b, "\r\n\r\n");
	buf_clear(&octets);
}

/* --- parts */

static void put_body(struct buf *b, unsigned encoding, struct span text)
{
	if (encoding < MAIL_CTE_BINARY)
		encode_plain(b, text);
	else if (encoding == MAIL_CTE_QP)
		encode_qp(b, text);
	else
		encode_base64(b, text);
}

static void put_encoding(struct buf *b, enum mail_cte encoding)
{
	if (encoding != MAIL_CTE_7BIT || chance(50))
		buf_putf(b, "Content-Transfer-Encoding: %s\r\n", mail_cte_name(encoding));
}

static void put_text_part(struct buf *b)
{
	static const char *const names[] = {"us-ascii", "utf-8", "\"UTF-8\"", "iso-8859-1"};
	static const int sets[] = {ASCII, UTF8, UTF8, LATIN1};
	static const enum mail_cte ways[] = {MAIL_CTE_8BIT, MAIL_CTE_QP, MAIL_CTE_BASE64,
					     MAIL_CTE_7BIT};
	unsigned set = any(4);
	int html = chance(60);
	enum mail_cte encoding = ways[any(sets[set] == ASCII ? 4 : 3)];
	struct buf text;

	buf_init(&text, 1 << 20);
	make_text(&text, sets[set]);
	buf_putf(b, "Content-Type: text/%s;%scharset=%s%s\r\n", html ? "html" : "plain",
		 chance(30) ? "\r\n\t" : " ", names[set],
		 !html && chance(20) ? "; format=flowed" : "");
	put_encoding(b, encoding);
	buf_put_str(b, "\r\n");
	put_body(b, encoding, buf_span(&text));
	buf_clear(&text);
}

static void put_data_part(struct buf *b)
{
	enum mail_cte encoding = chance(70) ? MAIL_CTE_BASE64 : MAIL_CTE_QP;
	struct buf octets;

	buf_init(&octets, 1 << 20);
	for (unsigned n = any(300); n; n--) {
		uint8_t c = (uint8_t)any(256);
		buf_put(&octets, &c, 1);
	}
	buf_put_str(b, chance(50) ? "Content-Type: application/pdf; name=\"a b.pdf\"\r\n"
				  : "Content-Type: image/png\r\nContent-ID: <i@shop.example>\r\n");
	buf_put_str(b, "Content-Disposition: attachment; filename*=utf-8''%c3%a4.pdf\r\n");
	put_encoding(b, encoding);
	buf_put_str(b, "\r\n");
	put_body(b, encoding, buf_span(&octets));
	buf_clear(&octets);
}

static void put_part(struct buf *b, unsigned depth);

static void put_multipart(struct buf *b, unsigned depth)
{
	static const char *const kinds[] = {"mixed", "alternative", "related", "signed"};
	char boundary[40];

	snprintf(boundary, sizeof(boundary), "=_b%u_%u%s", depth, any(100000),
		 chance(20) ? "--" : "");
	buf_putf(b, "Content-Type: multipart/%s; boundary=\"%s\"\r\n\r\n",
		 kinds[any(depth ? 4 : 3)], boundary);
	for (unsigned n = 1 + any(3); n; n--) {
		buf_putf(b, "--%s\r\n", boundary);
		put_part(b, depth + 1);
		buf_put_str(b, "\r\n");
	}
	buf_putf(b, "--%s--%s", boundary, chance(80) ? "\r\n" : "");
}

static void put_part(struct buf *b, unsigned depth)
{
	unsigned kind = any(10);

	if (kind < 7 || depth > 4)
		put_text_part(b);
	else if (kind < 8)
		put_data_part(b);
	else if (kind < 9 || depth < 2)
		put_multipart(b, depth);
	else
		buf_put_str(b, "\r\nno fields\r\n");
}

void mime_world_make(struct buf *message, unsigned seed)
{
	gate_play_seed(seed + 1);
	buf_put_str(message, "From: Shop <news@shop.example>\r\nSubject: =?utf-8?Q?Caf=C3=A9?=\r\n"
			     "MIME-Version: 1.0\r\n");
	if (chance(60))
		put_multipart(message, 0);
	else
		put_text_part(message);
}
