/* sip/contact.h - what a REGISTER says about one device: Contact, Path, and the parameters push services need. Reads only, keeps nothing. [any] */
#pragma once
#include <pbx/plugin.h>
#include <sofia-sip/sip.h>

#define UA_MOST_URI 512u      /* of a contact */
#define UA_MOST_PATH 512u     /* of a Path in one piece */
#define UA_MOST_INSTANCE 128u /* of +sip.instance without its quotes */

struct ua_contact {
	char uri[UA_MOST_URI], instance[UA_MOST_INSTANCE]; /* instance "<urn:…>", or "" */
	uint32_t reg_id, q_milli;                          /* reg_id 0: none, or one without an instance (RFC 5626 6) */
	uint32_t expires_s;
	bool has_expires; /* false: expires_s is not said here */
};

/* One of the list that its message has. PBX_OK, PBX_EINVAL (no SIP address, or longer than we keep). */
int ua_contact_read(const sip_contact_t *list, const sip_contact_t *contact, struct ua_contact *ret_contact);
/* The whole of Path as one line, "" when there is none (RFC 3327). PBX_OK, PBX_ENOSPC. */
int ua_path_read(const sip_path_t *path, char ret_path[UA_MOST_PATH]);
/* Whether the proxy the device is connected to keeps flows (RFC 5626 5.1): it wrote ;ob into the Path's last address. */
bool ua_path_has_flow(const sip_path_t *path);

/* Whether `name` is among parameters like "a=1;b;c=%41" (NULL is fine), which `between` parts, and its value unescaped: "" without one, or when it is
 * longer than ret_value, which may be NULL. Sofia's url_param() reads on behind the text when a parameter only begins like the one it looks for. */
bool ua_param(const char *params, const char *between, const char *name, char *ret_value, size_t size);
/* The parameter `name` of a URI as text, unescaped; without a value it is "". False: it is not there, or longer than ret_value. */
bool ua_uri_param(const char *uri, const char *name, char *ret_value, size_t size);
