#pragma once
// `cairn restart --env`: variables that the program is to see with another value than it had.
//
// The strings lie in the program's own memory, and so do the arrays that lead to them: that which
// the program was started with, and one that the C library makes for setenv. Both are changed: a
// value in its place if it fits there, else in a new piece of memory. What a program has made of
// its environment (a shell's variables, os.environ of Python) is its own and stays.

#include <optional>
#include <span>
#include <string>
#include <vector>

#include "resources/context.h"

namespace cairn::resources {

// Once the memory is there, before anything runs.
Result<> renew_environment(RebuildContext& context, std::span<const Variable> variables);

}  // namespace cairn::resources
