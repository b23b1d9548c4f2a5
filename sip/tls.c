/*
 * tls.c - TLS of the listeners: versions, certificates, whom to believe
 *
 * Sofia 1.12 makes a context for each listener and shows it to nobody; a hook of OpenSSL's for new contexts hands it to us. On it we set what
 * Sofia leaves open: TLS 1.2 at least, the certificate (again when its files change: connections that stand keep theirs), whether clients
 * must show one, and the authorities we believe. Whether a server's certificate names the domain we called (RFC 5922) Sofia compares;
 * we tell the server that name (SNI).
 *
 * Five functions of Sofia's are wrapped, which works because its library calls them as anybody may: it never frees the SSL of a connection,
 * leaves keep-alives over TLS (RFC 5626 3.5.1) without an answer, and tells nobody of a failed handshake. A sixth is OpenSSL's: what Sofia
 * reads the names of a certificate with, and never frees either.
 */
#include "tls.h"
#include "address.h"
#include "certificate.h"
#include "json.h"
#include "listener.h"
#include "loop.h"
#include "settings.h"
#include "spare.h"
#include "timer.h"
#include <dlfcn.h>
#include <errno.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#define CHECK_MS 5000u    /* how often the files of the certificate are looked at */
#define REFUSAL_MS 10000u /* so long a refusal is taken for the reason of what fails then */
#define MOST_LISTENERS 64u
#define CIPHERS "ECDHE+AESGCM:ECDHE+CHACHA20"

/* What a file was when it was read. */
struct print {
	struct timespec changed;
	ino_t inode;
	off_t size;
};

/* What a listener shows. */
struct identity {
	struct identity *next;
	char *said; /* the setting that names its certificate; NULL: the house's */
	struct core_certificate files;
	struct print certificate, key;
};

static struct {
	struct ua *ua;
	pbx_timer timer;
	char *data_dir;
	struct identity *identities; /* the house's is the last */
	struct {
		SSL_CTX *context; /* Sofia's */
		const struct identity *identity;
		char clients[12]; /* "none", "optional", "required" */
	} listeners[MOST_LISTENERS];
	uint32_t listener_count;
	const char *called;         /* by the request that is being sent; borrowed */
	const tport_t *handshaking; /* whose turn it is in the handshake; NULL: nobody's */
	char refusal[56];           /* why we did not believe a server, the last time */
	uint64_t refused_at_ms;
	SSL *latest; /* made last, on this socket */
	int latest_socket;
} tls;

void ua_tls_calls(const char *name)
{
	tls.called = name && name[0] ? name : NULL;
}

/* ---- what OpenSSL makes for Sofia ------------------------------------------------------- */

/* Where the next new object goes; other threads have TLS of their own. */
static _Thread_local void **catching;

static void on_new_object(void *parent, void *data, CRYPTO_EX_DATA *more, int index, long number, void *pointer)
{
	(void)data, (void)more, (void)index, (void)number, (void)pointer;
	if (catching && !*catching)
		*catching = parent;
}

static void watch_new_objects(void)
{
	static bool watching;

	if (watching)
		return;
	watching = SSL_CTX_get_ex_new_index(0, NULL, on_new_object, NULL, NULL) >= 0 &&
		   SSL_get_ex_new_index(0, NULL, on_new_object, NULL, NULL) >= 0;
}

/* ---- what Sofia forgets ----------------------------------------------------------------- */

typedef struct tls_s tls_t; /* Sofia's own, from a header that is not installed */
tls_t *tls_init_secondary(tls_t *master, int socket, int accept);
void *tls_read_buffer(tls_t *connection, size_t size);
void tls_free(tls_t *connection);
int tls_connect(su_root_magic_t *magic, su_wait_t *wait, tport_t *connection);
void tport_error_report(tport_t *connection, int error, const su_sockaddr_t *to);

/* A connection of Sofia's and its SSL. */
struct pair {
	struct pair *next, *next_at_end;
	struct core_addr end;
	tls_t *connection;
	SSL *ssl;
};

static struct pair *pairs[1024]; /* by connection */
static struct pair *ends[1024];  /* by port of the other end */

static struct pair **pair_at(const tls_t *connection)
{
	struct pair **at = &pairs[((uintptr_t)connection >> 6) % (sizeof pairs / sizeof pairs[0])];

	while (*at && (*at)->connection != connection)
		at = &(*at)->next;
	return at;
}

static struct pair **end_at(const struct core_addr *end)
{
	return &ends[ua_address_port(end) % (sizeof ends / sizeof ends[0])];
}

