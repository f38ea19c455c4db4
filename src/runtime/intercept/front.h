#pragma once
// The one handler that the kernel calls for every signal with a guest handler, for faults, for
// trapped system calls and for park requests.

#include "runtime/host/thread_block.h"
#include "runtime/intercept/cpu_view.h"

namespace cairn::runtime {

// The kernel's action for the front handler with what the guest's flags ask of the kernel itself.
KernelSigaction front_action(int signal, std::uint64_t guest_flags);

// Host-owned actions (SIGSYS, SIGSEGV, SIGBUS, the park signal; SIGILL where cpuid is answered), held
// from the start.
void install_host_actions();

inline bool kernel_action_is_ours(int signal) {
  return signal == kSigsys || signal == abi::kParkSignal || signal == kSigsegv || signal == kSigbus ||
         (signal == kSigill && cpu_view_in_force());
}

}  // namespace cairn::runtime

extern "C" {
void cairn_front(int signal, cairn::runtime::KernelSiginfo* info,
                 cairn::runtime::KernelUcontext* context);
const std::uint64_t* cairn_prepare_deferred(cairn::runtime::ThreadBlock* t);
}
