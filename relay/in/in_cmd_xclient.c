/* SPDX-License-Identifier: Apache-2.0 */
/* XCLIENT: a named proxy says for whom it speaks (Postfix's XCLIENT_README). Once a session: what comes after it may come
 * from the client himself. */
#include <arpa/inet.h>
#include <string.h>

#include "core/err.h"
#include "core/hex.h"
#include "relay/in/in_cmd.h"
#include "smtp/smtp_param.h"

#define VALUE_MAX 256

/* xtext into dst. Its length, or ERR_FORMAT. */
static int decode(struct span value, char dst[VALUE_MAX])
{
	size_t n = 0;

	if (smtp_param_xtext(value, VALUE_MAX - 1) < 0)
		return ERR_FORMAT;
	for (size_t i = 0; i < value.n; i++, n++) {
		dst[n] = (char)value.p[i];
		if (value.p[i] == '+') {
			uint8_t octet;
			if (hex_decode(&octet, 1, span_sub(value, i + 1, 2)) != 1 || octet < 32)
				return ERR_FORMAT;
			dst[n] = (char)octet;
			i += 2;
		}
	}
	dst[n] = '\0';
	return (int)n;
}

static int take_address(const char *text, struct in_claim *claim)
{
	struct sockaddr_in *v4 = (struct sockaddr_in *)&claim->address;
	struct sockaddr_in6 *v6 = (struct sockaddr_in6 *)&claim->address;

	if (!strncasecmp(text, "IPV6:", 5) && inet_pton(AF_INET6, text + 5, &v6->sin6_addr) == 1)
		v6->sin6_family = AF_INET6;
	else if (inet_pton(AF_INET, text, &v4->sin_addr) == 1)
		v4->sin_family = AF_INET;
	else
		return ERR_FORMAT;
	return 0;
}

/* What it says that nobody here looks at is read, and let go. */
static int take(const struct smtp_param *p, struct in_claim *claim)
{
	static const char *const ignored[] = {"NAME",	  "PORT",	 "PROTO",	 "HELO",
					      "DESTADDR", "DESTPORT", "REVERSE_NAME"};
	char text[VALUE_MAX];

	if (!p->has_value || decode(p->value, text) < 0)
		return ERR_FORMAT;
	if (!strcasecmp(text, "[UNAVAILABLE]") || !strcasecmp(text, "[TEMPUNAVAIL]"))
		return 0;
	if (span_equal_nocase(p->name, SPAN_LIT("ADDR")))
		return take_address(text, claim);
	if (span_equal_nocase(p->name, SPAN_LIT("LOGIN"))) {
		if (strlen(text) >= sizeof(claim->login))
			return ERR_FORMAT;
		strcpy(claim->login, text);
		return 0;
	}
	for (size_t i = 0; i < sizeof(ignored) / sizeof(ignored[0]); i++)
		if (span_equal_nocase(p->name, span_str(ignored[i])))
			return 0;
	return ERR_FORMAT;
}

void in_cmd_xclient(struct in_session *s, struct span args)
{
	struct in_claim claim = {0};
	enum in_reply bad = IN_REPLY_NONE;
	struct smtp_param p;
	int rc;

	if (!s->peer.xclient) {
		in_session_say(s, IN_REPLY_NOT_OFFERED);
		return;
	}
	if (s->login)
		bad = IN_REPLY_NO_XCLIENT_NOW;
	while (bad == IN_REPLY_NONE && (rc = smtp_param_next(&args, &p)) != 0)
		if (rc < 0 || take(&p, &claim) < 0)
			bad = IN_REPLY_BAD_PARAMETER;
	if (bad == IN_REPLY_NONE)
		bad = s->host->claim(s->arg, &claim);
	if (bad != IN_REPLY_NONE) {
		in_session_say(s, bad);
		return;
	}
	s->peer.xclient = 0;
	in_session_set_helo(s, span_of(NULL, 0));
	in_session_drop(s);
	in_session_meet(s); /* the session begins anew, for somebody else */
}
