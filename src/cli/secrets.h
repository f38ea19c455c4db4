#pragma once
// What must not be shown to others.

#include <string>
#include <string_view>

namespace cairn::cli {

// By its name: it speaks of a password, a token, a key or the like.
[[nodiscard]] bool names_secret(std::string_view variable);

// "NAME=VALUE" with "***" for the value, if the name is that of a secret.
[[nodiscard]] std::string mask_secret(const std::string& assignment);

}  // namespace cairn::cli
