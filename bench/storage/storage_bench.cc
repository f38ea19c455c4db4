// How long it takes to write and read a generation, beside the floors that no store can go under:
// the device with a sync, process_vm_readv, the codec on all CPUs.
//
//   storage_bench DIRECTORY [GIB]      DIRECTORY on the device to be measured; default 1 GiB
//
// The memory is that of a child process, read as a checkpoint reads it.

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <functional>
#include <string>
#include <thread>
#include <vector>

#include "storage/store.h"
#include "storage/worker_pool.h"

namespace {

using namespace cairn;
using namespace cairn::storage;

double seconds(const std::function<void()>& work) {
  const auto start = std::chrono::steady_clock::now();
  work();
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
}

template <class T>
T must(Result<T> result) {
  if (!result) {
    std::fprintf(stderr, "%s\n", result.error().message().c_str());
    std::exit(1);
  }
  if constexpr (!std::is_void_v<T>) return std::move(*result);
}

std::uint64_t next_random(std::uint64_t& state) {
  state ^= state << 13;
  state ^= state >> 7;
  state ^= state << 17;
  return state;
}

struct Shared {
  std::uint64_t bytes;
  std::byte* data;
  pid_t child = -1;
  int commands[2];  // to the child
  int answers[2];
};

enum class Kind : char { kRandom = 'r', kHalfZero = 'h', kDoubles = 'd', kDirty = 'x', kEnd = 'e' };

void fill(std::byte* data, std::uint64_t bytes, Kind kind) {
  std::uint64_t state = 88172645463325252ULL;
  if (kind == Kind::kDirty) {  // 5 % of the pages, at random
    for (std::uint64_t i = 0; i < bytes / kPageBytes / 20; ++i)
      std::memset(data + next_random(state) % (bytes / kPageBytes) * kPageBytes, 0x41 + i % 7, 64);
    return;
  }
  for (std::uint64_t page = 0; page < bytes; page += kPageBytes) {
    auto* words = reinterpret_cast<std::uint64_t*>(data + page);
    auto* doubles = reinterpret_cast<double*>(data + page);
    for (std::uint64_t i = 0; i < kPageBytes / 8; ++i) {
      if (kind == Kind::kDoubles)
        doubles[i] = std::sin(static_cast<double>(page / 8 + i) * 1e-6);
      else if (kind == Kind::kHalfZero && i % 512 >= 256)
        words[i] = 0;
      else
        words[i] = next_random(state);
    }
  }
}

// The child owns the memory and fills it as told.
[[noreturn]] void child_main(const Shared& shared) {
  char command;
  while (::read(shared.commands[0], &command, 1) == 1 && command != static_cast<char>(Kind::kEnd)) {
    fill(shared.data, shared.bytes, static_cast<Kind>(command));
    if (::write(shared.answers[1], &command, 1) != 1) break;
  }
  ::_exit(0);
}

void tell(const Shared& shared, Kind kind) {
  char byte = static_cast<char>(kind);
  if (::write(shared.commands[1], &byte, 1) != 1 || ::read(shared.answers[0], &byte, 1) != 1)
    std::exit(1);
}

void read_child(const Shared& shared, std::byte* to, std::uint64_t offset, std::uint64_t bytes) {
  const iovec local{to, bytes};
  const iovec remote{shared.data + offset, bytes};
  if (::process_vm_readv(shared.child, &local, 1, &remote, 1, 0) != static_cast<ssize_t>(bytes))
    std::exit(1);
}

double floor_device(const std::string& directory, std::uint64_t bytes) {
  constexpr std::uint64_t kStep = 4 << 20;
  void* buffer = std::aligned_alloc(4096, kStep);
  std::memset(buffer, 0x5a, kStep);
  const std::string path = directory + "/floor";
  const double time = seconds([&] {
    const int fd = ::open(path.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_DIRECT | O_CLOEXEC, 0600);
    for (std::uint64_t done = 0; done < bytes; done += kStep)
      if (::write(fd, buffer, kStep) != static_cast<ssize_t>(kStep)) std::exit(1);
    if (::fsync(fd) != 0) std::exit(1);
    ::close(fd);
  });
  std::filesystem::remove(path);
  std::free(buffer);
  return time;
}

double floor_readv(const Shared& shared) {
  std::vector<std::byte> buffer(kExtentBytes);
  return seconds([&] {
    for (std::uint64_t at = 0; at < shared.bytes; at += kExtentBytes)
      read_child(shared, buffer.data(), at, kExtentBytes);
  });
}

// The codec on all CPUs, on memory that is here already.
double floor_codec(const Shared& shared, std::uint64_t& compressed) {
  constexpr std::uint64_t kSample = 256 << 20;
  constexpr std::uint64_t kChunk = 1 << 20;
  const std::uint64_t bytes = std::min(shared.bytes, kSample);
  std::vector<std::byte> memory(bytes);
  for (std::uint64_t at = 0; at < bytes; at += kExtentBytes)
    read_child(shared, memory.data() + at, at, kExtentBytes);
  std::atomic<std::uint64_t> next = 0;
  std::atomic<std::uint64_t> total = 0;
  const auto work = [&] {
    Compressor compressor(Codec::kZstd, 1);
    for (std::uint64_t at = next.fetch_add(kChunk); at < bytes; at = next.fetch_add(kChunk))
      total += compressor.compress(std::span(memory).subspan(at, kChunk)).bytes.size();
  };
  const double time = seconds([&] {
    std::vector<std::thread> threads;
    for (unsigned i = 0; i < usable_cpus(); ++i) threads.emplace_back(work);
    for (std::thread& thread : threads) thread.join();
  });
  const double scale = static_cast<double>(shared.bytes) / static_cast<double>(bytes);
  compressed = static_cast<std::uint64_t>(static_cast<double>(total) * scale);
  return time * scale;
}

PageDataRef write_child(const Shared& shared, GenerationWriter& writer) {
  const auto memory = writer.memory();
  const PageRun whole{reinterpret_cast<std::uint64_t>(shared.data),
                      static_cast<std::uint32_t>(shared.bytes / kPageBytes)};
  must(memory->add_pages(plan_batches(std::span(&whole, 1)),
                         [&](const auto& batch, std::byte* into) -> Result<> {
                           for (const PageRun& run : batch) {
                             read_child(shared, into, run.address - whole.address,
                                        run.pages * kPageBytes);
                             into += run.pages * kPageBytes;
                           }
                           return {};
                         }));
  return must(memory->finish());
}

struct Saved {
  GenerationInfo info;
  PageDataRef ref;
  double time;
};

Saved save(Store& store, const Shared& shared) {
  Saved saved;
  saved.time = seconds([&] {
    auto writer = must(store.begin_generation({}));
    saved.ref = write_child(shared, *writer);
    const NodeSummary summary = must(writer->finish());
    saved.info = must(store.commit(writer->number(), {summary}, "{}"));
  });
  return saved;
}

void drop_cache(const std::string& path) {
  const int fd = ::open(path.c_str(), O_RDONLY | O_CLOEXEC);
  ::fsync(fd);
  ::posix_fadvise(fd, 0, 0, POSIX_FADV_DONTNEED);
  ::close(fd);
}

void report_reading(const std::string& directory, const Saved& saved) {
  const std::string generation = directory + "/" + std::to_string(saved.info.number);
  const std::string pack = generation + "/node-0.pack";
  std::vector<std::byte> buffer(1 << 20);
  drop_cache(pack);
  const double plain = seconds([&] {
    const int fd = ::open(pack.c_str(), O_RDONLY | O_CLOEXEC);
    ::posix_fadvise(fd, 0, 0, POSIX_FADV_SEQUENTIAL);
    while (::read(fd, buffer.data(), buffer.size()) > 0) {
    }
    ::close(fd);
  });
  for (const bool cached : {false, true}) {
    if (!cached) drop_cache(pack);
    std::atomic<std::uint64_t> delivered = 0;
    const double time = seconds([&] {
      const auto reader = must(open_generation(generation, VerifyLevel::kStructure));
      const auto memory = must(reader->memory(saved.ref));
      must(memory->for_each([&](const PageSpan& span) -> Result<> {
        delivered += span.bytes.size();
        return {};
      }));
    });
    std::printf("    read%s: %.2f s (plain read of the pack %.2f s)\n", cached ? ", cached" : "",
                time, plain);
  }
  drop_cache(pack);
  const auto reader = must(open_generation(generation, VerifyLevel::kStructure));
  const double verify = seconds([&] { must(reader->verify(VerifyLevel::kContents, true)); });
  std::printf("    verify with direct I/O: %.2f s\n", verify);
}

void measure(const std::string& directory, const Shared& shared, Kind kind, const char* name) {
  tell(shared, kind);
  const std::string path = directory + "/store";
  std::filesystem::remove_all(path);
  const auto store = must(Store::open(path, {.create = true}));
  must(store->take_ownership({.job_id = "bench"}, Takeover::kAlways));
  std::uint64_t compressed = 0;
  const double codec = floor_codec(shared, compressed);
  const double device = floor_device(directory, compressed);
  const double readv = floor_readv(shared);
  const double floor = std::max({codec, device, readv});
  const double gib = static_cast<double>(shared.bytes) / (1 << 30);
  std::printf("%s, %.1f GiB\n", name, gib);
  std::printf("    floors: device %.2f s, process_vm_readv %.2f s, codec %.2f s\n", device, readv,
              codec);
  const auto show = [&](const char* what, const Saved& saved, double of) {
    std::printf(
        "    %s: %.2f s, %.2f GiB/s, %.2f of the floor, %.2f %% of the memory stored\n", what,
        saved.time, gib / saved.time, saved.time / of,
        100.0 * static_cast<double>(saved.info.stored_bytes()) / static_cast<double>(shared.bytes));
  };
  show("first generation", save(*store, shared), floor);
  const Saved unchanged = save(*store, shared);
  show("nothing changed", unchanged, readv);
  tell(shared, Kind::kDirty);
  show("5 % changed", save(*store, shared), readv);
  must(store->retain(1));
  std::filesystem::remove_all(path);
  const auto fresh = must(Store::open(path, {.create = true}));
  must(fresh->take_ownership({.job_id = "bench"}, Takeover::kAlways));
  const Saved whole = save(*fresh, shared);
  show("first generation again", whole, floor);
  report_reading(path, whole);
  std::filesystem::remove_all(path);
}

}  // namespace

