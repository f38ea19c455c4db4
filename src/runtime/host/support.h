#pragma once
// Freestanding basics of the host: strings, guest memory access, messages, the end of the process.

#include <cstddef>
#include <cstdint>

#include "sys/syscall.h"

extern "C" {
void* memcpy(void* to, const void* from, std::size_t n);
void* memset(void* to, int byte, std::size_t n);
void* memmove(void* to, const void* from, std::size_t n);
int memcmp(const void* a, const void* b, std::size_t n);
}

namespace cairn::runtime {

std::size_t string_length(const char* s);
bool string_equal(const char* a, const char* b);
bool starts_with(const char* s, const char* prefix);
// Copies at most `room` - 1 characters and a NUL; false if it did not fit.
bool string_copy(char* to, std::size_t room, const char* from);
char* append(char* at, const char* s);
char* append_decimal(char* at, std::int64_t value);
char* append_hex(char* at, std::uint64_t value);

// Guest memory may be unmapped or protected at any time: these return 0 or -EFAULT. They work with
// SIGSEGV blocked too.
[[nodiscard]] int copy_from_guest(void* to, std::uint64_t from, std::size_t bytes);
[[nodiscard]] int copy_to_guest(std::uint64_t to, const void* from, std::size_t bytes);
// The string's length, or -EFAULT, or -ENAMETOOLONG if it does not fit.
[[nodiscard]] std::int64_t string_from_guest(char* to, std::size_t room, std::uint64_t from);

// Memory of the host, in the arena; large pieces for a short time.
[[nodiscard]] sys::SysResult map_host(std::uint64_t bytes);
void unmap_host(std::uint64_t at, std::uint64_t bytes);
// The same at a place of the caller's choice in what is reserved.
[[nodiscard]] sys::SysResult map_host_at(std::uint64_t at, std::uint64_t bytes);
// Whether the guest has asked for all future mappings to be locked (MCL_FUTURE): the host's are not.
void expect_locked_mappings(bool locked);
// Gives up the lock that a mapping of the host's got by that.
void leave_unlocked(std::uint64_t at, std::uint64_t bytes);
// From now on nothing stays reserved between pieces.
void release_host_memory();

// One line on stderr, "cairn: ..."; only for what a user must know.
void say(const char* text, const char* detail = nullptr);
// A bug of ours or an environment we cannot run in: one line, then the process ends.
[[noreturn]] void die(const char* text, std::int64_t detail = 0);

inline constexpr int kExitRuntime = 125;
inline constexpr int kExitFailed = 123;  // ExitCode::kFailed

}  // namespace cairn::runtime