static void note_end(struct pair *pair, int socket)
{
	socklen_t size = sizeof pair->end;
	struct pair **at;

	if (getpeername(socket, &pair->end.sa, &size) != 0)
		pair->end = (struct core_addr){ 0 }; /* it has gone already */
	at = end_at(&pair->end);
	pair->next_at_end = *at;
	*at = pair;
}

static void forget_end(struct pair *pair)
{
	struct pair **at = end_at(&pair->end);

	while (*at != pair)
		at = &(*at)->next_at_end;
	*at = pair->next_at_end;
}

SSL *ua_tls_connection(const struct core_addr *end)
{
	size_t size = end->sa.sa_family == AF_INET6 ? sizeof end->in6 : sizeof end->in4;
	const struct pair *pair = *end_at(end);

	while (pair && memcmp(&pair->end, end, size) != 0)
		pair = pair->next_at_end;
	return pair ? pair->ssl : NULL;
}

SSL *ua_tls_latest(int socket)
{
	return tls.latest_socket == socket ? tls.latest : NULL;
}

PBX_EXPORT tls_t *tls_init_secondary(tls_t *master, int socket, int accept)
{
	tls_t *(*real)(tls_t *, int, int) = (tls_t * (*)(tls_t *, int, int)) dlsym(RTLD_NEXT, "tls_init_secondary");
	struct pair *pair = calloc(1, sizeof *pair);
	void *ssl = NULL;

	catching = &ssl;
	tls_t *connection = real(master, socket, accept);
	catching = NULL;
	if (!connection || !pair || !ssl) {
		free(pair); /* this one's SSL stays, as Sofia wants it */
		return connection;
	}
	if (!accept && tls.called)
		(void)SSL_set_tlsext_host_name(ssl, tls.called); /* without memory the server shows its usual certificate */
	struct pair **at = pair_at(connection);
	*pair = (struct pair){ .next = *at, .connection = connection, .ssl = ssl };
	*at = pair;
	note_end(pair, socket);
	tls.latest = ssl;
	tls.latest_socket = socket;
	return connection;
}

/* Sofia gives up the BIO below the SSL and a reference to the context that was the SSL's: both are the SSL's to give up. */
PBX_EXPORT void tls_free(tls_t *connection)
{
	void (*real)(tls_t *) = (void (*)(tls_t *))dlsym(RTLD_NEXT, "tls_free");
	struct pair **at = connection ? pair_at(connection) : NULL, *pair = at ? *at : NULL;

	if (!pair) {
		real(connection);
		return;
	}
	*at = pair->next;
	forget_end(pair);
	(void)BIO_up_ref(SSL_get_rbio(pair->ssl)); /* counting up does not fail */
	(void)SSL_CTX_up_ref(SSL_get_SSL_CTX(pair->ssl));
	real(connection);
	SSL_free(pair->ssl);
	if (tls.latest == pair->ssl)
		tls.latest = NULL;
	free(pair);
	ERR_clear_error(); /* what a torn connection left would be taken for the next one's */
}

/* Whoever waits for a connection hears that its certificate was refused, or that the handshake failed: Sofia tells them of it as of a
 * connection that ended (-1), which is none of a request's business, and they would wait for an answer. A listener that can accept nobody
 * is no request's business either. */
PBX_EXPORT void tport_error_report(tport_t *connection, int error, const su_sockaddr_t *to)
{
	su_socket_t door = error == EMFILE || error == ENFILE ? ua_listener_door(connection) : INVALID_SOCKET;
	void (*real)(tport_t *, int, const su_sockaddr_t *) =
		(void (*)(tport_t *, int, const su_sockaddr_t *))dlsym(RTLD_NEXT, "tport_error_report");

	if (door != INVALID_SOCKET)
		ua_spare_show_out(door);
	else
		real(connection, error < 0 && connection == tls.handshaking ? ECONNABORTED : error, to);
}

PBX_EXPORT int tls_connect(su_root_magic_t *magic, su_wait_t *wait, tport_t *connection)
{
	int (*real)(su_root_magic_t *, su_wait_t *, tport_t *) =
		(int (*)(su_root_magic_t *, su_wait_t *, tport_t *))dlsym(RTLD_NEXT, "tls_connect");

	tls.handshaking = connection;
	int result = real(magic, wait, connection);
	tls.handshaking = NULL;
	return result;
}

