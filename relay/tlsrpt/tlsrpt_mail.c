/* SPDX-License-Identifier: Apache-2.0 */
#include "relay/tlsrpt/tlsrpt_mail.h"

#include "core/clock.h"
#include "core/hex.h"

#define LINE 57 /* octets that make a line of 76 */

static void put_head(const struct tlsrpt_mail *m, struct buf *out)
{
	char date[32], id[280];

	clock_format_mail(date, m->now);
	tlsrpt_report_id(id, m->head);
	buf_putf(out, "From: <%s>\r\nTo: <%s>\r\nDate: %s\r\n", m->from, m->to, date);
	buf_putf(out, "Message-ID: <%s.tlsrpt@%s>\r\n", m->id, m->hostname);
	buf_putf(out, "Subject: Report Domain: %s\r\n Submitter: %s\r\n Report-ID: <%s>\r\n", m->head->domain,
		 m->head->submitter, id);
	buf_putf(out, "TLS-Report-Domain: %s\r\nTLS-Report-Submitter: %s\r\n", m->head->domain, m->head->submitter);
	buf_put_str(out, "TLS-Required: No\r\nAuto-Submitted: auto-generated\r\nMIME-Version: 1.0\r\n");
	buf_putf(out, "Content-Type: multipart/report; report-type=\"tlsrpt\";\r\n\tboundary=\"%s\"\r\n\r\n",
		 m->boundary);
}

static void put_text(const struct tlsrpt_mail *m, struct buf *out)
{
	char begin[21], end[21];

	clock_format_iso(begin, m->head->begin);
	clock_format_iso(end, m->head->end);
	buf_put_str(out, "This is a multipart message in MIME format.\r\n\r\n");
	buf_putf(out, "--%s\r\nContent-Type: text/plain; charset=\"us-ascii\"\r\nContent-Transfer-Encoding: 7bit\r\n\r\n",
		 m->boundary);
	buf_putf(out,
		 "This is an aggregate TLS report from %s\r\nabout the mail hosts of %s,\r\nfrom %s to %s.\r\n\r\n"
		 "It is sent because _smtp._tls.%s\r\nasks for it (RFC 8460).\r\n\r\n",
		 m->head->submitter, m->head->domain, begin, end, m->head->domain);
}

static void put_attachment(const struct tlsrpt_mail *m, struct buf *out)
{
	char file[TLSRPT_REPORT_FILE], line[HEX_B64_SIZE(LINE)];

	tlsrpt_report_file(file, m->head);
	buf_putf(out, "--%s\r\nContent-Type: application/tlsrpt+gzip\r\nContent-Transfer-Encoding: base64\r\n",
		 m->boundary);
	buf_putf(out, "Content-Disposition: attachment;\r\n\tfilename=\"%s\"\r\n\r\n", file);
	for (size_t at = 0; at < m->gzip.n; at += LINE) {
		struct span part = span_sub(m->gzip, at, LINE);
		hex_b64_encode(line, part.p, part.n);
		buf_putf(out, "%s\r\n", line);
	}
	buf_putf(out, "\r\n--%s--\r\n", m->boundary);
}

int tlsrpt_mail_format(const struct tlsrpt_mail *m, struct buf *out)
{
	put_head(m, out);
	put_text(m, out);
	put_attachment(m, out);
	return buf_failed(out);
}
