/* SPDX-License-Identifier: Apache-2.0 */
/* Names are told from sentences by what names need: full stops behind initials and titles alone, few words, small first letters
 * in particles alone. It cannot know every name, and is made to refuse few real ones. */
#include <string.h>

#include "campaign/camp_field.h"
#include "mail/mail_script.h"

#define WORDS	   8 /* of one name, particles counted */
#define SMALL	   4 /* if all are written small: "ana paula souza silva" */
#define SMALL_ONE  1 /* beside one with a capital: "Anna müller" */
#define HAN	   6 /* in one stretch */
#define WORD_OCTETS 12

/* Written with a full stop. One or two letters may always be. */
static const char abbreviations[] =
    " abg arq avv bacc capt cav chas chr col csc dipl dott drs ede esq frhr gen geo geom geb hon inc ing jas jos joh jud"
    " judr jur lic ltd mag med mgr mme mmag mrs mult msgr mudr nat oec paeddr pharm phd phdr phil pol prof rag rer"
    " rev rndr sci sen sgt sig sir soc sra srta ste tech theol thos univ vet dent habil ";
/* Written small between capitals. */
static const char particles[] =
    " a af al am ap auf aus av bar bat ben bin bint d da dal dalla dalle das de degli dei del dela della delle dello"
    " dem den der des di die do dos du e el en ferch fon het i ibn im in la las le les lo los lu mac mc na o of op"
    " oude san sankt santa st t te ten ter tot ud ul und van vande vander ver vom von y z ze zu zum zur "
    " abu aw ou s zur bey bek khan oglu kyzy nee n\xc3\xa9 n\xc3\xa9" "e geb ";

struct word {
	char low[WORD_OCTETS + 1]; /* of its first octets, ASCII made small */
	size_t octets, letters;
	int small, han, latin;
};

static int listed(const char *list, const struct word *w)
{
	char key[WORD_OCTETS + 3];
	size_t n = w->octets;

	if (!n || n > WORD_OCTETS)
		return 0;
	key[0] = ' ';
	memcpy(key + 1, w->low, n);
	key[n + 1] = ' ';
	key[n + 2] = '\0';
	return strstr(list, key) != NULL;
}

static int is_small(uint32_t c)
{
	return (c >= 'a' && c <= 'z') || (c >= 0xdf && c <= 0xff) || (c >= 0x3ac && c <= 0x3ce) ||
	       (c >= 0x430 && c <= 0x45f);
}

static void add(struct word *w, struct span octets, uint32_t c)
{
	enum mail_script script = mail_script_of(c);

	if (script == MAIL_SCRIPT_COMMON)
		return;
	if (!w->letters) {
		w->small = is_small(c);
		w->latin = script == MAIL_SCRIPT_LATIN;
	}
	w->letters++;
	w->han += script == MAIL_SCRIPT_HAN;
	for (size_t i = 0; i < octets.n; i++) {
		if (w->octets < WORD_OCTETS)
			w->low[w->octets] = (char)(octets.p[i] | (c >= 'A' && c <= 'Z' ? 0x20 : 0));
		w->octets++;
	}
}

struct count {
	unsigned words, small, large, odd;
};

static void end_word(struct count *n, struct word *w, int stop)
{
	if (w->letters) {
		n->words++;
		n->odd += w->han > HAN;
		if (w->small && !listed(particles, w) && !stop)
			n->small++;
		else if (!w->small)
			n->large++;
		if (stop)
			n->odd += w->letters > (w->latin ? 2 : 3) && !listed(abbreviations, w);
	}
	memset(w, 0, sizeof(*w));
}

static int parts_words(uint32_t c)
{
	return c == ' ' || c == ',' || c == 0xa0 || c == 0x202f || c == 0x3000;
}

int camp_field_is_sentence(struct span s)
{
	struct count n = {0};
	struct word w = {.octets = 0};
	uint32_t c;
	size_t step;

	for (; s.n; s = span_sub(s, step, s.n)) {
		step = mail_script_decode(s, &c);
		if (!step)
			return 1;
		if (c == '.' || c == '!' || c == '?' || c == ':' || c == ';' || c == 0x3002)
			end_word(&n, &w, 1);
		else if (parts_words(c))
			end_word(&n, &w, 0);
		else
			add(&w, span_sub(s, 0, step), c);
	}
	end_word(&n, &w, 0);
	return n.odd || n.words > WORDS || n.small > (n.large ? SMALL_ONE : SMALL);
}
