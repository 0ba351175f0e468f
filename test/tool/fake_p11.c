/* SPDX-License-Identifier: Apache-2.0 */
/* fake_p11 - a PKCS#11 module for tests of what no real token does on request.
 *
 * The token's label says in what state it is, the PIN how the module behaves from then on. Nothing
 * is kept: each process begins anew. A key with label "key" is always there; any other is there
 * once it was made. Its AES-GCM seals against mistakes, not against people. */
#include <signal.h>
#include <string.h>
#include <unistd.h>

#include <p11-kit/pkcs11.h>

#define PIN   "1234"
#define TAG   16
#define AES   7 /* the one handle */
#define COUNT (sizeof(tokens) / sizeof(tokens[0]))

CK_RV C_GetFunctionList(CK_FUNCTION_LIST_PTR_PTR list);

enum trait { WEAK = 1, NO_GCM = 2, SEALED = 4 };
#define USUAL (CKF_TOKEN_INITIALIZED | CKF_USER_PIN_INITIALIZED | CKF_LOGIN_REQUIRED)
static const struct {
	const char *label;
	CK_FLAGS flags;
	int traits;
} tokens[] = {{"good", USUAL, 0},
	      {"locked", USUAL | CKF_USER_PIN_LOCKED, 0},
	      {"low", USUAL | CKF_USER_PIN_COUNT_LOW, 0},
	      {"unset", CKF_TOKEN_INITIALIZED, 0},
	      {"blank", 0, 0},
	      {"weak", USUAL, WEAK},
	      {"old", USUAL, NO_GCM},
	      {"sealed", USUAL | CKF_WRITE_PROTECTED, SEALED},
	      {"twin", USUAL, 0},
	      {"twin", USUAL, 0}};

/* What a PIN makes C_Login answer. */
static const struct {
	const char *pin;
	CK_RV rv;
} answers[] = {{PIN, CKR_OK},
	       {"late", CKR_OK}, /* crashes when it is closed */
	       {"liar", CKR_OK}, /* opens to something else */
	       {"full", CKR_PIN_LOCKED},
	       {"aged", CKR_PIN_EXPIRED},
	       {"gone", CKR_DEVICE_REMOVED},
	       {"odd", CKR_VENDOR_DEFINED}};

static struct {
	CK_SLOT_ID slot;
	char pin[8];
	char made[32], wanted[32];
	unsigned char sum;
	int searching;
} now;

static void pad(unsigned char *dst, size_t n, const char *text)
{
	memset(dst, ' ', n);
	memcpy(dst, text, strlen(text));
}

/* As a module does with a wild pointer; a sanitizer of the test's own has nothing to say to it. */
static void crash(void)
{
	signal(SIGSEGV, SIG_DFL);
	raise(SIGSEGV);
}

static CK_RV initialize(void *args)
{
	(void)args;
	return CKR_OK;
}

static CK_RV finalize(void *reserved)
{
	(void)reserved;
	if (!strcmp(now.pin, "late"))
		crash();
	return CKR_OK;
}

static CK_RV get_info(CK_INFO *info)
{
	memset(info, 0, sizeof(*info));
	info->cryptokiVersion.major = 2;
	info->cryptokiVersion.minor = 40;
	pad(info->manufacturerID, sizeof(info->manufacturerID), "Sealpost tests");
	pad(info->libraryDescription, sizeof(info->libraryDescription), "fake");
	return CKR_OK;
}

static CK_RV get_slots(CK_BBOOL present, CK_SLOT_ID *ids, CK_ULONG *n)
{
	(void)present;
	for (CK_ULONG i = 0; ids && i < COUNT; i++)
		ids[i] = i;
	*n = COUNT;
	return CKR_OK;
}

static CK_RV get_slot(CK_SLOT_ID id, CK_SLOT_INFO *info)
{
	memset(info, 0, sizeof(*info));
	pad(info->slotDescription, sizeof(info->slotDescription), "slot");
	pad(info->manufacturerID, sizeof(info->manufacturerID), "Sealpost tests");
	info->flags = CKF_TOKEN_PRESENT;
	return id < COUNT ? CKR_OK : CKR_SLOT_ID_INVALID;
}

