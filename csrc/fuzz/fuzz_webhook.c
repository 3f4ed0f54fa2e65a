/* Any bytes as a webhook's definition, as it may stand in a store that somebody else wrote: it is
 * read, or refused with a reason; header fields that are read are written as they were. */
#include "engine/webhook.h"
#include "fuzz/fuzz.h"

static char *const events[] = {(char *)(uintptr_t) "entry.create",
                               (char *)(uintptr_t) "entry.update",
                               (char *)(uintptr_t) "media.create"};
static int64_t delays[] = {10, 20};

static mp_settings settings = {.events = (char **)(uintptr_t)events,
                               .event_count = 3,
                               .retry_ms = delays,
                               .retry_count = 2,
                               .timeout_ms = 1000,
                               .connect_timeout_ms = 1000,
                               .concurrency = 10};

static void check_headers(const char *json) {
  mp_headers headers, again;
  mp_buf out;
  mp_error err = {0};

  mp_headers_init(&headers);
  mp_headers_init(&again);
  mp_buf_init(&out, MP_BUF_NO_LIMIT);
  if (mp_webhook_headers(json, &headers, &err) == MP_OK &&
      !mp_webhook_headers_write(&headers, &out)) {
    mp_buf_add_char(&out, '\0');
    must(mp_webhook_headers(out.data, &again, &err) == MP_OK && again.count == headers.count);
  }
  mp_buf_free(&out);
  mp_headers_free(&headers);
  mp_headers_free(&again);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  fuzz_input in = {data, size};
  char *definition = fuzz_text(&in);
  mp_webhook_row row = {.id = 1, .name = "w", .definition = definition, .enabled = true};
  mp_webhook *webhook = NULL;
  mp_error err = {0};
  mp_code code = mp_webhook_new(&settings, &row, &webhook, &err);

  must((code == MP_OK) == (webhook != NULL));
  if (webhook) {
    must(webhook->url && webhook->concurrency > 0 && webhook->timeout_ms > 0);
    mp_webhook_wants_type(webhook, &settings, "entry.create", "address");
    mp_webhook_wants_type(webhook, &settings, "webhook.failing", NULL);
  } else {
    must(code == MP_EINVAL && err.message[0] != '\0');
  }
  mp_webhook_unref(webhook);
  check_headers(definition);
  free(definition);
  return 0;
}
