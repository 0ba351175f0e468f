/* SPDX-License-Identifier: Apache-2.0 */
/* Prints the usage that cli/main.c has of each subcommand: its forms are parted by " | ", what holds for several of
 * them stands behind "; ". */
#include <stdio.h>
#include <string.h>

#include "cli/cli.h"

enum { COLUMNS = 100 };

/* Characters of text up to what, where no bracket is open; all of it if there is none. */
static size_t up_to(const char *text, size_t n, const char *what)
{
	size_t length = strlen(what);
	int open = 0;

	for (size_t i = 0; i + length <= n; i++) {
		if (!open && !strncmp(text + i, what, length))
			return i;
		open += text[i] == '[' ? 1 : text[i] == ']' ? -1 : 0;
	}
	return n;
}

/* Words behind head, in lines that go on under the first one's text. */
static void put_wrapped(FILE *f, const char *head, const char *text, size_t n)
{
	int column = fprintf(f, "%s", head);

	while (n) {
		size_t word = up_to(text, n, " "), next = word < n ? word + 1 : n;
		if (column + 1 + (int)word > COLUMNS)
			column = fprintf(f, "\n%*s", 11, "") - 1;
		column += fprintf(f, " %.*s", (int)word, text);
		text += next;
		n -= next;
	}
	fputc('\n', f);
}

void cli_usage_put(FILE *f, const struct cli_command *k)
{
	size_t n = strlen(k->usage), forms = up_to(k->usage, n, "; ");
	char head[64];

	for (size_t at = 0; at < forms;) {
		size_t form = up_to(k->usage + at, forms - at, " | ");
		snprintf(head, sizeof(head), "%s sealpost%s%s",
			 at ? "      " : "usage:", at ? " " : "", at ? k->name : "");
		put_wrapped(f, head, k->usage + at, form);
		at += form + (form < forms - at ? strlen(" | ") : 0);
	}
	if (forms < n)
		put_wrapped(f, "      ", k->usage + forms + 2, n - forms - 2);
}
