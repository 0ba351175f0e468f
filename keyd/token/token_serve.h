/* SPDX-License-Identifier: Apache-2.0 */
/* token_serve - the helper's own process: takes keyd's requests one after another and has each done
 * by a process of its own.
 *
 * Story:     this process never loads a module. For each request it forks a worker, in a process
 *            group of its own, passes the packet on and wipes it; the worker's reply is checked and
 *            sent to keyd. When the limit of the request is over, or keyd is gone, the group is
 *            killed. After its reply a worker has two seconds to let go of the token.
 * Ownership: borrows all of struct token_serve.
 * Errors:    ERR_NOMEM, ERR_FORMAT (keyd's packet breaks the rules), ERR_IO. 0: keyd closed its end.
 * Source:    keyd_token_msg.h; sealpost-keyd-token(8).
 * Thread:    one; blocks until keyd is gone. */
#ifndef KEYD_TOKEN_TOKEN_SERVE_H
#define KEYD_TOKEN_TOKEN_SERVE_H

#include <stddef.h>

struct token_serve {
	int fd;			    /* SOCK_SEQPACKET to keyd */
	const char *const *modules; /* what module-path= may name */
	size_t module_count;
};

int token_serve_run(const struct token_serve *s);

#endif
