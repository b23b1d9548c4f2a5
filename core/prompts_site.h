/* core/prompts_site.h - requests about a site's own prompts, for the card in prompts_part.c. All of it: [loop]. */
#pragma once
#include "prompts.h"

struct pbx_host *core_prompts_host(void); /* of the part, while it runs */

void core_prompts_on_list(void *self, pbx_request request);
void core_prompts_on_audio(void *self, pbx_request request);
void core_prompts_on_put(void *self, pbx_request request);
void core_prompts_on_speak(void *self, pbx_request request);
void core_prompts_on_restore(void *self, pbx_request request);
void core_prompts_copy(pbx_request request, const char *from, const char *to); /* and answers where it is */
