#pragma once
// Which stub blocks there are, and what their addresses mean.
//
// The guest only ever sees instruction pointers of its original text; it runs at others. All three
// conversions may be called in signal handlers, on any thread, at any time.

#include <cstdint>

#include "abi/stub_block.h"
#include "sys/result.h"

namespace cairn::runtime {

inline constexpr std::uint32_t kMaxStubBlocks = 1024;

// Where a thread inside a stub is in terms of the original text.
struct GuestPoint {
  enum class Part : std::uint32_t { kBefore, kEntry, kAfter };
  std::uint64_t address = 0;  // of the equivalent original instruction
  std::uint64_t syscall_address = 0;
  Part part = Part::kBefore;  // kEntry: the syscall itself is next
};

// Stub address -> text. False, and nothing written: `rip` is not in a stub.
bool to_guest(std::uint64_t rip, GuestPoint* out);
// Text -> where to run: a stub if the instruction there was moved or is a syscall that has a stub,
// else `rip` itself.
std::uint64_t to_runnable(std::uint64_t rip);
// What the door got in rcx -> the text address behind the syscall.
std::uint64_t resume_point(std::uint64_t return_address);

// A block as apply_plan made it, or as an image has brought it back: -EINVAL if it is none,
// -ENOSPC if there are too many.
sys::SysResult register_block(std::uint64_t block);

struct OrphanedBlock {
  std::uint64_t address = 0;
  std::uint64_t bytes = 0;
};
// [start, end) is unmapped, or mapped over: stubs of text there are forgotten (not by two threads
// at once). Blocks whose whole text is gone come back, for the caller to unmap; true: there are
// more, call again.
bool forget_text(std::uint64_t start, std::uint64_t end, OrphanedBlock* orphans,
                 std::uint32_t capacity, std::uint32_t* count);

// Addresses of all registered blocks, for the image.
std::uint32_t list_blocks(std::uint64_t* out, std::uint32_t capacity);

}  // namespace cairn::runtime
