/* SPDX-License-Identifier: Apache-2.0 */
#include "keyd/token/token_open.h"

#include <stdlib.h>

#include "core/log.h"

#define SLOTS_MAX 64

/* Anything else is KEYD_TOKEN_TOKEN_ERROR. */
static const struct {
	CK_RV rv;
	unsigned why;
} meanings[] = {
    {CKR_PIN_INCORRECT, KEYD_TOKEN_PIN_WRONG},
    {CKR_PIN_INVALID, KEYD_TOKEN_PIN_WRONG},
    {CKR_PIN_LEN_RANGE, KEYD_TOKEN_PIN_WRONG},
    {CKR_PIN_LOCKED, KEYD_TOKEN_PIN_LOCKED},
    {CKR_PIN_EXPIRED, KEYD_TOKEN_PIN_EXPIRED},
    {CKR_USER_PIN_NOT_INITIALIZED, KEYD_TOKEN_PIN_UNSET},
    {CKR_TOKEN_NOT_PRESENT, KEYD_TOKEN_NO_TOKEN},
    {CKR_TOKEN_NOT_RECOGNIZED, KEYD_TOKEN_NO_TOKEN},
    {CKR_DEVICE_REMOVED, KEYD_TOKEN_NO_TOKEN},
    {CKR_TOKEN_WRITE_PROTECTED, KEYD_TOKEN_READ_ONLY},
    {CKR_SESSION_COUNT, KEYD_TOKEN_TOKEN_BUSY},
    {CKR_MECHANISM_INVALID, KEYD_TOKEN_NO_MECHANISM},
    {CKR_ENCRYPTED_DATA_INVALID, KEYD_TOKEN_WRONG_KEY},
    {CKR_ENCRYPTED_DATA_LEN_RANGE, KEYD_TOKEN_WRONG_KEY},
    {CKR_HOST_MEMORY, KEYD_TOKEN_NO_MEMORY},
};

unsigned token_open_why(const char *call, CK_RV rv)
{
	log_event(LOG_LEVEL_WARN, NULL, "token-error", "call=%s code=0x%lx text=\"%s\"", call,
		  (unsigned long)rv, p11_kit_strerror(rv));
	for (size_t i = 0; i < sizeof(meanings) / sizeof(meanings[0]); i++)
		if (meanings[i].rv == rv)
			return meanings[i].why;
	return KEYD_TOKEN_TOKEN_ERROR;
}

static unsigned parse(struct token_open *t, struct span uri)
{
	char text[KEYD_TOKEN_URI_MAX + 1];

	if (span_copy_str(text, sizeof(text), uri) < 0)
		return KEYD_TOKEN_BAD_URI;
	t->uri = p11_kit_uri_new();
	if (!t->uri)
		return KEYD_TOKEN_NO_MEMORY;
	/* A PIN may hide from a look at the text behind an escape. */
	if (p11_kit_uri_parse(text, P11_KIT_URI_FOR_ANY, t->uri) != P11_KIT_URI_OK ||
	    p11_kit_uri_any_unrecognized(t->uri) || p11_kit_uri_get_pin_value(t->uri) ||
	    p11_kit_uri_get_pin_source(t->uri))
		return KEYD_TOKEN_BAD_URI;
	return KEYD_TOKEN_OK;
}

/* The one module that the URI names by its path. */
static unsigned load_path(struct token_open *t, const char *path, const char *const *modules,
			  size_t count)
{
	size_t i = 0;
	CK_RV rv;

	while (i < count && strcmp(modules[i], path) != 0)
		i++;
	if (i == count || path[0] != '/')
		return KEYD_TOKEN_MODULE_DENIED;
	t->one = p11_kit_module_load(path, 0);
	if (!t->one)
		return KEYD_TOKEN_NO_MODULE;
	rv = p11_kit_module_initialize(t->one);
	if (rv == CKR_OK)
		return KEYD_TOKEN_OK;
	p11_kit_module_release(t->one);
	t->one = NULL;
	return token_open_why("C_Initialize", rv);
}

static unsigned load(struct token_open *t, const char *const *modules, size_t count)
{
	const char *path = p11_kit_uri_get_module_path(t->uri);

	p11_kit_be_quiet();
	if (path)
		return load_path(t, path, modules, count);
	t->all = p11_kit_modules_load_and_initialize(0);
	return t->all && t->all[0] ? KEYD_TOKEN_OK : KEYD_TOKEN_NO_MODULE;
}

