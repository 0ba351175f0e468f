/* SPDX-License-Identifier: Apache-2.0 */
/* First octet: what the rest is. A header value (decoded: printable UTF-8, and what holds no "=?" is
 * read again as itself), a mailbox (its address is read again as itself), base64 (encoded again it is
 * what it was, line ends aside), quoted-printable (pieces lie in the line, in order). */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "core/err.h"
#include "mail/mail_charset.h"
#include "mail/mail_cte.h"
#include "mail/mail_word.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void must(int truth)
{
	if (!truth)
		abort();
}

static void printable(struct span s)
{
	for (size_t i = 0; i < s.n;) {
		int n = mail_charset_char(span_sub(s, i, s.n));
		must(n > 0 && (s.p[i] >= ' ' || s.p[i] == '\t') && s.p[i] != 0x7f);
		i += (size_t)n;
	}
}

static void word(struct span value)
{
	char text[600], again[600];
	int n = mail_word_decode(text, sizeof(text), value);

	must(strlen(text) < sizeof(text));
	if (n < 0)
		return;
	must((size_t)n == strlen(text));
	printable(span_of(text, (size_t)n));
	if (strstr(text, "=?") || strpbrk(text, " \t"))
		return;
	must(mail_word_decode(again, sizeof(again), span_str(text)) == n && !strcmp(text, again));
}

static void mailbox(struct span value)
{
	struct mail_word_mailbox m, again;

	if (mail_word_mailbox(&m, value) < 0)
		return;
	printable(span_str(m.address));
	printable(span_str(m.display));
	must(strchr(m.address, '@') != NULL && !strstr(m.display, "\n"));
	must(mail_word_mailbox(&again, span_str(m.address)) == 0);
	must(!strcmp(m.address, again.address) && !again.display[0]);
}

/* The next line, and the rest. */
static struct span take_line(struct span *s)
{
	ptrdiff_t lf = span_find(*s, '\n');
	struct span line = span_sub(*s, 0, lf < 0 ? s->n : (size_t)lf);

	*s = span_sub(*s, lf < 0 ? s->n : (size_t)lf + 1, s->n);
	return span_sub(line, 0, MAIL_CTE_LINE);
}

static void base64(struct span s)
{
	uint8_t *octets = malloc(s.n + 1);
	char *text = malloc(s.n * 2 + 8), *plain = malloc(s.n + 1);
	struct mail_cte_base64 b = {0};
	size_t n = 0, m = 0, at;

	must(octets && text && plain);
	while (s.n) {
		struct span line = take_line(&s);
		int got = mail_cte_base64_line(&b, line, octets + n, &at);
		must(got >= 0 || at < line.n);
		if (got < 0)
			goto out;
		memcpy(plain + m, line.p ? line.p : (const uint8_t *)"", line.n);
		m += line.n;
		n += (size_t)got;
	}
	if (mail_cte_base64_end(&b) == 0) {
		must(mail_cte_base64_put(text, span_of(octets, n)) == m);
		must(!memcmp(text, plain, m));
	}
out:
	free(octets);
	free(text);
	free(plain);
}

static void qp(struct span s, int lenient)
{
	while (s.n) {
		struct span line = take_line(&s);
		struct mail_cte_piece piece;
		struct mail_cte_qp q;
		size_t after = 0;
		int rc = mail_cte_qp_line(&q, line, lenient);
		while (rc == 0 && (rc = mail_cte_qp_next(&q, &piece)) == 1) {
			must(piece.place == after && piece.octets.n);
			after = piece.place + piece.octets.n * piece.stride;
			must(after <= line.n);
			rc = 0;
		}
		must(rc == 0 || q.at < line.n);
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct span s = span_of(data + 1, size ? size - 1 : 0);

	if (!size)
		return 0;
	switch (data[0] % 5) {
	case 0:
		word(s);
		break;
	case 1:
		mailbox(s);
		break;
	case 2:
		base64(s);
		break;
	default:
		qp(s, data[0] % 5 == 4);
	}
	return 0;
}
