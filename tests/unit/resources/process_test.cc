// Memory, timers, signals, attributes and threads: what is not a descriptor.
#include <fcntl.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

#include <algorithm>
#include <filesystem>
#include <fstream>

#include "abi/arena.h"
#include "resources/machine.h"
#include "resources/process_attributes.h"
#include "resources/signals.h"
#include "resources/smaps.h"
#include "resources/threads.h"
#include "resources/timers.h"
#include "unit/resources/round_trip.h"

namespace cairn {
namespace {

using resources::CaptureContext;
using resources::CaptureJob;
using resources::JobCapture;
using resources::RebuildContext;
using resources::RebuildJob;
using testing::FakeProcess;
using testing::Saved;

#define CHECK_OR(code, condition) \
  do {                            \
    if (!(condition)) return code; \
  } while (false)

constexpr std::uint64_t kWindow = 0x510000000000;  // where these tests map; both processes have it free
constexpr std::uint64_t kWindowEnd = kWindow + (1ULL << 36);

char* at(std::uint64_t offset) { return reinterpret_cast<char*>(kWindow + offset); }

char* map_at(std::uint64_t offset, std::size_t bytes, int protection, int flags, int fd = -1,
             off_t file_offset = 0) {
  void* p = ::mmap(at(offset), bytes, protection, flags | MAP_FIXED_NOREPLACE, fd, file_offset);
  if (p == MAP_FAILED) ::_exit(9);
  return static_cast<char*>(p);
}

// The fake process' own libraries and stacks are outside of the window: only what is inside comes back.
void keep_window(JobCapture& capture) {
  auto& regions = *capture.processes.front().mutable_regions();
  for (int i = regions.size() - 1; i >= 0; --i)
    if (regions[i].start() < kWindow || regions[i].start() >= kWindowEnd)
      regions.DeleteSubrange(i, 1);
  for (auto& content : capture.contents)
    if (content.object_id == 0)
      std::erase_if(content.runs, [](const auto& run) {
        return run.address < kWindow || run.address >= kWindowEnd;
      });
}

Result<Saved> save_memory(resources::RemoteProcess& process, resources::CaptureOptions options = {}) {
  JobCapture capture;
  capture.processes.resize(1);
  CaptureJob job{.options = options, .result = capture};
  CAIRN_ASSIGN(auto* context, resources::add_member(job, process));
  CAIRN_TRY(resources::capture_open_files(job));
  CAIRN_TRY(resources::capture_memory(*context));
  resources::join_shared_pages(job);
  keep_window(capture);
  return testing::save(capture);
}

Result<> rebuild_memory(resources::RemoteProcess& process, Saved& saved) {
  RebuildJob job{.objects = saved.objects, .options = {.open_content = saved.open()}};
  for (const auto& object : saved.objects) job.by_id[object.id()] = &object;
  auto& context = resources::add_member(job, process, saved.process);
  CAIRN_TRY(resources::create_open_files(job));
  CAIRN_TRY(resources::map_memory(context));
  CAIRN_TRY(resources::write_memory(context));
  return resources::finish_memory(context);
}

int memory_trip(std::function<void()> make, std::function<int()> use,
                std::function<void()> between = {},
                std::function<void(const Saved&)> look = {}) {
  Saved saved;
  {
    FakeProcess old(std::move(make), nullptr);
    auto result = save_memory(old.remote());
    if (!result) {
      ADD_FAILURE() << "capture: " << result.error().message();
      return -1;
    }
    saved = std::move(*result);
  }
  if (between) between();
  if (look) look(saved);
  FakeProcess fresh(nullptr, std::move(use), {.purpose = abi::LinkPurpose::kRestore});
  const auto rebuilt = rebuild_memory(fresh.remote(), saved);
  if (!rebuilt) {
    ADD_FAILURE() << "rebuild: " << rebuilt.error().message();
    return -1;
  }
  if (!fresh.remote().go()) return -1;
  return fresh.wait();
}

std::vector<resources::Vma> own_window() {
  std::ifstream in("/proc/self/smaps");
  const std::string text{std::istreambuf_iterator<char>(in), {}};
  auto all = resources::parse_smaps(text);
  std::vector<resources::Vma> mine;
  for (auto& vma : *all)
    if (vma.start >= kWindow && vma.start < kWindowEnd) mine.push_back(vma);
  return mine;
}

std::uint64_t stored_pages(const Saved& saved) {
  return saved.contents.at(saved.process.page_data()).pages_.size();
}

TEST(Memory, AnonymousOfEveryProtection) {
  EXPECT_EQ(memory_trip(
                [] {
                  for (int i = 0; i < 4; ++i) {
                    char* p = map_at(static_cast<std::uint64_t>(i) << 20, 1 << 16,
                                     PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS);
                    std::memset(p, 'a' + i, 1 << 16);
                  }
                  ::mprotect(at(1 << 20), 1 << 16, PROT_NONE);
                  ::mprotect(at(2 << 20), 1 << 16, PROT_READ);
                  ::mprotect(at(3 << 20), 1 << 16, PROT_READ | PROT_EXEC);
                },
                [] {
                  const auto vmas = own_window();
                  CHECK_OR(1, vmas.size() == 4);
                  CHECK_OR(2, vmas[0].protection == (PROT_READ | PROT_WRITE));
                  CHECK_OR(3, vmas[1].protection == PROT_NONE);
                  CHECK_OR(4, vmas[2].protection == PROT_READ);
                  CHECK_OR(5, vmas[3].protection == (PROT_READ | PROT_EXEC));
                  ::mprotect(at(1 << 20), 1 << 16, PROT_READ);
                  for (int i = 0; i < 4; ++i)
                    for (int byte = 0; byte < 1 << 16; ++byte)
                      CHECK_OR(6, at(static_cast<std::uint64_t>(i) << 20)[byte] == 'a' + i);
                  return 0;
                }),
            0);
}

// Only touched pages are stored, of however large a reservation.
TEST(Memory, LargeReservationsCostNothing) {
  EXPECT_EQ(memory_trip(
                [] {
                  map_at(0, 1ULL << 35, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE);
                  ::mprotect(at(1 << 30), 4096, PROT_READ | PROT_WRITE);
                  *at(1 << 30) = 'x';
                  ::mprotect(at(1 << 30), 4096, PROT_NONE);
                },
                [] {
                  const auto vmas = own_window();
                  std::uint64_t bytes = 0;
                  for (const auto& vma : vmas) {
                    CHECK_OR(1, vma.protection == PROT_NONE && vma.has("nr"));
                    bytes += vma.bytes();
                  }
                  CHECK_OR(2, bytes == 1ULL << 35);
                  ::mprotect(at(1 << 30), 4096, PROT_READ);
                  return *at(1 << 30) == 'x' ? 0 : 3;
                },
                {}, [](const Saved& saved) { EXPECT_EQ(stored_pages(saved), 1U); }),
            0);
}

TEST(Memory, SharedAnonymousStaysSharedInAllItsViews) {
  EXPECT_EQ(memory_trip(
                [] {
                  char* p = map_at(0, 1 << 16, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS);
                  std::strcpy(p + 8192, "shared");
                  if (::mremap(p, 0, 1 << 16, MREMAP_MAYMOVE | MREMAP_FIXED, at(1 << 20)) ==
                      MAP_FAILED)
                    ::_exit(8);
                  ::munmap(p, 4096);
                  map_at(2 << 20, 8192, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS)[4096] = 'o';
                  ::mprotect(at(1 << 20), 1 << 16, PROT_READ);
                },
                [] {
                  CHECK_OR(1, std::strcmp(at(8192), "shared") == 0);
                  CHECK_OR(2, std::strcmp(at((1 << 20) + 8192), "shared") == 0);
                  at(8192)[0] = 'S';
                  CHECK_OR(3, at((1 << 20) + 8192)[0] == 'S');
                  CHECK_OR(4, at(2 << 20)[4096] == 'o');
                  const auto vmas = own_window();
                  CHECK_OR(5, vmas.size() == 3 && vmas[0].inode == vmas[1].inode);
                  CHECK_OR(6, vmas[2].inode != vmas[0].inode && vmas[0].shared);
                  CHECK_OR(7, vmas[1].protection == PROT_READ && vmas[0].start == kWindow + 4096);
                  return 0;
                }),
            0);
}

class FileMappings : public ::testing::Test {
 protected:
  void SetUp() override {
    char name[] = "/tmp/cairn-maps-XXXXXX";
    ASSERT_NE(::mkdtemp(name), nullptr);
    path_ = std::string(name) + "/file";
  }
  void TearDown() override {
    std::filesystem::remove_all(std::filesystem::path(path_).parent_path());
  }
  void put(const std::string& text) const { std::ofstream(path_, std::ios::trunc) << text; }
  std::string path_;
};

TEST_F(FileMappings, PrivateWithOneChangedPage) {
  put(std::string(3 * 4096, 'f'));
  const auto name = path_;
  EXPECT_EQ(memory_trip(
                [=] {
                  const int fd = ::open(name.c_str(), O_RDONLY);
                  char* p = map_at(0, 3 * 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE, fd);
                  p[4096] = 'X';
                  ::close(fd);
                },
                [] {
                  CHECK_OR(1, at(0)[0] == 'f' && at(0)[4096] == 'X' && at(0)[4097] == 'f');
                  CHECK_OR(2, own_window().at(0).inode != 0);
                  return 0;
                },
                {}, [](const Saved& saved) { EXPECT_EQ(stored_pages(saved), 1U); }),
            0);
}

TEST_F(FileMappings, AChangedFileIsFoundBeforeTheRestart) {
  put(std::string(3 * 4096, 'f'));
  const auto name = path_;
  FakeProcess old(
      [=] { map_at(0, 4096, PROT_READ, MAP_PRIVATE, ::open(name.c_str(), O_RDONLY)); }, nullptr);
  auto saved = save_memory(old.remote());
  ASSERT_TRUE(saved) << saved.error().message();
  EXPECT_TRUE(resources::missing_files(saved->process).empty());
  put(std::string(3 * 4096, 'g'));
  const auto problems = resources::missing_files(saved->process);
  ASSERT_EQ(problems.size(), 1U);
  EXPECT_NE(problems[0].find(name), std::string::npos);
}

// Executables and libraries are saved by content: what has become of the file does no harm.
TEST_F(FileMappings, ElfByContent) {
  std::string elf = "\177ELF" + std::string(3 * 4096 - 4, 'e');
  for (const char* fate : {"unchanged", "changed", "removed", "longer"}) {
    put(elf);
    const auto name = path_;
    const std::string what = fate;
    EXPECT_EQ(memory_trip(
                  [=] {
                    const int fd = ::open(name.c_str(), O_RDONLY);
                    map_at(0, 2 * 4096, PROT_READ | PROT_EXEC, MAP_PRIVATE, fd, 4096);
                    char* data = map_at(1 << 20, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE, fd, 0);
                    data[100] = 'D';
                    ::mprotect(data, 4096, PROT_READ);
                    ::close(fd);
                  },
                  [=] {
                    CHECK_OR(1, at(0)[0] == 'e' && at(0)[8191] == 'e');
                    CHECK_OR(2, at(1 << 20)[0] == '\177' && at(1 << 20)[100] == 'D');
                    const auto vmas = own_window();
                    CHECK_OR(3, vmas.size() == 2 && vmas[0].protection == (PROT_READ | PROT_EXEC));
                    CHECK_OR(4, vmas[1].protection == PROT_READ);
                    CHECK_OR(5, (vmas[0].inode != 0) == (what == "unchanged" || what == "changed"));
                    return 0;
                  },
                  [=, this] {
                    if (what == "changed") put(std::string(3 * 4096, '?'));
                    if (what == "removed") std::filesystem::remove(name);
                    if (what == "longer") put(std::string(4 * 4096, '?'));
                  }),
              0)
        << fate;
  }
}

TEST_F(FileMappings, SharedFileIsWrittenThrough) {
  put(std::string(8192, 's'));
  const auto name = path_;
  EXPECT_EQ(memory_trip(
                [=] {
                  const int fd = ::open(name.c_str(), O_RDWR);
                  map_at(0, 8192, PROT_READ | PROT_WRITE, MAP_SHARED, fd)[1] = 'M';
                  ::close(fd);
                },
                [=] {
                  CHECK_OR(1, at(0)[1] == 'M' && at(0)[0] == 's');
                  at(0)[2] = 'N';
                  std::ifstream in(name);
                  char text[4] = {};
                  in.read(text, 3);
                  return text[2] == 'N' ? 0 : 2;
                }),
            0);
}

TEST_F(FileMappings, RemovedPrivateFileBecomesAnonymous) {
  put(std::string(5000, 'r'));
  const auto name = path_;
  EXPECT_EQ(memory_trip(
                [=] {
                  map_at(0, 8192, PROT_READ | PROT_WRITE, MAP_PRIVATE,
                         ::open(name.c_str(), O_RDONLY))[7] = 'C';
                  for (int fd = 3; fd < 20; ++fd) ::close(fd);
                  ::unlink(name.c_str());
                },
                [] {
                  CHECK_OR(1, at(0)[0] == 'r' && at(0)[7] == 'C' && at(0)[4999] == 'r');
                  return at(0)[5000] == 0 ? 0 : 2;
                }),
            0);
}

TEST(Memory, MemfdMappedAndOpenIsOneFile) {
  EXPECT_EQ(memory_trip(
                [] {
                  const int fd = static_cast<int>(::syscall(SYS_memfd_create, "m", 0));
                  if (::ftruncate(fd, 8192) != 0) ::_exit(8);
                  ::dup2(fd, 50);
                  ::close(fd);
                  map_at(0, 8192, PROT_READ | PROT_WRITE, MAP_SHARED, 50)[0] = 'a';
                  const int other = static_cast<int>(::syscall(SYS_memfd_create, "n", 0));
                  if (::ftruncate(other, 4096) != 0) ::_exit(8);
                  map_at(1 << 20, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, other)[0] = 'b';
                  ::close(other);
                },
                [] {
                  at(0)[1] = 'z';
                  char text[2] = {};
                  CHECK_OR(1, ::pread(50, text, 2, 0) == 2 && text[0] == 'a' && text[1] == 'z');
                  return at(1 << 20)[0] == 'b' ? 0 : 2;
                }),
            0);
}

TEST(Memory, FlagsNamesAndLocks) {
  EXPECT_EQ(memory_trip(
                [] {
                  char* p = map_at(0, 1 << 16, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS);
                  ::madvise(p, 1 << 16, MADV_DONTFORK);
                  ::madvise(p, 1 << 16, MADV_DONTDUMP);
                  if (::mlock(p, 1 << 16) != 0) ::_exit(8);
                  p = map_at(1 << 20, 1 << 16, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS);
                  ::madvise(p, 1 << 16, MADV_WIPEONFORK);
                  p = map_at(8 << 20, 1 << 16, PROT_READ | PROT_WRITE,
                             MAP_PRIVATE | MAP_ANONYMOUS | MAP_GROWSDOWN);
                  p[(1 << 16) - 1] = 'g';
                },
                [] {
                  const auto vmas = own_window();
                  CHECK_OR(1, vmas.size() == 3);
                  CHECK_OR(2, vmas[0].has("dc") && vmas[0].has("dd") && vmas[0].has("lo"));
                  CHECK_OR(3, vmas[1].has("wf") && !vmas[1].has("lo"));
                  CHECK_OR(4, vmas[2].has("gd") && at(8 << 20)[(1 << 16) - 1] == 'g');
                  at((8 << 20) - 4096)[0] = 'd';  // it grows
                  return 0;
                }),
            0);
}

TEST(Memory, HugePagesAndSysVAreRefusedByName) {
  FakeProcess process(
      [] {
        const int id = static_cast<int>(::syscall(SYS_shmget, 0, 4096, 01600));
        if (::syscall(SYS_shmat, id, at(0), 0) < 0) ::_exit(8);
        ::syscall(SYS_shmctl, id, 0, 0);
      },
      nullptr);
  const auto saved = save_memory(process.remote());
  ASSERT_FALSE(saved);
  EXPECT_NE(saved.error().message().find("System V"), std::string::npos);
}

// --- timers, signals, attributes

struct Whole {
  JobCapture capture;
  [[nodiscard]] const image::ProcessImage& process() const { return capture.processes.front(); }
};

Result<> with_context(resources::RemoteProcess& process, Whole& whole,
                      const std::function<Result<>(CaptureContext&)>& use) {
  const resources::CaptureOptions options;
  whole.capture.processes.resize(1);
  CaptureJob job{.options = options, .result = whole.capture};
  CAIRN_ASSIGN(auto* context, resources::add_member(job, process));
  return use(*context);
}

Result<> in_rebuild(resources::RemoteProcess& process, const Whole& whole,
                    const std::function<Result<>(RebuildContext&)>& use) {
  const std::vector<image::KernelObject> none;
  RebuildJob job{.objects = none, .options = {}};
  auto& context = resources::add_member(job, process, whole.process());
  for (int i = 0; i < whole.process().threads_size(); ++i) {
    CAIRN_ASSIGN(const auto tid, process.syscall_on(i, SYS_gettid));
    context.thread_ids.push_back(static_cast<std::int32_t>(tid));
  }
  return use(context);
}

TEST(Timers, IdsIntervalsAndWhatIsLeft) {
  FakeProcess old(
      [] {
        sigevent event{};
        event.sigev_notify = SIGEV_SIGNAL;
        event.sigev_signo = SIGUSR1;
        event.sigev_value.sival_ptr = at(42);
        timer_t first, second, third;
        ::timer_create(CLOCK_MONOTONIC, &event, &first);
        ::timer_create(CLOCK_REALTIME, &event, &second);
        ::timer_create(CLOCK_MONOTONIC, &event, &third);
        ::timer_delete(second);
        const itimerspec hour{{60, 1}, {3600, 0}};
        ::timer_settime(third, 0, &hour, nullptr);
        const itimerval day{{5, 0}, {86400, 0}};
        ::setitimer(ITIMER_REAL, &day, nullptr);
      },
      nullptr);
  Whole whole;
  auto captured = with_context(old.remote(), whole, resources::capture_timers);
  ASSERT_TRUE(captured) << captured.error().message();
  ASSERT_EQ(whole.process().posix_timers_size(), 2);
  FakeProcess fresh(nullptr,
                    [] {
                      itimerspec value{};
                      CHECK_OR(1, ::syscall(SYS_timer_gettime, 0, &value) == 0);
                      CHECK_OR(2, value.it_value.tv_sec == 0 && value.it_value.tv_nsec == 0);
                      CHECK_OR(3, ::syscall(SYS_timer_gettime, 1, &value) != 0);
                      CHECK_OR(4, ::syscall(SYS_timer_gettime, 2, &value) == 0);
                      CHECK_OR(5, value.it_interval.tv_sec == 60 && value.it_interval.tv_nsec == 1);
                      CHECK_OR(6, value.it_value.tv_sec > 3000 && value.it_value.tv_sec < 3600);
                      itimerval real{};
                      ::getitimer(ITIMER_REAL, &real);
                      CHECK_OR(7, real.it_interval.tv_sec == 5 && real.it_value.tv_sec > 80000);
                      std::ifstream in("/proc/self/timers");
                      const std::string text{std::istreambuf_iterator<char>(in), {}};
                      CHECK_OR(8, text.find("51000000002a") != std::string::npos);
                      return 0;
                    },
                    {.purpose = abi::LinkPurpose::kRestore});
  auto rebuilt = in_rebuild(fresh.remote(), whole, [](RebuildContext& context) -> Result<> {
    CAIRN_TRY(resources::create_posix_timers(context));
    return resources::start_timers(context);
  });
  ASSERT_TRUE(rebuilt) << rebuilt.error().message();
  ASSERT_TRUE(fresh.remote().go());
  EXPECT_EQ(fresh.wait(), 0);
}

void block_all() {
  sigset_t set;
  sigfillset(&set);
  ::sigprocmask(SIG_BLOCK, &set, nullptr);
}

int take_signals() {
  sigset_t set;
  sigfillset(&set);
  const timespec none{};
  siginfo_t info{};
  CHECK_OR(1, ::sigtimedwait(&set, &info, &none) == SIGUSR1);
  CHECK_OR(2, info.si_code == SI_USER);
  for (int value = 1; value <= 3; ++value) {
    CHECK_OR(3, ::sigtimedwait(&set, &info, &none) == SIGRTMIN + 4);
    CHECK_OR(4, info.si_code == SI_QUEUE && info.si_value.sival_int == value);
  }
  return ::sigtimedwait(&set, &info, &none) == -1 && errno == EAGAIN ? 0 : 5;
}

TEST(Signals, PendingOnesComeBackInOrderAndStayWhereTheyWere) {
  FakeProcess old(
      [] {
        block_all();
        ::kill(::getpid(), SIGUSR1);
        for (int value = 1; value <= 3; ++value) {
          sigval data{};
          data.sival_int = value;
          ::sigqueue(::getpid(), SIGRTMIN + 4, data);
        }
      },
      take_signals);
  Whole whole;
  for (int round = 0; round < 2; ++round) {
    whole = {};
    auto captured = with_context(old.remote(), whole, [](CaptureContext& context) -> Result<> {
      CAIRN_TRY(resources::capture_threads(context));
      return resources::capture_signals(context);
    });
    ASSERT_TRUE(captured) << captured.error().message();
    EXPECT_EQ(whole.process().signals().pending_size(), 4);
  }
  ASSERT_TRUE(old.remote().thaw());
  EXPECT_EQ(old.wait(), 0);
  FakeProcess fresh(block_all, take_signals, {.purpose = abi::LinkPurpose::kRestore});
  auto rebuilt = in_rebuild(fresh.remote(), whole, resources::restore_pending_signals);
  ASSERT_TRUE(rebuilt) << rebuilt.error().message();
  ASSERT_TRUE(fresh.remote().go());
  EXPECT_EQ(fresh.wait(), 0);
}

TEST(Attributes, UmaskDirectoryLimitsAndControls) {
  FakeProcess old(
      [] {
        ::umask(0137);
        if (::chdir("/usr/lib") != 0) ::_exit(8);
        const rlimit files{333, 444};
        ::setrlimit(RLIMIT_NOFILE, &files);
        const rlimit core{0, RLIM_INFINITY};
        ::setrlimit(RLIMIT_CORE, &core);
        ::prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
        ::prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0);
      },
      nullptr);
  Whole whole;
  auto captured = with_context(old.remote(), whole, resources::capture_attributes);
  ASSERT_TRUE(captured) << captured.error().message();
  FakeProcess fresh(nullptr,
                    [] {
                      CHECK_OR(1, ::umask(0) == 0137);
                      char directory[64] = {};
                      CHECK_OR(2, ::getcwd(directory, sizeof directory) != nullptr);
                      CHECK_OR(3, std::strcmp(directory, "/usr/lib") == 0);
                      rlimit files{};
                      ::getrlimit(RLIMIT_NOFILE, &files);
                      CHECK_OR(4, files.rlim_cur == 333 && files.rlim_max == 444);
                      CHECK_OR(5, ::prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0) == 1);
                      int reaper = 0;
                      ::prctl(PR_GET_CHILD_SUBREAPER, &reaper);
                      return reaper == 1 ? 0 : 6;
                    },
                    {.purpose = abi::LinkPurpose::kRestore});
  auto rebuilt = in_rebuild(fresh.remote(), whole, resources::restore_attributes);
  ASSERT_TRUE(rebuilt) << rebuilt.error().message();
  ASSERT_TRUE(fresh.remote().go());
  EXPECT_EQ(fresh.wait(), 0);
}

