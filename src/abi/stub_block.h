#pragma once
// A block of near stubs: guest memory beside patched text, saved with the image. Frozen.
//
// Layout: StubBlockHeader, then `sites` StubSite records (by ascending site address), then code.
// One stub:
//
//   stub:          <the `before` instructions>
//                  lea   resume(%rip), %rcx      the syscall instruction clobbers rcx anyway
//                  jmp   *entry(%rip)            StubBlockHeader::entry -> export page
//   continuation:  <the `after` instructions>    only if after > 0
//                  jmp   site + 2 + after
//
// resume is site + 2 where after is 0, else `continuation`. Wherever a guest can see an instruction
// pointer (signal frames, images) it is the address in the original text: rt_sigreturn and the
// front handler convert with the site map, so that unwinders find their tables.

#include <cstdint>

namespace cairn::abi {

inline constexpr std::uint64_t kStubMagic = 0x42'55'54'53'4e'52'43ULL;  // "CRNSTUB"
inline constexpr std::uint32_t kStubVersion = 1;

struct StubSite {
  std::uint64_t syscall_address;    // of the syscall instruction in the text
  std::uint32_t stub_offset;        // from the block's start
  std::uint32_t entry_offset;       // of the lea: all `before` instructions are done here
  std::uint32_t continuation_offset;  // 0 if after is 0
  std::uint32_t end_offset;           // of the last jmp; behind the stub where after is 0
  std::uint8_t before;
  std::uint8_t after;
  std::uint8_t reserved[6];
};
static_assert(sizeof(StubSite) == 32);

struct StubBlockHeader {
  std::uint64_t magic;
  std::uint32_t version;
  std::uint32_t sites;
  std::uint64_t block_bytes;    // the whole mapping
  std::uint64_t entry;          // address of the export page's syscall slot
  std::uint64_t text_start;     // the text these stubs serve
  std::uint64_t text_end;
};
static_assert(sizeof(StubBlockHeader) == 48);

}  // namespace cairn::abi
