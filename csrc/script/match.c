/* The matcher. A pattern is a row of items, and nothing repeats but single characters, so the
 * choices that may have to be taken back lie one behind the other: they are kept on a small stack
 * of their own (struct choice), at most one for each item. When an item does not fit, the latest
 * choice decides anew; when there is none left, the match has failed.
 *
 * Opening and closing a capture are choices too, which are only ever taken back: so the captures
 * are always those of the way that is being tried. Both count for MP_MATCH_DEPTH, as they do in
 * Lua, so that a script learns of the same limit everywhere. */
#include "script/match.h"

#include <stdio.h>
#include <string.h>

typedef enum choice_kind {
  GREEDY,   /* * +: took all that fit, gives back one at a time */
  LAZY,     /* -: took as few as it can */
  OPTIONAL, /* ?: took its one */
  OPENED,   /* ( */
  CLOSED    /* ) */
} choice_kind;

typedef struct choice {
  choice_kind kind;
  int capture;  /* CLOSED: which */
  size_t item;  /* LAZY: offset in the pattern of what repeats */
  size_t next;  /* GREEDY, LAZY, OPTIONAL: where the pattern goes on */
  size_t from;  /* GREEDY, OPTIONAL: offset in the subject to which it may give back */
  size_t until; /* GREEDY, LAZY: the end of what is taken now */
} choice;

typedef struct matcher {
  mp_match *m;
  size_t s;              /* offset in the subject */
  size_t p;              /* offset in the pattern */
  mp_match_result ended; /* MP_MATCH_NO: not yet */
  int depth;
  choice choices[MP_MATCH_DEPTH];
} matcher;

/* Ends the match; answers false, so that what failed can say so at once. */
static bool stop(matcher *x, mp_match_result why, const char *error) {
  if (x->ended == MP_MATCH_NO) {
    x->ended = why;
    snprintf(x->m->error, sizeof x->m->error, "%s", error);
  }
  return false;
}

static bool spend(matcher *x, size_t steps) {
  mp_match *m = x->m;

  m->budget -= (int64_t)steps;
  if (m->budget >= 0 || (m->refill && m->refill(m))) return true;
  return stop(x, MP_MATCH_LIMIT, "");
}

/* ---- single characters ---------------------------------------------------------------------- */

static bool is_lower(unsigned char c) {
  return c >= 'a' && c <= 'z';
}

static bool is_upper(unsigned char c) {
  return c >= 'A' && c <= 'Z';
}

static bool is_digit(unsigned char c) {
  return c >= '0' && c <= '9';
}

static bool is_alnum(unsigned char c) {
  return is_lower(c) || is_upper(c) || is_digit(c);
}

static bool is_graph(unsigned char c) {
  return c > ' ' && c < 0x7f;
}

/* Is c in the class %letter? The classes are those of the C locale, whatever the host's is. */
static bool in_class(unsigned char c, unsigned char letter) {
  bool in;

  switch (is_upper(letter) ? letter - 'A' + 'a' : letter) {
    case 'a':
      in = is_lower(c) || is_upper(c);
      break;
    case 'c':
      in = c < ' ' || c == 0x7f;
      break;
    case 'd':
      in = is_digit(c);
      break;
    case 'g':
      in = is_graph(c);
      break;
    case 'l':
      in = is_lower(c);
      break;
    case 'p':
      in = is_graph(c) && !is_alnum(c);
      break;
    case 's':
      in = c == ' ' || (c >= '\t' && c <= '\r');
      break;
    case 'u':
      in = is_upper(c);
      break;
    case 'w':
      in = is_alnum(c);
      break;
    case 'x':
      in = is_digit(c) || (c >= 'a' && c <= 'f') || (c >= 'A' && c <= 'F');
      break;
    case 'z': /* of Lua 5.1, and still there in 5.4 */
      in = c == '\0';
      break;
    default:
      return c == letter;
  }
  return in != is_upper(letter);
}

/* Is c in the set whose text, without brackets, is [p, end)? */
static bool in_set(const mp_match *m, unsigned char c, size_t p, size_t end) {
  const unsigned char *text = (const unsigned char *)m->pattern;
  bool negated = text[p] == '^';

  if (negated) p++;
  while (p < end) {
    if (text[p] == '%') {
      if (in_class(c, text[p + 1])) return !negated;
      p += 2;
    } else if (end - p > 2 && text[p + 1] == '-') {
      if (text[p] <= c && c <= text[p + 2]) return !negated;
      p += 3;
    } else {
      if (text[p] == c) return !negated;
      p++;
    }
  }
  return negated;
}

