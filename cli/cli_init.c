/* SPDX-License-Identifier: Apache-2.0 */
/* sealpost init: from nothing to a set that starts. */
#include <errno.h>
#include <getopt.h>
#include <grp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "cli/cli.h"
#include "cli/cli_cert.h"
#include "cli/cli_secret.h"
#include "cli/cli_shares.h"
#include "core/err.h"
#include "core/secret.h"
#include "sys/sys_file.h"
#include "sys/sys_priv.h"

#define KEYD_START_TRIES 100 /* of 50 ms */

struct init {
	struct cli *c;
	char hostname[256];
	const char *passphrase_file;
	int with_passphrase;
	uint8_t need, of; /* shares; 0: none */
	const char *shares_out;
	const char *user; /* NULL: whoever starts the daemons; under a prefix as root: whom they become */
	uid_t uid;	  /* of the daemons */
	pid_t keyd; /* started by us; 0: it ran already */
	int keyd_log; /* what it said: shown only if something goes wrong */
};

/* The three files; @WORD@ is replaced. Under a prefix everything runs as one user, so that user has all roles:
 * sessions still name the one they act in. */
static const char keyd_prefix[] =
    "# Every key, with its meaning: sealpost-keyd.yaml(5)\n"
    "state: @PREFIX@/keyd\n"
    "socket: @PREFIX@/run/keyd.sock\n"
    "admin_socket: @PREFIX@/run/keyd-admin.sock\n"
    "slots:\n"
    "  - {method: file, path: root.key}   # for tests and demos: status calls it unsafe\n"
    "@PASSPHRASE_SLOT@"
    "@SHARES_SLOT@"
    "@USER@"
    "peers:\n"
    "  \"@UID@\": [relay, milter, officer, operator, auditor]\n"
    "@ROOT@";
static const char relay_prefix[] =
    "# Every key, with its meaning: sealpost-relay.yaml(5)\n"
    "hostname: @HOSTNAME@\n"
    "state: @PREFIX@/relay\n"
    "keyd: @PREFIX@/run/keyd.sock\n"
    "@USER@"
    "workers: auto\n"
    "listen:\n"
    "  - {address: \"127.0.0.1:2525\", mode: smarthost, customer: default}\n"
    "trusted: [\"127.0.0.0/8\"]\n"
    "tls:\n"
    "  certificate: @PREFIX@/relay.pem\n"
    "  key: \"keyd:tls/relay\"\n"
    "filters: []\n"
    "routes:\n"
    "  - {domain: \"*\", to: mx, tls: opportunistic}\n"
    "shaping: [\"@PREFIX@/shaping/*.yaml\"]\n"
    "retry: {first: 5m, max: 4h, expire: 5d}\n"
    "api: {socket: @PREFIX@/run/api.sock}\n";
static const char milter_prefix[] = "# Every key, with its meaning: sealpost-milter.yaml(5)\n"
				    "listen: \"inet:8891@127.0.0.1\"\n"
				    "keyd: @PREFIX@/run/keyd.sock\n"
				    "api: @PREFIX@/run/api.sock\n"
				    "state: @PREFIX@/milter\n"
				    "@USER@"
				    "customer: default\n";
static const char keyd_system[] = "# Every key, with its meaning: sealpost-keyd.yaml(5)\n"
				  "state: " SP_STATEDIR "/keyd\n"
				  "slots:\n"
				  "@PASSPHRASE_SLOT@"
				  "@SHARES_SLOT@"
				  "peers:\n"
				  "  sealpost-relay: relay\n"
				  "  sealpost-milter: milter\n"
				  "  root: [officer, operator, auditor]\n";
static const char relay_system[] =
    "# Every key, with its meaning: sealpost-relay.yaml(5)\n"
    "hostname: @HOSTNAME@\n"
    "listen:\n"
    "  - {address: \"127.0.0.1:2525\", mode: smarthost, customer: default}\n"
    "trusted: [\"127.0.0.0/8\"]\n"
    "tls:\n"
    "  certificate: " SP_SYSCONFDIR "/relay.pem\n"
    "  key: \"keyd:tls/relay\"\n"
    "shaping: [\"" SP_SYSCONFDIR "/shaping/*.yaml\"]\n";
static const char milter_system[] = "# Every key, with its meaning: sealpost-milter.yaml(5)\n"
				    "listen: \"inet:8891@127.0.0.1\"   # Debian's smtpd is chrooted: it cannot see " SP_RUNDIR "\n"
				    "customer: default\n";