/* A ping gets its pong, unless a message is half written: then it is not needed. */
PBX_EXPORT void *tls_read_buffer(tls_t *connection, size_t size)
{
	void *(*real)(tls_t *, size_t) = (void *(*)(tls_t *, size_t))dlsym(RTLD_NEXT, "tls_read_buffer");
	void *buffer = real(connection, size);
	const struct pair *pair = *pair_at(connection);

	if (pair && size == 4 && memcmp(buffer, "\r\n\r\n", 4) == 0 && !SSL_want_write(pair->ssl))
		(void)SSL_write(pair->ssl, "\r\n", 2); /* lost: the connection is about to end */
	return buffer;
}

/* The names of the certificate that Sofia has looked at last, which it never frees. */
static struct {
	X509V3_EXT_METHOD method; /* what Sofia is given */
	const X509V3_EXT_METHOD *real;
	GENERAL_NAMES *names;
	STACK_OF(CONF_VALUE) * values;
} looked_at;

static void forget_names(void)
{
	GENERAL_NAMES_free(looked_at.names);
	sk_CONF_VALUE_pop_free(looked_at.values, X509V3_conf_free);
	looked_at.names = NULL;
	looked_at.values = NULL;
}

/* OpenSSL calls an address "IP Address", Sofia looks for "IP": who is called by an address would never have the right certificate. */
static void name_address(const CONF_VALUE *value)
{
	if (value->name && strcmp(value->name, "IP Address") == 0)
		memcpy(value->name, "IP", sizeof "IP");
}

static STACK_OF(CONF_VALUE) * names_to_values(const X509V3_EXT_METHOD *method, void *names, STACK_OF(CONF_VALUE) * values)
{
	(void)method;
	forget_names();
	looked_at.names = names;
	looked_at.values = looked_at.real->i2v(looked_at.real, names, values);
	for (int i = 0; i < sk_CONF_VALUE_num(looked_at.values); i++) /* -1 where there are none */
		name_address(sk_CONF_VALUE_value(looked_at.values, i));
	return looked_at.values;
}

static bool is_sofia(const void *caller)
{
	Dl_info there, sofia;

	return dladdr(caller, &there) && dladdr((const void *)(uintptr_t)nta_agent_create, &sofia) && there.dli_fbase == sofia.dli_fbase;
}

/* Sofia asks how alternative names are read: in a way that lets us free them when it has done so. Everybody else gets the plain answer. */
PBX_EXPORT const X509V3_EXT_METHOD *X509V3_EXT_get(X509_EXTENSION *extension)
{
	static const X509V3_EXT_METHOD *(*real)(X509_EXTENSION *);

	if (!real)
		real = (const X509V3_EXT_METHOD *(*)(X509_EXTENSION *))dlsym(RTLD_NEXT, "X509V3_EXT_get");
	const X509V3_EXT_METHOD *method = real(extension);
	if (!method || method->ext_nid != NID_subject_alt_name || !is_sofia(__builtin_return_address(0)))
		return method;
	looked_at.real = method;
	looked_at.method = *method;
	looked_at.method.i2v = names_to_values;
	return &looked_at.method;
}

/* ---- whom to believe -------------------------------------------------------------------- */

static bool wants_clients(const SSL_CTX *context)
{
	for (uint32_t i = 0; i < tls.listener_count; i++)
		if (tls.listeners[i].context == context)
			return strcmp(tls.listeners[i].clients, "none") != 0;
	return false;
}

static int on_verify(int ok, X509_STORE_CTX *store)
{
	const SSL *ssl = X509_STORE_CTX_get_ex_data(store, SSL_get_ex_data_X509_STORE_CTX_idx());

	if (ok || !tls.ua)
		return ok;
	if (!SSL_is_server(ssl) && !tls.ua->settings->tls_verify) {
		X509_STORE_CTX_set_error(store, X509_V_OK);
		return 1;
	}
	const char *reason = X509_verify_cert_error_string(X509_STORE_CTX_get_error(store));
	pbx_warn(tls.ua->host, "tls_certificate_refused", "of=%s reason=\"%s\"", SSL_is_server(ssl) ? "client" : "server", reason);
	if (!SSL_is_server(ssl)) {
		(void)snprintf(tls.refusal, sizeof tls.refusal, "%s", reason);
		tls.refused_at_ms = core_now_ms();
	}
	return 0;
}

const char *ua_tls_refusal(void)
{
	return tls.refused_at_ms && core_now_ms() - tls.refused_at_ms < REFUSAL_MS ? tls.refusal : "";
}

