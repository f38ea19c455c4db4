// How a view is made: every leaf that says something about instructions is the machine's own with only
// the level's bits left; leaves about caches and topology stay; all others are zero.

#include "base/cpu_view.h"

#include <cpuid.h>
#include <fmt/format.h>

#include <algorithm>
#include <array>

namespace cairn {
namespace {

enum Output { kEax, kEbx, kEcx, kEdx };

struct LevelBit {
  std::uint32_t level;
  std::uint32_t leaf;
  Output output;
  int bit;
  const char* name;
};
constexpr std::array kLevelBits{
    LevelBit{1, 1, kEcx, 0, "sse3"},    LevelBit{2, 1, kEcx, 9, "ssse3"},
    LevelBit{2, 1, kEcx, 13, "cx16"},   LevelBit{2, 1, kEcx, 19, "sse4.1"},
    LevelBit{2, 1, kEcx, 20, "sse4.2"}, LevelBit{2, 1, kEcx, 23, "popcnt"},
    LevelBit{3, 1, kEcx, 12, "fma"},    LevelBit{3, 1, kEcx, 22, "movbe"},
    LevelBit{3, 1, kEcx, 26, "xsave"},  LevelBit{3, 1, kEcx, 27, "osxsave"},
    LevelBit{3, 1, kEcx, 28, "avx"},    LevelBit{3, 1, kEcx, 29, "f16c"},
    LevelBit{3, 7, kEbx, 3, "bmi1"},    LevelBit{3, 7, kEbx, 5, "avx2"},
    LevelBit{3, 7, kEbx, 8, "bmi2"},    LevelBit{4, 7, kEbx, 16, "avx512f"},
    LevelBit{4, 7, kEbx, 17, "avx512dq"}, LevelBit{4, 7, kEbx, 28, "avx512cd"},
    LevelBit{4, 7, kEbx, 30, "avx512bw"}, LevelBit{4, 7, kEbx, 31, "avx512vl"},
    LevelBit{2, 0x80000001, kEcx, 0, "lahf"}, LevelBit{3, 0x80000001, kEcx, 5, "lzcnt"},
};
constexpr std::uint32_t kLowestLevel = 2, kHighestLevel = 4;

// The long mode's basics: syscall, nx, lm, and what AMD repeats there of leaf 1.
constexpr std::uint32_t kExtendedEdx = 1U << 11 | 1U << 20 | 1U << 29 | 0x0183f3ff;
constexpr std::uint64_t kAvxState = 0x7, kAvx512State = 0xe0;
// Programs make room for register state by what cpuid says (glibc's dl_runtime_resolve), and xsave
// writes all that the machine of the day has. So the room is that of the largest layout up to AVX-512
// with protection keys, wherever the program was started.
constexpr std::uint32_t kRoomForState = 2752;
constexpr std::uint32_t kHighestLeaf = 0x1f, kHighestExtended = 0x80000008;

using Registers = std::array<std::uint32_t, 4>;

Registers ask(std::uint32_t leaf, std::uint32_t subleaf) {
  Registers r{};
  __cpuid_count(leaf, subleaf, r[kEax], r[kEbx], r[kEcx], r[kEdx]);
  return r;
}

std::uint32_t level_mask(std::uint32_t level, std::uint32_t leaf, Output output) {
  std::uint32_t mask = 0;
  for (const LevelBit& bit : kLevelBits)
    if (bit.level <= level && bit.leaf == leaf && bit.output == output) mask |= 1U << bit.bit;
  return mask;
}

class ViewMaker {
 public:
  explicit ViewMaker(std::uint32_t level) : level_(level), highest_(ask(0, 0)[kEax]),
                                            highest_extended_(ask(0x80000000, 0)[kEax]) {}

  abi::CpuView make() {
    view_.level = level_;
    view_.xcr0 = cpu_level_states(level_);
    basics();
    caches_and_topology();
    register_state();
    extended();
    return view_;
  }

 private:
  void add(std::uint32_t leaf, std::uint32_t subleaf, const Registers& r) {
    if (view_.answers == abi::kMaxCpuidAnswers) return;
    view_.answer[view_.answers++] = {leaf, subleaf, r[kEax], r[kEbx], r[kEcx], r[kEdx]};
  }

