#pragma once
// Answers cpuid for the guest from the job's view (abi/cpu_view.h), if it has one.

#include <cstdint>

#include "abi/patch_plan.h"
#include "runtime/host/kernel_types.h"

namespace cairn::runtime {

// The job has a view: its cpuid instructions are answered here.
bool cpu_view_in_force();

// For the calling thread and what it makes from now on; harmless without a view. Off after exec.
void arm_cpu_view();

// Replaces the cpuid instructions of text that has just been mapped.
void hide_cpuid(const abi::PlanHeader* plan, std::uint64_t bias, std::uint64_t start, std::uint64_t end, int prot);

// A fault that a cpuid instruction of the guest has raised is answered, and the guest goes on behind it.
bool answer_cpuid(int signal, const KernelSiginfo& info, KernelUcontext* context);

// Text has appeared whose cpuid instructions are not known: only faulting catches them.
void note_unknown_text();
// Some cpuid of the guest may have told it about the machine's own CPU.
bool cpu_view_leaks();
void restore_cpu_view(bool leaks);

}  // namespace cairn::runtime