static int believe(SSL_CTX *context, const struct ua_settings *settings, const char *clients, struct pbx_diag *diag)
{
	X509_STORE *store = X509_STORE_new();
	const char *file = settings->tls_authorities;
	int mode = SSL_VERIFY_PEER;

	if (!store)
		return PBX_ENOMEM;
	SSL_CTX_set_cert_store(context, store); /* what Sofia looked for in folders goes */
	if (*file ? SSL_CTX_load_verify_file(context, file) != 1 : SSL_CTX_set_default_verify_paths(context) != 1) {
		pbx_diag_set(diag, "tls_authorities", "%s: no certificates of authorities in PEM: %s", file,
			     ERR_reason_error_string(ERR_peek_error()));
		return PBX_EIO;
	}
	if (*file && strcmp(clients, "none") != 0)
		SSL_CTX_set_client_CA_list(context, SSL_load_client_CA_file(file));
	if (strcmp(clients, "required") == 0)
		mode |= SSL_VERIFY_FAIL_IF_NO_PEER_CERT;
	SSL_CTX_set_verify(context, mode, on_verify);
	return PBX_OK;
}

/* One context serves both directions: SSL_VERIFY_PEER asks clients too, so those that shall not be asked are let off one by one. */
static int on_client_hello(SSL *ssl, int *ret_alert, void *context)
{
	(void)ret_alert, (void)context;
	if (!wants_clients(SSL_get_SSL_CTX(ssl)))
		SSL_set_verify(ssl, SSL_VERIFY_NONE, NULL);
	return SSL_CLIENT_HELLO_SUCCESS;
}

static int set_up(SSL_CTX *context, const struct ua_settings *settings, const struct identity *identity, const char *clients,
		  struct pbx_diag *diag)
{
	ERR_clear_error();
	(void)SSL_CTX_set_min_proto_version(context, TLS1_2_VERSION);
	(void)SSL_CTX_set_options(context, SSL_OP_NO_RENEGOTIATION | SSL_OP_CIPHER_SERVER_PREFERENCE);
	(void)SSL_CTX_set_session_cache_mode(context, SSL_SESS_CACHE_OFF);
	SSL_CTX_set_client_hello_cb(context, on_client_hello, NULL);
	if (SSL_CTX_set_cipher_list(context, CIPHERS) != 1)
		return PBX_EIO;
	int err = believe(context, settings, clients, diag);
	return err == PBX_OK ? core_certificate_load(&identity->files, context, diag) : err;
}

/* ---- the certificate -------------------------------------------------------------------- */

static struct print print_of(const char *path)
{
	struct stat status;

	if (stat(path, &status) != 0)
		return (struct print){ 0 };
	return (struct print){ .changed = status.st_mtim, .inode = status.st_ino, .size = status.st_size };
}

static bool same_print(const struct print *a, const struct print *b)
{
	return a->changed.tv_sec == b->changed.tv_sec && a->changed.tv_nsec == b->changed.tv_nsec && a->inode == b->inode &&
	       a->size == b->size;
}

static void identity_free(struct identity *identity)
{
	free(identity->said);
	free(identity);
}

/* said NULL: the house's. *ret_identity is in the list. */
static int identity_add(const char *said, const char *certificate, const char *key, struct identity **ret_identity, struct pbx_diag *diag)
{
	struct identity *identity = calloc(1, sizeof *identity);

	if (identity && said)
		identity->said = strdup(said);
	if (!identity || (said && !identity->said)) {
		free(identity);
		return PBX_ENOMEM;
	}
	int err = core_certificate_find("sip", certificate, key, tls.data_dir, "", &identity->files, diag);
	if (err != PBX_OK) {
		identity_free(identity);
		return err;
	}
	identity->certificate = print_of(identity->files.certificate);
	identity->key = print_of(identity->files.key);
	identity->next = tls.identities;
	tls.identities = identity;
	*ret_identity = identity;
	return PBX_OK;
}

static int find_house(const struct ua_settings *settings, struct pbx_diag *diag)
{
	const char *certificate = settings->certificate, *key = settings->key;
	struct pbx_json *shown_certificate = core_settings_show("api.certificate"), *shown_key = core_settings_show("api.key");
	const char *gateways = core_json_text(core_json_get(core_json_at(shown_certificate, 0), "value"));
	const char *gateways_key = core_json_text(core_json_get(core_json_at(shown_key, 0), "value"));
	struct identity *house;

	if (!*certificate && gateways && *gateways && gateways_key) {
		certificate = gateways;
		key = gateways_key;
	}
	int err = identity_add(NULL, certificate, key, &house, diag);
	core_json_free(shown_certificate);
	core_json_free(shown_key);
	return err;
}