TEST(Threads, NamesSchedulingAndSlack) {
  FakeProcess old(nullptr, nullptr, {.extra_threads = 2});
  auto threads = old.remote().threads();
  ASSERT_TRUE(threads);
  auto name = old.remote().scratch_text("worker-two");
  ASSERT_TRUE(old.remote().syscall_on((*threads)[2].real_tid, SYS_prctl, PR_SET_NAME, name->address()));
  ASSERT_TRUE(old.remote().syscall_on((*threads)[2].real_tid, SYS_prctl, PR_SET_TIMERSLACK, 12345));
  ASSERT_EQ(::setpriority(PRIO_PROCESS, static_cast<id_t>((*threads)[1].real_tid), 7), 0);
  Whole whole;
  auto captured = with_context(old.remote(), whole, resources::capture_threads);
  ASSERT_TRUE(captured) << captured.error().message();
  FakeProcess fresh(nullptr, nullptr, {.purpose = abi::LinkPurpose::kRestore});
  const std::vector<image::KernelObject> none;
  RebuildJob job{.objects = none, .options = {}};
  auto& context = resources::add_member(job, fresh.remote(), whole.process());
  ASSERT_TRUE(resources::make_threads(context));
  auto restored = resources::restore_thread_attributes(context);
  ASSERT_TRUE(restored) << restored.error().message();
  Whole again;
  ASSERT_EQ(context.thread_ids.size(), 3U);
  std::ifstream comm("/proc/" + std::to_string(context.thread_ids[2]) + "/comm");
  std::string text;
  comm >> text;
  EXPECT_EQ(text, "worker-two");
  EXPECT_EQ(::getpriority(PRIO_PROCESS, static_cast<id_t>(context.thread_ids[1])), 7);
  auto slack = fresh.remote().syscall_on(2, SYS_prctl, PR_GET_TIMERSLACK);
  ASSERT_TRUE(slack);
  EXPECT_EQ(*slack, 12345U);
}

