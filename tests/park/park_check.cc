// park_check CAIRN TIMES PROGRAM [ARGUMENT ...]: runs the program under Cairn, parks it TIMES times at
// random moments as a checkpoint does, and lets it go on. The program prints a line whenever all of its
// threads have made progress: it does so before the first and after the last park.

#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <random>
#include <string>
#include <vector>

#include "abi/segment.h"
#include "checkpoint/freeze.h"

namespace {

using namespace cairn;
using Clock = std::chrono::steady_clock;
constexpr std::chrono::milliseconds kDeadline{60'000};

[[noreturn]] void fail(const std::string& what) {
  std::fprintf(stderr, "park_check: %s\n", what.c_str());
  std::exit(1);
}

// The program, and what it prints. Ends it when it goes away.
class Program {
 public:
  Program(const char* cairn, const std::string& directory, char** argv) {
    int ends[2];
    if (::pipe2(ends, O_CLOEXEC) != 0) fail("pipe");
    pid_ = ::fork();
    if (pid_ == 0) {
      ::dup2(ends[1], 1);
      std::vector<const char*> words{cairn, "run", "--dir", directory.c_str(), "--"};
      for (; *argv != nullptr; ++argv) words.push_back(*argv);
      words.push_back(nullptr);
      ::execv(cairn, const_cast<char**>(words.data()));
      ::_exit(127);
    }
    ::close(ends[1]);
    output_ = ::fdopen(ends[0], "r");
  }
  ~Program() {
    ::kill(pid_, SIGKILL);
    ::waitpid(pid_, nullptr, 0);
    std::fclose(output_);
  }
  Program(const Program&) = delete;
  Program& operator=(const Program&) = delete;

  void wait_for_line() {
    if (std::fgets(line_, sizeof line_, output_) == nullptr) fail("the program has ended");
  }
  // Two lines that were both begun after now.
  void wait_for_progress() {
    ::fcntl(::fileno(output_), F_SETFL, O_NONBLOCK);
    while (std::fgets(line_, sizeof line_, output_) != nullptr) {
    }
    std::clearerr(output_);
    ::fcntl(::fileno(output_), F_SETFL, 0);
    wait_for_line();
    wait_for_line();
  }
  [[nodiscard]] pid_t pid() const { return pid_; }

 private:
  pid_t pid_ = -1;
  FILE* output_ = nullptr;
  char line_[256]{};
};

// The segment is mapped by every process of the job, at one address.
abi::JobSegment* map_segment(pid_t pid) {
  std::ifstream maps("/proc/" + std::to_string(pid) + "/maps");
  char start[32];
  std::snprintf(start, sizeof start, "%lx-", static_cast<unsigned long>(abi::kSegment));
  for (std::string line; std::getline(maps, line);) {
    if (!line.starts_with(start)) continue;
    const int fd = ::open(line.substr(line.find('/')).c_str(), O_RDWR | O_CLOEXEC);
    void* at = ::mmap(nullptr, sizeof(abi::JobSegment), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    ::close(fd);
    if (at != MAP_FAILED) return static_cast<abi::JobSegment*>(at);
  }
  fail("the program has no job segment");
}

abi::ProcessSlot& slot_of(abi::JobSegment& job, pid_t pid) {
  for (auto& slot : job.slots)
    if (slot.state.load() == static_cast<std::uint32_t>(abi::SlotState::kRunning) &&
        slot.real_pid.load() == pid)
      return slot;
  fail("the program has no slot");
}

std::chrono::nanoseconds park_once(abi::ProcessSlot& slot, std::uint32_t word, long number) {
  checkpoint::Freeze freeze(slot, checkpoint::kernel_task_control(), word);
  const auto began = Clock::now();
  auto parked = freeze.request();
  if (parked) parked = freeze.wait_parked(Deadline{kDeadline});
  const auto took = Clock::now() - began;
  if (!parked) fail("park " + std::to_string(number) + ": " + parked.error().message());
  freeze.release();
  if (auto gone_on = freeze.wait_unparked(Deadline{kDeadline}); !gone_on)
    fail("park " + std::to_string(number) + ": " + gone_on.error().message());
  return took;
}

double milliseconds(std::chrono::nanoseconds time) {
  return std::chrono::duration<double, std::milli>(time).count();
}

}  // namespace

int main(int argc, char** argv) {
  if (argc < 4) fail("usage: park_check CAIRN TIMES PROGRAM [ARGUMENT ...]");
  const long times = std::atol(argv[2]);
  const char* given = std::getenv("CAIRN_CHECK_SEED");
  const unsigned seed = given != nullptr ? static_cast<unsigned>(std::atol(given)) : std::random_device{}();
  std::printf("seed %u\n", seed);
  std::mt19937 random(seed);
  std::string directory = (std::filesystem::temp_directory_path() / "cairn-park-XXXXXX").string();
  if (::mkdtemp(directory.data()) == nullptr) fail("mkdtemp");
  std::vector<std::chrono::nanoseconds> took;
  {
    Program program(argv[1], directory, argv + 3);
    program.wait_for_line();
    abi::JobSegment& job = *map_segment(program.pid());
    abi::ProcessSlot& slot = slot_of(job, program.pid());
    std::uint32_t word = 1;
    for (long i = 0; i < times; ++i, word = checkpoint::next_freeze_word(word)) {
      ::usleep(random() % 3000);  // a random moment of the program
      took.push_back(park_once(slot, word, i + 1));
    }
    program.wait_for_progress();
  }
  std::filesystem::remove_all(directory);
  std::sort(took.begin(), took.end());
  const auto late = std::count_if(took.begin(), took.end(), [](auto time) {
    return time > std::chrono::milliseconds(20);
  });
  std::printf("%ld of %ld parked; %ld within 20 ms; median %.2f ms, 99%% %.2f ms, longest %.2f ms\n", times,
              times, times - static_cast<long>(late), milliseconds(took[took.size() / 2]),
              milliseconds(took[took.size() * 99 / 100]), milliseconds(took.back()));
  return 0;
}