/* Appends template with its @WORD@s replaced. */
static void expand(const struct init *in, const char *template, struct buf *out)
{
	static const char root[] = "  root: [officer, operator, auditor]\n";
	char uid[16], user[300] = "", shares[64] = "";
	const struct {
		const char *word, *value;
	} words[] = {{"@PREFIX@", in->c->prefix ? in->c->prefix : ""},
		     {"@HOSTNAME@", in->hostname},
		     {"@UID@", uid},
		     {"@USER@", user},
		     {"@ROOT@", in->user ? root : ""},
		     {"@PASSPHRASE_SLOT@", in->with_passphrase ? "  - {method: passphrase}\n" : ""},
		     {"@SHARES_SLOT@", shares}};
	const size_t count = sizeof(words) / sizeof(words[0]);
	size_t i;

	snprintf(uid, sizeof(uid), "%u", (unsigned)in->uid);
	if (in->of)
		snprintf(shares, sizeof(shares), "  - {method: shares, need: %u, of: %u}\n", in->need, in->of);
	if (in->user)
		snprintf(user, sizeof(user), "user: %s\n", in->user);
	while (*template) {
		for (i = 0; i < count && strncmp(template, words[i].word, strlen(words[i].word)); i++)
			;
		if (i < count) {
			buf_put_str(out, words[i].value);
			template += strlen(words[i].word);
		} else {
			buf_put(out, template++, 1);
		}
	}
}

static int write_file(const struct init *in, const char *name, const char *template)
{
	char path[4200];
	struct buf text;
	int rc;

	snprintf(path, sizeof(path), "%s/%s", in->c->conf_dir, name);
	buf_init(&text, 65536);
	expand(in, template, &text);
	rc = buf_failed(&text);
	if (rc == 0)
		rc = sys_file_replace(path, buf_span(&text), 0644);
	buf_clear(&text);
	return rc < 0 ? cli_fail(EXIT_ENVIRONMENT, "%s: %s", path, err_text(rc)) : 0;
}

static int check_absent(const struct init *in)
{
	static const char *const names[] = {"keyd.yaml", "relay.yaml", "milter.yaml", "relay.pem"};
	char path[4200];

	for (int i = 0; i < 4; i++) {
		snprintf(path, sizeof(path), "%s/%s", in->c->conf_dir, names[i]);
		if (access(path, F_OK) == 0)
			return cli_fail(EXIT_USAGE, "%s exists already: nothing was changed", path);
	}
	return 0;
}

static int make_dirs(const struct init *in)
{
	static const char *const names[] = {"run", "keyd", "relay", "milter"};
	char path[4200];
	int rc = in->c->prefix ? sys_file_mkdir(in->c->conf_dir, 0755) : 0;

	for (int i = 0; in->c->prefix && rc == 0 && i < 4; i++) {
		snprintf(path, sizeof(path), "%s/%s", in->c->conf_dir, names[i]);
		rc = sys_file_mkdir(path, i == 0 ? 0755 : 0700);
		if (rc == 0 && in->user && chown(path, in->uid, (gid_t)-1) < 0)
			rc = err_from_errno(errno);
	}
	return rc < 0 ? cli_fail(EXIT_ENVIRONMENT, "%s: %s", in->c->conf_dir, err_text(rc)) : 0;
}

/* Daemons that give up root must still be able to enter the prefix. */
static int check_passage(const struct init *in)
{
	int status;
	pid_t pid = in->user ? fork() : 0;

	if (!in->user)
		return 0;
	if (pid == 0)
		_exit(setgroups(0, NULL) < 0 || setgid(in->uid) < 0 || setuid(in->uid) < 0 ||
		      chdir(in->c->conf_dir) < 0);
	if (pid < 0 || waitpid(pid, &status, 0) < 0 || status != 0)
		return cli_fail(EXIT_ENVIRONMENT,
				"%s: user %s, as whom the daemons run, cannot enter it: choose a folder that others may pass through",
				in->c->conf_dir, in->user);
	return 0;
}

static int write_files(const struct init *in)
{
	const int pre = in->c->prefix != NULL;
	int rc = check_absent(in);

	if (rc == 0)
		rc = make_dirs(in);
	if (rc == 0)
		rc = check_passage(in);
	if (rc == 0)
		rc = write_file(in, "keyd.yaml", pre ? keyd_prefix : keyd_system);
	if (rc == 0)
		rc = write_file(in, "relay.yaml", pre ? relay_prefix : relay_system);
	if (rc == 0)
		rc = write_file(in, "milter.yaml", pre ? milter_prefix : milter_system);
	return rc;
}

/* 1 if somebody takes connections there: a socket's file alone may be one that nobody listens on (yet, or any more). */
static int answers(const char *path)
{
	struct sockaddr_un a = {.sun_family = AF_UNIX};
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0), yes;

	snprintf(a.sun_path, sizeof(a.sun_path), "%.100s", path);
	yes = fd >= 0 && connect(fd, (struct sockaddr *)&a, sizeof(a)) == 0;
	if (fd >= 0)
		close(fd);
	return yes;
}

