// Kinds of open files that hold no connection: each made in one process, used in another.
#include <fcntl.h>
#include <poll.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/file.h>
#include <sys/inotify.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/signalfd.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/timerfd.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <iterator>

#include "unit/resources/round_trip.h"

namespace cairn {
namespace {

using testing::refusal_of;
using testing::RoundTrip;
using testing::Saved;

#define CHECK_OR(code, condition) \
  do {                            \
    if (!(condition)) return code; \
  } while (false)

class Files : public ::testing::Test {
 protected:
  void SetUp() override {
    char name[] = "/tmp/cairn-files-XXXXXX";
    ASSERT_NE(::mkdtemp(name), nullptr);
    directory_ = name;
  }
  void TearDown() override { std::filesystem::remove_all(directory_); }
  std::string path(const char* name) const { return directory_ + "/" + name; }
  static void put(const std::string& path, const std::string& text) {
    std::ofstream(path, std::ios::trunc) << text;
  }
  static std::string get(const std::string& path) {
    std::ifstream in(path);
    return {std::istreambuf_iterator<char>(in), {}};
  }
  std::string directory_;
};

// --- eventfd

class EventFdCount : public ::testing::TestWithParam<std::uint64_t> {};
TEST_P(EventFdCount, ComesBack) {
  const auto count = GetParam();
  const RoundTrip trip{
      .make = [=] {
        const int fd = ::eventfd(0, EFD_NONBLOCK);
        ::dup2(fd, 50);
        if (count != 0 && ::write(fd, &count, sizeof count) != sizeof count) ::_exit(9);
      },
      .use = [=] {
        std::uint64_t value = 0;
        const ssize_t got = ::read(50, &value, sizeof value);
        CHECK_OR(1, count == 0 ? got == -1 && errno == EAGAIN : got == sizeof value);
        CHECK_OR(2, value == count);
        return 0;
      }};
  EXPECT_EQ(RoundTrip(trip).run(), 0);
}
INSTANTIATE_TEST_SUITE_P(Boundaries, EventFdCount,
                         ::testing::Values(0, 1, 2, 0x100000000ULL, 0xfffffffffffffffeULL));

TEST(EventFd, SemaphoreStaysOneAndCountsDown) {
  EXPECT_EQ((RoundTrip{.make = [] { ::dup2(::eventfd(2, EFD_SEMAPHORE | EFD_NONBLOCK), 50); },
                       .use = [] {
                         std::uint64_t value = 0;
                         for (int i = 0; i < 2; ++i) {
                           CHECK_OR(1, ::read(50, &value, sizeof value) == sizeof value);
                           CHECK_OR(2, value == 1);
                         }
                         CHECK_OR(3, ::read(50, &value, sizeof value) < 0 && errno == EAGAIN);
                         return 0;
                       }}.run()),
            0);
}

// --- sharing

TEST(Sharing, DupSharesTheOpenFileAndAnotherOpenDoesNot) {
  EXPECT_EQ((RoundTrip{.make =
                           [] {
                             const int fd = ::open("/etc/passwd", O_RDONLY);
                             ::dup2(fd, 40);
                             ::dup3(fd, 41, O_CLOEXEC);
                             ::close(fd);
                             ::dup2(::open("/etc/passwd", O_RDONLY), 42);
                             char c = 0;
                             if (::read(40, &c, 1) != 1) ::_exit(9);
                           },
                       .use =
                           [] {
                             CHECK_OR(1, ::lseek(41, 0, SEEK_CUR) == 1);
                             CHECK_OR(2, ::lseek(42, 0, SEEK_CUR) == 0);
                             ::lseek(40, 7, SEEK_SET);
                             CHECK_OR(3, ::lseek(41, 0, SEEK_CUR) == 7);
                             CHECK_OR(4, ::fcntl(41, F_GETFD) == FD_CLOEXEC);
                             CHECK_OR(5, ::fcntl(40, F_GETFD) == 0);
                             return 0;
                           }}
                 .run()),
            0);
}

TEST(Sharing, ClosedStandardStreamsStayClosed) {
  EXPECT_EQ((RoundTrip{.make = [] { ::close(0); },
                       .use = [] { return ::fcntl(0, F_GETFD) == -1 ? 0 : 1; }}
                 .run()),
            0);
}

// --- pipes

TEST(Pipe, FullOne) {
  constexpr std::size_t kBytes = 1 << 20;
  EXPECT_EQ((RoundTrip{.make =
                           [] {
                             int ends[2];
                             if (::pipe(ends) != 0) ::_exit(9);
                             ::fcntl(ends[1], F_SETPIPE_SZ, kBytes);
                             ::fcntl(ends[1], F_SETFL, O_NONBLOCK);
                             std::string data(kBytes, '\0');
                             for (std::size_t i = 0; i < kBytes; ++i) data[i] = static_cast<char>(i % 251);
                             if (::write(ends[1], data.data(), kBytes) != kBytes) ::_exit(8);
                             ::dup2(ends[0], 50);
                             ::dup2(ends[1], 51);
                             ::close(ends[0]);
                             ::close(ends[1]);
                           },
                       .use =
                           [] {
                             char c = 0;
                             CHECK_OR(1, ::write(51, &c, 1) == -1 && errno == EAGAIN);
                             CHECK_OR(2, ::fcntl(50, F_GETPIPE_SZ) == kBytes);
                             std::string data(kBytes, '\0');
                             std::size_t at = 0;
                             while (at < kBytes) {
                               const ssize_t got = ::read(50, data.data() + at, kBytes - at);
                               CHECK_OR(3, got > 0);
                               at += static_cast<std::size_t>(got);
                             }
                             for (std::size_t i = 0; i < kBytes; ++i)
                               CHECK_OR(4, data[i] == static_cast<char>(i % 251));
                             ::close(51);
                             return ::read(50, &c, 1) == 0 ? 0 : 5;
                           }}
                 .run()),
            0);
}

TEST(Pipe, TheCaptureTakesNothing) {
  testing::FakeProcess process(
      [] {
        int ends[2];
        if (::pipe(ends) != 0 || ::write(ends[1], "hello", 5) != 5) ::_exit(9);
        ::dup2(ends[0], 50);
      },
      [] {
        char text[16] = {};
        return ::read(50, text, sizeof text) == 5 && std::strcmp(text, "hello") == 0 ? 0 : 1;
      });
  for (int i = 0; i < 3; ++i) ASSERT_TRUE(testing::save_files(process.remote()));
  ASSERT_TRUE(process.remote().thaw());
  EXPECT_EQ(process.wait(), 0);
}

TEST(Pipe, EndsThatWereClosed) {
  EXPECT_EQ((RoundTrip{.make =
                           [] {
                             int a[2], b[2];
                             if (::pipe(a) != 0 || ::pipe(b) != 0 || ::write(a[1], "x", 1) != 1)
                               ::_exit(9);
                             ::dup2(a[0], 50);
                             ::dup2(b[1], 51);
                             for (const int fd : {a[0], a[1], b[0], b[1]}) ::close(fd);
                           },
                       .use =
                           [] {
                             ::signal(SIGPIPE, SIG_IGN);
                             char c = 0;
                             CHECK_OR(1, ::read(50, &c, 1) == 1 && c == 'x');
                             CHECK_OR(2, ::read(50, &c, 1) == 0);
                             CHECK_OR(3, ::write(51, &c, 1) == -1 && errno == EPIPE);
                             return 0;
                           }}
                 .run()),
            0);
}

TEST(Pipe, PacketsKeepTheirBorders) {
  EXPECT_EQ((RoundTrip{.make =
                           [] {
                             int ends[2];
                             if (::pipe2(ends, O_DIRECT) != 0 || ::write(ends[1], "ab", 2) != 2 ||
                                 ::write(ends[1], "cde", 3) != 3)
                               ::_exit(9);
                             ::dup2(ends[0], 50);
                           },
                       .use =
                           [] {
                             char text[16];
                             CHECK_OR(1, ::read(50, text, sizeof text) == 2);
                             CHECK_OR(2, ::read(50, text, sizeof text) == 3);
                             return 0;
                           }}
                 .run()),
            0);
}

TEST_F(Files, FifoWithData) {
  const auto name = path("fifo");
  EXPECT_EQ((RoundTrip{.make =
                           [=] {
                             ::mkfifo(name.c_str(), 0600);
                             ::dup2(::open(name.c_str(), O_RDONLY | O_NONBLOCK), 50);
                             ::dup2(::open(name.c_str(), O_WRONLY), 51);
                             if (::write(51, "abc", 3) != 3) ::_exit(9);
                           },
                       .use =
                           [] {
                             char text[16];
                             CHECK_OR(1, ::read(50, text, sizeof text) == 3);
                             CHECK_OR(2, ::write(51, "z", 1) == 1);
                             CHECK_OR(3, ::read(50, text, sizeof text) == 1 && text[0] == 'z');
                             return 0;
                           },
                       .between = [=] { ::unlink(name.c_str()); }}
                 .run()),
            0);
}

// Standard streams that lead out of the job are those of the restart.
TEST_F(Files, AStandardStreamThatLeadsOutsideIsTakenFromTheRestart) {
  const auto name = path("to-a-reader");
  ASSERT_EQ(::mkfifo(name.c_str(), 0600), 0);
  const Fd reader(::open(name.c_str(), O_RDONLY | O_NONBLOCK | O_CLOEXEC));
  const Fd other(static_cast<int>(::syscall(SYS_memfd_create, "stdout", MFD_CLOEXEC)));
  RoundTrip trip{.make =
                     [=] {
                       ::dup2(::open(name.c_str(), O_WRONLY), 1);
                       ::dup2(1, 50);
                     },
                 .use =
                     [] {
                       CHECK_OR(1, ::write(1, "one", 3) == 3 && ::write(50, "two", 3) == 3);
                       return 0;
                     },
                 .stdio = {0, other.get(), 2}};
  EXPECT_EQ(trip.run(), 0);
  char text[7] = {};
  EXPECT_EQ(::pread(other.get(), text, 6, 0), 6);
  EXPECT_STREQ(text, "onetwo");
  const auto why = refusal_of([=] {
    const int fd = ::open(name.c_str(), O_WRONLY);
    ::dup2(fd, 50);
    ::close(fd);
  });
  EXPECT_NE(why.find("descriptor 50"), std::string::npos) << why;
  EXPECT_NE(why.find(name), std::string::npos) << why;
}

// --- regular files

TEST_F(Files, AppendOnlyIsCutBackAndTheRestIsKept) {
  const auto name = path("log");
  RoundTrip trip{.make =
                     [=] {
                       ::dup2(::open(name.c_str(), O_WRONLY | O_CREAT | O_APPEND, 0644), 50);
                       if (::write(50, "before", 6) != 6) ::_exit(9);
                     },
                 .use =
                     [] {
                       CHECK_OR(1, (::fcntl(50, F_GETFL) & O_APPEND) != 0);
                       return ::write(50, "+again", 6) == 6 ? 0 : 2;
                     },
                 .between = [=] { std::ofstream(name, std::ios::app) << "after"; },
                 .undo = path("undo")};
  EXPECT_EQ(trip.run(), 0);
  EXPECT_EQ(get(name), "before+again");
  std::string kept;
  for (const auto& entry : std::filesystem::directory_iterator(path("undo")))
    kept += get(entry.path());
  EXPECT_EQ(kept, "after");
}

TEST_F(Files, AppendOnlyThatWasRewrittenIsRefused) {
  const auto name = path("log");
  testing::FakeProcess old(
      [=] {
        ::dup2(::open(name.c_str(), O_WRONLY | O_CREAT | O_APPEND, 0644), 50);
        if (::write(50, "before", 6) != 6) ::_exit(9);
      },
      nullptr);
  auto saved = testing::save_files(old.remote());
  ASSERT_TRUE(saved);
  put(name, "something else");
  testing::FakeProcess fresh(nullptr, nullptr, {.purpose = abi::LinkPurpose::kRestore});
  const auto rebuilt = RoundTrip{}.rebuild(fresh.remote(), *saved);
  ASSERT_FALSE(rebuilt);
  EXPECT_NE(rebuilt.error().message().find(name), std::string::npos);
  EXPECT_EQ(get(name), "something else");
}

TEST_F(Files, WrittenInPlaceComesBackByContent) {
  const auto name = path("database");
  const std::string old_text(10000, 'a');
  RoundTrip trip{.make =
                     [=] {
                       ::dup2(::open(name.c_str(), O_RDWR | O_CREAT, 0644), 50);
                       if (::write(50, old_text.data(), old_text.size()) != 10000) ::_exit(9);
                       ::lseek(50, 123, SEEK_SET);
                     },
                 .use = [] { return ::lseek(50, 0, SEEK_CUR) == 123 ? 0 : 1; },
                 .between = [=] { put(name, "torn" + std::string(20000, 'b')); },
                 .undo = path("undo")};
  EXPECT_EQ(trip.run(), 0);
  EXPECT_EQ(get(name), old_text);
}

TEST_F(Files, RemovedAndRenamedFilesAreThereAgain) {
  const auto removed = path("removed");
  const auto renamed = path("renamed");
  RoundTrip trip{.make =
                     [=] {
                       ::dup2(::open(removed.c_str(), O_RDWR | O_CREAT, 0640), 50);
                       ::dup2(::open(renamed.c_str(), O_WRONLY | O_CREAT | O_APPEND, 0644), 51);
                       if (::write(50, "one", 3) != 3 || ::write(51, "two", 3) != 3) ::_exit(9);
                     },
                 .use = [] { return ::write(51, "!", 1) == 1 ? 0 : 1; },
                 .between =
                     [=] {
                       std::filesystem::remove(removed);
                       std::filesystem::rename(renamed, renamed + ".1");
                       std::ofstream(renamed + ".1", std::ios::app) << "more";
                       put(renamed, "a new log");
                     },
                 .undo = path("undo")};
  EXPECT_EQ(trip.run(), 0);
  EXPECT_EQ(get(removed), "one");
  EXPECT_EQ(std::filesystem::status(removed).permissions(), std::filesystem::perms(0640));
  EXPECT_EQ(get(renamed), "two!");
  EXPECT_FALSE(std::filesystem::exists(renamed + ".1"));
}

TEST_F(Files, UnlinkedFileComesBackWithoutAName) {
  const auto name = path("gone");
  RoundTrip trip{.make =
                     [=] {
                       const int fd = ::open(name.c_str(), O_RDWR | O_CREAT, 0600);
                       ::dup2(fd, 50);
                       // With a hole between two pages of data.
                       if (::pwrite(50, "head", 4, 0) != 4 || ::pwrite(50, "tail", 4, 1 << 20) != 4)
                         ::_exit(9);
                       ::dup2(::open(name.c_str(), O_RDONLY), 51);
                       ::unlink(name.c_str());
                     },
                 .use =
                     [] {
                       struct stat a {}, b {};
                       CHECK_OR(1, ::fstat(50, &a) == 0 && ::fstat(51, &b) == 0);
                       CHECK_OR(2, a.st_ino == b.st_ino && a.st_nlink == 0);
                       CHECK_OR(3, a.st_size == (1 << 20) + 4);
                       char text[5] = {};
                       CHECK_OR(4, ::pread(51, text, 4, 1 << 20) == 4 && std::strcmp(text, "tail") == 0);
                       CHECK_OR(5, ::pread(51, text, 4, 0) == 4 && std::strcmp(text, "head") == 0);
                       CHECK_OR(6, a.st_blocks * 512 < (1 << 19));
                       return 0;
                     }};
  EXPECT_EQ(trip.run(), 0);
}

TEST_F(Files, LocksAreHeldAgain) {
  const auto name = path("locked");
  RoundTrip trip{.make =
                     [=] {
                       ::dup2(::open(name.c_str(), O_RDWR | O_CREAT, 0600), 50);
                       ::dup2(::open(name.c_str(), O_RDWR), 51);
                       struct flock lock {};
                       lock.l_type = F_WRLCK;
                       lock.l_start = 10;
                       lock.l_len = 5;
                       if (::flock(51, LOCK_EX) != 0 || ::fcntl(50, F_SETLK, &lock) != 0) ::_exit(9);
                     },
                 .use =
                     [=] {
                       const int other = ::open(name.c_str(), O_RDWR);
                       CHECK_OR(1, ::flock(other, LOCK_SH | LOCK_NB) != 0 && errno == EWOULDBLOCK);
                       struct flock lock {};
                       lock.l_type = F_WRLCK;
                       lock.l_start = 14;
                       lock.l_len = 1;
                       CHECK_OR(2, ::fcntl(other, F_OFD_GETLK, &lock) == 0 && lock.l_type == F_WRLCK);
                       CHECK_OR(3, lock.l_start == 10 && lock.l_len == 5 && lock.l_pid == ::getpid());
                       return 0;
                     }};
  EXPECT_EQ(trip.run(), 0);
}

TEST_F(Files, ALargeFileIsRefusedByName) {
  const auto name = path("large");
  const auto why = refusal_of(
      [=] {
        ::dup2(::open(name.c_str(), O_RDWR | O_CREAT, 0600), 50);
        if (::ftruncate(50, 4097) != 0) ::_exit(9);
      },
      {.file_content_limit = 4096});
  EXPECT_NE(why.find("descriptor"), std::string::npos) << why;
  EXPECT_NE(why.find(name), std::string::npos) << why;
}

// --- directories, devices, O_PATH, /proc

TEST_F(Files, DirectoryKeepsItsPlace) {
  const auto place = directory_;
  RoundTrip trip{.make =
                     [=] {
                       for (int i = 0; i < 500; ++i) put(place + "/" + std::to_string(i), "");
                       ::dup2(::open(place.c_str(), O_RDONLY | O_DIRECTORY), 50);
                       char entries[4096];
                       if (::syscall(SYS_getdents64, 50, entries, sizeof entries) <= 0) ::_exit(9);
                     },
                 .use =
                     [=] {
                       const off_t at = ::lseek(50, 0, SEEK_CUR);
                       CHECK_OR(1, at != 0);
                       char entries[4096];
                       return ::syscall(SYS_getdents64, 50, entries, sizeof entries) > 0 ? 0 : 2;
                     }};
  EXPECT_EQ(trip.run(), 0);
}

TEST(Devices, NullZeroAndRandom) {
  EXPECT_EQ((RoundTrip{.make =
                           [] {
                             ::dup2(::open("/dev/null", O_RDWR), 50);
                             ::dup2(::open("/dev/zero", O_RDONLY), 51);
                             ::dup2(::open("/dev/urandom", O_RDONLY), 52);
                           },
                       .use =
                           [] {
                             char text[4] = {1, 1, 1, 1};
                             CHECK_OR(1, ::write(50, text, 4) == 4 && ::read(50, text, 4) == 0);
                             CHECK_OR(2, ::read(51, text, 4) == 4 && text[3] == 0);
                             CHECK_OR(3, ::read(52, text, 4) == 4);
                             return 0;
                           }}
                 .run()),
            0);
}

TEST(Devices, AnyOtherIsRefusedByName) {
  const char* device = nullptr;
  for (const char* name : {"/dev/kmsg", "/dev/fuse", "/dev/net/tun", "/dev/loop-control"})
    if (const Fd fd(::open(name, O_RDONLY | O_CLOEXEC)); device == nullptr && fd.valid()) device = name;
  if (device == nullptr) GTEST_SKIP() << "no device with a state can be opened";
  const auto why = refusal_of([device] { ::dup2(::open(device, O_RDONLY), 50); });
  EXPECT_NE(why.find(device), std::string::npos) << why;
  EXPECT_NE(why.find("descriptor"), std::string::npos) << why;
}

TEST_F(Files, PathOnlyAndProc) {
  const auto name = path("file");
  put(name, "");
  EXPECT_EQ((RoundTrip{.make =
                           [=] {
                             ::dup2(::open(name.c_str(), O_PATH), 50);
                             ::dup2(::open("/proc/self/status", O_RDONLY), 51);
                           },
                       .use =
                           [=] {
                             struct stat a {}, b {};
                             CHECK_OR(1, (::fcntl(50, F_GETFL) & O_PATH) != 0);
                             CHECK_OR(2, ::fstat(50, &a) == 0 && ::stat(name.c_str(), &b) == 0);
                             CHECK_OR(3, a.st_ino == b.st_ino);
                             char text[4096] = {};
                             CHECK_OR(4, ::read(51, text, sizeof text - 1) > 0);
                             const char* pid = std::strstr(text, "\nPid:\t");
                             return pid != nullptr && std::atoi(pid + 6) == ::getpid() ? 0 : 5;
                           }}
                 .run()),
            0);
}

// --- timerfd, signalfd, epoll

TEST(TimerFd, DisarmedRunningAndExpired) {
  EXPECT_EQ((RoundTrip{.make =
                           [] {
                             ::dup2(::timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK), 50);
                             ::dup2(::timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK), 51);
                             ::dup2(::timerfd_create(CLOCK_REALTIME, TFD_NONBLOCK), 52);
                             const itimerspec hour{{7, 5}, {3600, 0}};
                             ::timerfd_settime(51, 0, &hour, nullptr);
                             const itimerspec now{{0, 0}, {0, 1}};
                             ::timerfd_settime(52, 0, &now, nullptr);
                             pollfd entry{52, POLLIN, 0};
                             ::poll(&entry, 1, 10000);
                           },
                       .use =
                           [] {
                             itimerspec value{};
                             ::timerfd_gettime(50, &value);
                             CHECK_OR(1, value.it_value.tv_sec == 0 && value.it_value.tv_nsec == 0);
                             ::timerfd_gettime(51, &value);
                             CHECK_OR(2, value.it_value.tv_sec > 3000 && value.it_value.tv_sec < 3600);
                             CHECK_OR(3, value.it_interval.tv_sec == 7 && value.it_interval.tv_nsec == 5);
                             std::uint64_t ticks = 0;
                             CHECK_OR(4, ::read(52, &ticks, 8) == 8 && ticks == 1);
                             CHECK_OR(5, ::read(51, &ticks, 8) == -1 && errno == EAGAIN);
                             return 0;
                           }}
                 .run()),
            0);
}

