/* SPDX-License-Identifier: Apache-2.0 */
/* Where links lead: what the signed manifest says, with the values of typed fields put in. */
#include "core/err.h"
#include "relay/campaign/campaign.h"
#include "relay/track/track_own.h"
#include "seal/seal_track.h"

unsigned track_link_count(struct relay *r, uint32_t number)
{
	struct campaign_about about;

	return campaign_find(r, number, &about) == 0 ? about.links : 0;
}

void track_link_campaign(struct relay *r, uint32_t number, char dst[TRACK_NAME])
{
	struct campaign_about about = {.links = 0};

	if (campaign_find(r, number, &about) < 0)
		about.campaign[0] = '\0';
	memcpy(dst, about.campaign, sizeof(about.campaign));
}

/* --- appending */

struct out {
	char *p;
	size_t n, size;
};

static int put(struct out *o, char c)
{
	if (o->n + 1 >= o->size)
		return ERR_LIMIT;
	o->p[o->n++] = c;
	o->p[o->n] = '\0';
	return 0;
}

/* A value is never more than itself: nothing in it ends a segment, a parameter or the query. */
static int put_value(struct out *o, struct span v)
{
	static const char unreserved[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~";
	static const char hex[] = "0123456789ABCDEF";
	int err = 0;

	for (size_t i = 0; i < v.n && err == 0; i++) {
		if (v.p[i] && strchr(unreserved, v.p[i])) {
			err = put(o, (char)v.p[i]);
			continue;
		}
		err = put(o, '%');
		if (err == 0)
			err = put(o, hex[v.p[i] >> 4]);
		if (err == 0)
			err = put(o, hex[v.p[i] & 15]);
	}
	return err;
}

/* Length of "https://host:port": a field may stand behind it only. */
static size_t authority_end(const char *url)
{
	const char *p = strstr(url, "://");

	return p ? (size_t)(p - url) + 3 + strcspn(p + 3, "/?#") : strlen(url);
}

static int fill_in(const char *url, struct span values, struct out *o)
{
	size_t behind = authority_end(url), i = 0;
	struct span value;
	int err = 0;

	while (url[i] && err == 0) {
		const char *close = url[i] == '{' ? strchr(url + i, '}') : NULL;
		if (!close) {
			err = put(o, url[i++]);
			continue;
		}
		if (i < behind || seal_track_field_get(&values, &value) < 0)
			return ERR_NOTFOUND;
		err = put_value(o, value);
		i = (size_t)(close - url) + 1;
	}
	return err;
}

int track_link(struct relay *r, const char *customer, uint32_t number, unsigned link, struct span field, char *dst,
	       size_t size)
{
	char url[CAMPAIGN_URL_MAX + 1];
	struct campaign_about about;
	struct out o = {dst, 0, size};
	int err = campaign_link(r, number, link, url, &about);

	dst[0] = '\0';
	if (err < 0)
		return err;
	if (strcmp(about.customer, customer) != 0 || !url[0])
		return ERR_NOTFOUND;
	return fill_in(url, field, &o);
}
