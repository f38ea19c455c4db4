#include "runtime/host/thread_block.h"

#include "abi/arena.h"
#include "runtime/host/support.h"

// Layout of one block's stride in the host heap:
//
//   | ThreadBlock ... 24 KiB | guard | host stack 64 KiB | guard | signal stack 96 KiB |
//
// The signal stack holds the kernel's frame (11 KiB with AMX) and what the front handler calls,
// which in a parked thread is the link server.

namespace cairn::runtime {
namespace {

constexpr std::uint64_t kStride = 256 << 10;
constexpr std::uint64_t kBlockBytes = 28 << 10;
constexpr std::uint64_t kHostStackStart = 32 << 10, kHostStackEnd = 96 << 10;
constexpr std::uint64_t kSigstackStart = 128 << 10, kSigstackEnd = 240 << 10;
constexpr std::uint32_t kMaxBlocks = static_cast<std::uint32_t>((2ULL << 30) / kStride) * 4;
static_assert(sizeof(ThreadBlock) <= kBlockBytes);

std::uint32_t g_block_count = 0;  // blocks whose memory is mapped
std::uint32_t g_next = 0;         // the index that the next new block takes
std::uint32_t g_first_free_hint = 0;

std::uint64_t block_address(std::uint32_t index) { return abi::kHostHeap + index * kStride; }

bool map_block(std::uint32_t index) {
  std::uint64_t base = block_address(index);
  struct Piece {
    std::uint64_t start, end;
  };
  const Piece pieces[] = {
      {0, kBlockBytes}, {kHostStackStart, kHostStackEnd}, {kSigstackStart, kSigstackEnd}};
  for (const Piece& piece : pieces) {
    if (!map_host_at(base + piece.start, piece.end - piece.start).ok()) return false;
  }
  return true;
}

ThreadBlock* prepare(std::uint32_t index) {
  auto* block = reinterpret_cast<ThreadBlock*>(block_address(index));
  memset(block, 0, offsetof(ThreadBlock, in_use));
  block->vfork_child = block->traced_from_exec = block->ended = 0;
  block->self = block;
  block->host_stack = block_address(index) + kHostStackEnd;
  block->sigstack = block_address(index) + kSigstackStart;
  block->sigstack_bytes = kSigstackEnd - kSigstackStart;
  block->altstack_flags = kSsDisable;
  return block;
}

}  // namespace

std::uint32_t block_count() { return __atomic_load_n(&g_block_count, __ATOMIC_ACQUIRE); }

std::uint64_t block_memory_end() { return block_address(__atomic_load_n(&g_next, __ATOMIC_ACQUIRE)); }

ThreadBlock* block_at(std::uint32_t index) {
  return reinterpret_cast<ThreadBlock*>(block_address(index));
}

ThreadBlock* allocate_block() {
  std::uint32_t count = block_count();
  std::uint32_t hint = __atomic_load_n(&g_first_free_hint, __ATOMIC_RELAXED);
  for (std::uint32_t i = 0; i < count; ++i) {
    std::uint32_t index = hint + i < count ? hint + i : hint + i - count;
    std::uint32_t expected = 0;
    if (__atomic_load_n(&block_at(index)->in_use, __ATOMIC_RELAXED) == 0 &&
        __atomic_compare_exchange_n(&block_at(index)->in_use, &expected, 1, false, __ATOMIC_ACQUIRE,
                                    __ATOMIC_RELAXED)) {
      __atomic_store_n(&g_first_free_hint, index + 1, __ATOMIC_RELAXED);
      return prepare(index);
    }
  }
  // A new one. Mapping is idempotent only for an index nobody has: take the index first.
  std::uint32_t index = __atomic_fetch_add(&g_next, 1, __ATOMIC_ACQ_REL);
  if (index >= kMaxBlocks || !map_block(index)) return nullptr;
  block_at(index)->in_use = 1;
  ThreadBlock* block = prepare(index);
  while (__atomic_load_n(&g_block_count, __ATOMIC_ACQUIRE) != index) asm volatile("pause");
  __atomic_store_n(&g_block_count, index + 1, __ATOMIC_RELEASE);
  return block;
}

void release_block(ThreadBlock* block) {
  auto index = static_cast<std::uint32_t>((sys::address(block) - abi::kHostHeap) / kStride);
  __atomic_store_n(&g_first_free_hint, index, __ATOMIC_RELAXED);
  __atomic_store_n(&block->in_use, 0, __ATOMIC_RELEASE);
}

void forget_other_blocks(ThreadBlock* mine) {
  g_next = g_block_count;  // a thread of the parent may have been in the middle of allocate_block
  for (std::uint32_t i = 0; i < block_count(); ++i)
    if (block_at(i) != mine) block_at(i)->in_use = 0;
}

}  // namespace cairn::runtime
