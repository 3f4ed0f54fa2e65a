/* What a phase of a script may return. */
#ifndef MP_SCRIPT_RESULT_H
#define MP_SCRIPT_RESULT_H

#include <lua.h>

#include "script/script.h"

typedef enum mp_phase { MP_ROUTE, MP_FILTER, MP_TRANSFORM, MP_PHASES } mp_phase;

extern const char *const mp_phase_names[]; /* their names */

/* One call of a phase, and where what it returns goes to. */
typedef struct mp_phase_call {
  mp_script *script;
  mp_phase phase;
  bool *keep;                            /* filter's answer */
  bool *changed;                         /* transform's */
  mp_buf *body, *headers, *content_type; /* transform's; body: route's names */
} mp_phase_call;

/* Takes what the phase returned, count values from the stack index first on. Raises an error for
 * what it may not return. */
void mp_phase_take(lua_State *L, const mp_phase_call *c, int first, int count);

/* Raises an error: "crm.lua: filter: ...". */
int mp_phase_refuse(lua_State *L, const mp_phase_call *c, const char *format, const char *got);

#endif
