#pragma once
// Where the host half lives in every process of a job. Frozen: guest memory in images refers to it.
//
// The window stays clear of the ranges that ASan, TSan, MSan, Go and Java claim and of where the
// kernel places its first mappings with the default vm.mmap_rnd_bits of 28.
//
//   0x7e9000000000  the runtime's own image; its first page is the export page (export_page.h)
//   + kHostHeap     thread blocks, tables, buffers: made anew in every process
//   + kSegment      the job segment, shared by all processes of a job on a node (segment.h)
//   + kVdso         the kernel's own vvar and vdso, moved here
//   + kJournal      the journal of files, from the first commit on (journal.h)
//   + kLowerHalf    reserved for MPI
//   0x7ed000000000  end

#include <cstdint>

namespace cairn::abi {

inline constexpr std::uint64_t kArenaBase = 0x7e9000000000;
inline constexpr std::uint64_t kArenaSize = 256ULL << 30;
inline constexpr std::uint64_t kArenaEnd = kArenaBase + kArenaSize;

inline constexpr std::uint64_t kHostHeap = kArenaBase + (1ULL << 30);
inline constexpr std::uint64_t kHostHeapSize = 15ULL << 30;
inline constexpr std::uint64_t kSegment = kArenaBase + (16ULL << 30);
inline constexpr std::uint64_t kVdso = kArenaBase + (17ULL << 30);
inline constexpr std::uint64_t kVdsoSize = 1ULL << 20;
inline constexpr std::uint64_t kLowerHalf = kArenaBase + (32ULL << 30);

constexpr bool in_arena(std::uint64_t address) { return address - kArenaBase < kArenaSize; }

}  // namespace cairn::abi
