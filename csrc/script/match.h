/* Lua 5.4's patterns (reference manual, section 6.4.1) with a budget: what a match costs is counted
 * in steps while it runs, so that no pattern takes longer than whoever runs it allows, and it needs
 * no C stack and no memory beyond a fixed amount. No lua.h, no allocation, no locale. */
#ifndef MP_SCRIPT_MATCH_H
#define MP_SCRIPT_MATCH_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define MP_MATCH_CAPTURES 32  /* as in Lua */
#define MP_MATCH_DEPTH    200 /* choices open at once, as in Lua: then "pattern too complex" */

typedef enum mp_match_result {
  MP_MATCH_NO,
  MP_MATCH_YES,
  MP_MATCH_BAD,  /* the pattern is malformed: error says how */
  MP_MATCH_LIMIT /* the budget is used up */
} mp_match_result;

/* What len of a capture is when it is no length. */
#define MP_CAPTURE_OPEN     ((size_t)-1) /* its ')' did not come */
#define MP_CAPTURE_POSITION ((size_t)-2) /* "()" */

typedef struct mp_capture {
  size_t start; /* offset in the subject */
  size_t len;
} mp_capture;

typedef struct mp_match mp_match;

/* The caller sets what stands before captures; the rest is mp_match_at's. A step is about one byte
 * looked at. budget goes below zero by at most one pass over the pattern or the subject. */
struct mp_match {
  const char *subject;
  size_t subject_len;
  const char *pattern; /* without the '^' that anchors it */
  size_t pattern_len;
  int64_t budget; /* steps that may yet be taken */
  /* Called when the budget is used up: puts more there and answers true, or ends the match (it may
   * jump out of it). NULL: no more. */
  bool (*refill)(mp_match *m);
  void *arg; /* refill's own */

  mp_capture captures[MP_MATCH_CAPTURES];
  int capture_count;
  char error[48];
};

/* Does the pattern match the subject from offset at on? *end becomes the offset after the match.
 * Captures hold until the next call, and mean something after MP_MATCH_YES only. */
mp_match_result mp_match_at(mp_match *m, size_t at, size_t *end);

/* Is the pattern plain text, that is, without any of ^$*+?.([%- ? */
bool mp_match_plain(const char *pattern, size_t len);

#endif
