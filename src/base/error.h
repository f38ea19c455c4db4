#pragma once
// What every hosted function that can fail returns.
//
// An Error says what was tried, on what, and what the kernel (or the format) answered; it is made
// where the failure is seen and passed up unchanged or with more context, never as an exception.

#include <cerrno>
#include <cstring>
#include <string>
#include <utility>

#include <tl/expected.hpp>

namespace cairn {

struct [[nodiscard]] Error {
  int code = 0;       // an errno value; 0 where the failure is not the kernel's (bad format, refusal)
  std::string tried;  // "open", "read the manifest", ...: completes the sentence "could not ..."
  std::string where;  // the path, descriptor, pid or address it was tried on; may be empty

  // One line for a person: "open /x/y: No such file or directory".
  [[nodiscard]] std::string message() const {
    std::string text = tried;
    if (!where.empty()) text += " " + where;
    if (code != 0) text += std::string(": ") + std::strerror(code);
    return text;
  }
};

template <class T = void>
using Result = tl::expected<T, Error>;

using Failure = tl::unexpected<Error>;

// The failure of the system call just made; reads errno.
inline Failure os_failure(std::string tried, std::string where = {}) {
  return Failure(Error{errno, std::move(tried), std::move(where)});
}

inline Failure failure(int code, std::string tried, std::string where = {}) {
  return Failure(Error{code, std::move(tried), std::move(where)});
}

// Not an errno: something was wrong with what we were given.
inline Failure refusal(std::string reason, std::string where = {}) {
  return Failure(Error{0, std::move(reason), std::move(where)});
}

}  // namespace cairn

// Evaluates a Result<> expression; returns its error from the enclosing function if it failed.
#define CAIRN_CONCAT_(a, b) a##b
#define CAIRN_CONCAT(a, b) CAIRN_CONCAT_(a, b)
#define CAIRN_TRY(expr)                                                        \
  do {                                                                         \
    if (auto cairn_try_result = (expr); !cairn_try_result)                     \
      return ::cairn::Failure(std::move(cairn_try_result).error());            \
  } while (false)
// CAIRN_ASSIGN(auto x, f()) is x = *f(), or returns f()'s error.
#define CAIRN_ASSIGN_(tmp, decl, expr)                                         \
  auto tmp = (expr);                                                           \
  if (!tmp) return ::cairn::Failure(std::move(tmp).error());                   \
  decl = std::move(*tmp)
#define CAIRN_ASSIGN(decl, expr) CAIRN_ASSIGN_(CAIRN_CONCAT(cairn_tmp_, __LINE__), decl, expr)
