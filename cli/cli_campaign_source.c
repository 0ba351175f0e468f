/* SPDX-License-Identifier: Apache-2.0 */
/* A source: what an author writes, as what the API takes. Files are named relative to the YAML file. */
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <openssl/evp.h>

#include "cli/cli_campaign.h"
#include "cli/cli_yaml.h"
#include "core/err.h"
#include "core/hex.h"
#include "sys/sys_file.h"

#define TEXT_MAX       (1u << 20)
#define ATTACHMENT_MAX (50u << 20)

static const struct {
	const char *ending, *type;
} types[] = {{".pdf", "application/pdf"}, {".png", "image/png"},    {".jpg", "image/jpeg"}, {".jpeg", "image/jpeg"},
	     {".gif", "image/gif"},	  {".webp", "image/webp"}, {".ics", "text/calendar"}, {".txt", "text/plain"},
	     {".csv", "text/csv"},	  {".zip", "application/zip"}, {".vcf", "text/vcard"}};

struct reading {
	struct cli_campaign_source *s;
	const char *path; /* of the YAML file */
	json_t *parts;
};

static const char *type_of(const char *file)
{
	size_t n = strlen(file);

	for (size_t i = 0; i < sizeof(types) / sizeof(types[0]); i++) {
		size_t e = strlen(types[i].ending);
		if (n > e && span_equal_nocase(span_of(file + n - e, e), span_str(types[i].ending)))
			return types[i].type;
	}
	return "application/octet-stream";
}

/* Beside the YAML file. */
static char *beside(const char *path, const char *file)
{
	const char *slash = strrchr(path, '/');
	char *out = NULL;

	if (file[0] == '/' || !slash)
		return strdup(file);
	return asprintf(&out, "%.*s/%s", (int)(slash - path), path, file) < 0 ? NULL : out;
}

static int read_file(const char *file, size_t most, struct buf *out)
{
	int rc;

	buf_init(out, most);
	rc = sys_file_read(file, out, 0);
	return rc < 0 ? cli_fail(EXIT_USAGE, "%s: %s", file, rc == ERR_LIMIT ? "too large" : err_text(rc)) : 0;
}

/* Adds a part with its file. */
static int add_part(struct reading *r, json_t *part, char *file)
{
	size_t n = json_array_size(r->parts);

	if (n == CLI_CAMPAIGN_PARTS) {
		free(file);
		json_decref(part);
		return cli_fail(EXIT_USAGE, "%s: more than %d parts", r->path, CLI_CAMPAIGN_PARTS);
	}
	r->s->files[n] = file;
	json_array_append_new(r->parts, part);
	return 0;
}

static int add_text(struct reading *r, const char *name, const char *type)
{
	char *file = beside(r->path, name);
	struct buf text;
	json_t *j;
	int rc = file ? read_file(file, TEXT_MAX, &text) : cli_fail(EXIT_ENVIRONMENT, "out of memory");

	if (rc) {
		free(file);
		return rc;
	}
	j = json_stringn((const char *)buf_ptr(&text), buf_size(&text));
	buf_clear(&text);
	if (!j) {
		rc = cli_fail(EXIT_USAGE, "%s: is not UTF-8", file);
		free(file);
		return rc;
	}
	return add_part(r, json_pack("{s:s, s:o}", "type", type, "text", j), file);
}

static void set_default(json_t *part, const char *member, const char *value)
{
	if (!json_object_get(part, member))
		json_object_set_new(part, member, json_string(value));
}

/* entry: a file's name, or a mapping with file and what differs from the usual. */
static int add_file(struct reading *r, const json_t *entry, const char *disposition)
{
	const char *name = json_is_string(entry) ? json_string_value(entry) : cli_text(entry, "file"), *slash;
	char hash[HEX_SIZE(32)], *file;
	uint8_t digest[32];
	struct buf data;
	json_t *part;
	int rc;

	if (!name || !name[0])
		return cli_fail(EXIT_USAGE, "%s: an attachment is a file, or a mapping with \"file\"", r->path);
	file = beside(r->path, name);
	rc = file ? read_file(file, ATTACHMENT_MAX, &data) : cli_fail(EXIT_ENVIRONMENT, "out of memory");
	if (rc) {
		free(file);
		return rc;
	}
	EVP_Digest(buf_ptr(&data), buf_size(&data), digest, NULL, EVP_sha256(), NULL);
	hex_encode(hash, digest, sizeof(digest));
	part = json_is_object(entry) ? json_copy((json_t *)(uintptr_t)entry) : json_object();
	json_object_del(part, "file");
	slash = strrchr(name, '/');
	set_default(part, "type", type_of(name));
	set_default(part, "name", slash ? slash + 1 : name);
	set_default(part, "disposition", disposition);
	json_object_set_new(part, "size", json_integer((json_int_t)buf_size(&data)));
	json_object_set_new(part, "sha256", json_string(hash));
	buf_clear(&data);
	return add_part(r, part, file);
}

static int add_files(struct reading *r, const char *member, const char *disposition)
{
	json_t *list = json_object_get(r->s->document, member), *entry;
	size_t i;
	int rc = 0;

	if (list && !json_is_array(list))
		return cli_fail(EXIT_USAGE, "%s: %s must be a list of files", r->path, member);
	json_array_foreach(list, i, entry)
		if (rc == 0)
			rc = add_file(r, entry, disposition);
	json_object_del(r->s->document, member);
	return rc;
}

static int add_texts(struct reading *r)
{
	static const struct {
		const char *member, *type;
	} texts[] = {{"text", "text/plain"}, {"html", "text/html"}};
	int rc = 0;

	for (size_t i = 0; rc == 0 && i < sizeof(texts) / sizeof(texts[0]); i++) {
		const json_t *name = json_object_get(r->s->document, texts[i].member);
		if (name && !json_is_string(name))
			rc = cli_fail(EXIT_USAGE, "%s: %s must be a file", r->path, texts[i].member);
		else if (name)
			rc = add_text(r, json_string_value(name), texts[i].type);
		json_object_del(r->s->document, texts[i].member);
	}
	return rc;
}

int cli_campaign_source_read(const char *path, struct cli_campaign_source *s)
{
	struct reading r = {s, path, NULL};
	int rc;

	memset(s, 0, sizeof(*s));
	s->document = cli_yaml_load(path);
	if (!s->document)
		return EXIT_USAGE;
	if (json_object_get(s->document, "parts"))
		return 0; /* as the API takes them */
	r.parts = json_array();
	rc = add_texts(&r);
	if (rc == 0)
		rc = add_files(&r, "images", "inline");
	if (rc == 0)
		rc = add_files(&r, "attachments", "attachment");
	json_object_set_new(s->document, "parts", r.parts);
	return rc;
}

void cli_campaign_source_clear(struct cli_campaign_source *s)
{
	json_decref(s->document);
	for (unsigned i = 0; i < CLI_CAMPAIGN_PARTS; i++)
		free(s->files[i]);
}
