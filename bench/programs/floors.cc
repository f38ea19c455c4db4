// What the machine can do at best: prints seconds.
//   floors read-process PID ADDRESS BYTES   process_vm_readv in pieces of 2 MiB into a warm buffer
//   floors write FILE BYTES                 write of incompressible data with direct I/O, then fsync
//   floors codec PID ADDRESS BYTES          zstd level 1 on two threads over that memory, copied first
//   floors read-files FILE ...              read of whole files, not from the page cache
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>
#include <zstd.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <string_view>
#include <thread>
#include <vector>

namespace {

constexpr std::size_t kPiece = 2 << 20;
constexpr std::size_t kChunk = 1 << 20;
using Clock = std::chrono::steady_clock;

void must(bool good, const char* what) {
  if (good) return;
  std::perror(what);
  std::exit(1);
}

double since(Clock::time_point start) { return std::chrono::duration<double>(Clock::now() - start).count(); }

void read_piece(pid_t pid, std::size_t address, char* into, std::size_t bytes) {
  iovec local = {into, bytes}, remote = {reinterpret_cast<void*>(address), bytes};
  must(process_vm_readv(pid, &local, 1, &remote, 1, 0) == static_cast<ssize_t>(bytes), "process_vm_readv");
}

double read_process(pid_t pid, std::size_t address, std::size_t bytes) {
  std::vector<char> buffer(kPiece, 1);
  auto start = Clock::now();
  for (std::size_t at = 0; at < bytes; at += kPiece) read_piece(pid, address + at, buffer.data(), std::min(kPiece, bytes - at));
  return since(start);
}

double write_file(const char* path, std::size_t bytes) {
  auto* buffer = static_cast<char*>(std::aligned_alloc(4096, kPiece));
  for (std::size_t n = 0; n < kPiece; ++n) buffer[n] = static_cast<char>(std::rand());
  auto start = Clock::now();
  int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0600);
  must(fd >= 0, path);
  // Where the file system has none, the page cache and fsync are what there is.
  fcntl(fd, F_SETFL, O_DIRECT);
  for (std::size_t left = (bytes + 4095) / 4096 * 4096; left > 0;) {
    ssize_t done = write(fd, buffer, std::min(kPiece, left));
    must(done > 0, "write");
    left -= static_cast<std::size_t>(done);
  }
  must(fsync(fd) == 0, "fsync");
  double seconds = since(start);
  close(fd);
  unlink(path);
  return seconds;
}

// Only the compression is timed: each thread reads a piece, then compresses it against the clock.
double codec(pid_t pid, std::size_t address, std::size_t bytes) {
  std::atomic<std::size_t> next{0};
  double spent[2] = {};
  auto work = [&](int index) {
    std::vector<char> in(kPiece), out(ZSTD_compressBound(kChunk));
    ZSTD_CCtx* context = ZSTD_createCCtx();
    for (std::size_t at; (at = next.fetch_add(kPiece)) < bytes;) {
      std::size_t length = std::min(kPiece, bytes - at);
      read_piece(pid, address + at, in.data(), length);
      auto start = Clock::now();
      for (std::size_t n = 0; n < length; n += kChunk)
        ZSTD_compressCCtx(context, out.data(), out.size(), in.data() + n, std::min(kChunk, length - n), 1);
      spent[index] += since(start);
    }
    ZSTD_freeCCtx(context);
  };
  std::thread other(work, 1);
  work(0);
  other.join();
  return (spent[0] + spent[1]) / 2;
}

double read_files(int count, char** paths) {
  std::vector<char> buffer(kPiece);
  for (int n = 0; n < count; ++n) {
    int fd = open(paths[n], O_RDONLY);
    must(fd >= 0, paths[n]);
    posix_fadvise(fd, 0, 0, POSIX_FADV_DONTNEED);
    close(fd);
  }
  auto start = Clock::now();
  for (int n = 0; n < count; ++n) {
    int fd = open(paths[n], O_RDONLY);
    while (read(fd, buffer.data(), kPiece) > 0) {}
    close(fd);
  }
  return since(start);
}

}  // namespace

int main(int argc, char** argv) {
  std::string_view what = argc > 2 ? argv[1] : "";
  auto number = [&](int n) { return std::strtoull(argv[n], nullptr, 0); };
  double seconds = -1;
  if (what == "read-process" && argc == 5) seconds = read_process(static_cast<pid_t>(number(2)), number(3), number(4));
  if (what == "codec" && argc == 5) seconds = codec(static_cast<pid_t>(number(2)), number(3), number(4));
  if (what == "write" && argc == 4) seconds = write_file(argv[2], number(3));
  if (what == "read-files") seconds = read_files(argc - 2, argv + 2);
  if (seconds < 0) return 2;
  std::printf("%.4f\n", seconds);
  return 0;
}
