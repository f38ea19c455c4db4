#pragma once
// One decoded instruction, reduced to what moving it or jumping over it depends on.

#include <cstdint>
#include <optional>
#include <span>

namespace cairn::patch {

enum class Flow : std::uint8_t {
  kNext,          // falls through
  kSyscall,       // falls through, through the door
  kCall,          // falls through; `target` if direct
  kBranch,        // jcc: `target` or falls through
  kLoop,          // loop, jrcxz, xbegin: `target` or falls through; has no long form
  kJump,          // jmp: `target`
  kIndirectJump,  // jmp through a register or computed memory: a jump table or a tail call
  kEnd,           // ret, ud2, hlt, jmp *slot(%rip): control never goes on here
};

struct Instruction {
  std::uint64_t address = 0;
  std::uint64_t target = 0;          // of a direct branch or call
  std::uint64_t data_reference = 0;  // what a rip-relative operand points at; 0: none
  std::uint32_t immediate = 0;       // of a mov of a constant into rax/eax; else kNoImmediate
  std::uint16_t reads = 0;           // general registers (bit n) of a plain register load
  std::uint16_t writes = 0;
  std::uint8_t length = 0;
  std::uint8_t condition = 0;         // of a jcc
  std::uint8_t rip_displacement = 0;  // offset of a displacement relative to rip; 0: none
  Flow flow = Flow::kNext;
  bool movable = false;        // may run at another address, its rip_displacement adjusted
  bool register_load = false;  // mov of a constant or register, or zeroing xor: see reads, writes
  bool nop = false;
  bool takes_address = false;  // lea, or indexed from data_reference: it may be a jump table

  [[nodiscard]] std::uint64_t end() const { return address + length; }
  [[nodiscard]] bool falls_through() const {
    return flow == Flow::kNext || flow == Flow::kSyscall || flow == Flow::kCall ||
           flow == Flow::kBranch || flow == Flow::kLoop;
  }
};

inline constexpr std::uint32_t kNoImmediate = 0xffffffff;

// The instruction at the beginning of `bytes`, which lies at `address`; nullopt: not an
// instruction.
std::optional<Instruction> decode(std::span<const std::uint8_t> bytes, std::uint64_t address);

}  // namespace cairn::patch