/* Finds the end of the single character, class or set at p. */
static bool single_end(matcher *x, size_t p, size_t *end) {
  const mp_match *m = x->m;
  size_t first;

  if (m->pattern[p] == '%') {
    if (m->pattern_len - p < 2) return stop(x, MP_MATCH_BAD, "malformed pattern (ends with '%')");
    *end = p + 2;
    return true;
  }
  if (m->pattern[p] != '[') {
    *end = p + 1;
    return true;
  }
  first = p + 1;
  if (first < m->pattern_len && m->pattern[first] == '^') first++;
  p = first; /* a ']' here is a character of the set */
  while (p < m->pattern_len && (m->pattern[p] != ']' || p == first))
    p += m->pattern[p] == '%' ? 2 : 1;
  if (p >= m->pattern_len) return stop(x, MP_MATCH_BAD, "malformed pattern (missing ']')");
  *end = p + 1;
  return spend(x, p - first);
}

/* Does the single character, class or set [p, end) match the byte at s? Does not spend. */
static bool single_matches(const mp_match *m, size_t s, size_t p, size_t end) {
  unsigned char c;

  if (s >= m->subject_len) return false;
  c = (unsigned char)m->subject[s];
  switch (m->pattern[p]) {
    case '.':
      return true;
    case '%':
      return in_class(c, (unsigned char)m->pattern[p + 1]);
    case '[':
      return in_set(m, c, p + 1, end - 1);
    default:
      return (unsigned char)m->pattern[p] == c;
  }
}

/* ---- choices -------------------------------------------------------------------------------- */

static choice *choose(matcher *x, choice_kind kind) {
  choice *c;

  if (x->depth >= MP_MATCH_DEPTH - 1) {
    stop(x, MP_MATCH_BAD, "pattern too complex");
    return NULL;
  }
  c = &x->choices[x->depth++];
  c->kind = kind;
  return c;
}

/* Decides the latest choice anew. False: there is none left, or the match has ended. */
static bool back(matcher *x) {
  mp_match *m = x->m;

  while (x->depth > 0) {
    choice *c = &x->choices[x->depth - 1];
    if (!spend(x, 1)) return false;
    switch (c->kind) {
      case GREEDY:
        if (c->until > c->from) {
          x->s = --c->until;
          x->p = c->next;
          return true;
        }
        break;
      case LAZY:
        if (!spend(x, c->next - c->item)) return false;
        if (single_matches(m, c->until, c->item, c->next - 1)) {
          x->s = ++c->until;
          x->p = c->next;
          return true;
        }
        break;
      case OPTIONAL:
        x->s = c->from;
        x->p = c->next;
        x->depth--;
        return true;
      case OPENED:
        m->capture_count--;
        break;
      case CLOSED:
        m->captures[c->capture].len = MP_CAPTURE_OPEN;
        break;
    }
    x->depth--;
  }
  return false;
}

/* ---- items ---------------------------------------------------------------------------------- */

/* Each takes the item at p, moves s and p on and answers true; or answers false when it does not
 * fit (or the match has ended). */

static bool open_capture(matcher *x) {
  mp_match *m = x->m;
  bool position = m->pattern_len - x->p > 1 && m->pattern[x->p + 1] == ')';

  if (m->capture_count == MP_MATCH_CAPTURES) return stop(x, MP_MATCH_BAD, "too many captures");
  if (!choose(x, OPENED)) return false;
  m->captures[m->capture_count].start = x->s;
  m->captures[m->capture_count].len = position ? MP_CAPTURE_POSITION : MP_CAPTURE_OPEN;
  m->capture_count++;
  x->p += position ? 2 : 1;
  return true;
}

static bool close_capture(matcher *x) {
  mp_match *m = x->m;
  int i = m->capture_count;
  choice *c;

  while (i > 0 && m->captures[i - 1].len != MP_CAPTURE_OPEN)
    i--;
  if (i == 0) return stop(x, MP_MATCH_BAD, "invalid pattern capture");
  c = choose(x, CLOSED);
  if (!c) return false;
  c->capture = i - 1;
  m->captures[i - 1].len = x->s - m->captures[i - 1].start;
  x->p++;
  return true;
}

/* %bxy */
static bool balanced(matcher *x) {
  const mp_match *m = x->m;
  size_t s = x->s, open = 1;
  char first, last;

  if (m->pattern_len - x->p < 4) {
    return stop(x, MP_MATCH_BAD, "malformed pattern (missing arguments to '%b')");
  }
  first = m->pattern[x->p + 2];
  last = m->pattern[x->p + 3];
  if (s >= m->subject_len || m->subject[s] != first) return false;
  for (s++; s < m->subject_len && open > 0; s++) {
    if (m->subject[s] == last)
      open--;
    else if (m->subject[s] == first)
      open++;
  }
  if (!spend(x, s - x->s) || open > 0) return false;
  x->s = s;
  x->p += 4;
  return true;
}

