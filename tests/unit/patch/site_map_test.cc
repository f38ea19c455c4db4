// Every byte of every stub and of every patch, there and back.

#include "runtime/intercept/site_map.h"

#include <algorithm>
#include <atomic>
#include <cstring>
#include <thread>

#include "applied.h"
#include "patch/instruction.h"

namespace cairn::patch {
namespace {

using runtime::GuestPoint;
using runtime::resume_point;
using runtime::to_guest;
using runtime::to_runnable;

class SiteMap : public testing::Test {
 protected:
  LoadedLibrary library_{PATTERNS};
  ElfFile file_ = std::move(*ElfFile::open(PATTERNS));
  Plan plan_ = make_plan(file_);
  Range text_ = text_of(file_, library_.bias());
  Applied applied_{plan_.serialize(), library_.bias(), text_};

  [[nodiscard]] std::uint64_t block() const { return applied_.info().address; }
  const abi::StubSite& stub(std::size_t i) { return applied_.sites()[i]; }
  static std::uint64_t patch_start(const abi::StubSite& s) { return s.syscall_address - s.before; }
  [[nodiscard]] bool in_stubs(std::uint64_t address) const {
    return address >= block() && address < block() + applied_.info().bytes;
  }
};

GuestPoint guest(std::uint64_t rip) {
  GuestPoint point;
  EXPECT_TRUE(to_guest(rip, &point)) << std::hex << rip;
  return point;
}

TEST_F(SiteMap, InstructionsBeforeTheSyscallKeepTheirOffsets) {
  for (const auto& s : applied_.sites())
    for (std::uint32_t k = 0; k < s.before; ++k) {
      const auto point = guest(block() + s.stub_offset + k);
      EXPECT_EQ(point.address, patch_start(s) + k);
      EXPECT_EQ(point.syscall_address, s.syscall_address);
      EXPECT_EQ(point.part, GuestPoint::Part::kBefore);
      // At the start the jump in the text does; behind it only the stub has the instruction, as far
      // as the jump has overwritten it.
      const std::uint64_t back = to_runnable(point.address);
      EXPECT_EQ(back, k == 0 || k >= 5 ? point.address : block() + s.stub_offset + k);
    }
}

TEST_F(SiteMap, AtTheEntryTheGuestIsBeforeItsCall) {
  for (const auto& s : applied_.sites()) {
    const std::uint64_t lea = block() + s.entry_offset;
    const std::uint64_t behind = lea + 13;
    for (std::uint64_t rip = lea; rip < behind; ++rip) {
      const auto point = guest(rip);
      EXPECT_EQ(point.part, GuestPoint::Part::kEntry);
      const bool at_start = s.before > 0 && s.before < 5;
      EXPECT_EQ(point.address, at_start ? patch_start(s) : s.syscall_address);
      // Going on from there makes the call through the stub.
      const std::uint64_t again = to_runnable(point.address);
      if (s.before >= 5) {
        EXPECT_EQ(again, lea);
      }
      if (s.before < 5) {
        EXPECT_EQ(again, patch_start(s));
      }
    }
  }
}

TEST_F(SiteMap, InstructionsBehindTheSyscallKeepTheirOffsets) {
  unsigned seen = 0;
  for (const auto& s : applied_.sites()) {
    if (s.after == 0) continue;
    ++seen;
    const auto& site = *std::ranges::find_if(plan_.sites, [&](const auto& p) {
      return library_.bias() + p.syscall_vaddr == s.syscall_address;
    });
    for (std::uint32_t k = 0; k + site.branch_bytes <= site.after; ++k) {
      if (k == s.after) break;
      const auto point = guest(block() + s.continuation_offset + k);
      EXPECT_EQ(point.part, GuestPoint::Part::kAfter);
      EXPECT_EQ(point.address, s.syscall_address + 2 + k);
      const bool moved = point.address < patch_start(s) + 5;
      EXPECT_EQ(to_runnable(point.address),
                moved ? block() + s.continuation_offset + k : point.address);
    }
    const auto end = guest(block() + s.end_offset);
    EXPECT_EQ(end.address, s.syscall_address + 2 + s.after);
    EXPECT_EQ(to_runnable(end.address), end.address);
  }
  EXPECT_GT(seen, 4U);
}

TEST_F(SiteMap, ResumePointIsBehindTheSyscall) {
  for (const auto& s : applied_.sites()) {
    const std::uint64_t behind = s.syscall_address + 2;
    EXPECT_EQ(resume_point(behind), behind);
    if (s.after != 0) {
      EXPECT_EQ(resume_point(block() + s.continuation_offset), behind);
      EXPECT_EQ(to_runnable(behind), block() + s.continuation_offset);
    }
    // A call that is to be made again is sent to its syscall.
    const std::uint64_t again = to_runnable(behind - 2);
    EXPECT_EQ(again, s.before == 0 ? s.syscall_address : block() + s.entry_offset);
  }
}

// No boundary between instructions of the original text is lost: wherever the guest is sent, it
// executes that instruction's bytes, or the jump at the patch's start.
TEST_F(SiteMap, EveryInstructionOfThePatchesCanBeReached) {
  for (std::size_t i = 0; i < plan_.sites.size(); ++i) {
    const auto& site = plan_.sites[i];
    const std::uint64_t start = library_.bias() + site.syscall_vaddr - site.before;
    for (std::uint64_t k = 0; k < site.expected_bytes;) {
      const auto original = decode({site.expected + k, site.expected_bytes - k}, start + k);
      ASSERT_TRUE(original);
      const std::uint64_t at = to_runnable(start + k);
      const auto now = decode({reinterpret_cast<std::uint8_t*>(at), 15}, at);
      ASSERT_TRUE(now);
      const bool branch = original->flow == Flow::kBranch || original->flow == Flow::kJump;
      if (k == 0) {
        EXPECT_EQ(now->target, block() + stub(i).stub_offset);
      } else if (original->flow == Flow::kSyscall) {
        EXPECT_EQ(at, block() + stub(i).entry_offset);
      } else if (branch) {
        EXPECT_EQ(now->flow, original->flow);
        EXPECT_EQ(now->target, original->target);
      } else {
        EXPECT_EQ(now->length, original->length);
        EXPECT_EQ(now->data_reference, original->data_reference);
        if (original->data_reference == 0) {
          EXPECT_EQ(hex(reinterpret_cast<std::uint8_t*>(at), now->length),
                    hex(site.expected + k, original->length));
        }
      }
      k += original->length;
    }
  }
}

TEST_F(SiteMap, OtherAddressesAreLeftAlone) {
  GuestPoint point;
  EXPECT_FALSE(to_guest(block(), &point));  // the header
  EXPECT_FALSE(to_guest(block() + sizeof(abi::StubBlockHeader) + 3, &point));
  EXPECT_FALSE(to_guest(block() + applied_.info().bytes - 1, &point));
  EXPECT_FALSE(to_guest(text_.start, &point));
  EXPECT_FALSE(to_guest(0, &point));
  EXPECT_EQ(to_runnable(0), 0U);
  EXPECT_EQ(to_runnable(block()), block());
  std::vector<bool> patched(text_.size());
  for (const auto& s : applied_.sites())
    for (std::uint64_t a = patch_start(s); a < s.syscall_address + 2 + s.after; ++a)
      patched[a - text_.start] = true;
  for (std::uint64_t a = text_.start; a < text_.end; ++a)
    if (!patched[a - text_.start]) {
      ASSERT_EQ(to_runnable(a), a);
    }
}

TEST_F(SiteMap, ListsTheBlockOnce) {
  std::uint64_t blocks[4];
  ASSERT_EQ(runtime::list_blocks(blocks, 4), 1U);
  EXPECT_EQ(blocks[0], block());
}

TEST_F(SiteMap, TextIsForgottenPieceByPiece) {
  runtime::OrphanedBlock orphan;
  std::uint32_t count = 9;
  const auto& first = stub(0);
  const auto& middle = stub(applied_.sites().size() / 2);
  const auto& last = stub(applied_.sites().size() - 1);
  const auto known = [&](const abi::StubSite& s) {
    return to_runnable(s.syscall_address) != s.syscall_address ||
           to_runnable(patch_start(s) + 2) != patch_start(s) + 2;
  };
  ASSERT_TRUE(known(first) && known(middle) && known(last));
  // A hole: both sides remain.
  EXPECT_FALSE(
      runtime::forget_text(patch_start(middle), middle.syscall_address + 2, &orphan, 1, &count));
  EXPECT_EQ(count, 0U);
  EXPECT_FALSE(known(middle));
  EXPECT_TRUE(known(first) && known(last));
  std::uint64_t blocks[4];
  EXPECT_EQ(runtime::list_blocks(blocks, 4), 1U);
  // One side, then the other: only then is the block nobody's.
  EXPECT_FALSE(runtime::forget_text(text_.start, patch_start(middle), &orphan, 1, &count));
  EXPECT_EQ(count, 0U);
  EXPECT_FALSE(known(first));
  EXPECT_TRUE(known(last));
  EXPECT_FALSE(runtime::forget_text(middle.syscall_address, text_.end, &orphan, 1, &count));
  EXPECT_EQ(count, 1U);
  EXPECT_EQ(orphan.address, block());
  EXPECT_EQ(orphan.bytes, applied_.info().bytes);
  EXPECT_FALSE(known(last));
  EXPECT_TRUE(runtime::register_block(block()).ok());  // for the fixture's end
}

TEST_F(SiteMap, ReadersNeverMissTextThatStays) {
  const auto& site = stub(applied_.sites().size() - 1);
  const std::uint64_t inside = patch_start(site) + 2;
  const std::uint64_t expected = to_runnable(inside);
  ASSERT_NE(expected, inside);
  std::atomic<bool> stop{false};
  std::atomic<unsigned> wrong{0};
  std::thread reader([&] {
    while (!stop) wrong += to_runnable(inside) != expected;
  });
  for (std::uint64_t at = text_.start; at < patch_start(site); ++at) {
    runtime::OrphanedBlock orphan;
    std::uint32_t count = 0;
    EXPECT_FALSE(runtime::forget_text(at, at + 1, &orphan, 1, &count));
    EXPECT_EQ(count, 0U);
  }
  stop = true;
  reader.join();
  EXPECT_EQ(wrong, 0U);
}

TEST(SiteMapAlone, RefusesWhatIsNoBlock) {
  const std::vector<std::uint64_t> zeros(64);
  EXPECT_EQ(runtime::register_block(reinterpret_cast<std::uint64_t>(zeros.data())).error(), EINVAL);
}

TEST(SiteMapAlone, HoldsAThousandBlocks) {
  std::vector<abi::StubBlockHeader> headers(runtime::kMaxStubBlocks + 1);
  for (std::size_t i = 0; i < headers.size(); ++i) {
    headers[i] = {abi::kStubMagic,  abi::kStubVersion,    0, sizeof(abi::StubBlockHeader), 0,
                  0x1000 * (i + 1), 0x1000 * (i + 1) + 16};
    const auto result = runtime::register_block(reinterpret_cast<std::uint64_t>(&headers[i]));
    EXPECT_EQ(result.error(), i < runtime::kMaxStubBlocks ? 0 : ENOSPC);
  }
  std::vector<runtime::OrphanedBlock> orphans(100);
  std::size_t total = 0;
  bool more = true;
  while (more) {
    std::uint32_t count = 0;
    more = runtime::forget_text(0, 0x1000ULL * (headers.size() + 1), orphans.data(), 100, &count);
    total += count;
  }
  EXPECT_EQ(total, runtime::kMaxStubBlocks);
}

}  // namespace
}  // namespace cairn::patch
