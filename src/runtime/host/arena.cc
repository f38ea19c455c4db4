#include "runtime/host/arena.h"

#include "abi/arena.h"
#include "abi/segment.h"
#include "runtime/host/kernel_types.h"
#include "runtime/host/support.h"
#include "runtime/host/thread_block.h"
#include "sys/syscall.h"

extern "C" const char cairn_image_end[];

namespace cairn::runtime {
namespace {

constexpr std::uint64_t kInitialBrk = 16 << 20;  // the kernel's first heap lies right behind our image

std::uint64_t image_end() { return ((sys::address(cairn_image_end) + 4095) & ~4095ULL) + kInitialBrk; }

void release(std::uint64_t start, std::uint64_t end) {
  if (end > start) (void)sys::call(__NR_munmap, start, end - start);
}

}  // namespace

// Under a limit on the address space the reservation may not fit; then only what is used is mapped.
void claim_arena() {
  constexpr std::uint64_t kFlags = 0x104022;  // PRIVATE|ANONYMOUS|NORESERVE|FIXED_NOREPLACE
  auto all = sys::call(__NR_mmap, image_end(), abi::kArenaEnd - image_end(), 0, kFlags,
                       static_cast<std::uint64_t>(-1), 0);
  if (!all.ok() && all.error() == kEEXIST)
    die("the arena's addresses are taken; is vm.mmap_rnd_bits above 28?");
}

void release_reservation() {
  std::uint64_t segment_end = abi::kSegment + ((sizeof(abi::JobSegment) + 4095) & ~4095ULL);
  release(image_end(), abi::kHostHeap);
  release(block_memory_end(), abi::kHostHeap + abi::kHostHeapSize / 2);
  release(abi::kHostHeap + abi::kHostHeapSize / 2 + (1ULL << 30), abi::kSegment);
  release(segment_end, abi::kVdso);
  release(abi::kVdso + abi::kVdsoSize, abi::kArenaEnd);
  release_host_memory();
}

}  // namespace cairn::runtime
