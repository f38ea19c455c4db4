#pragma once
// The calls of include/cairn/cairn.h (abi/api.h).

#include "abi/link.h"
#include "runtime/handlers/dispatch.h"

namespace cairn::runtime {

// A prctl with abi::kApiOption.
Action api(ThreadBlock* t);

// Mappings between the addresses are gone: what comes there is not left out.
void left_out_gone(std::uint64_t start, std::uint64_t end);
// In the child: another thread may have held it.
void left_out_lock_after_fork();
void get_left_out(abi::RuntimeState* out);
void set_left_out(const abi::RuntimeState& state);

}  // namespace cairn::runtime
