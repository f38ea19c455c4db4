#pragma once
// Makes the patch plan of one ELF file: see abi/patch_plan.h for what a plan says and planner.cc
// for how it is found.

#include <cstdint>
#include <string>
#include <vector>

#include "abi/patch_plan.h"
#include "base/error.h"
#include "patch/elf_file.h"

namespace cairn::patch {

// Why a syscall instruction is left to Syscall User Dispatch.
enum class Refusal {
  kUndecodable,       // its function cannot be followed to the end
  kUnresolvedJump,    // its function has computed jumps whose targets are not known
  kNoRoom,            // no five bytes around it may be moved
  kSignalTrampoline,  // must keep its bytes; never counted as unpatchable
};
const char* describe(Refusal reason);

struct RefusedSite {
  std::uint64_t syscall_vaddr;
  Refusal reason;
};

struct Plan {
  std::vector<abi::PlanSite> sites;  // by ascending syscall_vaddr
  std::vector<RefusedSite> refused;
  std::vector<std::uint64_t> cpuid_sites;  // cpuid instructions
  std::uint32_t cpuid_unknown = 0;         // what may be one, in a function that cannot be followed
  std::uint32_t candidates = 0;        // byte pairs that look like a syscall
  std::uint32_t outside_of_code = 0;   // of these, those that no known function reaches
  std::vector<std::uint8_t> build_id;  // empty: the file has none
  FileIdentity identity;

  // The file that the cache holds: PlanHeader and PlanSites.
  [[nodiscard]] std::vector<std::uint8_t> serialize() const;
};

[[nodiscard]] Plan make_plan(const ElfFile& file);
Result<Plan> make_plan(const std::string& path);

}  // namespace cairn::patch
