/*
 * srtp - a guard is a libsrtp2 session with one direction's keys
 *
 * What we send has one SSRC for life, so its context is made with the guard and no packet allocates. What arrives may change its SSRC (a
 * transfer behind the peer): libsrtp2 makes a context for a new one only after its first packet has proved that it knows the key.
 */
#include "srtp.h"
#include "srtp_openssl.h"

#include <core/srtp_suites.h>
#include <pbx/abi.h>
#include <srtp2/srtp.h>
#include <stdlib.h>
#include <string.h>

#define REPLAY_WINDOW 1024u /* packets; RFC 3711 3.3.2 wants 64 at least */

struct rtp_guard {
	srtp_t session;
};

int rtp_srtp_init(void)
{
	if (srtp_init() != srtp_err_status_ok)
		return PBX_EIO;
	if (rtp_srtp_use_openssl())
		return PBX_OK;
	(void)srtp_shutdown();
	return PBX_EIO;
}

void rtp_srtp_fini(void)
{
	(void)srtp_shutdown();
}

/* The profile of a suite, for RTP; SRTCP always has the long tag (RFC 4568 6.2). */
static bool set_profile(uint8_t suite, srtp_policy_t *policy)
{
	switch (suite) {
	case CORE_SRTP_AES_CM_128_80:
		srtp_crypto_policy_set_aes_cm_128_hmac_sha1_80(&policy->rtp);
		srtp_crypto_policy_set_aes_cm_128_hmac_sha1_80(&policy->rtcp);
		return true;
	case CORE_SRTP_AES_CM_128_32:
		srtp_crypto_policy_set_aes_cm_128_hmac_sha1_32(&policy->rtp);
		srtp_crypto_policy_set_aes_cm_128_hmac_sha1_80(&policy->rtcp);
		return true;
	case CORE_SRTP_AES_CM_256_80:
		srtp_crypto_policy_set_aes_cm_256_hmac_sha1_80(&policy->rtp);
		srtp_crypto_policy_set_aes_cm_256_hmac_sha1_80(&policy->rtcp);
		return true;
	case CORE_SRTP_AES_CM_256_32:
		srtp_crypto_policy_set_aes_cm_256_hmac_sha1_32(&policy->rtp);
		srtp_crypto_policy_set_aes_cm_256_hmac_sha1_80(&policy->rtcp);
		return true;
	case CORE_SRTP_AES_GCM_128:
		srtp_crypto_policy_set_aes_gcm_128_16_auth(&policy->rtp);
		srtp_crypto_policy_set_aes_gcm_128_16_auth(&policy->rtcp);
		return true;
	case CORE_SRTP_AES_GCM_256:
		srtp_crypto_policy_set_aes_gcm_256_16_auth(&policy->rtp);
		srtp_crypto_policy_set_aes_gcm_256_16_auth(&policy->rtcp);
		return true;
	default:
		return false;
	}
}

int rtp_guard_new(const struct core_crypto *crypto, uint32_t ssrc, struct rtp_guard **ret_guard)
{
	uint8_t key[CORE_SRTP_KEY_BYTES];
	srtp_policy_t policy = { .key = key,
				 .window_size = REPLAY_WINDOW,
				 .ssrc = { .type = ssrc ? ssrc_specific : ssrc_any_inbound, .value = ssrc } };

	if (!set_profile(crypto->suite, &policy))
		return PBX_EINVAL;
	struct rtp_guard *guard = calloc(1, sizeof *guard);

	if (!guard)
		return PBX_ENOMEM;
	memcpy(key, crypto->key, sizeof key);
	srtp_err_status_t status = srtp_create(&guard->session, &policy);

	explicit_bzero(key, sizeof key);
	if (status != srtp_err_status_ok) {
		free(guard);
		return PBX_ENOMEM;
	}
	*ret_guard = guard;
	return PBX_OK;
}

void rtp_guard_free(struct rtp_guard *guard)
{
	if (!guard)
		return;
	(void)srtp_dealloc(guard->session);
	free(guard);
}

bool rtp_guard_protect(struct rtp_guard *guard, bool rtcp, uint8_t *packet, size_t *size)
{
	int bytes = (int)*size;
	srtp_err_status_t status = rtcp ? srtp_protect_rtcp(guard->session, packet, &bytes) : srtp_protect(guard->session, packet, &bytes);

	*size = (size_t)bytes;
	return status == srtp_err_status_ok;
}

bool rtp_guard_unprotect(struct rtp_guard *guard, bool rtcp, uint8_t *packet, size_t *size)
{
	int bytes = (int)*size;
	srtp_err_status_t status =
		rtcp ? srtp_unprotect_rtcp(guard->session, packet, &bytes) : srtp_unprotect(guard->session, packet, &bytes);

	*size = (size_t)bytes;
	return status == srtp_err_status_ok;
}