TEST(TimerFd, PeriodicThatWasNotRead) {
  EXPECT_EQ((RoundTrip{.make =
                           [] {
                             ::dup2(::timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK), 50);
                             const itimerspec often{{5000, 0}, {0, 1}};
                             ::timerfd_settime(50, 0, &often, nullptr);
                             pollfd entry{50, POLLIN, 0};
                             ::poll(&entry, 1, 10000);
                           },
                       .use =
                           [] {
                             std::uint64_t ticks = 0;
                             CHECK_OR(1, ::read(50, &ticks, 8) == 8 && ticks == 1);
                             itimerspec value{};
                             ::timerfd_gettime(50, &value);
                             CHECK_OR(2, value.it_interval.tv_sec == 5000 && value.it_value.tv_sec > 4000);
                             return 0;
                           }}
                 .run()),
            0);
}

TEST(SignalFd, ReadsItsSignals) {
  EXPECT_EQ((RoundTrip{.make =
                           [] {
                             sigset_t set;
                             sigemptyset(&set);
                             sigaddset(&set, SIGUSR2);
                             sigaddset(&set, SIGRTMAX);
                             ::dup2(::signalfd(-1, &set, SFD_NONBLOCK), 50);
                           },
                       .use =
                           [] {
                             sigset_t set;
                             sigfillset(&set);
                             ::sigprocmask(SIG_BLOCK, &set, nullptr);
                             ::kill(::getpid(), SIGUSR1);
                             ::kill(::getpid(), SIGRTMAX);
                             signalfd_siginfo info{};
                             CHECK_OR(1, ::read(50, &info, sizeof info) == sizeof info);
                             CHECK_OR(2, info.ssi_signo == static_cast<unsigned>(SIGRTMAX));
                             CHECK_OR(3, ::read(50, &info, sizeof info) == -1 && errno == EAGAIN);
                             return 0;
                           }}
                 .run()),
            0);
}

