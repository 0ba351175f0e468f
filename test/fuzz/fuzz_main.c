/* SPDX-License-Identifier: Apache-2.0 */
/* Replays files (and the files of folders) through a fuzz target: regression without a fuzzer. */
#include <dirent.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static int count;

static void replay(const char *path)
{
	struct stat st;
	uint8_t *data;
	FILE *f;

	if (stat(path, &st) < 0) {
		fprintf(stderr, "%s: cannot read\n", path);
		exit(1);
	}
	if (S_ISDIR(st.st_mode)) {
		struct dirent **names;
		int n = scandir(path, &names, NULL, alphasort);
		for (int i = 0; i < n; i++) {
			char sub[4096];
			snprintf(sub, sizeof(sub), "%s/%s", path, names[i]->d_name);
			if (names[i]->d_name[0] != '.')
				replay(sub);
			free(names[i]);
		}
		free(names);
		return;
	}
	f = fopen(path, "rb");
	data = malloc((size_t)st.st_size + 1);
	if (!f || !data || fread(data, 1, (size_t)st.st_size, f) != (size_t)st.st_size) {
		fprintf(stderr, "%s: cannot read\n", path);
		exit(1);
	}
	fclose(f);
	LLVMFuzzerTestOneInput(data, (size_t)st.st_size);
	free(data);
	count++;
}

int main(int argc, char **argv)
{
	for (int i = 1; i < argc; i++)
		replay(argv[i]);
	printf("%s: %d inputs replayed\n", argv[0], count);
	return count ? 0 : 1;
}
