// Plans applied to real text in this process: golden machine code, the same results as before, and
// nothing changed where something is wrong.

#include "runtime/intercept/patcher.h"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <cstring>

#include "abi/export_page.h"
#include "applied.h"
#include "patch/instruction.h"
#include "patch/plan_cache.h"

namespace cairn::patch {
namespace {

std::vector<std::uint8_t> bytes_of(Range range) {
  const auto* start = reinterpret_cast<const std::uint8_t*>(range.start);
  return {start, start + range.size()};
}

class Patterns : public testing::Test {
 protected:
  LoadedLibrary library_{PATTERNS};
  ElfFile file_ = std::move(*ElfFile::open(PATTERNS));
  Plan plan_ = make_plan(file_);
  std::vector<std::uint8_t> bytes_ = plan_.serialize();
  Range text_ = text_of(file_, library_.bias());

  const abi::StubSite& stub_of(const Applied& applied, const char* function) {
    const Range range = library_.function(function);
    for (const auto& site : applied.sites())
      if (range.contains(site.syscall_address - library_.bias())) return site;
    ADD_FAILURE() << "no stub for " << function;
    return applied.sites()[0];
  }
  // The function's result, and that it came through the entry `calls` times.
  template <class... Args>
  long through_the_entry(unsigned calls, const char* function, Args... args) {
    const unsigned long before = fake_entry_calls;
    const long result = library_.call(function, args...);
    EXPECT_EQ(fake_entry_calls - before, calls) << function;
    return result;
  }
};

TEST_F(Patterns, BehaveAsBefore) {
  const Applied applied(bytes_, library_.bias(), text_);
  ASSERT_TRUE(applied.result().ok()) << applied.result().error();
  EXPECT_EQ(applied.result().value(), plan_.sites.size());
  const long pid = ::getpid();
  EXPECT_EQ(through_the_entry(1, "prev_mov"), pid);
  EXPECT_EQ(through_the_entry(1, "prev_long_mov"), pid);
  EXPECT_EQ(through_the_entry(1, "prev_two", 3, -1), -EBADF);
  EXPECT_EQ(through_the_entry(1, "prev_rip_relative"), -EBADF);
  EXPECT_EQ(through_the_entry(1, "follow_cmp", -1), 1);
  EXPECT_EQ(through_the_entry(1, "follow_branch", -1), 1);
  EXPECT_EQ(through_the_entry(1, "follow_jump", 1), pid);
  EXPECT_EQ(through_the_entry(1, "follow_ret", 0), pid);
  EXPECT_EQ(static_cast<int>(through_the_entry(1, "around")), -EBADF + 1);
  EXPECT_EQ(through_the_entry(2, "adjacent"), -ENOSYS);
  EXPECT_EQ(through_the_entry(1, "call_at_start"), pid);
  EXPECT_EQ(through_the_entry(1, "data_in_text"), pid);
  EXPECT_EQ(through_the_entry(1, "split_unwind"), pid);
  EXPECT_EQ(through_the_entry(1, "call_local_split"), pid);
  EXPECT_EQ(through_the_entry(1, "only_symbol"), pid);
}

TEST_F(Patterns, BranchesThatWereMovedAreTakenOrNot) {
  const Applied applied(bytes_, library_.bias(), text_);
  const int fd = ::dup(0);
  ASSERT_GE(fd, 0);
  EXPECT_EQ(through_the_entry(1, "follow_branch", fd), 0);
  EXPECT_EQ(through_the_entry(1, "follow_branch", fd), 1);
}

std::string displacement(std::uint64_t from, std::uint64_t to) {
  const auto value = static_cast<std::uint32_t>(to - from);
  std::uint8_t bytes[4];
  std::memcpy(bytes, &value, sizeof bytes);
  return hex(bytes, sizeof bytes);
}

TEST_F(Patterns, GoldenStubBeforeTheSyscall) {
  const Applied applied(bytes_, library_.bias(), text_);
  const auto& stub = stub_of(applied, "prev_mov");
  const std::uint64_t at = applied.info().address + stub.stub_offset;
  const std::uint64_t start = library_.address("prev_mov");
  EXPECT_EQ(hex(reinterpret_cast<std::uint8_t*>(start), 8),
            "e9 " + displacement(start + 5, at) + " 0f 05 c3");
  EXPECT_EQ(hex(applied.code(stub.stub_offset), stub.end_offset - stub.stub_offset),
            "b8 27 00 00 00 48 8d 0d " + displacement(at + 12, start + 7) + " ff 25 " +
                displacement(at + 18, applied.info().address + 24));
}

TEST_F(Patterns, GoldenStubBehindTheSyscall) {
  const Applied applied(bytes_, library_.bias(), text_);
  const auto& stub = stub_of(applied, "follow_branch");
  const std::uint64_t at = applied.info().address + stub.stub_offset;
  const std::uint64_t site = stub.syscall_address;
  // The text keeps the last byte of what the jump covers in part.
  EXPECT_EQ(hex(reinterpret_cast<std::uint8_t*>(site), 6),
            "e9 " + displacement(site + 5, at) + " 01");
  EXPECT_EQ(hex(applied.code(stub.stub_offset), 26),
            "48 8d 0d 06 00 00 00 ff 25 " + displacement(at + 13, applied.info().address + 24) +
                " 85 c0 0f 88 " + displacement(at + 21, site + 7) + " e9 " +
                displacement(at + 26, site + 6));
  EXPECT_EQ(stub.continuation_offset, stub.stub_offset + 13);
  EXPECT_EQ(stub.end_offset, stub.stub_offset + 21);
}

TEST_F(Patterns, OnlyJumpsAreWritten) {
  const auto before = bytes_of(text_);
  const Applied applied(bytes_, library_.bias(), text_);
  auto after = bytes_of(text_);
  EXPECT_NE(before, after);
  for (const auto& site : plan_.sites) {
    const std::uint64_t at = library_.bias() + site.syscall_vaddr - site.before - text_.start;
    std::memcpy(after.data() + at, before.data() + at, 5);
  }
  EXPECT_EQ(before, after);
}

// The kernel's view of one address.
std::string protection_at(std::uint64_t address) {
  FILE* maps = std::fopen("/proc/self/maps", "r");
  char line[512];
  char prot[8] = "";
  while (std::fgets(line, sizeof line, maps) != nullptr) {
    unsigned long start = 0;
    unsigned long end = 0;
    if (std::sscanf(line, "%lx-%lx %7s", &start, &end, prot) == 3 && address >= start &&
        address < end)
      break;
    prot[0] = 0;
  }
  std::fclose(maps);
  return prot;
}

TEST_F(Patterns, BlockIsNearExecutableAndComplete) {
  const Applied applied(bytes_, library_.bias(), text_);
  EXPECT_EQ(protection_at(applied.info().address), "r-xp");
  EXPECT_EQ(protection_at(text_.start), "r-xp");
  EXPECT_LT(applied.info().address, text_.start);  // where nothing is in the way
  EXPECT_LT(text_.end - applied.info().address, 1ULL << 31);
  EXPECT_EQ(applied.header()->magic, abi::kStubMagic);
  EXPECT_EQ(applied.header()->version, abi::kStubVersion);
  EXPECT_EQ(applied.header()->text_start, text_.start);
  EXPECT_EQ(applied.header()->text_end, text_.end);
  EXPECT_EQ(applied.header()->block_bytes, applied.info().bytes);
}

TEST_F(Patterns, StubsCallTheExportPage) {
  runtime::StubBlockInfo info;
  ASSERT_TRUE(runtime::apply_plan(reinterpret_cast<abi::PlanHeader*>(bytes_.data()), bytes_.size(),
                                  library_.bias(), text_.start, text_.end, PROT_READ | PROT_EXEC,
                                  &info)
                  .ok());
  EXPECT_EQ(reinterpret_cast<abi::StubBlockHeader*>(info.address)->entry,
            abi::slot_address(abi::Slot::kSyscallEntry));
  ::munmap(reinterpret_cast<void*>(info.address), info.bytes);
}

TEST_F(Patterns, APartOfTheTextGetsItsOwnSites) {
  const Range function = library_.function("follow_cmp");
  const Range part{library_.bias() + function.start, library_.bias() + function.end};
  const auto page = bytes_of(text_);
  const Applied applied(bytes_, library_.bias(), part);
  EXPECT_EQ(applied.result().raw, 1);
  // A patch that reaches over the edge is left out.
  const Range cut{part.start, part.start + 11};
  runtime::StubBlockInfo info;
  const auto none =
      runtime::apply_plan(reinterpret_cast<abi::PlanHeader*>(bytes_.data()), bytes_.size(),
                          library_.bias(), cut.start, cut.end, PROT_READ | PROT_EXEC, &info);
  EXPECT_EQ(none.raw, 0);
  EXPECT_EQ(info.bytes, 0U);
}

// ---- what must change nothing

void expect_untouched(const std::vector<std::uint8_t>& plan, std::uint64_t bias, Range text,
                      int prot, int error) {
  const auto before = bytes_of(text);
  const std::string protection = protection_at(text.start);
  runtime::StubBlockInfo info;
  const auto result = runtime::apply_plan(reinterpret_cast<const abi::PlanHeader*>(plan.data()),
                                          plan.size(), bias, text.start, text.end, prot, &info);
  EXPECT_EQ(result.error(), error);
  EXPECT_EQ(info.bytes, 0U);
  EXPECT_EQ(bytes_of(text), before);
  EXPECT_EQ(protection_at(text.start), protection);
  // No block is left behind: the nearest place is free.
  const std::uint64_t nearest = text.start - 0x1000;
  EXPECT_NE(protection_at(nearest), "r-xp");
}

TEST_F(Patterns, AnotherFilesPlanIsRefused) {
  expect_untouched(bytes_, library_.bias() + 1, text_, PROT_READ | PROT_EXEC, ESTALE);
}

std::vector<std::uint8_t> with_site(const Plan& plan, std::size_t index, abi::PlanSite site) {
  Plan changed = plan;
  changed.sites[index] = site;
  return changed.serialize();
}

TEST_F(Patterns, DamagedPlansAreRefused) {
  const int prot = PROT_READ | PROT_EXEC;
  auto damaged = bytes_;
  damaged[0] ^= 1;  // magic
  expect_untouched(damaged, library_.bias(), text_, prot, EINVAL);
  damaged = bytes_;
  damaged[8] ^= 2;  // version
  expect_untouched(damaged, library_.bias(), text_, prot, EINVAL);
  damaged = bytes_;
  damaged.back() ^= 1;  // checksum
  expect_untouched(damaged, library_.bias(), text_, prot, EINVAL);
  damaged = bytes_;
  damaged.resize(damaged.size() - 1);
  expect_untouched(damaged, library_.bias(), text_, prot, EINVAL);
  damaged.resize(10);
  expect_untouched(damaged, library_.bias(), text_, prot, EINVAL);
}

TEST_F(Patterns, ImpossibleSitesAreRefused) {
  const auto refused = [this](auto change) {
    abi::PlanSite site = plan_.sites[3];
    change(site);
    expect_untouched(with_site(plan_, 3, site), library_.bias(), text_, PROT_READ | PROT_EXEC,
                     EINVAL);
  };
  refused([](abi::PlanSite& s) { s.expected_bytes = 4; });
  refused([](abi::PlanSite& s) { s.before = 40; });
  refused([](abi::PlanSite& s) { s.before = 0, s.after = 2, s.expected_bytes = 4; });
  refused([](abi::PlanSite& s) { s.branch_bytes = 9; });
  refused([](abi::PlanSite& s) { s.rip_fixup[0] = 200; });
  refused([](abi::PlanSite& s) { s.rip_fixup[0] = 4; });
  refused([](abi::PlanSite& s) { s.syscall_vaddr -= 16; });  // into the one before
  refused([](abi::PlanSite& s) { s.syscall_vaddr = 1; });
}

// The kernel refuses to make a shared mapping of a file opened read-only writable: as good a
// refusal as that of a security module.
TEST_F(Patterns, TextThatMayNotBeWrittenStaysAsItWas) {
  const int fd = ::open(PATTERNS, O_RDONLY | O_CLOEXEC);
  for (const auto& segment : file_.segments()) {
    if (!segment.executable) continue;
    const std::uint64_t start = segment.range.start & ~0xfffULL;
    const std::size_t size = segment.range.end - start;
    void* map = ::mmap(nullptr, size, PROT_READ | PROT_EXEC, MAP_SHARED, fd,
                       static_cast<off_t>(start));  // linked at their file offsets
    ASSERT_NE(map, MAP_FAILED);
    const auto at = reinterpret_cast<std::uint64_t>(map);
    expect_untouched(bytes_, at - start, {at, at + size}, PROT_READ | PROT_EXEC, EACCES);
    ::munmap(map, size);
  }
  ::close(fd);
}

// One site alone on a page of its own, as a plan and as text.
class LoneSite {
 public:
  LoneSite(abi::PlanSite site, void* page) : page_(page), site_(site) {
    site.syscall_vaddr = site.before;
    Plan plan;
    plan.sites = {site};
    bytes_ = plan.serialize();
    ::mmap(page, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0);
    std::memcpy(page, site.expected, site.expected_bytes);
    ::mprotect(page, 4096, PROT_READ | PROT_EXEC);
  }
  sys::SysResult apply(runtime::StubBlockInfo* info) const {
    const auto at = reinterpret_cast<std::uint64_t>(page_);
    return runtime::apply_plan(reinterpret_cast<const abi::PlanHeader*>(bytes_.data()),
                               bytes_.size(), at, at, at + 4096, PROT_READ | PROT_EXEC, info);
  }
  void expect_refused(int error) const {
    runtime::StubBlockInfo info;
    EXPECT_EQ(apply(&info).error(), error);
    EXPECT_EQ(info.bytes, 0U);
    EXPECT_EQ(std::memcmp(page_, site_.expected, site_.expected_bytes), 0);
  }

