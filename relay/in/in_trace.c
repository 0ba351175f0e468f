/* SPDX-License-Identifier: Apache-2.0 */
#include "relay/in/in_trace.h"

#include <stdio.h>
#include <string.h>

#include "core/clock.h"

/* Registered "with" types. There is none for HELO under TLS: ESMTPS says what matters. */
static const char *protocol(const struct in_trace *t)
{
	static const char *const names[2][2][2] = {
	    {{"ESMTP", "ESMTPA"}, {"ESMTPS", "ESMTPSA"}},
	    {{"UTF8SMTP", "UTF8SMTPA"}, {"UTF8SMTPS", "UTF8SMTPSA"}}};

	if (!t->esmtp && !t->utf8 && !t->tls_version)
		return "SMTP";
	return names[t->utf8 != 0][t->tls_version != NULL][t->login != 0];
}

size_t in_trace_format(char dst[IN_TRACE_MAX], const struct in_trace *t)
{
	char date[32];
	size_t n;

	clock_format_mail(date, t->when);
	n = (size_t)snprintf(dst, IN_TRACE_MAX, "Received: from %s ([%s%s])\r\n", t->helo,
			     strchr(t->address, ':') ? "IPv6:" : "", t->address);
	if (t->tls_version)
		n += (size_t)snprintf(
		    dst + n, IN_TRACE_MAX - n, "\t(using %s with cipher %s (%d bits)%s%s)\r\n",
		    t->tls_version, t->tls_cipher, t->tls_bits, t->tls_group ? " group " : "",
		    t->tls_group ? t->tls_group : "");
	n += (size_t)snprintf(dst + n, IN_TRACE_MAX - n,
			      "\tby %s (Sealpost) with %s id %s;\r\n\t%s\r\n", t->hostname,
			      protocol(t), t->id, date);
	return n;
}
