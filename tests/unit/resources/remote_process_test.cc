#include "resources/remote_process.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/utsname.h>

#include <cstring>

#include "support/fake_runtime.h"

namespace cairn {
namespace {

using testing::FakeProcess;

class Memory : public ::testing::TestWithParam<bool> {};

TEST_P(Memory, ReadsAndWritesOverPageBoundaries) {
  constexpr std::uint64_t kAt = 0x500000000000;
  FakeProcess process(
      [] {
        auto* p = static_cast<unsigned char*>(::mmap(reinterpret_cast<void*>(kAt), 9 << 20,
                                                     PROT_READ | PROT_WRITE,
                                                     MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0));
        for (std::size_t i = 0; i < (9 << 20); ++i) p[i] = static_cast<unsigned char>(i * 7 + i / 4096);
      },
      [] { return *reinterpret_cast<unsigned char*>(kAt + 4095) == 0xee ? 0 : 1; },
      {.direct_memory = GetParam()});
  std::vector<std::byte> bytes((9 << 20) - 5);
  ASSERT_TRUE(process.remote().read(kAt + 3, bytes));
  for (std::size_t i = 0; i < bytes.size(); ++i) {
    const std::size_t at = i + 3;
    ASSERT_EQ(bytes[i], std::byte(static_cast<unsigned char>(at * 7 + at / 4096))) << i;
  }
  std::vector<std::byte> change(5 << 20, std::byte(0xee));
  ASSERT_TRUE(process.remote().write(kAt + 4095, change));
  ASSERT_TRUE(process.remote().thaw());
  EXPECT_EQ(process.wait(), 0);
}

TEST_P(Memory, ABadAddressIsAnError) {
  FakeProcess process(nullptr, nullptr, {.direct_memory = GetParam()});
  std::vector<std::byte> bytes(16);
  const auto result = process.remote().read(0x500000000000, bytes);
  ASSERT_FALSE(result);
  EXPECT_EQ(result.error().code, EFAULT);
}
INSTANTIATE_TEST_SUITE_P(DirectAndOverTheLink, Memory, ::testing::Bool());

TEST(RemoteProcess, ReadsDataBehindProtNone) {
  constexpr std::uint64_t kAt = 0x500000000000;
  FakeProcess process(
      [] {
        void* p = ::mmap(reinterpret_cast<void*>(kAt), 8192, PROT_READ | PROT_WRITE,
                         MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0);
        std::memset(p, 0x77, 8192);
        ::mprotect(p, 4096, PROT_NONE);
      },
      nullptr);
  std::vector<std::byte> bytes(8192);
  ASSERT_TRUE(process.remote().read(kAt, bytes));
  EXPECT_EQ(bytes.front(), std::byte(0x77));
  EXPECT_EQ(bytes.back(), std::byte(0x77));
}

TEST(RemoteProcess, RunsSystemCallsOnEveryThread) {
  FakeProcess process(nullptr, nullptr, {.extra_threads = 3});
  auto threads = process.remote().threads();
  ASSERT_TRUE(threads);
  ASSERT_EQ(threads->size(), 4U);
  for (const auto& thread : *threads) {
    auto tid = process.remote().syscall_on(thread.real_tid, SYS_gettid);
    ASSERT_TRUE(tid);
    EXPECT_EQ(*tid, static_cast<std::uint64_t>(thread.real_tid));
  }
  auto name = process.remote().scratch(sizeof(utsname));
  ASSERT_TRUE(name);
  ASSERT_TRUE(process.remote().syscall(SYS_uname, name->address()));
  auto filled = process.remote().read_object<utsname>(name->address());
  ASSERT_TRUE(filled);
  EXPECT_STREQ(filled->sysname, "Linux");
}

TEST(RemoteProcess, AFailedCallNamesItself) {
  FakeProcess process(nullptr, nullptr);
  auto result = process.remote().syscall(SYS_close, -1);
  ASSERT_FALSE(result);
  EXPECT_EQ(result.error().code, EBADF);
  EXPECT_EQ(result.error().tried, "close");
}

TEST(RemoteProcess, ScratchIsReusedAndBounded) {
  FakeProcess process(nullptr, nullptr);
  std::uint64_t first = 0;
  {
    auto a = process.remote().scratch(100);
    auto b = process.remote().scratch(1);
    ASSERT_TRUE(a && b);
    first = a->address();
    EXPECT_GE(b->address(), a->address() + 100);
    EXPECT_FALSE(process.remote().scratch(1 << 20));
    { auto moved = std::move(*a); }
    auto again = process.remote().scratch(64);
    ASSERT_TRUE(again);
    EXPECT_EQ(again->address(), first);
  }
  auto whole = process.remote().scratch(1 << 20);
  ASSERT_TRUE(whole);
  EXPECT_EQ(whole->address(), first);
}

// More than one SCM_RIGHTS message each way, in order.
TEST(RemoteProcess, MovesManyDescriptorsBothWays) {
  constexpr int kMany = 600;
  FakeProcess old(
      [] {
        for (int i = 0; i < kMany; ++i) {
          const int fd = ::memfd_create("m", 0);
          if (::ftruncate(fd, i) != 0 || ::dup2(fd, 1000 + i) < 0) ::_exit(9);
          ::close(fd);
        }
      },
      nullptr);
  auto listed = old.remote().list_fds();
  ASSERT_TRUE(listed);
  EXPECT_EQ(listed->size(), kMany + 3U);
  std::vector<int> numbers;
  for (int i = 0; i < kMany; ++i) numbers.push_back(1000 + i);
  auto taken = old.remote().take_fds(numbers);
  ASSERT_TRUE(taken) << taken.error().message();
  std::vector<resources::RemoteProcess::Placement> placements;
  for (int i = 0; i < kMany; ++i) {
    struct stat info {};
    ASSERT_EQ(::fstat((*taken)[i].get(), &info), 0);
    ASSERT_EQ(info.st_size, i);
    placements.push_back({(*taken)[i].get(), 5 + i, i % 2 ? FD_CLOEXEC : 0U});
  }
  FakeProcess fresh(nullptr,
                    [] {
                      for (int i = 0; i < kMany; ++i) {
                        struct stat info {};
                        if (::fstat(5 + i, &info) != 0 || info.st_size != i) return 1;
                        if (::fcntl(5 + i, F_GETFD) != (i % 2 ? FD_CLOEXEC : 0)) return 2;
                      }
                      return 0;
                    },
                    {.purpose = abi::LinkPurpose::kRestore});
  ASSERT_TRUE(fresh.remote().place_fds(placements));
  ASSERT_TRUE(fresh.remote().go());
  EXPECT_EQ(fresh.wait(), 0);
}

TEST(RemoteProcess, ABadDescriptorIsAnErrorAndTheLinkGoesOn) {
  FakeProcess process(nullptr, nullptr);
  const int bad[] = {0, 777};
  auto taken = process.remote().take_fds(bad);
  ASSERT_FALSE(taken);
  EXPECT_EQ(taken.error().code, EBADF);
  EXPECT_TRUE(process.remote().list_fds());
}

TEST(RemoteProcess, ASilentProcessIsNoticed) {
  int ends[2];
  ASSERT_EQ(::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends), 0);
  const Fd other(ends[1]);
  auto process = resources::RemoteProcess::open(Fd(ends[0]), {.timeout = std::chrono::milliseconds(20)});
  ASSERT_FALSE(process);
  EXPECT_EQ(process.error().code, ETIMEDOUT);
}

TEST(RemoteProcess, AClosedLinkIsNoticed) {
  int ends[2];
  ASSERT_EQ(::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends), 0);
  ::close(ends[1]);
  auto process = resources::RemoteProcess::open(Fd(ends[0]));
  ASSERT_FALSE(process);
  EXPECT_EQ(process.error().code, ECONNRESET);
}

TEST(RemoteProcess, AnotherVersionIsRefused) {
  int ends[2];
  ASSERT_EQ(::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends), 0);
  const Fd other(ends[1]);
  const abi::LinkHeader header{abi::kLinkMagic, abi::LinkType::kHello, 0, 0, sizeof(abi::LinkHello)};
  abi::LinkHello hello{};
  hello.version = abi::kLinkVersion + 1;
  ASSERT_EQ(::write(ends[1], &header, sizeof header), static_cast<ssize_t>(sizeof header));
  ASSERT_EQ(::write(ends[1], &hello, sizeof hello), static_cast<ssize_t>(sizeof hello));
  auto process = resources::RemoteProcess::open(Fd(ends[0]));
  ASSERT_FALSE(process);
  EXPECT_NE(process.error().message().find("version"), std::string::npos);
}

}  // namespace
}  // namespace cairn
