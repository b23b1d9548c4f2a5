/*
 * tls_names.c - who a client has proved to be by its certificate
 *
 * RFC 5922 7.1: the URIs with scheme sip among the alternative names are who it is; without one the DNS names; and the common name alone where
 * there are no alternative names at all. A name with a zero byte in it is no name, whatever stands before that byte.
 */
#include "tls_names.h"
#include "tls.h"
#include <openssl/ssl.h>
#include <openssl/x509v3.h>
#include <string.h>

static void add(struct ua_tls_names *names, const char *text, size_t length)
{
	if (names->count == UA_MOST_NAMES || length == 0 || length >= UA_TLS_NAME || memchr(text, '\0', length))
		return;
	memcpy(names->names[names->count], text, length);
	names->names[names->count++][length] = '\0';
}

/* "sip:1001@pbx.test" stays, "sip:pbx.test" is the name of a system. */
static void add_uri(struct ua_tls_names *names, const char *text, size_t length)
{
	if (length <= 4 || strncasecmp(text, "sip:", 4) != 0)
		return;
	if (memchr(text, '@', length))
		add(names, text, length);
	else
		add(names, text + 4, length - 4);
}

static void add_alternatives(struct ua_tls_names *names, const GENERAL_NAMES *all, int kind)
{
	for (int i = 0; i < sk_GENERAL_NAME_num(all); i++) {
		const GENERAL_NAME *name = sk_GENERAL_NAME_value(all, i);

		if (name->type != kind)
			continue;
		const char *text = (const char *)ASN1_STRING_get0_data(name->d.ia5);
		size_t length = (size_t)ASN1_STRING_length(name->d.ia5);

		if (kind == GEN_URI)
			add_uri(names, text, length);
		else
			add(names, text, length);
	}
}

static void add_common_name(struct ua_tls_names *names, const X509 *certificate)
{
	char text[UA_TLS_NAME];
	int length = X509_NAME_get_text_by_NID(X509_get_subject_name(certificate), NID_commonName, text, sizeof text);

	if (length > 0)
		add(names, text, (size_t)length);
}

static void read_names(const X509 *certificate, struct ua_tls_names *ret_names)
{
	GENERAL_NAMES *all = X509_get_ext_d2i(certificate, NID_subject_alt_name, NULL, NULL);

	if (!all) {
		add_common_name(ret_names, certificate);
		return;
	}
	add_alternatives(ret_names, all, GEN_URI);
	if (ret_names->count == 0)
		add_alternatives(ret_names, all, GEN_DNS);
	GENERAL_NAMES_free(all);
}

void ua_tls_names(const struct core_addr *end, struct ua_tls_names *ret_names)
{
	SSL *ssl = ua_tls_connection(end);
	const X509 *certificate =
		ssl && SSL_is_server(ssl) && SSL_get_verify_result(ssl) == X509_V_OK ? SSL_get0_peer_certificate(ssl) : NULL;

	ret_names->count = 0;
	if (certificate)
		read_names(certificate, ret_names);
}

bool ua_tls_account(const struct ua_tls_names *names, const char *domain, char ret_account[64])
{
	for (uint32_t i = 0; i < names->count; i++) {
		const char *user = names->names[i] + strlen("sip:"), *at = strchr(names->names[i], '@');

		if (!at || at <= user || at - user >= 64 || strcasecmp(at + 1, domain) != 0)
			continue;
		(void)snprintf(ret_account, 64, "%.*s", (int)(at - user), user);
		return true;
	}
	return false;
}