TEST(Epoll, EntriesWithDataAndEvents) {
  EXPECT_EQ(
      (RoundTrip{.make =
                     [] {
                       ::dup2(::epoll_create1(0), 50);
                       ::dup2(::eventfd(1, 0), 51);
                       ::dup2(::eventfd(0, 0), 52);
                       epoll_event event{};
                       event.events = EPOLLIN | EPOLLET;
                       event.data.u64 = 0xfedcba9876543210ULL;
                       ::epoll_ctl(50, EPOLL_CTL_ADD, 51, &event);
                       event.events = EPOLLIN;
                       event.data.u64 = 7;
                       ::epoll_ctl(50, EPOLL_CTL_ADD, 52, &event);
                     },
                 .use =
                     [] {
                       epoll_event events[4];
                       CHECK_OR(1, ::epoll_wait(50, events, 4, 0) == 1);
                       CHECK_OR(2, events[0].data.u64 == 0xfedcba9876543210ULL);
                       CHECK_OR(3, ::epoll_wait(50, events, 4, 0) == 0);
                       const std::uint64_t one = 1;
                       CHECK_OR(4, ::write(52, &one, 8) == 8);
                       CHECK_OR(5, ::epoll_wait(50, events, 4, 0) == 1 && events[0].data.u64 == 7);
                       events[0].events = EPOLLOUT;
                       CHECK_OR(6, ::epoll_ctl(50, EPOLL_CTL_MOD, 52, events) == 0);
                       CHECK_OR(7, ::epoll_ctl(50, EPOLL_CTL_DEL, 51, events) == 0);
                       CHECK_OR(8, ::epoll_ctl(50, EPOLL_CTL_DEL, 51, events) == -1);
                       return 0;
                     }}
           .run()),
      0);
}

