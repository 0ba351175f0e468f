/* SPDX-License-Identifier: Apache-2.0 */
/* track_form - what a request to the tracking host asks for: its path, and the form it brings.
 *
 * Story:  path reads /c/TOKEN, /o/TOKEN, /o/TOKEN.gif and /u/TOKEN; a query is nobody's concern. one_click says whether a
 *         form holds List-Unsubscribe=One-Click, written as application/x-www-form-urlencoded or multipart/form-data.
 * Limits: TRACK_FORM_MAX octets of a form; TRACK_FORM_PARTS parts of a multipart one.
 * Thread: pure; any.
 * Source: RFC 8058 3.1; RFC 7578; WHATWG URL, application/x-www-form-urlencoded. */
#ifndef RELAY_TRACK_TRACK_FORM_H
#define RELAY_TRACK_TRACK_FORM_H

#include "http/http_request.h"
#include "seal/seal_track.h"

#define TRACK_FORM_MAX	 4096
#define TRACK_FORM_PARTS 16

/* ERR_NOTFOUND: no such path. ERR_FORMAT: kind is set, but what stands there is no token. */
int track_form_path(const struct http_request *r, enum seal_track_kind *kind, struct seal_track_raw *token);
/* 1: yes; 0: no; ERR_UNSUPPORTED: a media type that is neither; ERR_FORMAT. type: value of Content-Type. */
int track_form_one_click(struct span type, struct span body);

#endif
