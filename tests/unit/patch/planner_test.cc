// The planner against code written for it, shape by shape (patterns.S).

#include "patch/planner.h"

#include <unistd.h>

#include <cstring>
#include <fstream>
#include <iterator>

#include "patch_fixture.h"

namespace cairn::patch {
namespace {

class PatternPlan : public testing::Test {
 protected:
  LoadedLibrary library_{PATTERNS};
  Plan plan_ = plan_of(PATTERNS);

  // The one site of the function.
  abi::PlanSite site(const char* function) {
    const auto found = sites_in(plan_, library_.function(function));
    EXPECT_EQ(found.size(), 1U) << function;
    return found.empty() ? abi::PlanSite{} : found[0];
  }
  void expect_shape(const char* function, unsigned before, unsigned after, const char* bytes) {
    const auto found = site(function);
    EXPECT_EQ(found.before, before) << function;
    EXPECT_EQ(found.after, after) << function;
    EXPECT_EQ(hex(found.expected, found.expected_bytes), bytes) << function;
  }
  void expect_refused(const char* function, Refusal reason) {
    const auto range = library_.function(function);
    EXPECT_TRUE(sites_in(plan_, range).empty()) << function;
    const auto refused = refused_in(plan_, range);
    ASSERT_EQ(refused.size(), 1U) << function;
    EXPECT_EQ(describe(refused[0].reason), describe(reason)) << function;
  }
};

TEST_F(PatternPlan, InstructionsBeforeTheSyscall) {
  expect_shape("prev_mov", 5, 0, "b8 27 00 00 00 0f 05");
  expect_shape("prev_long_mov", 7, 0, "48 c7 c0 27 00 00 00 0f 05");
  expect_shape("prev_two", 5, 0, "89 f8 48 89 f7 0f 05");
}

TEST_F(PatternPlan, OperandRelativeToRip) {
  const auto found = site("prev_rip_relative");
  EXPECT_EQ(found.before, 6);
  EXPECT_EQ(found.rip_fixup[0], 2);
  EXPECT_EQ(found.rip_fixup[1], 0);
}

TEST_F(PatternPlan, InstructionsBehindTheSyscall) {
  expect_shape("follow_cmp", 0, 6, "0f 05 48 3d 00 f0 ff ff");
  expect_shape("follow_ret", 0, 3, "0f 05 c3 90 90");
  expect_shape("at_start", 0, 6, "0f 05 48 3d 00 f0 ff ff");
}

TEST_F(PatternPlan, BranchBehindTheSyscall) {
  expect_shape("follow_branch", 0, 4, "0f 05 85 c0 78 01");
  const auto branch = site("follow_branch");
  EXPECT_EQ(branch.branch_bytes, 2);
  EXPECT_EQ(branch.branch_condition, 8);  // js
  EXPECT_EQ(branch.branch_target, branch.syscall_vaddr + 7);

  expect_shape("follow_jump", 0, 4, "0f 05 89 c1 eb 02");
  const auto jump = site("follow_jump");
  EXPECT_EQ(jump.branch_bytes, 2);
  EXPECT_EQ(jump.branch_condition, 0xff);
  EXPECT_EQ(jump.branch_target, jump.syscall_vaddr + 8);
}

TEST_F(PatternPlan, ShortInstructionsOnBothSides) {
  expect_shape("around", 2, 2, "89 c8 0f 05 ff c0");
  expect_shape("around_only_before", 4, 0, "89 c8 31 ff 0f 05");
}

TEST_F(PatternPlan, MovesThatMayNotRunTwiceAreNotMoved) {
  expect_refused("not_idempotent", Refusal::kNoRoom);
}

TEST_F(PatternPlan, BranchTargetsAreNotOverwritten) {
  expect_refused("branch_into", Refusal::kNoRoom);
  expect_refused("far_branch_into", Refusal::kNoRoom);
  expect_refused("jump_table", Refusal::kNoRoom);
}

TEST_F(PatternPlan, ThePatchsFirstByteMayBeABranchTarget) {
  expect_shape("branch_to_start", 3, 0, "48 89 f7 0f 05");
}

TEST_F(PatternPlan, AdjacentSyscallsDoNotMoveEachOther) {
  const auto found = sites_in(plan_, library_.function("adjacent"));
  ASSERT_EQ(found.size(), 2U);
  EXPECT_EQ(found[0].before, 5);
  EXPECT_EQ(found[0].after, 0);
  EXPECT_EQ(found[1].before, 0);
  EXPECT_EQ(found[1].after, 3);
}

TEST_F(PatternPlan, NothingBehindTheEndOfAFunctionIsMoved) {
  expect_refused("at_end", Refusal::kNoRoom);
}

TEST_F(PatternPlan, SignalTrampolinesAreListedByTheirBytes) {
  for (const char* name : {"trampoline_rax", "trampoline_eax"})
    EXPECT_TRUE(abi::is_signal_trampoline(site(name))) << name;
  EXPECT_FALSE(abi::is_signal_trampoline(site("prev_mov")));
  expect_refused("trampoline_marked", Refusal::kSignalTrampoline);
}

TEST_F(PatternPlan, DataIsNoSyscall) {
  const auto range = library_.function("data_in_text");
  const auto found = sites_in(plan_, range);
  ASSERT_EQ(found.size(), 1U);
  EXPECT_EQ(found[0].syscall_vaddr, range.end - 3);
  EXPECT_TRUE(refused_in(plan_, range).empty());
}

TEST_F(PatternPlan, InstructionsEnteredBehindTheirLockPrefixAreNotMoved) {
  expect_refused("over_lock", Refusal::kNoRoom);
}

TEST_F(PatternPlan, UnknownJumps) {
  expect_refused("computed_jump", Refusal::kUnresolvedJump);
}

TEST_F(PatternPlan, FunctionBoundsFromSymbolsAndFallThrough) {
  expect_shape("split_unwind", 5, 0, "b8 27 00 00 00 0f 05");
  expect_shape("only_symbol", 5, 0, "b8 27 00 00 00 0f 05");
  const Range local{library_.function("split_unwind").end, library_.function("only_symbol").start};
  EXPECT_EQ(sites_in(plan_, local).size(), 1U);
}

TEST_F(PatternPlan, SitesAscendAndDoNotOverlap) {
  std::uint64_t behind = 0;
  for (const auto& found : plan_.sites) {
    EXPECT_GE(found.syscall_vaddr - found.before, behind);
    EXPECT_GE(found.expected_bytes, 5);
    behind = found.syscall_vaddr + 2 + found.after;
  }
}

TEST_F(PatternPlan, HeaderCountsWhatIsLeftOver) {
  const auto bytes = plan_.serialize();
  abi::PlanHeader header;
  ASSERT_EQ(bytes.size(), sizeof header + plan_.sites.size() * sizeof(abi::PlanSite));
  std::memcpy(&header, bytes.data(), sizeof header);
  EXPECT_EQ(header.sites, plan_.sites.size());
  EXPECT_EQ(header.unpatchable + 1, plan_.refused.size());  // trampoline_marked
  EXPECT_EQ(header.build_id_bytes, 20U);
}

// What strip and packers do: the section headers are gone, the program headers say it all.
TEST_F(PatternPlan, SectionHeadersAreNotNeeded) {
  std::ifstream in(PATTERNS, std::ios::binary);
  std::vector<char> bytes{std::istreambuf_iterator<char>(in), {}};
  ElfW(Ehdr) header;
  std::memcpy(&header, bytes.data(), sizeof header);
  header.e_shoff = 0;
  header.e_shnum = 0;
  header.e_shstrndx = 0;
  std::memcpy(bytes.data(), &header, sizeof header);
  const std::string path = testing::TempDir() + "sectionless." + std::to_string(::getpid()) + ".so";
  std::ofstream(path, std::ios::binary).write(bytes.data(), static_cast<long>(bytes.size()));
  const Plan stripped = plan_of(path);
  ::unlink(path.c_str());
  ASSERT_EQ(stripped.sites.size(), plan_.sites.size());
  for (std::size_t i = 0; i < stripped.sites.size(); ++i)
    EXPECT_EQ(std::memcmp(&stripped.sites[i], &plan_.sites[i], sizeof(abi::PlanSite)), 0);
}

TEST(Planner, DamagedFilesAreRefusedOrHarmless) {
  std::ifstream in(PATTERNS, std::ios::binary);
  const std::vector<char> good{std::istreambuf_iterator<char>(in), {}};
  const std::string path = testing::TempDir() + "damaged." + std::to_string(::getpid()) + ".so";
  // A sample of the headers and tables of the first pages, one byte at a time, and truncations.
  for (std::size_t i = 0; i < std::min<std::size_t>(good.size(), 12288); i += 11) {
    std::vector<char> bytes = good;
    bytes[i] = static_cast<char>(bytes[i] ^ 0xff);
    std::ofstream(path, std::ios::binary).write(bytes.data(), static_cast<long>(bytes.size()));
    const auto plan = make_plan(path);
    if (plan) {
      EXPECT_LE(plan->sites.size(), plan->candidates);
    }
  }
  for (std::size_t size = 0; size < good.size(); size += 997) {
    std::ofstream(path, std::ios::binary).write(good.data(), static_cast<long>(size));
    const auto plan = make_plan(path);
    if (plan) {
      EXPECT_LE(plan->sites.size(), plan->candidates);
    }
  }
  ::unlink(path.c_str());
}

TEST(Planner, RefusesWhatIsNoProgram) {
  EXPECT_FALSE(make_plan(std::string("/dev/null")));
  EXPECT_FALSE(make_plan(std::string("/etc/passwd")));
  EXPECT_FALSE(make_plan(std::string("/nonexistent")));
  EXPECT_FALSE(make_plan(std::string("/")));
}

}  // namespace
}  // namespace cairn::patch
