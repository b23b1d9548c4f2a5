/* core/parts.h - how the daemon is put together
 *
 * The daemon's own parts are described by the same struct pbx_plugin as any plugin and linked in instead of loaded, so their
 * settings, tables, routes, commands, metrics and events come the same way. "Nothing special about us" is what keeps the ABI honest.
 * What a part needs beyond the public services it gets from the headers in core/. */
#pragma once
#include <pbx/plugin.h>

extern const struct pbx_plugin core_part;     /* core/: status, plugin, config, route, log, events commands */
extern const struct pbx_plugin calls_part;    /* core/: settings "calls", call events, commands `calls …` */
extern const struct pbx_plugin prompts_part;  /* core/: settings "prompts"; pbx.prompts/1 */
extern const struct pbx_plugin trace_part;    /* core/: settings "trace"; every SIP message */
extern const struct pbx_plugin explain_part;  /* core/: commands `calls explain`, `calls show`, `registrations explain` */
extern const struct pbx_plugin sip_part;      /* sip/: settings "sip"; registrar; leg driver */
extern const struct pbx_plugin messages_part; /* sip/: settings "messages"; pbx.messages/1 */
extern const struct pbx_plugin media_part;    /* rtp/: settings "media"; media driver */
extern const struct pbx_plugin codecs_part;   /* rtp/: commands `codec list`, `codec test` */
extern const struct pbx_plugin api_part;      /* api/: settings "api"; gateway */

int core_offer_services(void); /* what core/ itself serves, before any part starts. PBX_OK, PBX_EEXIST. [loop] */

/* api/: ready(context) once people can log in: at once, or when the first user has been made. [loop] */
void api_when_ready(void (*ready)(void *context), void *context);