static int module_matches(const struct token_open *t, CK_FUNCTION_LIST *f)
{
	const char *want = p11_kit_uri_get_module_name(t->uri);
	CK_INFO info;
	char *name;
	int same = 1;

	if (want) {
		name = p11_kit_module_get_name(f);
		same = name && !strcmp(name, want);
		free(name);
	}
	return same && f->C_GetInfo(&info) == CKR_OK &&
	       p11_kit_uri_match_module_info(t->uri, &info);
}

static int slot_matches(const struct token_open *t, CK_FUNCTION_LIST *f, CK_SLOT_ID id,
			CK_TOKEN_INFO *info)
{
	CK_SLOT_ID want = p11_kit_uri_get_slot_id(t->uri);
	CK_SLOT_INFO slot;

	if (want != (CK_SLOT_ID)-1 && want != id)
		return 0;
	return f->C_GetSlotInfo(id, &slot) == CKR_OK &&
	       p11_kit_uri_match_slot_info(t->uri, &slot) &&
	       f->C_GetTokenInfo(id, info) == CKR_OK && (info->flags & CKF_TOKEN_INITIALIZED) &&
	       p11_kit_uri_match_token_info(t->uri, info);
}

/* Adds the matching tokens of a module to *found; the first is kept. */
static void search(struct token_open *t, CK_FUNCTION_LIST *f, unsigned *found)
{
	CK_SLOT_ID ids[SLOTS_MAX];
	CK_ULONG n = SLOTS_MAX;
	CK_TOKEN_INFO info;

	if (!module_matches(t, f) || f->C_GetSlotList(CK_TRUE, ids, &n) != CKR_OK)
		return;
	for (CK_ULONG i = 0; i < n; i++) {
		if (!slot_matches(t, f, ids[i], &info) || (*found)++)
			continue;
		t->f = f;
		t->slot = ids[i];
		t->info = info;
	}
}

unsigned token_open(struct token_open *t, struct span uri, const char *const *modules,
		    size_t module_count)
{
	unsigned why, found = 0;

	memset(t, 0, sizeof(*t));
	why = parse(t, uri);
	if (why == KEYD_TOKEN_OK)
		why = load(t, modules, module_count);
	if (why != KEYD_TOKEN_OK)
		return why;
	if (t->one)
		search(t, t->one, &found);
	for (CK_FUNCTION_LIST **f = t->all; f && *f; f++)
		search(t, *f, &found);
	if (found > 1)
		return KEYD_TOKEN_MANY_TOKENS;
	return found ? KEYD_TOKEN_OK : KEYD_TOKEN_NO_TOKEN;
}

unsigned token_open_login(struct token_open *t, struct span pin, int unattended)
{
	CK_FLAGS flags = t->info.flags;
	CK_RV rv;

	if (!(flags & CKF_USER_PIN_INITIALIZED))
		return KEYD_TOKEN_PIN_UNSET;
	if (flags & CKF_USER_PIN_LOCKED)
		return KEYD_TOKEN_PIN_LOCKED;
	if (unattended && (flags & (CKF_USER_PIN_COUNT_LOW | CKF_USER_PIN_FINAL_TRY)))
		return KEYD_TOKEN_PIN_LOW;
	rv = t->f->C_OpenSession(t->slot, CKF_SERIAL_SESSION, NULL, NULL, &t->session);
	if (rv != CKR_OK) {
		t->session = 0;
		return token_open_why("C_OpenSession", rv);
	}
	rv = t->f->C_Login(t->session, CKU_USER, (unsigned char *)pin.p, pin.n);
	return rv == CKR_OK ? KEYD_TOKEN_OK : token_open_why("C_Login", rv);
}

void token_open_close(struct token_open *t)
{
	if (t->session) {
		t->f->C_Logout(t->session);
		t->f->C_CloseAllSessions(t->slot);
	}
	if (t->one) {
		p11_kit_module_finalize(t->one);
		p11_kit_module_release(t->one);
	}
	if (t->all)
		p11_kit_modules_finalize_and_release(t->all);
	p11_kit_uri_free(t->uri);
}
