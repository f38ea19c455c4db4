#pragma once
// The labels and functions of entry.S. A label's address is what matters, never its contents.

#include <cstdint>

#include "runtime/host/thread_block.h"

extern "C" {
extern const char cairn_entry[], cairn_fast_call[], cairn_fast_done[],
    cairn_fast_end[], cairn_slow[], cairn_tail[], cairn_tail_call[], cairn_tail_done[],
    cairn_exit_checked[], cairn_exit_window[], cairn_exit_end[], cairn_retry_checked[],
    cairn_retry_window[], cairn_retry_end[], cairn_sigreturn[], cairn_sigreturn_call[],
    cairn_sigreturn_done[], cairn_restorer[], cairn_copy_fault_first[], cairn_copy_fault_last[],
    cairn_copy_fault[], cairn_vdso_clock_gettime[], cairn_vdso_clock_gettime_call[],
    cairn_vdso_gettimeofday[], cairn_vdso_gettimeofday_call[], cairn_vdso_time[],
    cairn_vdso_time_call[], cairn_vdso_clock_getres[], cairn_vdso_clock_getres_call[],
    cairn_vdso_getcpu[], cairn_vdso_getcpu_call[], cairn_vdso_end[];

[[noreturn]] void cairn_sigreturn_to(void* context);
[[noreturn]] void cairn_exit_thread(std::uint32_t* in_use, int status);
std::int64_t cairn_spawn(std::uint64_t flags, std::uint64_t stack, cairn::runtime::ThreadBlock* block,
                         void (*function)(cairn::runtime::ThreadBlock*));
std::int64_t cairn_copy(void* to, const void* from, std::uint64_t bytes);
}

namespace cairn::runtime {

inline std::uint64_t label(const char* name) { return reinterpret_cast<std::uint64_t>(name); }

}  // namespace cairn::runtime
