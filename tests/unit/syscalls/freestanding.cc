// Compiles only if the generated files need nothing but the compiler, and if every handler they
// name can be declared.
#include "syscalls/table.gen.h"

namespace cairn::syscalls {

#define CAIRN_HANDLER_SYMBOL(handler) void handler();
#define CAIRN_ARMED_HANDLER_SYMBOL(handler) void handler();
#include "syscalls/handlers.gen.inc"

#define CAIRN_HANDLER(number, name, handler) static_assert(kFast[number] == 0);
#define CAIRN_ARMED_HANDLER(number, name, handler) \
  static_assert(kFast[number] == 1 && kArmed[number] != 0);
#include "syscalls/handlers.gen.inc"

}  // namespace cairn::syscalls
