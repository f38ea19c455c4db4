// Mappings: the arena stays clear, and text that appears is patched before anyone can run it.

#include "abi/arena.h"
#include "runtime/handlers/api.h"
#include "runtime/handlers/dispatch.h"
#include "runtime/handlers/sysv.h"
#include "runtime/host/support.h"
#include "runtime/intercept/cpu_view.h"
#include "runtime/intercept/text.h"
#include "sys/syscall.h"

namespace cairn::runtime {
namespace {

constexpr std::uint64_t kProtExec = 4, kMapFixed = 0x10, kMapAnonymous = 0x20,
                        kMapFixedNoreplace = 0x100000;

bool touches_arena(std::uint64_t start, std::uint64_t bytes) {
  return start < abi::kArenaEnd && start + bytes > abi::kArenaBase && start + bytes >= start;
}

std::uint64_t page_up(std::uint64_t x) { return (x + 4095) & ~4095ULL; }

void mapping_gone(std::uint64_t start, std::uint64_t end) {
  text_gone(start, end);
  left_out_gone(start, end);
}

std::int64_t after_mmap(ThreadBlock* t, std::int64_t result) {
  if (result < 0 && result > -4096) return result;
  auto at = static_cast<std::uint64_t>(result);
  bool of_file = (t->r10 & kMapAnonymous) == 0;
  if (of_file && (t->rdx & kProtExec) != 0)
    text_mapped(static_cast<int>(t->r8), at, at + page_up(t->rsi), t->r9, static_cast<int>(t->rdx));
  return result;
}

Action mmap(ThreadBlock* t) {
  bool placed = (t->r10 & (kMapFixed | kMapFixedNoreplace)) != 0;
  if (placed && touches_arena(t->rdi, t->rsi))
    return done(t, (t->r10 & kMapFixedNoreplace) != 0 ? -kEEXIST : -kENOMEM);
  bool executable = (t->rdx & kProtExec) != 0;
  bool text = (t->r10 & kMapAnonymous) == 0 && executable && !static_program();
  if (executable && !text) note_unknown_text();
  if (placed && (t->r10 & kMapFixedNoreplace) == 0) mapping_gone(t->rdi, t->rdi + page_up(t->rsi));
  return pass(t, text ? after_mmap : nullptr);
}

Action munmap(ThreadBlock* t) {
  if (touches_arena(t->rdi, t->rsi)) return done(t, -kEINVAL);
  mapping_gone(t->rdi, t->rdi + page_up(t->rsi));
  return pass(t);
}

Action mprotect(ThreadBlock* t) {
  if (touches_arena(t->rdi, t->rsi)) return done(t, -kENOMEM);
  if ((t->rdx & kProtExec) != 0) note_unknown_text();
  return pass(t);
}

Action mremap(ThreadBlock* t) {
  constexpr std::uint64_t kFixed = 2;
  if (touches_arena(t->rdi, t->rsi)) return done(t, -kEFAULT);
  if ((t->r10 & kFixed) != 0 && touches_arena(t->r8, t->rdx)) return done(t, -kEINVAL);
  left_out_gone(t->rdi, t->rdi + page_up(t->rsi));
  if ((t->r10 & kFixed) != 0) left_out_gone(t->r8, t->r8 + page_up(t->rdx));
  return pass(t);
}

// Where the segment would end. struct shmid64_ds begins with 48 bytes of permissions, then its size.
std::uint64_t segment_end(const ThreadBlock* t) {
  constexpr std::uint64_t kIpcStat = 2;
  std::uint64_t status[16] = {};
  auto asked = sys::call(__NR_shmctl, to_real_sysv(abi::SysvKind::kMemory, t->rdi), kIpcStat, sys::address(status));
  return asked.ok() ? t->rsi + status[6] : t->rsi;
}

// A segment is placed by its address alone; its size is known to the kernel. One below the arena that
// would reach into it meets the reservation, which only SHM_REMAP replaces.
Action shmat(ThreadBlock* t) {
  constexpr std::uint64_t kShmRemap = 040000;
  bool replaces = (t->rdx & kShmRemap) != 0 && t->rsi < abi::kArenaEnd && segment_end(t) > abi::kArenaBase;
  if (touches_arena(t->rsi, 1) || replaces) return done(t, -kEINVAL);
  return pass(t);
}

Action remap_file_pages(ThreadBlock* t) {
  if (touches_arena(t->rdi, t->rsi)) return done(t, -kEINVAL);
  return pass(t);
}

}  // namespace

const HandlerRow kMemoryHandlers[] = {{__NR_shmat, shmat},
                                      {__NR_remap_file_pages, remap_file_pages},
                                      {__NR_mmap, mmap},         {__NR_munmap, munmap},
                                      {__NR_mprotect, mprotect}, {__NR_pkey_mprotect, mprotect},
                                      {__NR_mremap, mremap},     {0, nullptr}};

}  // namespace cairn::runtime
