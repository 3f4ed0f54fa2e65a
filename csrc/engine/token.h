/* Tokens for webhooks whose receivers want one (OAuth 2.0 client credentials). Run by the delivery
 * thread that has the webhook's lane.
 *
 * A webhook's snapshot has at most one token and asks for one at a time, on the same client as its
 * deliveries are sent with. Those that need it wait for it, in their lane's slots; other lanes go
 * on. An endpoint that gives none is a failed attempt of each that waited, of the class "auth". */
#ifndef MP_ENGINE_TOKEN_H
#define MP_ENGINE_TOKEN_H

#include "engine/delivery_thread.h"

/* Is there a token for this delivery's next request? */
bool mp_token_ready(const mp_delivery *delivery);

/* The delivery waits: asks for a token unless that is done already. Afterwards it goes on
 * (mp_delivery_again), or its attempt failed. */
mp_code mp_token_wait(mp_sender *sender, mp_delivery *delivery, mp_error *err);

/* A receiver answered 401. True: the delivery goes on with another token, once an attempt. False:
 * the answer counts. */
bool mp_token_refused(mp_sender *sender, mp_delivery *delivery);

#endif
