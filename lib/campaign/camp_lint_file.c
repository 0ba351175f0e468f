/* SPDX-License-Identifier: Apache-2.0 */
/* Files that go with a message: never what runs, nor what hides something that does. */
#include <stdio.h>

#include "campaign/camp_field.h"
#include "campaign/camp_lint_own.h"
#include "core/err.h"

#define SIZE_ALL (50u << 20)

enum why { RUNS, PACKS, MACROS, ACTIVE };
static const char *const why_text[] = {
	[RUNS] = "a program or script", [PACKS] = "an archive or disk image: nobody sees what is in it",
	[MACROS] = "an office document that can have macros", [ACTIVE] = "a document that runs scripts or leads elsewhere"};

static const struct {
	enum why why;
	const char *endings; /* between blanks */
} never[] = {
	{RUNS, " ade adp apk app appx appxbundle bat bin chm cmd com command cpl deb dll dmg elf exe gadget hta inf ins isp jar jnlp js "
	       "jse lib lnk mde msc msi msix msp mst nsh osx pif pkg pl ps1 ps1xml ps2 psc1 psd1 psm1 py pyc pyz rb reg rpm run scr "
	       "sct sh shb so sys url vb vbe vbs vxd wasm workflow ws wsc wsf wsh "},
	{PACKS, " 7z ace alz arc arj bz2 cab cpio daa egg gz img iso lha lz lz4 lzh lzma r00 rar sit tar tbz tgz txz udf uue vhd "
		"vhdx vmdk wim xar xz z zip zipx zoo zst "},
	{MACROS, " doc docm dot dotm iqy mdb one onepkg ppa ppam pps ppsm ppt potm pptm pub rtf slk sldm wiz xla xlam xll xlm xls xlsb "
		 "xlsm xlt xltm xlw "},
	{ACTIVE, " htm html mht mhtml shtml svg svgz swf xht xhtml xml xsl xslt eml msg library-ms search-ms settingcontent-ms theme "},
};

static const struct {
	enum why why;
	const char *type; /* its beginning */
} never_types[] = {
	{RUNS, "application/x-msdownload"}, {RUNS, "application/x-dosexec"}, {RUNS, "application/x-executable"},
	{RUNS, "application/vnd.microsoft.portable-executable"}, {RUNS, "application/x-sh"}, {RUNS, "text/x-sh"},
	{RUNS, "application/javascript"}, {RUNS, "text/javascript"}, {RUNS, "application/x-javascript"},
	{RUNS, "application/ecmascript"}, {RUNS, "application/java"}, {RUNS, "application/x-msi"}, {RUNS, "application/hta"},
	{RUNS, "application/x-bat"}, {RUNS, "application/x-ms-shortcut"}, {RUNS, "application/octet-stream"},
	{RUNS, "application/vnd.android.package-archive"}, {PACKS, "application/zip"}, {PACKS, "application/x-zip"},
	{PACKS, "application/gzip"}, {PACKS, "application/x-gzip"}, {PACKS, "application/x-tar"}, {PACKS, "application/x-7z"},
	{PACKS, "application/x-rar"}, {PACKS, "application/vnd.rar"}, {PACKS, "application/x-iso9660"},
	{PACKS, "application/x-cd-image"}, {PACKS, "application/vnd.ms-cab"}, {MACROS, "application/msword"},
	{MACROS, "application/vnd.ms-"}, {MACROS, "application/rtf"}, {MACROS, "text/rtf"}, {ACTIVE, "text/html"},
	{ACTIVE, "application/xhtml"}, {ACTIVE, "image/svg"}, {ACTIVE, "text/xml"}, {ACTIVE, "application/xml"},
	{ACTIVE, "application/x-shockwave"}, {ACTIVE, "message/"}, {ACTIVE, "multipart/"}, {ACTIVE, "text/x-amp-html"},
};

/* The why, or -1. word: in small letters. */
static int never_ending(const char *word)
{
	char wanted[40];
	size_t i;

	if (snprintf(wanted, sizeof(wanted), " %s ", word) >= (int)sizeof(wanted))
		return -1;
	for (i = 0; i < sizeof(never) / sizeof(*never); i++)
		if (strstr(never[i].endings, wanted))
			return (int)never[i].why;
	return -1;
}

