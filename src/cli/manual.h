#pragma once
// The manual page and the completion, made from the definitions of the command line.

#include <string>

namespace cairn::cli {

[[nodiscard]] std::string manual_page();      // cairn.1, man(7)
[[nodiscard]] std::string bash_completion();  // for bash-completion's directory

}  // namespace cairn::cli
