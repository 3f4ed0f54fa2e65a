/* What is read of a response. Delivery thread, within libcurl's callbacks. */
#ifndef MP_HTTP_RESPONSE_H
#define MP_HTTP_RESPONSE_H

#include <curl/curl.h>
#include <stdbool.h>
#include <stddef.h>

typedef struct mp_response {
  char *text; /* the first bytes of the body, once the head is complete */
  size_t room;
  size_t len;
  size_t body_bytes; /* of them all */
  size_t head_bytes;
  bool in_head;          /* after the first line of a head, until its last */
  bool head_complete;    /* of the last response head: the empty line after it came */
  bool has_field;        /* a header field came */
  bool cut;              /* we ended the body: it passed what is read of one */
  const char *fault;     /* why it was given up as no response; NULL: it was not */
  const char *unsettled; /* the last text: a header line, if libcurl says so next */
  size_t unsettled_len;
} mp_response;

/* False: out of memory. */
bool mp_response_init(mp_response *response, size_t room);
void mp_response_free(mp_response *response);

/* Before each request. */
void mp_response_begin(mp_response *response);

/* Has the handle's responses read into this one. */
bool mp_response_watch(mp_response *response, CURL *easy);

#endif
