/* What a running script has used of its limits. */
#ifndef MP_SCRIPT_LIMIT_H
#define MP_SCRIPT_LIMIT_H

#include <lua.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/error.h"

/* Counts work that a function of ours did for the script as instructions. Raises an error that no
 * pcall catches when a limit is passed. */
void mp_sandbox_charge(lua_State *L, int64_t steps);
void mp_sandbox_charge_bytes(lua_State *L, size_t count); /* copied, searched or compared */

/* What a buffer or a function of ours failed of: nothing; a limit of memory; the host has none,
 * which ends the call, whatever the script makes of the error, with MP_ENOMEM. */
void mp_sandbox_must(lua_State *L, mp_code code);

/* lua_call, for functions of ours: no deeper in each other than the C stack bears. What else calls
 * metamethods stands between enter and leave. */
void mp_sandbox_call(lua_State *L, int arguments, int results);
void mp_sandbox_enter(lua_State *L);
void mp_sandbox_leave(lua_State *L);

/* As lua_pcall; false: an error, which is on the stack. The error of a limit is raised again. */
bool mp_sandbox_pcall(lua_State *L, int arguments, int handler);

#endif
