/* SPDX-License-Identifier: Apache-2.0 */
/* mail_url - what a URL leads to, read as browsers and mail clients read it; and whether a text would be made a link.
 *
 * Story:     mail_url_parse follows the WHATWG rules for https, http, mailto and tel, so that no reader gets to another host
 *            than we do: backslashes are slashes, tabs and line ends are dropped, "http:host" has a host, hosts are
 *            percent-decoded and mapped by UTS 46, and 0x7f.1 is 127.0.0.1. What nobody writes in good faith is told as well,
 *            in odd: whoever registers a campaign refuses it. mail_url_find goes through text that people read and finds what
 *            a mail client would turn into a link; mail_url_autolink asks whether there is anything such.
 * Hosts:     ASCII, small letters, IDNs as A-labels; IPv4 as four decimal numbers, IPv6 in brackets.
 * Suffixes:  the Public Suffix List compiled into libpsl; a newer file once, at start (mail_url_suffixes).
 * Ownership: borrows its input; results are in the caller's struct.
 * Thread:    pure; any. mail_url_suffixes alone: before other threads are there.
 * Source:    WHATWG URL (4.4 parsing, 3.5 hosts); UTS 46 non-transitional; UTS 39 5.2 (mail_script.h). */
#ifndef MAIL_MAIL_URL_H
#define MAIL_MAIL_URL_H

#include "core/span.h"

#define MAIL_URL_HOST 256  /* of a host and its NUL */
#define MAIL_URL_MAX  2048 /* octets of a URL; longer: ERR_LIMIT */

enum mail_url_scheme { MAIL_URL_HTTPS, MAIL_URL_HTTP, MAIL_URL_MAILTO, MAIL_URL_TEL };
enum mail_url_kind { MAIL_URL_NO_HOST, MAIL_URL_DOMAIN, MAIL_URL_IPV4, MAIL_URL_IPV6 };

/* X(symbol, name, text): names are stable, they are shown as the rule of a finding. */
#define MAIL_URL_ODDS(X)                                                                           \
	X(BLANK, "url-blank", "a blank, control character or line end in or around a URL")         \
	X(BACKSLASH, "url-backslash", "a backslash in a URL: browsers take it for a slash")        \
	X(SLASHES, "url-slashes", "not exactly two slashes behind http: or https:")                \
	X(USERINFO, "url-userinfo", "a name or password before the host ('@')")                    \
	X(PERCENT, "url-host-percent", "a percent-encoded host")                                   \
	X(ADDRESS, "url-host-address", "an IP address in the place of a host name")                \
	X(MAPPED, "url-host-mapped", "a host of characters that are mapped to others")             \
	X(MIXED, "url-host-mixed", "letters of several scripts in one label of a host")            \
	X(LOOKALIKE, "url-host-lookalike", "a label of foreign letters that look like Latin ones") \
	X(SUFFIX, "url-host-suffix", "a host that is no name under a public suffix")               \
	X(PORT, "url-port", "a port")                                                              \
	X(CHARACTER, "url-character", "a character that a URL has to percent-encode")

#define MAIL_URL_X(sym, name, text) MAIL_URL_BIT_##sym,
enum mail_url_bit { MAIL_URL_ODDS(MAIL_URL_X) MAIL_URL_BIT_COUNT };
#undef MAIL_URL_X
#define MAIL_URL_ODD(sym) (1u << MAIL_URL_BIT_##sym)
const char *mail_url_odd_name(enum mail_url_bit bit);
const char *mail_url_odd_text(enum mail_url_bit bit);

struct mail_url {
	enum mail_url_scheme scheme;
	enum mail_url_kind kind;
	unsigned odd; /* bits: MAIL_URL_ODD(...) */
	char host[MAIL_URL_HOST]; /* http, https; mailto: of the first address; "" if none */
	unsigned port; /* 0: that of the scheme */
	/* As they are written (tabs and line ends not dropped), without their "?" and "#"; path with its slash */
	struct span path, query, fragment;
	int more; /* mailto: there are other addresses, or fields to, cc or bcc */
};

/* 0; ERR_FORMAT: browsers fail as well, or it has no host, or (mailto, tel) no address; ERR_UNSUPPORTED: another scheme;
 * ERR_NOTFOUND: no scheme at all, a relative URL (also "//host"); ERR_LIMIT: too long; ERR_NOMEM: not known. */
int mail_url_parse(struct mail_url *u, struct span url);

/* A host as written (UTF-8) to the form above; *odd as above (bits of hosts are added). ERR_FORMAT: no host; ERR_NOMEM. */
int mail_url_host(char dst[MAIL_URL_HOST], enum mail_url_kind *kind, unsigned *odd, struct span host);

/* The domain that somebody registered: "example.co.uk" of "www.example.co.uk". ERR_NOTFOUND: host is a public suffix, or
 * an address. dst may be host. */
int mail_url_registrable(char dst[MAIL_URL_HOST], const char *host);
/* 1 if the last label of an ASCII host is a top-level domain that exists, or one that is reserved (example, test). */
int mail_url_is_tld(const char *label);
/* Takes the suffixes of a file (publicsuffix.org's format). ERR_NOTFOUND, ERR_FORMAT: those before stay. */
int mail_url_suffixes(const char *path);

/* What would become a link. */
enum mail_url_mention_kind {
	MAIL_URL_M_URL,	   /* scheme "://", and mailto: or the like */
	MAIL_URL_M_WWW,	   /* "www." at the beginning of a word */
	MAIL_URL_M_MAIL,   /* "@" */
	MAIL_URL_M_DOMAIN, /* label.public-suffix */
	MAIL_URL_M_IPV4,   /* 192.0.2.1 */
	MAIL_URL_M_PATH	   /* \\server */
};
struct mail_url_mention {
	enum mail_url_mention_kind kind;
	size_t from, to; /* in the text; closing punctuation is not part of it */
	size_t behind;	 /* of what names the host (of a scheme: its colon): clients differ on what of the rest is link */
	char host[MAIL_URL_HOST]; /* where it would lead, or "" if that cannot be said */
	unsigned odd;		  /* of the host */
	int no_memory;		  /* the host, or whether this is one at all, is not known */
};
/* 1: the next one at from or behind; 0: none. text: UTF-8, decoded (no character references). */
int mail_url_find(struct span text, size_t from, struct mail_url_mention *m);
/* 1 if a mail client would turn some of this text into a link: for values of fields. 0: not; ERR_NOMEM: not known. */
int mail_url_autolink(struct span text);

#endif
