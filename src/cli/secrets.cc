#include "cli/secrets.h"

#include <algorithm>
#include <array>
#include <cctype>

namespace cairn::cli {

bool names_secret(std::string_view variable) {
  constexpr std::array<std::string_view, 9> kWords{
      "PASS", "SECRET", "TOKEN", "KEY", "CREDENTIAL", "AUTH", "COOKIE", "PRIVATE", "SIGNATURE"};
  std::string name(variable);
  std::transform(name.begin(), name.end(), name.begin(),
                 [](unsigned char c) { return static_cast<char>(std::toupper(c)); });
  return std::any_of(kWords.begin(), kWords.end(),
                     [&](std::string_view word) { return name.find(word) != std::string::npos; });
}

std::string mask_secret(const std::string& assignment) {
  const std::size_t equals = assignment.find('=');
  if (equals == std::string::npos || !names_secret(std::string_view(assignment).substr(0, equals)))
    return assignment;
  return assignment.substr(0, equals) + "=***";
}

}  // namespace cairn::cli
