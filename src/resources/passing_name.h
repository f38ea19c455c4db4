#pragma once

// A name for a moment: what has lost its name is made under one, opened, and loses it again.

#include <functional>
#include <string>

#include "base/error.h"

namespace cairn::resources {

// Makes something under the name that it had, or another one in the same directory if that is taken now,
// or in /tmp if the directory is gone or takes nothing; the name that it has got. `make` returns what
// its system call does. The caller removes the name.
[[nodiscard]] Result<std::string> passing_name(const std::string& former,
                                               const std::function<int(const std::string&)>& make);

}  // namespace cairn::resources
