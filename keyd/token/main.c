/* SPDX-License-Identifier: Apache-2.0 */
/* sealpost-keyd-token: speaks PKCS#11 so that keyd need not. See sealpost-keyd-token(8). */
#include <signal.h>
#include <stdio.h>
#include <sys/socket.h>
#include <unistd.h>

#include "core/err.h"
#include "core/log.h"
#include "keyd/token/token_serve.h"
#include "sys/sys_priv.h"

#define MODULES_MAX 16

static int usage(void)
{
	fputs("usage: sealpost-keyd-token [-m MODULE]... (started by sealpost-keyd)\n", stderr);
	return EXIT_USAGE;
}

/* keyd gives one end of a pair as standard input. */
static int is_ours(int fd)
{
	int type = 0;
	socklen_t n = sizeof(type);

	return getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &n) == 0 && type == SOCK_SEQPACKET;
}

int main(int argc, char **argv)
{
	struct token_serve s = {.fd = STDIN_FILENO};
	const char *modules[MODULES_MAX];
	int opt;

	log_open("sealpost-keyd-token");
	while ((opt = getopt(argc, argv, "m:")) != -1) {
		if (opt != 'm' || s.module_count == MODULES_MAX)
			return usage();
		modules[s.module_count++] = optarg;
	}
	s.modules = modules;
	if (optind != argc || !is_ours(s.fd))
		return usage();
	close_range(STDERR_FILENO + 1, ~0u, 0);
	sys_priv_harden();
	signal(SIGPIPE, SIG_IGN);
	return token_serve_run(&s) < 0 ? EXIT_ENVIRONMENT : 0;
}
