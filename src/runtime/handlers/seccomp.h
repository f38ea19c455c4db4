#pragma once
// Seccomp filters of the guest's own: run by the door, on the guest's calls alone (seccomp.cc).

#include "runtime/handlers/dispatch.h"

namespace cairn::runtime {

// A thread with filters of its own: does one of them stop this call? Then `action` says how.
bool stopped_by_filter(ThreadBlock* t, Action* action);

// prctl(PR_SET_SECCOMP) and prctl(PR_GET_SECCOMP).
std::int64_t set_seccomp(ThreadBlock* t, std::uint64_t mode, std::uint64_t program);
std::int64_t get_seccomp(const ThreadBlock* t);

// Why a process is not saved, after landlock_restrict_self.
inline constexpr char kLandlocked[] = "is restricted by Landlock";

// Filters outlive exec: a descriptor that holds them, or -errno.
std::int64_t save_filters(const ThreadBlock* t);
// Reads and closes it.
void load_filters(ThreadBlock* t, int fd);
// A restart: what follows a LinkFilters. 0 or a negative errno.
std::int32_t put_filters(ThreadBlock* t, bool strict, const char* from, std::uint64_t bytes);

}  // namespace cairn::runtime
