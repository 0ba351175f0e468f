/* SPDX-License-Identifier: Apache-2.0 */
/* What may stand in text that a person reads: no trick characters, no words of two alphabets, nothing that a
 * mail program turns into a link. */
#include "campaign/camp_field_own.h"
#include "core/err.h"
#include "mail/mail_script.h"
#include "mail/mail_url.h"

#define COUNT(a) (sizeof(a) / sizeof((a)[0]))

static const int32_t refused[][2] = {
    {0x00, 0x1f},	{0x7f, 0x9f},	    {0xad, 0xad},     {0x34f, 0x34f},	{0x61c, 0x61c},
    {0x115f, 0x1160},	{0x17b4, 0x17b5},   {0x180b, 0x180f}, {0x200b, 0x200f}, {0x2028, 0x202e},
    {0x2060, 0x206f},	{0x2460, 0x24ff},   {0x3164, 0x3164}, {0xd800, 0xdfff}, {0xe000, 0xf8ff},
    {0xfdd0, 0xfdef},	{0xfeff, 0xfeff},   {0xffa0, 0xffa0}, {0xfff0, 0xfffd}, {0x1d400, 0x1d7ff},
    {0x1f100, 0x1f1e5}, {0xe0000, 0x10ffff}};

static int is_mark(int32_t c)
{
	return (c >= 0x300 && c <= 0x36f) || (c >= 0x1ab0 && c <= 0x1aff) ||
	       (c >= 0x20d0 && c <= 0x20ff) || (c >= 0xfe20 && c <= 0xfe2f);
}

static int is_refused(int32_t c)
{
	if (c == '<' || c == '>')
		return 1;
	for (size_t i = 0; i < COUNT(refused); i++)
		if (c >= refused[i][0] && c <= refused[i][1])
			return 1;
	return (c & 0xfffe) == 0xfffe;
}

static enum camp_verdict characters(struct span s)
{
	unsigned marks = 0;

	for (size_t at = 0; at < s.n;) {
		int32_t c = camp_field_char(s, &at);

		if (c < 0 || is_refused(c))
			return CAMP_FIELD_VALUE;
		marks = is_mark(c) ? marks + 1 : 0;
		if (marks > 3)
			return CAMP_FIELD_VALUE;
	}
	return mail_script_mixed(s) ? CAMP_FIELD_VALUE : CAMP_PASS;
}

enum camp_verdict camp_field_text(struct span decoded)
{
	enum camp_verdict v;
	int link;

	if (decoded.n > CAMP_FIELD_MAX)
		return CAMP_FIELD_LENGTH;
	v = characters(decoded);
	if (v != CAMP_PASS)
		return v;
	link = mail_url_autolink(decoded);
	return link < 0 ? CAMP_MEMORY : link ? CAMP_FIELD_LINK : CAMP_PASS;
}
