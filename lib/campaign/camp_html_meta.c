/* SPDX-License-Identifier: Apache-2.0 */
/* <meta>: where it turns the page elsewhere, or says another charset than the part. */
#include <string.h>
#include <strings.h>

#include "campaign/camp_html_walk.h"

#define COUNT(a) (sizeof(a) / sizeof((a)[0]))

static const char *const latin[] = {"iso-8859-1",   "iso8859-1",     "latin1",	 "l1",
				    "windows-1252", "cp1252",	     "x-cp1252", "ascii",
				    "us-ascii",	    "ansi_x3.4-1968"};

/* Browsers read all of these as windows-1252; all of ASCII is the same in them and in UTF-8. */
static const char *charset_group(struct span s)
{
	if (mail_html_is(s, "utf-8") || mail_html_is(s, "utf8") ||
	    mail_html_is(s, "unicode-1-1-utf-8"))
		return "utf-8";
	for (size_t i = 0; i < COUNT(latin); i++)
		if (mail_html_is(s, latin[i]))
			return latin[0];
	if (mail_html_is(s, "iso-8859-15") || mail_html_is(s, "latin9"))
		return "iso-8859-15";
	return NULL;
}

static int all_ascii(struct span s)
{
	uint8_t any = 0;

	for (size_t i = 0; i < s.n; i++)
		any |= s.p[i];
	return any < 0x80;
}

static void charset(struct camp_html_walk *w, struct span said, const struct mail_html_attr *a)
{
	const char *part = w->doc->charset ? w->doc->charset : "utf-8", *group;

	while (said.n && strchr(" \t\n\f\r\"'", said.p[0]))
		said = span_sub(said, 1, said.n);
	for (size_t i = 0; i < said.n; i++)
		if (strchr(" \t\n\f\r\"';", said.p[i]))
			said.n = i;
	group = charset_group(said);
	/* Where all is ASCII, it is the same text by either; a field's value need not be. */
	if (group && (!strcmp(group, "utf-8") || group == latin[0]) && w->live &&
	    all_ascii(w->stand))
		return;
	if (!strcasecmp(part, "us-ascii"))
		part = "utf-8";
	if (!group || !charset_group(span_str(part)) ||
	    strcmp(group, charset_group(span_str(part))) != 0)
		camp_html_walk_say(w, CAMP_HTML_RULE_META_CHARSET, a->value);
}

static void content_charset(struct camp_html_walk *w, const struct mail_html_attr *content)
{
	struct span value = camp_html_walk_decoded(w, content);

	while (value.n >= 8 && !mail_html_is(span_sub(value, 0, 7), "charset"))
		value = span_sub(value, 1, value.n);
	if (value.n < 8)
		return;
	value = span_sub(value, 7, value.n);
	while (value.n && strchr(" \t\n\f\r=", value.p[0]))
		value = span_sub(value, 1, value.n);
	charset(w, value, content);
}

void camp_html_meta(struct camp_html_walk *w, const struct mail_html_token *token)
{
	static const char *const harmless[] = {
	    "x-ua-compatible",	 "content-language",   "cleartype", "imagetoolbar",
	    "msthemecompatible", "content-style-type", "pics-label"};
	const struct mail_html_attr *equiv = mail_html_attr(token, "http-equiv"),
				    *content = mail_html_attr(token, "content"),
				    *set = mail_html_attr(token, "charset");
	struct span value;

	/* microdata: some readers show a button that leads there */
	if (content && mail_html_attr(token, "itemprop") && memmem(content->value.p, content->value.n, "//", 2))
		camp_html_url_attr(w, token, content, CAMP_HTML_MENTION, 0);
	if (set)
		charset(w, camp_html_walk_decoded(w, set), set);
	if (!equiv)
		return;
	value = camp_html_walk_decoded(w, equiv);
	if (mail_html_is(value, "content-type")) {
		if (content)
			content_charset(w, content);
		return;
	}
	if (mail_html_is(value, "refresh")) {
		camp_html_walk_say(w, CAMP_HTML_RULE_REFRESH, equiv->value);
		return;
	}
	if (mail_html_is(value, "link")) {
		camp_html_walk_say(w, CAMP_HTML_RULE_LINK_REL, equiv->value);
		return;
	}
	for (size_t i = 0; i < COUNT(harmless); i++)
		if (mail_html_is(value, harmless[i]))
			return;
	camp_html_walk_say(w, CAMP_HTML_RULE_META, equiv->value);
}
