/* call_recording/metadata.h - who talks to whom, as a recorder elsewhere is told (RFC 7865). Knows no other file of the plugin. [any] */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define METADATA_ID_SIZE 25u /* base64 of 16 octets, and a zero */
#define METADATA_TYPE "application/rs-metadata+xml"
#define METADATA_REQUEST_TYPE "application/rs-metadata-request"
#define METADATA_DISPOSITION "recording-session"

/* Somebody in the conversation, and the stream that has their voice. */
struct metadata_party {
	char participant_id[METADATA_ID_SIZE];
	char aor[192], name[64];    /* "sip:1001@example.net"; "" without a name */
	uint32_t stream;            /* which of the two streams they send; the other one they hear */
	int64_t since_us, until_us; /* of the wall clock; until 0: still there */
};

struct metadata {
	bool is_complete; /* all of it; else only what is new */
	char group_id[METADATA_ID_SIZE], session_id[METADATA_ID_SIZE];
	char stream_id[2][METADATA_ID_SIZE];
	const char *call_ids[2]; /* of the conversation's SIP dialogs; "" none */
	int64_t since_us;
	const struct metadata_party *parties[8];
	uint32_t party_count;
};

void metadata_keep_library(void); /* once */
/* A fresh one, and one that says the same as a ULID does. */
void metadata_id(char ret_id[METADATA_ID_SIZE]);
void metadata_id_of_ulid(const char *ulid, char ret_id[METADATA_ID_SIZE]);
/* The stream with number `at` is told apart in SDP by this label. */
const char *metadata_label(uint32_t at);
/* The document: owned, free() it. NULL: no memory. */
char *metadata_write(const struct metadata *metadata);