static CK_RV get_token(CK_SLOT_ID id, CK_TOKEN_INFO *info)
{
	if (id >= COUNT)
		return CKR_SLOT_ID_INVALID;
	memset(info, 0, sizeof(*info));
	pad(info->label, sizeof(info->label), tokens[id].label);
	pad(info->manufacturerID, sizeof(info->manufacturerID), "Sealpost tests");
	pad(info->model, sizeof(info->model), "fake");
	pad(info->serialNumber, sizeof(info->serialNumber), "1");
	info->flags = tokens[id].flags;
	return CKR_OK;
}

static CK_RV get_mechanism(CK_SLOT_ID id, CK_MECHANISM_TYPE type, CK_MECHANISM_INFO *info)
{
	memset(info, 0, sizeof(*info));
	info->flags = CKF_ENCRYPT | CKF_DECRYPT | CKF_GENERATE;
	if (type == CKM_AES_KEY_GEN || (type == CKM_AES_GCM && !(tokens[id].traits & NO_GCM)))
		return CKR_OK;
	return CKR_MECHANISM_INVALID;
}

static CK_RV open_session(CK_SLOT_ID id, CK_FLAGS flags, void *app, CK_NOTIFY notify,
			  CK_SESSION_HANDLE *out)
{
	(void)app;
	(void)notify;
	if ((flags & CKF_RW_SESSION) && (tokens[id].traits & SEALED))
		return CKR_TOKEN_WRITE_PROTECTED;
	now.slot = id;
	*out = flags & CKF_RW_SESSION ? 2 : 1;
	return CKR_OK;
}

static CK_RV close_session(CK_SESSION_HANDLE session)
{
	(void)session;
	return CKR_OK;
}

static CK_RV close_sessions(CK_SLOT_ID id)
{
	(void)id;
	return CKR_OK;
}

static CK_RV login(CK_SESSION_HANDLE session, CK_USER_TYPE user, unsigned char *pin, CK_ULONG n)
{
	(void)session;
	(void)user;
	if (n >= sizeof(now.pin))
		return CKR_PIN_LEN_RANGE;
	memcpy(now.pin, pin, n);
	now.pin[n] = '\0';
	if (!strcmp(now.pin, "crash"))
		crash();
	if (!strcmp(now.pin, "family"))
		fork();
	while (!strcmp(now.pin, "hang") || !strcmp(now.pin, "family"))
		sleep(1000);
	for (size_t i = 0; i < sizeof(answers) / sizeof(answers[0]); i++)
		if (!strcmp(now.pin, answers[i].pin))
			return answers[i].rv;
	return CKR_PIN_INCORRECT;
}

static void read_label(const CK_ATTRIBUTE *rows, CK_ULONG n, char out[32])
{
	out[0] = '\0';
	for (CK_ULONG i = 0; i < n; i++)
		if (rows[i].type == CKA_LABEL && rows[i].ulValueLen < 32) {
			memcpy(out, rows[i].pValue, rows[i].ulValueLen);
			out[rows[i].ulValueLen] = '\0';
		}
}

static CK_RV find_init(CK_SESSION_HANDLE session, CK_ATTRIBUTE *rows, CK_ULONG n)
{
	(void)session;
	read_label(rows, n, now.wanted);
	now.searching = 1;
	return CKR_OK;
}

static CK_RV find(CK_SESSION_HANDLE session, CK_OBJECT_HANDLE *out, CK_ULONG max, CK_ULONG *n)
{
	(void)session;
	*n = 0;
	if (!now.searching)
		return CKR_OK;
	now.searching = 0;
	if (!strcmp(now.wanted, "key") || (now.made[0] && !strcmp(now.wanted, now.made)))
		*n = 1;
	if (!strcmp(now.wanted, "keys"))
		*n = max < 2 ? max : 2;
	for (CK_ULONG i = 0; i < *n; i++)
		out[i] = AES + i;
	return CKR_OK;
}

static CK_RV find_final(CK_SESSION_HANDLE session)
{
	(void)session;
	return CKR_OK;
}

