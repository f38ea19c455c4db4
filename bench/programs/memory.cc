// Holds memory of a kind and ticks: appends (count, realtime in ns) to a file once a millisecond, so that
// a stall is seen from outside. Usage: memory BYTES random|half-zero|doubles TICKS
// SIGUSR1 changes 5 % of the pages, one after another; SIGUSR2 5 % at random; then it prints "changed".
#include <fcntl.h>
#include <signal.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#include <cmath>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>

namespace {

void fill_random(std::uint64_t* at, std::size_t words) {
  std::uint64_t state = 88172645463325252;
  for (std::size_t n = 0; n < words; ++n) {
    state ^= state << 13;
    state ^= state >> 7;
    state ^= state << 17;
    at[n] = state;
  }
}

// A wave as a solver would hold it, by rotation; corrected now and then against drift.
void fill_doubles(double* at, std::size_t count) {
  constexpr double kStep = 1e-6;
  const double turn_cos = std::cos(kStep), turn_sin = std::sin(kStep);
  double c = 1, s = 0;
  for (std::size_t n = 0; n < count; ++n) {
    if (n % 65536 == 0) c = std::cos(static_cast<double>(n) * kStep), s = std::sin(static_cast<double>(n) * kStep);
    at[n] = 300 + 10 * s;
    double next = c * turn_cos - s * turn_sin;
    s = s * turn_cos + c * turn_sin;
    c = next;
  }
}

volatile sig_atomic_t wanted;

// The words of a changed page are other ones of the same kind.
void change(char* area, std::size_t bytes, bool at_random) {
  const std::size_t pages = bytes / 4096, count = pages / 20;
  static std::uint64_t state = 0x9e3779b97f4a7c15;
  for (std::size_t n = 0; n < count; ++n) {
    state ^= state << 13;
    state ^= state >> 7;
    state ^= state << 17;
    auto* words = reinterpret_cast<std::uint64_t*>(area + (at_random ? state % pages : pages / 3 + n) * 4096);
    for (int word = 0; word < 512; ++word) words[word] ^= state & 0xffff;
  }
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 4) return 2;
  std::size_t bytes = std::strtoull(argv[1], nullptr, 10);
  auto* area = static_cast<char*>(mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0));
  if (area == MAP_FAILED) return 1;
  if (std::strcmp(argv[2], "doubles") == 0) {
    fill_doubles(reinterpret_cast<double*>(area), bytes / 8);
  } else {
    fill_random(reinterpret_cast<std::uint64_t*>(area), bytes / 8);
    if (std::strcmp(argv[2], "half-zero") == 0)
      for (std::size_t page = 0; page < bytes; page += 8192) std::memset(area + page, 0, 4096);
  }
  int ticks = open(argv[3], O_WRONLY | O_CREAT | O_TRUNC | O_APPEND, 0600);
  std::printf("%p\n", static_cast<void*>(area));
  std::fflush(stdout);
  struct sigaction action = {};
  action.sa_handler = [](int signal) { wanted = signal; };
  sigaction(SIGUSR1, &action, nullptr);
  sigaction(SIGUSR2, &action, nullptr);
  for (std::uint64_t count = 0;; ++count) {
    if (wanted != 0) {
      change(area, bytes, wanted == SIGUSR2);
      wanted = 0;
      std::puts("changed");
      std::fflush(stdout);
    }
    timespec t;
    clock_gettime(CLOCK_REALTIME, &t);
    std::uint64_t record[2] = {count, static_cast<std::uint64_t>(t.tv_sec) * 1000000000 + static_cast<std::uint64_t>(t.tv_nsec)};
    if (write(ticks, record, sizeof(record)) != sizeof(record)) return 1;
    timespec pause = {0, 1000000};
    nanosleep(&pause, nullptr);
  }
}