int main(int argc, char** argv) {
  if (argc < 2) {
    std::fprintf(stderr, "usage: storage_bench DIRECTORY [GIB]\n");
    return 2;
  }
  Shared shared{};
  shared.bytes = static_cast<std::uint64_t>((argc > 2 ? std::atof(argv[2]) : 1.0) * (1 << 30));
  shared.bytes -= shared.bytes % kExtentBytes;
  void* data = ::mmap(nullptr, shared.bytes + kExtentBytes, PROT_READ | PROT_WRITE,
                      MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (data == MAP_FAILED || ::pipe(shared.commands) != 0 || ::pipe(shared.answers) != 0) return 1;
  const auto address = (reinterpret_cast<std::uintptr_t>(data) + kExtentBytes - 1) / kExtentBytes;
  shared.data = reinterpret_cast<std::byte*>(address * kExtentBytes);
  shared.child = ::fork();
  if (shared.child == 0) {
    ::prctl(PR_SET_PDEATHSIG, SIGKILL);
    child_main(shared);
  }
  std::filesystem::create_directories(argv[1]);
  measure(argv[1], shared, Kind::kRandom, "random");
  measure(argv[1], shared, Kind::kHalfZero, "half zero");
  measure(argv[1], shared, Kind::kDoubles, "smooth doubles");
  const char end = static_cast<char>(Kind::kEnd);
  if (::write(shared.commands[1], &end, 1) != 1) return 1;
  ::waitpid(shared.child, nullptr, 0);
  return 0;
}