  [[nodiscard]] Registers masked(std::uint32_t leaf, Registers r) const {
    for (const Output output : {kEbx, kEcx}) r[output] &= level_mask(level_, leaf, output);
    return r;
  }

  void basics() {
    Registers first = ask(0, 0);
    first[kEax] = std::min(first[kEax], kHighestLeaf);
    add(0, abi::kAnySubleaf, first);
    Registers features = ask(1, 0);
    features[kEcx] &= level_mask(level_, 1, kEcx);  // ebx and edx: topology, and what all of x86-64 has
    add(1, abi::kAnySubleaf, features);
    if (highest_ >= 7) {
      Registers structured = masked(7, ask(7, 0));
      structured[kEax] = structured[kEdx] = 0;
      add(7, 0, structured);
    }
  }

  void caches_and_topology() {
    if (highest_ >= 2) add(2, abi::kAnySubleaf, ask(2, 0));
    constexpr std::uint32_t kLists[] = {4, 0xb, 0x1f, 0x8000001d};
    for (const std::uint32_t leaf : kLists) {
      const bool known = leaf < 0x80000000 ? leaf <= highest_ : leaf <= highest_extended_;
      for (std::uint32_t subleaf = 0; known && subleaf < 6; ++subleaf) {
        const Registers r = ask(leaf, subleaf);
        add(leaf, subleaf, r);
        const bool is_cache = leaf == 4 || leaf == 0x8000001d;
        if (is_cache ? (r[kEax] & 0x1f) == 0 : r[kEbx] == 0) break;
      }
    }
  }

  void register_state() {
    if (level_ < 3) return;
    add(0xd, 0, {static_cast<std::uint32_t>(view_.xcr0), kRoomForState, kRoomForState, 0});
    for (std::uint32_t state = 2; state < 8; ++state)
      if ((view_.xcr0 >> state & 1) != 0) add(0xd, state, ask(0xd, state));
  }

  void extended() {
    Registers first = ask(0x80000000, 0);
    // AMD's programs ask for its cache leaf, which lies higher.
    first[kEax] = std::min(first[kEax], highest_extended_ >= 0x8000001d ? 0x8000001dU : kHighestExtended);
    add(0x80000000, abi::kAnySubleaf, first);
    Registers features = masked(0x80000001, ask(0x80000001, 0));
    features[kEbx] = 0;
    features[kEdx] &= kExtendedEdx;
    add(0x80000001, abi::kAnySubleaf, features);
    for (std::uint32_t leaf = 0x80000002; leaf <= 0x80000006 && leaf <= highest_extended_; ++leaf)
      add(leaf, abi::kAnySubleaf, ask(leaf, 0));
    Registers sizes = ask(0x80000008, 0);
    sizes[kEbx] = 0;
    add(0x80000008, abi::kAnySubleaf, sizes);
  }

  std::uint32_t level_;
  std::uint32_t highest_, highest_extended_;
  abi::CpuView view_{};
};

std::string missing_for(std::uint32_t level) {
  std::string missing;
  for (const LevelBit& bit : kLevelBits) {
    if (bit.level > level) continue;
    const bool known = bit.leaf <= ask(bit.leaf & 0x80000000, 0)[kEax];
    if (!known || (ask(bit.leaf, 0)[bit.output] >> bit.bit & 1) == 0) missing += fmt::format(" {}", bit.name);
  }
  return missing;
}

}  // namespace

std::optional<std::uint32_t> parse_cpu_level(const std::string& name) {
  if (name == "host") return 0;
  for (std::uint32_t level = kLowestLevel; level <= kHighestLevel; ++level)
    if (name == fmt::format("x86-64-v{}", level)) return level;
  return std::nullopt;
}

std::uint64_t cpu_level_states(std::uint32_t level) {
  return level < 3 ? 0 : level < 4 ? kAvxState : kAvxState | kAvx512State;
}

Result<abi::CpuView> make_cpu_view(std::uint32_t level) {
  if (level == 0) return abi::CpuView{};
  if (const std::string missing = missing_for(level); !missing.empty())
    return refusal(fmt::format("this CPU is less than x86-64-v{}: it lacks{}", level, missing));
  return ViewMaker(level).make();
}

}  // namespace cairn