/* Any of a name's endings: "invoice.exe.pdf" is there to deceive as well. */
static int never_name(const char *name)
{
	char word[32];
	const char *p = name;
	size_t i;
	int why;

	while ((p = strchr(p, '.')) != NULL) {
		p++;
		for (i = 0; i < sizeof(word) - 1 && p[i] && p[i] != '.' && p[i] != ' '; i++)
			word[i] = (char)((p[i] >= 'A' && p[i] <= 'Z') ? p[i] + 32 : p[i]);
		word[i] = '\0';
		why = never_ending(word);
		if (why >= 0)
			return why;
	}
	return -1;
}

static int never_type(const char *type)
{
	size_t i;

	for (i = 0; i < sizeof(never_types) / sizeof(*never_types); i++)
		if (strncmp(type, never_types[i].type, strlen(never_types[i].type)) == 0)
			return (int)never_types[i].why;
	return strstr(type, "macroenabled") ? (int)MACROS : -1;
}

static int is_type(const char *type)
{
	const char *p, *slash = strchr(type, '/');

	if (!slash || slash == type || !slash[1] || strlen(type) > 127 || strchr(slash + 1, '/'))
		return 0;
	for (p = type; *p; p++)
		if (!((*p >= 'a' && *p <= 'z') || (*p >= '0' && *p <= '9') || strchr("/.+-_", *p)))
			return 0;
	return 1;
}

static void name_of(struct camp_lint_run *r, const char *part, const char *name, int inside)
{
	int why = never_name(name);

	if (why >= 0)
		CAMP_LINT_ERROR(r, "attachment-type", part, "%s: %s", name, why_text[why]);
	else if ((!inside && !*name) || strpbrk(name, "/\\:*?\"<>|\r\n\t") || name[0] == '.' ||
		 (*name && (name[strlen(name) - 1] == '.' || name[strlen(name) - 1] == ' ')) || strstr(name, "  "))
		CAMP_LINT_ERROR(r, "attachment-name", part, "not a plain name of a file");
	else if (*name && camp_field_text(span_str(name)) == CAMP_FIELD_VALUE)
		CAMP_LINT_ERROR(r, "attachment-name", part, "invisible characters, or letters of several scripts");
}

static void one_file(struct camp_lint_run *r, json_t *v, const char *part, uint64_t *all)
{
	const char *type = json_string_value(json_object_get(v, "type")), *name = json_string_value(json_object_get(v, "name"));
	const char *cid = json_string_value(json_object_get(v, "cid"));
	const char *where = json_string_value(json_object_get(v, "disposition"));
	const char *mode = json_string_value(json_object_get(r->top, "mode"));
	json_int_t size = json_integer_value(json_object_get(v, "size"));
	int why;

	if (!type || !name)
		return;
	if (!is_type(type))
		CAMP_LINT_ERROR(r, "attachment-type", part, "no MIME type in small letters: %s", type);
	else if ((why = never_type(type)) >= 0)
		CAMP_LINT_ERROR(r, "attachment-type", part, "%s: %s", type, why_text[why]);
	name_of(r, part, name, cid != NULL);
	if (size < 1 || (uint64_t)size > SIZE_ALL || (*all += (uint64_t)size) > SIZE_ALL)
		CAMP_LINT_ERROR(r, "attachment-size", part, "1 octet at least, and all files 50 MiB at most");
	if (where && strcmp(where, "inline") != 0 && strcmp(where, "attachment") != 0)
		CAMP_LINT_ERROR(r, "attachment-disposition", part, "inline or attachment");
	if (cid && (!*cid || strpbrk(cid, "<> \"\\()\t\r\n") || strlen(cid) > 200))
		CAMP_LINT_ERROR(r, "attachment-cid", part, "a Content-ID without <>, blanks and quotes");
	if (json_is_null(json_object_get(v, "sha256")) && (!mode || strcmp(mode, "signed-part") != 0))
		CAMP_LINT_ERROR(r, "attachment-digest", part, "only in mode signed-part a file has no digest");
}

void camp_lint_files(struct camp_lint_run *r)
{
	uint64_t all = 0;
	unsigned files = 0;
	char part[32];
	json_t *v;
	size_t i;

	json_array_foreach(json_object_get(r->top, "parts"), i, v) {
		if (json_object_get(v, "text"))
			continue;
		snprintf(part, sizeof(part), "parts[%zu]", i);
		if (++files > CAMP_ATTACHMENTS)
			CAMP_LINT_ERROR(r, "source-limit", part, "more than %d files", CAMP_ATTACHMENTS);
		one_file(r, v, part, &all);
	}
}
