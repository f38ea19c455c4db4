#include "runtime/intercept/cpu_view.h"

#include "abi/arena.h"
#include "abi/cpu_view.h"
#include "abi/segment.h"
#include "runtime/host/job.h"
#include "runtime/host/support.h"
#include "sys/syscall.h"

namespace cairn::runtime {
namespace {

constexpr std::uint64_t kArchSetCpuid = 0x1012;
constexpr std::uint64_t kProtWrite = 2;
constexpr std::uint8_t kCpuid[] = {0x0f, 0xa2};
constexpr std::uint64_t kPage = 4096;

bool g_faulting = false;
bool g_leaks = false;

const abi::CpuView& view() { return abi::job_segment()->cpu; }

bool is_cpuid(int signal, const KernelSiginfo& info, std::uint64_t rip) {
  bool faulted = signal == kSigsegv && info.code == kSiKernel;
  bool trapped = signal == kSigill && info.code > 0;
  if ((!faulted && !trapped) || abi::in_arena(rip)) return false;
  std::uint8_t bytes[2];
  if (copy_from_guest(bytes, rip, sizeof(bytes)) != 0) return false;
  return bytes[0] == (faulted ? kCpuid[0] : abi::kCpuidTrap) && bytes[1] == kCpuid[1];
}

}  // namespace

bool cpu_view_in_force() { return job_attached() && view().level != 0; }

void arm_cpu_view() {
  if (cpu_view_in_force()) g_faulting = sys::call(__NR_arch_prctl, kArchSetCpuid, 0).ok();
}

void hide_cpuid(const abi::PlanHeader* plan, std::uint64_t bias, std::uint64_t start, std::uint64_t end, int prot) {
  if (!cpu_view_in_force()) return;
  if (plan->cpuid_unknown != 0) g_leaks = true;
  if (plan->cpuid_sites == 0) return;
  auto access = static_cast<std::uint64_t>(prot);
  std::uint64_t first = start / kPage * kPage;
  std::uint64_t bytes = end - first;
  if (!sys::call(__NR_mprotect, first, bytes, access | kProtWrite).ok()) {
    g_leaks = true;
    return;
  }
  const std::uint64_t* sites = abi::cpuid_sites(plan);
  for (std::uint32_t i = 0; i < plan->cpuid_sites; ++i) {
    std::uint64_t at = bias + sites[i];
    if (at < start || at + sizeof(kCpuid) > end) continue;
    auto* text = reinterpret_cast<std::uint8_t*>(at);
    if (text[0] == kCpuid[0] && text[1] == kCpuid[1]) text[0] = abi::kCpuidTrap;
  }
  if (!sys::call(__NR_mprotect, first, bytes, access).ok()) die("cannot protect the text again");
}

bool answer_cpuid(int signal, const KernelSiginfo& info, KernelUcontext* context) {
  if (!cpu_view_in_force()) return false;
  std::uint64_t* regs = context->mcontext.regs;
  if (!is_cpuid(signal, info, regs[abi::kRip])) return false;
  const abi::CpuidAnswer* found = abi::find_answer(view(), static_cast<std::uint32_t>(regs[abi::kRax]),
                                                   static_cast<std::uint32_t>(regs[abi::kRcx]));
  regs[abi::kRax] = found != nullptr ? found->eax : 0;
  regs[abi::kRbx] = found != nullptr ? found->ebx : 0;
  regs[abi::kRcx] = found != nullptr ? found->ecx : 0;
  regs[abi::kRdx] = found != nullptr ? found->edx : 0;
  regs[abi::kRip] += sizeof(kCpuid);
  return true;
}

void note_unknown_text() {
  if (cpu_view_in_force() && !g_faulting) g_leaks = true;
}

bool cpu_view_leaks() { return g_leaks && !g_faulting; }
void restore_cpu_view(bool leaks) { g_leaks = leaks; }

}  // namespace cairn::runtime