/* %f[set] */
static bool frontier(matcher *x) {
  const mp_match *m = x->m;
  size_t set = x->p + 2, end;
  unsigned char before, after;

  if (set >= m->pattern_len || m->pattern[set] != '[') {
    return stop(x, MP_MATCH_BAD, "missing '[' after '%f' in pattern");
  }
  if (!single_end(x, set, &end)) return false;
  before = x->s > 0 ? (unsigned char)m->subject[x->s - 1] : '\0';
  after = x->s < m->subject_len ? (unsigned char)m->subject[x->s] : '\0';
  if (in_set(m, before, set + 1, end - 1) || !in_set(m, after, set + 1, end - 1)) return false;
  x->p = end;
  return true;
}

/* %1 to %9, and %0, which is an error */
static bool back_reference(matcher *x) {
  mp_match *m = x->m;
  int number = m->pattern[x->p + 1] - '0';
  const mp_capture *c = &m->captures[number > 0 ? number - 1 : 0];
  char error[sizeof m->error];

  if (number == 0 || number > m->capture_count || c->len == MP_CAPTURE_OPEN) {
    snprintf(error, sizeof error, "invalid capture index %%%d", number);
    return stop(x, MP_MATCH_BAD, error);
  }
  if (c->len > m->subject_len - x->s) return false; /* a position never fits */
  if (!spend(x, c->len / 8) || memcmp(m->subject + c->start, m->subject + x->s, c->len) != 0) {
    return false;
  }
  x->s += c->len;
  x->p += 2;
  return true;
}

/* As many as there are from s on. */
static bool take_greedily(matcher *x, size_t end, size_t s) {
  choice *c = choose(x, GREEDY);

  if (!c) return false;
  c->next = end + 1;
  c->from = x->s;
  while (single_matches(x->m, s, x->p, end)) {
    if (!spend(x, end - x->p)) return false;
    s++;
  }
  c->until = s;
  x->s = s;
  x->p = c->next;
  return true;
}

/* A character, class or set, with what may follow it. */
static bool single(matcher *x) {
  const mp_match *m = x->m;
  size_t end;
  bool fits;
  choice *c;
  char repeat;

  if (!single_end(x, x->p, &end) || !spend(x, end - x->p)) return false;
  fits = single_matches(m, x->s, x->p, end);
  repeat = end < m->pattern_len ? m->pattern[end] : '\0';
  if (!fits && repeat != '*' && repeat != '?' && repeat != '-') return false;
  switch (fits ? repeat : '\0') {
    case '*':
      return take_greedily(x, end, x->s + 1);
    case '+':
      x->s++;
      return take_greedily(x, end, x->s);
    case '-':
      c = choose(x, LAZY);
      if (!c) return false;
      c->item = x->p;
      c->until = x->s;
      x->p = c->next = end + 1;
      return true;
    case '?':
      c = choose(x, OPTIONAL);
      if (!c) return false;
      c->from = x->s++;
      x->p = c->next = end + 1;
      return true;
    default: /* it is taken once; or not at all, where that will do */
      x->s += fits;
      x->p = fits ? end : end + 1;
      return true;
  }
}

static bool item(matcher *x) {
  const mp_match *m = x->m;
  char next = x->p + 1 < m->pattern_len ? m->pattern[x->p + 1] : '\0';

  switch (m->pattern[x->p]) {
    case '(':
      return open_capture(x);
    case ')':
      return close_capture(x);
    case '$':
      if (x->p + 1 < m->pattern_len) return single(x);
      x->p++;
      return x->s == m->subject_len;
    case '%':
      if (next == 'b') return balanced(x);
      if (next == 'f') return frontier(x);
      if (is_digit((unsigned char)next)) return back_reference(x);
      return single(x);
    default:
      return single(x);
  }
}

mp_match_result mp_match_at(mp_match *m, size_t at, size_t *end) {
  matcher x;

  x.m = m;
  x.s = at;
  x.p = 0;
  x.depth = 0;
  x.ended = MP_MATCH_NO;
  m->capture_count = 0;
  while (spend(&x, 1)) {
    if (x.p == m->pattern_len) {
      *end = x.s;
      return MP_MATCH_YES;
    }
    if (!item(&x) && (x.ended != MP_MATCH_NO || !back(&x))) break;
  }
  return x.ended;
}

bool mp_match_plain(const char *pattern, size_t len) {
  for (size_t i = 0; i < len; i++) {
    switch (pattern[i]) {
      case '^':
      case '$':
      case '*':
      case '+':
      case '?':
      case '.':
      case '(':
      case '[':
      case '%':
      case '-':
        return false;
      default:
        break;
    }
  }
  return true;
}
