/* sip/registrar.h - REGISTER (RFC 3261 10, RFC 3327, RFC 5626). [loop] */
#pragma once
#include "ua.h"

/* Answers a REGISTER whose account has proved itself. */
void ua_register(struct ua_request *request);
