/* SPDX-License-Identifier: Apache-2.0 */
#include "relay/track/track_agent.h"

#define FIELD_MAX 1024 /* what stands behind is not looked at */

static const struct {
	unsigned agent;
	const char *name;
	enum track_agent_is is;
} agents[] = {
#define TRACK_X(sym, num, name, is) {num, name, TRACK_AGENT_IS_##is},
    TRACK_AGENTS(TRACK_X)
#undef TRACK_X
};

/* In order: a program that calls itself by several names stands before those that it borrows. Words in lower case. */
static const struct {
	const char *word, *also; /* also may be NULL */
	enum track_agent agent;
} words[] = {
    {"googleimageproxy", NULL, TRACK_AGENT_GOOGLE_PROXY},
    {"yahoomailproxy", NULL, TRACK_AGENT_YAHOO_PROXY},
    {"yahoo! slurp", NULL, TRACK_AGENT_SCANNER},
    {"barracuda", NULL, TRACK_AGENT_SCANNER},
    {"proofpoint", NULL, TRACK_AGENT_SCANNER},
    {"mimecast", NULL, TRACK_AGENT_SCANNER},
    {"safelinks", NULL, TRACK_AGENT_SCANNER},
    {"cloudmark", NULL, TRACK_AGENT_SCANNER},
    {"trendmicro", NULL, TRACK_AGENT_SCANNER},
    {"fortiguard", NULL, TRACK_AGENT_SCANNER},
    {"zscaler", NULL, TRACK_AGENT_SCANNER},
    {"symantec", NULL, TRACK_AGENT_SCANNER},
    {"bitdefender", NULL, TRACK_AGENT_SCANNER},
    {"kaspersky", NULL, TRACK_AGENT_SCANNER},
    {"sophos", NULL, TRACK_AGENT_SCANNER},
    {"urlscan", NULL, TRACK_AGENT_SCANNER},
    {"headlesschrome", NULL, TRACK_AGENT_SCANNER},
    {"phantomjs", NULL, TRACK_AGENT_SCANNER},
    {"puppeteer", NULL, TRACK_AGENT_SCANNER},
    {"playwright", NULL, TRACK_AGENT_SCANNER},
    {"scanner", NULL, TRACK_AGENT_SCANNER},
    {"crawler", NULL, TRACK_AGENT_SCANNER},
    {"spider", NULL, TRACK_AGENT_SCANNER},
    {"linkcheck", NULL, TRACK_AGENT_SCANNER},
    {"preview", "bot", TRACK_AGENT_SCANNER},
    {"bot/", NULL, TRACK_AGENT_SCANNER},
    {"bot;", NULL, TRACK_AGENT_SCANNER},
    {"bot)", NULL, TRACK_AGENT_SCANNER},
    {"curl/", NULL, TRACK_AGENT_TOOL},
    {"wget/", NULL, TRACK_AGENT_TOOL},
    {"python", NULL, TRACK_AGENT_TOOL},
    {"java/", NULL, TRACK_AGENT_TOOL},
    {"okhttp", NULL, TRACK_AGENT_TOOL},
    {"go-http-client", NULL, TRACK_AGENT_TOOL},
    {"libwww-perl", NULL, TRACK_AGENT_TOOL},
    {"axios/", NULL, TRACK_AGENT_TOOL},
    {"node-fetch", NULL, TRACK_AGENT_TOOL},
    {"ruby", NULL, TRACK_AGENT_TOOL},
    {"powershell", NULL, TRACK_AGENT_TOOL},
    {"thunderbird/", NULL, TRACK_AGENT_THUNDERBIRD},
    {"microsoft outlook", NULL, TRACK_AGENT_OUTLOOK},
    {"msoffice", NULL, TRACK_AGENT_OUTLOOK},
    {"ms-office", NULL, TRACK_AGENT_OUTLOOK},
    {"outlook-", NULL, TRACK_AGENT_OUTLOOK},
    {"edg/", NULL, TRACK_AGENT_EDGE},
    {"edga/", NULL, TRACK_AGENT_EDGE},
    {"edgios/", NULL, TRACK_AGENT_EDGE},
    {"opr/", NULL, TRACK_AGENT_OPERA},
    {"samsungbrowser/", NULL, TRACK_AGENT_SAMSUNG},
    {"firefox/", NULL, TRACK_AGENT_FIREFOX},
    {"fxios/", NULL, TRACK_AGENT_FIREFOX},
    {"crios/", NULL, TRACK_AGENT_CHROME},
    {"chrome/", NULL, TRACK_AGENT_CHROME},
    {"version/", "safari/", TRACK_AGENT_SAFARI},
    {"applewebkit/", "(khtml, like gecko)", TRACK_AGENT_APPLE_MAIL}, /* without a browser's name behind it */
};

static int contains(struct span s, const char *word)
{
	size_t n = strlen(word);

	for (size_t i = 0; i + n <= s.n; i++) {
		size_t k = 0;
		while (k < n) {
			uint8_t c = s.p[i + k];
			if (c >= 'A' && c <= 'Z')
				c |= 0x20;
			if (c != (uint8_t)word[k])
				break;
			k++;
		}
		if (k == n)
			return 1;
	}
	return 0;
}

enum track_agent track_agent_of(struct span field)
{
	field = span_sub(field, 0, FIELD_MAX);
	if (!field.n)
		return TRACK_AGENT_NONE;
	/* Apple's Mail Privacy Protection says this and nothing else. */
	if (span_equal(field, SPAN_LIT("Mozilla/5.0")))
		return TRACK_AGENT_APPLE_PROXY;
	for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++)
		if (contains(field, words[i].word) && (!words[i].also || contains(field, words[i].also)))
			return words[i].agent;
	return TRACK_AGENT_OTHER;
}

enum track_agent_is track_agent_is(unsigned agent)
{
	for (size_t i = 0; i < sizeof(agents) / sizeof(agents[0]); i++)
		if (agents[i].agent == agent)
			return agents[i].is;
	return TRACK_AGENT_IS_UNKNOWN;
}

const char *track_agent_name(unsigned agent)
{
	for (size_t i = 0; i < sizeof(agents) / sizeof(agents[0]); i++)
		if (agents[i].agent == agent)
			return agents[i].name;
	return "other";
}
