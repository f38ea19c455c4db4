#pragma once
// Applies a patch plan to text that is mapped in this process. patcher.cc draws what comes of it.

#include <cstdint>

#include "abi/patch_plan.h"
#include "sys/result.h"

namespace cairn::runtime {

struct StubBlockInfo {
  std::uint64_t address = 0;
  std::uint64_t bytes = 0;
  std::uint64_t sites = 0;
};

// Whether `mov $15,%rax; syscall` gets its jump: where no call traps, nothing else would catch it.
enum class Trampolines { kKeep, kPatch };

// Patches the sites of `plan` that lie in [text_start, text_end), which is mapped with `text_prot`,
// and puts their stubs within reach. The number of sites, with the block in *out (all 0 if the text
// has none); or a negative errno with everything as it was:
//   -EINVAL  the plan is damaged or of another version
//   -ESTALE  some expected byte differs: the plan was made for another file
//   -EACCES, -EPERM, ...  the kernel, or a security module, forbids to change text
//   -ENOMEM  no free addresses near the text
// No other thread may run this text meanwhile. The block is for the caller to register
// (site_map.h).
sys::SysResult apply_plan(const abi::PlanHeader* plan, std::uint64_t plan_bytes,
                          std::uint64_t load_bias, std::uint64_t text_start, std::uint64_t text_end,
                          int text_prot, StubBlockInfo* out,
                          Trampolines trampolines = Trampolines::kKeep);

}  // namespace cairn::runtime