 private:
  void* page_;
  abi::PlanSite site_;
  std::vector<std::uint8_t> bytes_;
};

// 4 GiB of reserved addresses; the page in their middle is out of reach of anything else.
class ReservedAddresses {
 public:
  ReservedAddresses()
      : start_(::mmap(nullptr, kBytes, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1,
                      0)) {
    EXPECT_NE(start_, MAP_FAILED);
  }
  ReservedAddresses(const ReservedAddresses&) = delete;
  ReservedAddresses& operator=(const ReservedAddresses&) = delete;
  ~ReservedAddresses() { ::munmap(start_, kBytes); }
  [[nodiscard]] void* at(std::uint64_t offset) const { return static_cast<char*>(start_) + offset; }

  static constexpr std::uint64_t kBytes = 4ULL << 30;

 private:
  void* start_;
};

TEST_F(Patterns, NoFreeAddressNearby) {
  const ReservedAddresses reserved;
  LoneSite(plan_.sites[0], reserved.at(ReservedAddresses::kBytes / 2)).expect_refused(ENOMEM);
}

TEST_F(Patterns, AboveTheTextWhereNothingIsFreeBelow) {
  const ReservedAddresses reserved;
  void* page = reserved.at(ReservedAddresses::kBytes / 2);
  const LoneSite site(plan_.sites[0], page);
  const auto start = reinterpret_cast<std::uint64_t>(page);
  ::munmap(reserved.at(ReservedAddresses::kBytes / 2 + (1ULL << 30)), 1ULL << 29);
  runtime::StubBlockInfo info;
  ASSERT_EQ(site.apply(&info).raw, 1);
  EXPECT_GE(info.address, start + (1ULL << 30));
  EXPECT_LT(info.address + info.bytes, start + (1ULL << 31));
  ::munmap(reinterpret_cast<void*>(info.address), info.bytes);
}

// The data lies as far above the text as it can: a stub below cannot reach it.
TEST_F(Patterns, OperandsOutOfReachOfTheStub) {
  const auto found =
      std::ranges::find_if(plan_.sites, [](const abi::PlanSite& s) { return s.rip_fixup[0] != 0; });
  ASSERT_NE(found, plan_.sites.end());
  abi::PlanSite site = *found;
  const std::int32_t farthest = INT32_MAX;
  std::memcpy(site.expected + site.rip_fixup[0], &farthest, sizeof farthest);
  const ReservedAddresses reserved;
  ::munmap(reserved.at(0), 4096 * 64);  // free addresses: all of them below
  LoneSite(site, reserved.at(1ULL << 20)).expect_refused(ENOMEM);
}

// ---- all of libc, on a copy of its text

TEST(WholeLibc, EveryStubIsWhatTheTextWas) {
  const ElfFile file = std::move(*ElfFile::open("/lib/x86_64-linux-gnu/libc.so.6"));
  const Plan plan = make_plan(file);
  const Segment* segment = nullptr;
  for (const auto& each : file.segments())
    if (each.executable) segment = &each;
  ASSERT_NE(segment, nullptr);
  const std::uint64_t start = segment->range.start & ~0xfffULL;
  const std::size_t size = (segment->range.end - start + 0xfff) & ~0xfffULL;
  auto* map = static_cast<std::uint8_t*>(
      ::mmap(nullptr, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0));
  std::memcpy(map + (segment->range.start - start), segment->bytes.data(), segment->bytes.size());
  ::mprotect(map, size, PROT_READ | PROT_EXEC);
  const auto at = reinterpret_cast<std::uint64_t>(map);
  const std::uint64_t bias = at - start;
  {
    const Applied applied(plan.serialize(), bias, {at, at + size});
    ASSERT_TRUE(applied.result().ok());
    ASSERT_EQ(applied.sites().size(), plan.sites.size());
    std::uint32_t behind = 0;
    for (std::size_t i = 0; i < plan.sites.size(); ++i) {
      const auto& site = plan.sites[i];
      const auto& stub = applied.sites()[i];
      const std::uint64_t patch = bias + site.syscall_vaddr - site.before;
      const auto jump = decode({reinterpret_cast<std::uint8_t*>(patch), 5}, patch);
      ASSERT_TRUE(jump && jump->flow == Flow::kJump);
      EXPECT_EQ(jump->target, applied.info().address + stub.stub_offset);
      EXPECT_GE(stub.stub_offset, behind);
      if (site.rip_fixup[0] == 0) {
        EXPECT_EQ(hex(applied.code(stub.stub_offset), site.before),
                  hex(site.expected, site.before));
      }
      // lea to the return address, jmp to the entry
      const std::uint64_t entry = applied.info().address + stub.entry_offset;
      const auto lea = decode({applied.code(stub.entry_offset), 7}, entry);
      ASSERT_TRUE(lea && lea->takes_address);
      EXPECT_EQ(lea->data_reference, site.after == 0
                                         ? bias + site.syscall_vaddr + 2
                                         : applied.info().address + stub.continuation_offset);
      const auto call = decode({applied.code(stub.entry_offset + 7), 6}, entry + 7);
      ASSERT_TRUE(call);
      EXPECT_EQ(call->data_reference, applied.info().address + 24);
      behind = stub.end_offset;
    }
  }
  ::munmap(map, size);
}

}  // namespace
}  // namespace cairn::patch
