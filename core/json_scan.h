/* core/json_scan.h - what json.c asks before it has a text parsed. [any] */
#pragma once
#include <pbx/json.h>

/* Whether the text is JSON as far as cJSON does not look; if not, diag tells what is wrong, and where. */
bool core_json_scan(const char *text, size_t length, struct pbx_diag *diag);
/* "line 3, column 7: " and what is wrong there. */
void core_json_say_where(struct pbx_diag *diag, const char *start, const char *at, const char *wrong);