static CK_RV get_attributes(CK_SESSION_HANDLE session, CK_OBJECT_HANDLE key, CK_ATTRIBUTE *rows,
			    CK_ULONG n)
{
	CK_BBOOL sensitive = !(tokens[now.slot].traits & WEAK);
	CK_ULONG size = 32;

	(void)session;
	(void)key;
	for (CK_ULONG i = 0; i < n; i++) {
		if (rows[i].type == CKA_SENSITIVE)
			memcpy(rows[i].pValue, &sensitive, sizeof(sensitive));
		else if (rows[i].type == CKA_VALUE_LEN)
			memcpy(rows[i].pValue, &size, sizeof(size));
		else
			return CKR_ATTRIBUTE_TYPE_INVALID;
	}
	return CKR_OK;
}

static CK_RV generate(CK_SESSION_HANDLE session, CK_MECHANISM *m, CK_ATTRIBUTE *rows, CK_ULONG n,
		      CK_OBJECT_HANDLE *out)
{
	(void)m;
	if (session != 2)
		return CKR_SESSION_READ_ONLY;
	read_label(rows, n, now.made);
	*out = AES;
	return CKR_OK;
}

/* Of all that a seal is bound to. */
static CK_RV begin(CK_SESSION_HANDLE session, CK_MECHANISM *m, CK_OBJECT_HANDLE key)
{
	const CK_GCM_PARAMS *p = m->pParameter;

	(void)session;
	(void)key;
	now.sum = 0;
	for (CK_ULONG i = 0; i < p->aad_len; i++)
		now.sum = (unsigned char)(now.sum * 31 + p->aad_ptr[i]);
	for (CK_ULONG i = 0; i < p->iv_len; i++)
		now.sum = (unsigned char)(now.sum * 31 + p->iv_ptr[i]);
	return CKR_OK;
}

static CK_RV encrypt(CK_SESSION_HANDLE session, unsigned char *in, CK_ULONG n, unsigned char *out,
		     CK_ULONG *size)
{
	(void)session;
	if (*size < n + TAG)
		return CKR_BUFFER_TOO_SMALL;
	for (CK_ULONG i = 0; i < n; i++)
		out[i] = in[i] ^ 0xa5;
	memset(out + n, now.sum, TAG);
	*size = n + TAG;
	return CKR_OK;
}

static CK_RV decrypt(CK_SESSION_HANDLE session, unsigned char *in, CK_ULONG n, unsigned char *out,
		     CK_ULONG *size)
{
	(void)session;
	if (n < TAG || *size < n - TAG)
		return CKR_ENCRYPTED_DATA_LEN_RANGE;
	for (CK_ULONG i = n - TAG; i < n; i++)
		if (in[i] != now.sum)
			return CKR_ENCRYPTED_DATA_INVALID;
	for (CK_ULONG i = 0; i < n - TAG; i++)
		out[i] = in[i] ^ (strcmp(now.pin, "liar") ? 0xa5 : 0);
	*size = n - TAG;
	return CKR_OK;
}

CK_RV C_GetFunctionList(CK_FUNCTION_LIST_PTR_PTR list)
{
	static CK_FUNCTION_LIST functions = {.version = {2, 40},
					     .C_Initialize = initialize,
					     .C_Finalize = finalize,
					     .C_GetInfo = get_info,
					     .C_GetFunctionList = C_GetFunctionList,
					     .C_GetSlotList = get_slots,
					     .C_GetSlotInfo = get_slot,
					     .C_GetTokenInfo = get_token,
					     .C_GetMechanismInfo = get_mechanism,
					     .C_OpenSession = open_session,
					     .C_CloseSession = close_session,
					     .C_CloseAllSessions = close_sessions,
					     .C_Login = login,
					     .C_Logout = close_session,
					     .C_FindObjectsInit = find_init,
					     .C_FindObjects = find,
					     .C_FindObjectsFinal = find_final,
					     .C_GetAttributeValue = get_attributes,
					     .C_GenerateKey = generate,
					     .C_EncryptInit = begin,
					     .C_Encrypt = encrypt,
					     .C_DecryptInit = begin,
					     .C_Decrypt = decrypt};

	*list = &functions;
	return CKR_OK;
}
