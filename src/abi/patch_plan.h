#pragma once
// A patch plan: where the syscall instructions of one ELF file are and which bytes around each may
// be replaced by a jump. Made outside of the process (src/patch), cached in one file per build-id,
// mapped read-only and applied by the runtime after it has compared the expected bytes.
//
// A site, with `before` and `after` counted in bytes of whole instructions:
//
//        |<- before ->| syscall |<- after ->|
//        ^patch start            ^site end
//
//   before >= 5   jmp stub over the preceding instruction(s); the syscall stays where it is, so a
//                 thread that is already past them (or returns to it) still works; after is 0
//   before <  5   the jmp covers syscall (and `after`) too: before + 2 + after >= 5
//
// No branch of the file targets a byte inside a patch except its first.
// A displaced relative branch may only be the last instruction of `after`; it is described by
// branch_* and re-encoded in the stub. Displaced operands relative to rip are listed in rip_fixup.
// Displaced `before` instructions of a site with before < 5 may be run twice.
// Unwinders and debuggers recognise a signal trampoline by its bytes, `mov $15, %rax; syscall`: such
// a site is listed, and its jump is written only where nothing else would catch it (patch-only mode).

#include <cstdint>
#include <initializer_list>

namespace cairn::abi {

inline constexpr std::uint64_t kPlanMagic = 0x4e'41'4c'50'4e'52'43ULL;  // "CRNPLAN"
inline constexpr std::uint32_t kPlanVersion = 3;
inline constexpr std::uint32_t kMaxDisplaced = 24;

struct PlanSite {
  std::uint64_t syscall_vaddr;  // of the syscall instruction, as linked (without load bias)
  std::uint64_t branch_target;  // as linked; 0 if no branch is displaced
  std::uint8_t before;
  std::uint8_t after;
  std::uint8_t branch_bytes;      // length of the displaced branch at the end of `after`
  std::uint8_t branch_condition;  // x86 condition code 0-15 of a jcc; 0xff: unconditional jmp
  std::uint8_t expected[kMaxDisplaced];  // the original bytes from the patch's start
  std::uint8_t expected_bytes;           // before + 2 + after
  // Offsets in `expected` of 32-bit displacements that are relative to rip; 0: none (an opcode
  // precedes every displacement).
  std::uint8_t rip_fixup[3];
};
static_assert(sizeof(PlanSite) == 48);

inline bool is_signal_trampoline(const PlanSite& site) {
  const auto begins = [&site](std::initializer_list<std::uint8_t> bytes) {
    const std::uint8_t* at = site.expected;
    for (const std::uint8_t byte : bytes)
      if (*at++ != byte) return false;
    return site.expected_bytes == bytes.size();
  };
  return begins({0x48, 0xc7, 0xc0, 0x0f, 0, 0, 0, 0x0f, 0x05}) ||  // mov $15,%rax; syscall
         begins({0xb8, 0x0f, 0, 0, 0, 0x0f, 0x05});                // mov $15,%eax; syscall
}

struct PlanHeader {
  std::uint64_t magic;
  std::uint32_t version;
  std::uint32_t sites;          // PlanSite records that follow, by ascending syscall_vaddr
  std::uint32_t unpatchable;    // syscall instructions left to Syscall User Dispatch
  std::uint32_t build_id_bytes;
  std::uint8_t build_id[32];
  std::uint64_t file_size;      // of the ELF file the plan was made for
  std::uint64_t checksum;       // plan_checksum() of all that follows
  std::uint32_t cpuid_sites;    // addresses of cpuid instructions, as linked, behind the PlanSite records
  std::uint32_t cpuid_unknown;  // byte pairs that may be such and could not be told
};
static_assert(sizeof(PlanHeader) == 80);

inline std::uint64_t plan_body_bytes(const PlanHeader& plan) {
  return plan.sites * sizeof(PlanSite) + plan.cpuid_sites * sizeof(std::uint64_t);
}
inline const std::uint64_t* cpuid_sites(const PlanHeader* plan) {
  return reinterpret_cast<const std::uint64_t*>(reinterpret_cast<const PlanSite*>(plan + 1) + plan->sites);
}

// FNV-1a over 64-bit words: the runtime, which has no vector registers, checks it too, since a plan
// that the file system lost half of would pass every other test.
inline std::uint64_t plan_checksum(const void* body, std::uint64_t length) {
  std::uint64_t hash = 0xcbf29ce484222325;
  const auto* bytes = static_cast<const unsigned char*>(body);
  for (std::uint64_t i = 0; i < length; i += sizeof(std::uint64_t)) {
    std::uint64_t word;
    __builtin_memcpy(&word, bytes + i, sizeof word);
    hash = (hash ^ word) * 0x100000001b3;
    hash ^= hash >> 32;
  }
  return hash;
}

// Names in the cache: by build-id; else by what changes whenever the file does.
//   <build-id in hex>.v<version>
//   file-<device>-<inode>-<size>-<mtime seconds>-<nanoseconds>.v<version>    each in hex
// The version is in the name, so that two versions of Cairn do not replace each other's plans.
inline constexpr std::uint32_t kPlanNameBytes = 112;

namespace detail {
inline char* append_hex(char* out, std::uint64_t value, int digits) {
  for (int shift = (digits - 1) * 4; shift >= 0; shift -= 4)
    *out++ = "0123456789abcdef"[(value >> shift) & 0xf];
  return out;
}
inline char* append_text(char* out, const char* text) {
  while (*text != 0) *out++ = *text++;
  *out = 0;
  return out;
}
inline void append_version(char* out) { *append_hex(append_text(out, ".v"), kPlanVersion, 2) = 0; }
}  // namespace detail

// bytes <= 32
inline void plan_name(char (&out)[kPlanNameBytes], const std::uint8_t* build_id, std::uint32_t bytes) {
  char* at = out;
  for (std::uint32_t i = 0; i < bytes; ++i) at = detail::append_hex(at, build_id[i], 2);
  detail::append_version(at);
}

inline void plan_name(char (&out)[kPlanNameBytes], std::uint64_t device, std::uint64_t inode,
                      std::uint64_t size, std::uint64_t seconds, std::uint64_t nanoseconds) {
  char* at = detail::append_text(out, "file");
  for (const std::uint64_t value : {device, inode, size, seconds, nanoseconds})
    at = detail::append_hex(detail::append_text(at, "-"), value, 16);
  detail::append_version(at);
}

}  // namespace cairn::abi
