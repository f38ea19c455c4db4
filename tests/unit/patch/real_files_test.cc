// The planner against the files of this system. objdump is the second opinion on what is a syscall:
// it decodes straight through and knows nothing of our reasons.

#include <algorithm>
#include <cstdio>
#include <filesystem>
#include <set>

#include "patch_fixture.h"

namespace cairn::patch {
namespace {

namespace fs = std::filesystem;

std::set<std::uint64_t> syscalls_by_objdump(const std::string& path) {
  std::set<std::uint64_t> found;
  const std::string command =
      "objdump -d --no-show-raw-insn -j .text -j __libc_freeres_fn '" + path + "' 2>/dev/null";
  FILE* pipe = ::popen(command.c_str(), "r");
  char line[1024];
  while (std::fgets(line, sizeof line, pipe) != nullptr) {
    unsigned long address = 0;
    char mnemonic[32] = "";
    if (std::sscanf(line, " %lx: %31s", &address, mnemonic) == 2 &&
        std::string(mnemonic) == "syscall")
      found.insert(address);
  }
  ::pclose(pipe);
  return found;
}

std::set<std::uint64_t> syscalls_by_plan(const Plan& plan) {
  std::set<std::uint64_t> found;
  for (const auto& site : plan.sites) found.insert(site.syscall_vaddr);
  for (const auto& site : plan.refused) found.insert(site.syscall_vaddr);
  return found;
}

std::string library(const char* name) {
  return std::string("/usr/lib/x86_64-linux-gnu/") + name;
}

std::size_t unpatchable(const Plan& plan) {
  std::size_t count = 0;
  for (const auto& refused : plan.refused) count += refused.reason != Refusal::kSignalTrampoline;
  return count;
}

TEST(RealFiles, Libc) {
  const Plan plan = plan_of(library("libc.so.6"));
  EXPECT_EQ(syscalls_by_plan(plan), syscalls_by_objdump(library("libc.so.6")));
  EXPECT_GT(plan.sites.size(), 400U);
  EXPECT_LE(unpatchable(plan), 2U);  // __longjmp_chk jumps through a register
  EXPECT_EQ(std::ranges::count_if(plan.sites, abi::is_signal_trampoline), 1);  // __restore_rt
}

TEST(RealFiles, DynamicLoader) {
  const std::string path = "/lib64/ld-linux-x86-64.so.2";
  const Plan plan = plan_of(path);
  EXPECT_EQ(syscalls_by_plan(plan), syscalls_by_objdump(path));
  EXPECT_EQ(unpatchable(plan), 0U);
}

TEST(RealFiles, LibmHasBytePairsButNoSyscall) {
  const Plan plan = plan_of(library("libm.so.6"));
  EXPECT_GT(plan.candidates, 0U);
  EXPECT_TRUE(plan.sites.empty());
  EXPECT_TRUE(plan.refused.empty());
}

// Programs and libraries that may or may not be installed here.
void expect_like_objdump(const std::string& path, std::size_t most_unpatchable) {
  if (!fs::exists(path)) GTEST_SKIP() << path << " is not installed";
  const Plan plan = plan_of(path);
  EXPECT_EQ(syscalls_by_plan(plan), syscalls_by_objdump(path)) << path;
  EXPECT_LE(unpatchable(plan), most_unpatchable) << path;
}

void expect_no_site(const std::string& path) {
  if (!fs::exists(path)) GTEST_SKIP() << path << " is not installed";
  const Plan plan = plan_of(path);
  EXPECT_TRUE(plan.sites.empty()) << path;
  EXPECT_TRUE(plan.refused.empty()) << path;
}

TEST(RealFiles, Libgomp) {
  expect_like_objdump(library("libgomp.so.1"), 0);
}
TEST(RealFiles, Libtsan) {
  expect_like_objdump(library("libtsan.so.2"), 0);
}
TEST(RealFiles, Libasan) {
  expect_like_objdump(library("libasan.so.8"), 0);
}
TEST(RealFiles, Libstdcxx) {
  expect_no_site(library("libstdc++.so.6"));
}
TEST(RealFiles, Python) {
  expect_no_site("/usr/bin/python3");
}
TEST(RealFiles, Node) {
  expect_no_site("/usr/bin/node");
}
TEST(RealFiles, Java) {
  std::string found = "/usr/lib/jvm/*/lib/server/libjvm.so";
  if (fs::exists("/usr/lib/jvm"))
    for (const auto& home : fs::directory_iterator("/usr/lib/jvm"))
      if (fs::exists(home.path() / "lib/server/libjvm.so"))
        found = home.path() / "lib/server/libjvm.so";
  expect_no_site(found);
}

TEST(RealFiles, StaticProgram) {
  const Plan plan = plan_of(STATIC_PROGRAM);
  EXPECT_EQ(syscalls_by_plan(plan), syscalls_by_objdump(STATIC_PROGRAM));
  EXPECT_GT(plan.sites.size(), 40U);
  EXPECT_EQ(unpatchable(plan), 0U);
}

}  // namespace
}  // namespace cairn::patch