/* Of a listener's certificate; sockets of one listener share it. */
static int find_identity(const struct ua_manners *manners, struct identity **ret_identity, struct pbx_diag *diag)
{
	bool is_house = strcmp(manners->certificate, tls.ua->settings->certificate) == 0;

	for (struct identity *identity = tls.identities; identity; identity = identity->next)
		if (identity->said ? !is_house && strcmp(identity->said, manners->certificate) == 0 : is_house) {
			*ret_identity = identity;
			return PBX_OK;
		}
	return identity_add(manners->certificate, manners->certificate, manners->key, ret_identity, diag);
}

/* The new files are tried where nothing depends on them: between two renames they do not fit one another. */
static int renew(const struct identity *identity, struct pbx_diag *diag)
{
	SSL_CTX *trial = SSL_CTX_new(TLS_method());
	int err = trial ? core_certificate_load(&identity->files, trial, diag) : PBX_ENOMEM;

	SSL_CTX_free(trial);
	for (uint32_t i = 0; err == PBX_OK && i < tls.listener_count; i++)
		if (tls.listeners[i].identity == identity)
			err = core_certificate_load(&identity->files, tls.listeners[i].context, diag);
	return err;
}

static void look_at(struct identity *identity)
{
	struct print certificate = print_of(identity->files.certificate), key = print_of(identity->files.key);
	struct pbx_diag diag = { 0 };

	if (same_print(&certificate, &identity->certificate) && same_print(&key, &identity->key))
		return;
	identity->certificate = certificate;
	identity->key = key;
	if (renew(identity, &diag) == PBX_OK)
		pbx_notice(tls.ua->host, "sip_certificate_loaded", "file=%s", identity->files.certificate);
	else
		pbx_warn(tls.ua->host, "sip_certificate_unusable", "reason=\"%s\" kept=\"the one before\"", diag.text);
}

static void on_check(void *self, pbx_timer timer)
{
	(void)self, (void)timer;
	for (struct identity *identity = tls.identities; identity; identity = identity->next)
		look_at(identity);
}

/* ---- life ------------------------------------------------------------------------------- */

int ua_tls_start(struct ua *ua, struct pbx_diag *diag)
{
	struct pbx_json *shown = core_settings_show("server.data_dir");
	const char *data_dir = core_json_text(core_json_get(core_json_at(shown, 0), "value"));

	watch_new_objects();
	tls.ua = ua;
	tls.data_dir = data_dir ? strdup(data_dir) : NULL;
	core_json_free(shown);
	if (!tls.data_dir)
		return PBX_ENOMEM;
	int err = find_house(ua->settings, diag);
	return err == PBX_OK ? core_timer_start(ua->host, CHECK_MS, CHECK_MS, on_check, ua, &tls.timer) : err;
}

void ua_tls_stop(void)
{
	forget_names();
	(void)core_timer_stop(tls.timer); /* or it has gone with its owner */
	free(tls.data_dir);
	while (tls.identities) {
		struct identity *identity = tls.identities;

		tls.identities = identity->next;
		identity_free(identity);
	}
	memset(&tls, 0, sizeof tls);
}

int ua_tls_listen(struct ua *ua, const char *url, const char *ident, const struct ua_manners *manners, struct pbx_diag *diag)
{
	struct identity *identity = NULL;
	unsigned policy = ua->settings->tls_verify ? TPTLS_VERIFY_OUT | TPTLS_VERIFY_SUBJECTS_OUT : TPTLS_VERIFY_NONE;
	void *context = NULL;

	if (tls.listener_count == MOST_LISTENERS) {
		pbx_diag_set(diag, "listen", "there may be %u TLS listeners", MOST_LISTENERS);
		return PBX_EINVAL;
	}
	int err = find_identity(manners, &identity, diag);
	if (err != PBX_OK)
		return err;
	catching = &context;
	int added =
		nta_agent_add_tport(ua->agent, ua_url(url), UA_LISTENER_TAGS(ua->settings), TPTAG_IDENT(ident),
				    TPTAG_CERTIFICATE(tls.data_dir), TPTAG_TLS_VERIFY_POLICY(policy), TPTAG_TLS_VERIFY_DEPTH(5), TAG_END());
	catching = NULL;
	if (added < 0 || !context)
		return PBX_EIO;
	tls.listeners[tls.listener_count].context = context;
	tls.listeners[tls.listener_count].identity = identity;
	(void)snprintf(tls.listeners[tls.listener_count].clients, sizeof tls.listeners[0].clients, "%s", manners->tls_clients);
	tls.listener_count++;
	return set_up(context, ua->settings, identity, manners->tls_clients, diag);
}
