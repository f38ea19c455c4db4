#pragma once
// The CPU that the programs of a job see (`cairn run --cpu LEVEL`): what cpuid answers to them, for ever,
// so that they choose no instruction that a lesser machine of a later restart lacks.
//
// Two ways catch the instruction, both at once where both are there:
//   faulting  arch_prctl(ARCH_SET_CPUID, 0): cpuid raises SIGSEGV with SI_KERNEL. Not every CPU has it.
//   patching  the first byte of `0f a2` in text becomes kCpuidTrap, an opcode that 64-bit mode does not
//             have (SIGILL). Patched text is guest memory and part of images: the byte is frozen.

#include <cstdint>

namespace cairn::abi {

inline constexpr std::uint8_t kCpuidTrap = 0xd6;  // of `d6 a2`
inline constexpr std::uint32_t kMaxCpuidAnswers = 96;

struct CpuidAnswer {
  std::uint32_t leaf, subleaf;
  std::uint32_t eax, ebx, ecx, edx;
};

// What is not listed is answered with zeros. A leaf that does not care for its subleaf is listed with
// kAnySubleaf.
inline constexpr std::uint32_t kAnySubleaf = 0xffffffff;

struct CpuView {
  std::uint32_t level;    // 0: programs see this machine's own CPU; 2, 3, 4: x86-64-vN
  std::uint32_t answers;  // how many of the following are in use
  std::uint64_t xcr0;     // the register states that a program may use
  CpuidAnswer answer[kMaxCpuidAnswers];
};

inline const CpuidAnswer* find_answer(const CpuView& view, std::uint32_t leaf, std::uint32_t subleaf) {
  for (std::uint32_t i = 0; i < view.answers && i < kMaxCpuidAnswers; ++i) {
    const CpuidAnswer& answer = view.answer[i];
    if (answer.leaf == leaf && (answer.subleaf == subleaf || answer.subleaf == kAnySubleaf)) return &answer;
  }
  return nullptr;
}

}  // namespace cairn::abi