TEST(Epoll, EntryWhoseNumberLeadsElsewhereByNow) {
  EXPECT_EQ((RoundTrip{.make =
                           [] {
                             ::dup2(::epoll_create1(0), 50);
                             ::dup2(::eventfd(1, 0), 51);
                             epoll_event event{};
                             event.events = EPOLLIN;
                             event.data.u64 = 11;
                             ::epoll_ctl(50, EPOLL_CTL_ADD, 51, &event);
                             ::dup2(51, 60);
                             ::dup2(::open("/dev/null", O_RDONLY), 51);
                           },
                       .use =
                           [] {
                             epoll_event events[4];
                             CHECK_OR(1, ::epoll_wait(50, events, 4, 0) == 1);
                             CHECK_OR(2, events[0].data.u64 == 11);
                             std::uint64_t value = 0;
                             CHECK_OR(3, ::read(51, &value, 8) == 0);
                             CHECK_OR(4, ::read(60, &value, 8) == 8 && value == 1);
                             return 0;
                           }}
                 .run()),
            0);
}

// --- memfd

TEST(MemFd, ContentsSealsAndOffset) {
  EXPECT_EQ((RoundTrip{.make =
                           [] {
                             ::dup2(static_cast<int>(::syscall(SYS_memfd_create, "box", MFD_ALLOW_SEALING)), 50);
                             if (::ftruncate(50, 100000) != 0 || ::pwrite(50, "end", 3, 99990) != 3)
                               ::_exit(9);
                             ::lseek(50, 99990, SEEK_SET);
                             ::fcntl(50, F_ADD_SEALS, F_SEAL_SHRINK);
                           },
                       .use =
                           [] {
                             char text[4] = {};
                             CHECK_OR(1, ::read(50, text, 3) == 3 && std::strcmp(text, "end") == 0);
                             CHECK_OR(2, ::fcntl(50, F_GET_SEALS) == F_SEAL_SHRINK);
                             CHECK_OR(3, ::ftruncate(50, 10) != 0);
                             CHECK_OR(4, ::ftruncate(50, 200000) == 0);
                             return 0;
                           }}
                 .run()),
            0);
}

// --- refusals

TEST(Refusals, NameTheDescriptorAndTheThing) {
  const auto watched = refusal_of([] {
    ::dup2(static_cast<int>(::syscall(SYS_userfaultfd, 1 /* UFFD_USER_MODE_ONLY */)), 50);
  });
  EXPECT_NE(watched.find("userfaultfd"), std::string::npos) << watched;
  const auto pidfd = refusal_of([] { ::dup2(static_cast<int>(::syscall(SYS_pidfd_open, 1, 0)), 50); });
  EXPECT_NE(pidfd.find("pidfd"), std::string::npos) << pidfd;
}

}  // namespace
}  // namespace cairn
