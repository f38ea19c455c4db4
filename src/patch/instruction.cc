#include "patch/instruction.h"

#include <Zydis/Zydis.h>

namespace cairn::patch {
namespace {

const ZydisDecoder& decoder() {
  static const ZydisDecoder instance = [] {
    ZydisDecoder made;
    ZydisDecoderInit(&made, ZYDIS_MACHINE_MODE_LONG_64, ZYDIS_STACK_WIDTH_64);
    return made;
  }();
  return instance;
}

Flow indirect_jump(const ZydisDecodedInstruction& in) {
  // jmp *slot(%rip) is a PLT entry or a tail call: no jump table is a single slot.
  const bool slot = in.raw.modrm.mod == 0 && in.raw.modrm.rm == 5;
  return slot ? Flow::kEnd : Flow::kIndirectJump;
}

Flow flow_of(const ZydisDecodedInstruction& in) {
  switch (in.mnemonic) {
    case ZYDIS_MNEMONIC_SYSCALL:
      return Flow::kSyscall;
    case ZYDIS_MNEMONIC_CALL:
      return Flow::kCall;
    case ZYDIS_MNEMONIC_JMP:
      return in.raw.imm[0].is_relative ? Flow::kJump : indirect_jump(in);
    case ZYDIS_MNEMONIC_LOOP:
    case ZYDIS_MNEMONIC_LOOPE:
    case ZYDIS_MNEMONIC_LOOPNE:
    case ZYDIS_MNEMONIC_JRCXZ:
    case ZYDIS_MNEMONIC_JECXZ:
    case ZYDIS_MNEMONIC_JCXZ:
    case ZYDIS_MNEMONIC_XBEGIN:
      return Flow::kLoop;
    case ZYDIS_MNEMONIC_UD0:
    case ZYDIS_MNEMONIC_UD1:
    case ZYDIS_MNEMONIC_UD2:
    case ZYDIS_MNEMONIC_HLT:
    case ZYDIS_MNEMONIC_INT3:
    case ZYDIS_MNEMONIC_IRET:
    case ZYDIS_MNEMONIC_IRETD:
    case ZYDIS_MNEMONIC_IRETQ:
    case ZYDIS_MNEMONIC_SYSRET:
    case ZYDIS_MNEMONIC_SYSEXIT:
      return Flow::kEnd;
    default:
      break;
  }
  switch (in.meta.category) {
    case ZYDIS_CATEGORY_RET:
      return Flow::kEnd;
    case ZYDIS_CATEGORY_COND_BR:
      return Flow::kBranch;
    default:
      return Flow::kNext;
  }
}

// Instructions that mean something by where they stand, or that the door will want to find there.
bool bound_to_place(const ZydisDecodedInstruction& in) {
  switch (in.mnemonic) {
    case ZYDIS_MNEMONIC_ENDBR64:
    case ZYDIS_MNEMONIC_ENDBR32:
    case ZYDIS_MNEMONIC_CPUID:
    case ZYDIS_MNEMONIC_XGETBV:
    case ZYDIS_MNEMONIC_SYSENTER:
    case ZYDIS_MNEMONIC_INT:
    case ZYDIS_MNEMONIC_INT1:
    case ZYDIS_MNEMONIC_XEND:
    case ZYDIS_MNEMONIC_XABORT:
      return true;
    default:
      return false;
  }
}

// mov $imm,reg; mov reg,reg; xor reg,reg with itself. Only 32- and 64-bit forms: they replace the
// whole register. rsp is excluded.
void note_register_load(const ZydisDecodedInstruction& in, Instruction* out) {
  if (in.opcode_map != ZYDIS_OPCODE_MAP_DEFAULT || in.operand_width < 32) return;
  const unsigned rex_b = in.raw.rex.B != 0 ? 8 : 0;
  const unsigned rex_r = in.raw.rex.R != 0 ? 8 : 0;
  const unsigned rm = in.raw.modrm.rm + rex_b;
  const unsigned reg = in.raw.modrm.reg + rex_r;
  const bool registers = (in.attributes & ZYDIS_ATTRIB_HAS_MODRM) != 0 && in.raw.modrm.mod == 3;
  unsigned to = 0;
  unsigned reads = 0;
  if (in.opcode >= 0xb8 && in.opcode <= 0xbf) {
    to = (in.opcode & 7) + rex_b;
  } else if (in.opcode == 0xc7 && registers) {
    to = rm;
  } else if ((in.opcode == 0x31 || in.opcode == 0x33) && registers && rm == reg) {
    to = rm;
  } else if ((in.opcode == 0x89 || in.opcode == 0x8b) && registers) {
    to = in.opcode == 0x89 ? rm : reg;
    reads = 1U << (in.opcode == 0x89 ? reg : rm);
  } else {
    return;
  }
  constexpr unsigned kStackPointer = 4;
  if (to == kStackPointer) return;
  out->register_load = true;
  out->reads = static_cast<std::uint16_t>(reads);
  out->writes = static_cast<std::uint16_t>(1U << to);
  const bool constant = (in.opcode >= 0xb8 && in.opcode <= 0xbf) || in.opcode == 0xc7;
  if (constant && to == 0) out->immediate = static_cast<std::uint32_t>(in.raw.imm[0].value.u);
}

}  // namespace

std::optional<Instruction> decode(std::span<const std::uint8_t> bytes, std::uint64_t address) {
  ZydisDecodedInstruction in;
  const auto status =
      ZydisDecoderDecodeInstruction(&decoder(), nullptr, bytes.data(), bytes.size(), &in);
  if (!ZYAN_SUCCESS(status)) return std::nullopt;
  Instruction out;
  out.address = address;
  out.length = in.length;
  out.immediate = kNoImmediate;
  out.flow = flow_of(in);
  out.nop = in.mnemonic == ZYDIS_MNEMONIC_NOP;
  if (in.raw.imm[0].is_relative)
    out.target = out.end() + static_cast<std::uint64_t>(in.raw.imm[0].value.s);
  if (out.flow == Flow::kBranch) out.condition = in.opcode & 0x0f;
  const bool rip_relative = (in.attributes & ZYDIS_ATTRIB_HAS_MODRM) != 0 &&
                            in.raw.modrm.mod == 0 && in.raw.modrm.rm == 5;
  if (rip_relative) {
    out.data_reference = out.end() + static_cast<std::uint64_t>(in.raw.disp.value);
    out.rip_displacement = in.raw.disp.offset;
  }
  // table(,%reg,8): the jump tables of code that is linked to a fixed address.
  const bool indexed = in.raw.modrm.mod == 0 && in.raw.modrm.rm == 4 && in.raw.sib.base == 5;
  if (indexed) out.data_reference = static_cast<std::uint64_t>(in.raw.disp.value);
  out.takes_address = indexed || (rip_relative && in.mnemonic == ZYDIS_MNEMONIC_LEA);
  out.movable = out.flow == Flow::kNext && !in.raw.imm[0].is_relative && !bound_to_place(in) &&
                !(rip_relative && in.address_width != 64);
  if (out.movable) note_register_load(in, &out);
  return out;
}

}  // namespace cairn::patch
