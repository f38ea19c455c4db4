#include "runtime/intercept/extended_state.h"

#include "runtime/host/kernel_types.h"
#include "runtime/host/support.h"

namespace cairn::runtime {
namespace {

constexpr std::uint32_t kFpMagic2 = 0x46505845;
constexpr std::uint32_t kHeaderBytes = 64;  // behind the legacy state; its first word says which states follow
constexpr std::uint32_t kTileData = 18;     // allotted on demand (arch_prctl), in no default frame
constexpr std::uint32_t kStateLeaf = 0xd;

std::uint64_t g_features = 0;
std::uint32_t g_bytes = 0;  // 0: nothing to fit

struct Registers {
  std::uint32_t a, b, c, d;
};

Registers cpuid(std::uint32_t leaf, std::uint32_t subleaf) {
  Registers r{};
  asm volatile("cpuid" : "=a"(r.a), "=b"(r.b), "=c"(r.c), "=d"(r.d) : "a"(leaf), "c"(subleaf));
  return r;
}

}  // namespace

void measure_extended_state() {
  constexpr std::uint32_t kOsxsave = 1U << 27;
  if ((cpuid(1, 0).c & kOsxsave) == 0) return;
  std::uint32_t low = 0, high = 0;
  asm volatile("xgetbv" : "=a"(low), "=d"(high) : "c"(0));
  g_features = (std::uint64_t{high} << 32 | low) & ~(1ULL << kTileData);
  g_bytes = kFpLegacyBytes + kHeaderBytes;
  for (std::uint32_t state = 2; state < 63; ++state) {
    if ((g_features >> state & 1) == 0) continue;
    Registers place = cpuid(kStateLeaf, state);
    if (place.b + place.a > g_bytes) g_bytes = place.b + place.a;
  }
}

void fit_extended_state(std::uint64_t fp) {
  if (g_bytes == 0 || fp == 0) return;
  FpSoftwareBytes software{};
  if (copy_from_guest(&software, fp + kFpSoftwareOffset, sizeof(software)) != 0) return;
  if (software.magic1 != kFpMagic1) return;
  if (software.xstate_size <= g_bytes && (software.xfeatures & ~g_features) == 0) return;
  std::uint64_t present = 0;
  if (copy_from_guest(&present, fp + kFpLegacyBytes, sizeof(present)) != 0) return;
  present &= g_features;
  software.xfeatures &= g_features;
  if (software.xstate_size > g_bytes) software.xstate_size = g_bytes;
  // A frame that cannot be written is one that the kernel refuses as well.
  (void)copy_to_guest(fp + kFpLegacyBytes, &present, sizeof(present));
  (void)copy_to_guest(fp + kFpSoftwareOffset, &software, sizeof(software));
  (void)copy_to_guest(fp + software.xstate_size, &kFpMagic2, sizeof(kFpMagic2));
}

}  // namespace cairn::runtime