static pid_t start_keyd(const struct init *in)
{
	char program[4200], file[4200];
	pid_t pid;

	snprintf(file, sizeof(file), "%s/keyd.yaml", in->c->conf_dir);
	cli_program(in->c, "sealpost-keyd", program, sizeof(program));
	fflush(stdout);
	pid = fork();
	if (pid == 0) {
		dup2(in->keyd_log, STDERR_FILENO);
		execl(program, program, "-c", file, (char *)NULL);
		fprintf(stderr, "sealpost: cannot run %s\n", program);
		_exit(EXIT_ENVIRONMENT);
	}
	return pid;
}

/* keyd's admin client; starts keyd if none answers. */
static struct keyproto_client_sync *reach_keyd(struct init *in)
{
	struct timespec pause = {.tv_nsec = 50000000};
	char sock[4200];
	int status;

	snprintf(sock, sizeof(sock), "%s/keyd-admin.sock", in->c->run_dir);
	if (answers(sock))
		return cli_keyd(in->c, KEYPROTO_ROLE_OFFICER);
	in->keyd = start_keyd(in);
	for (int i = 0; i < KEYD_START_TRIES && !answers(sock); i++) {
		if (in->keyd < 0 || waitpid(in->keyd, &status, WNOHANG) > 0) {
			in->keyd = 0;
			cli_fail(0, "sealpost-keyd did not start");
			return NULL;
		}
		nanosleep(&pause, NULL);
	}
	return cli_keyd(in->c, KEYPROTO_ROLE_OFFICER);
}

static void show_keyd_log(const struct init *in)
{
	char text[4096];
	ssize_t n;

	for (off_t at = 0; (n = pread(in->keyd_log, text, sizeof(text), at)) > 0; at += n)
		fwrite(text, 1, (size_t)n, stderr);
}

static void stop_keyd(struct init *in)
{
	int status;

	if (in->keyd <= 0)
		return;
	kill(in->keyd, SIGTERM);
	waitpid(in->keyd, &status, 0);
	in->keyd = 0;
}

static int make_store(const struct init *in, struct keyproto_client_sync *k)
{
	char *pass = secret_alloc(CLI_SECRET_MAX);
	struct keyproto_init m = {0};
	struct keyproto_slot_made made;
	struct span reply;
	int rc = 0, n = 0;

	if (!pass)
		return cli_keyd_failed(ERR_NOMEM);
	if (in->c->prefix)
		m.slots[m.count++].method = 1;
	if (in->with_passphrase) {
		n = cli_secret_read(in->passphrase_file, "New passphrase for keyd: ", CLI_SECRET_MAX, pass);
		if (n <= 0)
			rc = n < 0 ? n : ERR_FORMAT;
		m.slots[m.count].method = 2;
		m.slots[m.count++].secret = span_of(pass, n > 0 ? (size_t)n : 0);
	}
	if (in->of)
		m.slots[m.count++].method = KEYPROTO_SLOT_SHARES;
	if (rc == 0)
		rc = keyproto_init_put(keyproto_client_sync_begin(k), &m);
	if (rc == 0)
		rc = keyproto_client_sync_call(k, KEYPROTO_INIT, &reply);
	secret_free(pass, CLI_SECRET_MAX);
	if (rc == 0)
		rc = keyproto_slot_made_get(reply, &made);
	if (rc < 0)
		return cli_keyd_failed(rc);
	puts("Keys        root, 256 key-encryption keys");
	return made.count ? cli_shares_deliver(in->shares_out, &made) : 0;
}

static int make_keys(const struct init *in, struct keyproto_client_sync *k)
{
	struct keyproto_key_add add = {.label = SPAN_LIT("tls/relay"), .type = KEYPROTO_KEY_EC_P256};
	char path[4200];
	struct span reply;
	int rc = make_store(in, k);

	if (rc)
		return rc;
	rc = cli_keyd_name(k, KEYPROTO_CUSTOMER_ADD, "default", &reply);
	if (rc < 0)
		return cli_keyd_failed(rc);
	puts("Customer    default");
	rc = keyproto_key_add_put(keyproto_client_sync_begin(k), &add);
	if (rc == 0)
		rc = keyproto_client_sync_call(k, KEYPROTO_KEY_ADD, &reply);
	if (rc < 0)
		return cli_keyd_failed(rc);
	snprintf(path, sizeof(path), "%s/relay.pem", in->c->conf_dir);
	rc = cli_cert_self_signed(k, "tls/relay", in->hostname, path);
	if (rc < 0)
		return cli_fail(EXIT_ENVIRONMENT, "%s: %s", path, err_text(rc));
	printf("Certificate %s, self-signed for %s; its key stays in keyd\n", path, in->hostname);
	return 0;
}

