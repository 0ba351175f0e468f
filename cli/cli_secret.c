/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/cli_secret.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <termios.h>
#include <unistd.h>

#include "cli/cli.h"
#include "core/err.h"
#include "sys/sys_file.h"

static int from_file(const char *file, size_t size, char *out)
{
	struct buf b;
	int rc;
	size_t n;

	buf_init_wiped(&b, size);
	rc = sys_file_read(file, &b, 1);
	if (rc < 0) {
		cli_fail(0, "%s: %s", file,
			 rc == ERR_DENIED ? "must belong to you and be readable by nobody else" : err_text(rc));
		buf_clear(&b);
		return rc;
	}
	n = buf_size(&b);
	while (n && (buf_ptr(&b)[n - 1] == '\n' || buf_ptr(&b)[n - 1] == '\r'))
		n--;
	memcpy(out, buf_ptr(&b), n);
	buf_clear(&b);
	return (int)n;
}

static int from_terminal(const char *prompt, size_t size, char *out)
{
	int fd = open("/dev/tty", O_RDWR | O_CLOEXEC);
	struct termios old, quiet;
	ssize_t n = 0;

	if (fd < 0 || tcgetattr(fd, &old) < 0) {
		if (fd >= 0)
			close(fd);
		cli_fail(0, "no terminal to ask on; name a file");
		return ERR_IO;
	}
	quiet = old;
	quiet.c_lflag &= ~(tcflag_t)ECHO;
	tcsetattr(fd, TCSAFLUSH, &quiet);
	if (write(fd, prompt, strlen(prompt)) > 0)
		n = read(fd, out, size);
	tcsetattr(fd, TCSAFLUSH, &old);
	if (write(fd, "\n", 1) < 0)
		n = -1;
	close(fd);
	while (n > 0 && (out[n - 1] == '\n' || out[n - 1] == '\r'))
		n--;
	return n < 0 ? ERR_IO : (int)n;
}

int cli_secret_read(const char *file, const char *prompt, size_t size, char *out)
{
	return file ? from_file(file, size, out) : from_terminal(prompt, size, out);
}