TEST(Machine, ThisOneLacksNothingOfItself) {
  image::Machine machine;
  resources::describe_machine(machine, {});
  EXPECT_GT(machine.cpuid_size(), 3);
  EXPECT_TRUE(resources::what_machine_lacks(machine).empty());
  for (auto& leaf : *machine.mutable_cpuid())
    if (leaf.leaf() == 7 && leaf.subleaf() == 0) leaf.set_edx(0xffffffff);
  machine.set_xcr0(machine.xcr0() | (1ULL << 62));
  EXPECT_EQ(resources::what_machine_lacks(machine).size(), 2U);
}

TEST(Whole, AFakeProcessIsCapturedInAllParts) {
  FakeProcess process(nullptr, nullptr, {.extra_threads = 1});
  const std::array processes{&process.remote()};
  auto capture = resources::capture_job(processes, {});
  ASSERT_TRUE(capture) << capture.error().message();
  auto& saved = capture->processes.front();
  EXPECT_EQ(saved.threads_size(), 2);
  EXPECT_EQ(saved.descriptors_size(), 3);
  EXPECT_GT(saved.regions_size(), 5);
  EXPECT_EQ(saved.threads(0).tid(), process.pid());
  for (const auto& region : saved.regions()) EXPECT_FALSE(abi::in_arena(region.start()));
  saved.set_page_data("x");
  const auto bytes = image::encode(saved);
  ASSERT_TRUE(bytes);
  const auto decoded = image::decode_process(*bytes, "the fake process");
  ASSERT_TRUE(decoded) << decoded.error().message();
  EXPECT_TRUE(resources::what_machine_lacks(decoded->machine()).empty());
  ASSERT_FALSE(capture->contents.empty());
  EXPECT_EQ(capture->contents.back().object_id, 0U);
}

}  // namespace
}  // namespace cairn