static void print_next(const struct init *in)
{
	const char *dir = in->c->conf_dir;

	if (!in->c->prefix) {
		puts("\nNext:\n"
		     "  systemctl start sealpost-keyd sealpost-relay sealpost-milter\n"
		     "  sealpost key unseal      # after each start of keyd\n"
		     "  sealpost status");
		return;
	}
	printf("\nNext, each in the foreground of its own terminal:\n"
	       "  sealpost-keyd   -c %s/keyd.yaml\n"
	       "  sealpost-relay  -c %s/relay.yaml\n"
	       "  sealpost-milter -c %s/milter.yaml\n"
	       "and then: sealpost --prefix %s status\n",
	       dir, dir, dir, dir);
}

static int run(struct init *in)
{
	struct keyproto_client_sync *k;
	int rc = write_files(in);

	if (rc)
		return rc;
	printf("Files       %s/{keyd,relay,milter}.yaml\n", in->c->conf_dir);
	in->keyd_log = memfd_create("keyd-log", MFD_CLOEXEC);
	k = reach_keyd(in);
	rc = k ? make_keys(in, k) : EXIT_ENVIRONMENT;
	keyproto_client_sync_free(k);
	stop_keyd(in);
	if (rc == 0)
		print_next(in);
	else
		show_keyd_log(in);
	close(in->keyd_log);
	return rc;
}

static int find_hostname(struct init *in, const char *given)
{
	if (given) {
		snprintf(in->hostname, sizeof(in->hostname), "%s", given);
	} else if (gethostname(in->hostname, sizeof(in->hostname) - 1) < 0) {
		return cli_fail(EXIT_ENVIRONMENT, "no host name; give --hostname");
	}
	for (const char *p = in->hostname; *p; p++)
		if (!((*p >= 'a' && *p <= 'z') || (*p >= 'A' && *p <= 'Z') ||
		      (*p >= '0' && *p <= '9') || *p == '-' || *p == '.'))
			return cli_fail(EXIT_USAGE, "--hostname: not a host name");
	return in->hostname[0] ? 0 : cli_fail(EXIT_USAGE, "--hostname: must not be empty");
}

/* Root's daemons under a prefix become somebody else; anybody else's stay who they are. */
static int find_user(struct init *in)
{
	in->uid = getuid();
	if (in->c->prefix && in->uid == 0 && !in->user)
		in->user = "nobody";
	if (!in->user)
		return 0;
	if (!in->c->prefix || getuid() != 0)
		return cli_fail(EXIT_USAGE, "--user: only for root, under a prefix");
	if (sys_priv_uid(in->user, &in->uid) < 0 || in->uid == 0)
		return cli_fail(EXIT_USAGE, "--user: no such user, or root");
	return 0;
}

int cli_init(struct cli *c, int argc, char **argv)
{
	static const struct option options[] = {{"hostname", required_argument, NULL, 'h'},
						{"passphrase-file", required_argument, NULL, 'f'},
						{"prefix", required_argument, NULL, 'p'},
						{"shares", required_argument, NULL, 's'},
						{"shares-out", required_argument, NULL, 'o'},
						{"user", required_argument, NULL, 'u'},
						{NULL, 0, NULL, 0}};
	struct init in = {.c = c};
	const char *hostname = NULL, *shares = NULL;
	char *full = NULL;
	int opt, rc;

	while ((opt = getopt_long(argc, argv, "", options, NULL)) != -1) {
		if (opt == 'h') {
			hostname = optarg;
		} else if (opt == 'f') {
			in.passphrase_file = optarg;
		} else if (opt == 's') {
			shares = optarg;
		} else if (opt == 'o') {
			in.shares_out = optarg;
		} else if (opt == 'u') {
			in.user = optarg;
		} else if (opt == 'p') { /* "sealpost init --prefix DIR" reads well, too */
			c->prefix = optarg;
		} else {
			return cli_usage("init");
		}
	}
	if (optind != argc || (in.shares_out && !shares))
		return cli_usage("init");
	if (c->prefix) {
		rc = sys_file_mkdir(c->prefix, 0755);
		full = rc == 0 ? realpath(c->prefix, NULL) : NULL;
		if (!full)
			return cli_fail(EXIT_ENVIRONMENT, "%s: %s", c->prefix,
					rc < 0 ? err_text(rc) : strerror(errno));
		c->prefix = full;
		snprintf(c->conf_dir, sizeof(c->conf_dir), "%s", full);
		snprintf(c->run_dir, sizeof(c->run_dir), "%s/run", full);
	}
	in.with_passphrase = !c->prefix || in.passphrase_file;
	rc = shares ? cli_shares_parse(shares, &in.need, &in.of) : 0;
	if (rc == 0 && in.of)
		rc = cli_shares_check(in.shares_out, in.of);
	if (rc == 0)
		rc = find_user(&in);
	if (rc == 0)
		rc = find_hostname(&in, hostname);
	if (rc == 0)
		rc = run(&in);
	free(full);
	return rc;
}
