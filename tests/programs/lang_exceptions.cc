// C++ exceptions thrown before, over and after the checkpoint: through 50 frames, with one in
// flight, stored in an exception_ptr, and from a thread.
//
// flavours: all
#include <exception>
#include <stdexcept>
#include <string>
#include <thread>

#include "check.h"

namespace {

int alive = 0;

struct Counted {
  Counted() { ++alive; }
  ~Counted() { --alive; }
};

int deep(int levels) {
  Counted counted;
  if (levels == 0) throw std::runtime_error("from the depth");
  return deep(levels - 1) + 1;
}

void verify() {
  try {
    deep(50);
    check_fail(__FILE__, __LINE__, "no exception");
  } catch (const std::runtime_error& error) {
    CHECK_STR(error.what(), "from the depth");
  }
  CHECK_EQ(alive, 0);
}

}  // namespace

int main() {
  verify();
  std::exception_ptr stored;
  try {
    throw std::logic_error("stored");
  } catch (...) {
    stored = std::current_exception();
  }
  try {
    try {
      throw std::out_of_range(std::string(100, 'x'));
    } catch (const std::out_of_range&) {
      check_ready();
      while (check_busy()) verify();
      check_wait();
      CHECK_EQ(std::uncaught_exceptions(), 0);
      throw;
    }
  } catch (const std::logic_error& error) {
    CHECK_EQ(strlen(error.what()), 100);
  }
  try {
    std::rethrow_exception(stored);
  } catch (const std::logic_error& error) {
    CHECK_STR(error.what(), "stored");
  }
  verify();
  std::exception_ptr from_thread;
  std::thread([&] {
    try {
      deep(10);
    } catch (...) {
      from_thread = std::current_exception();
    }
  }).join();
  CHECK(from_thread != nullptr);
  check_pass();
}
