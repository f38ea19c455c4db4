#pragma once
// A frozen process (or one that is being built) as an object: run system calls in it, read and write
// its memory, take copies of its descriptors and put others in their place. It is the agent's side
// of abi/link.h; nothing else in src/resources speaks the link's protocol.
//
//   CAIRN_ASSIGN(auto fds, process.list_fds());
//   CAIRN_ASSIGN(auto path, process.scratch_text("/tmp"));
//   CAIRN_TRY(process.syscall(SYS_chdir, path.address()));
//
// Descriptors travel with the first byte of the header of the message that speaks of them.
// Several threads may use one RemoteProcess (scratch memory only one of them).

#include <sys/socket.h>
#include <sys/syscall.h>

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <map>
#include <memory>
#include <mutex>
#include <span>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>
#include <vector>

#include "abi/link.h"
#include "base/error.h"
#include "base/fd.h"
#include "base/strong.h"

namespace cairn::resources {

// A piece of the process' host scratch memory, given back when its owner goes away.
class Scratch {
 public:
  Scratch() = default;
  Scratch(Scratch&& other) noexcept { *this = std::move(other); }
  Scratch& operator=(Scratch&& other) noexcept {
    std::swap(pool_, other.pool_);
    std::swap(address_, other.address_);
    std::swap(bytes_, other.bytes_);
    return *this;
  }
  Scratch(const Scratch&) = delete;
  Scratch& operator=(const Scratch&) = delete;
  ~Scratch();

  [[nodiscard]] std::uint64_t address() const { return address_; }
  [[nodiscard]] std::uint64_t bytes() const { return bytes_; }

 private:
  friend class RemoteProcess;
  using Pool = std::map<std::uint64_t, std::uint64_t>;  // start -> end of what is in use
  Scratch(std::shared_ptr<Pool> pool, std::uint64_t address, std::uint64_t bytes)
      : pool_(std::move(pool)), address_(address), bytes_(bytes) {}

  std::shared_ptr<Pool> pool_;
  std::uint64_t address_ = 0;
  std::uint64_t bytes_ = 0;
};

class RemoteProcess {
 public:
  struct Options {
    std::chrono::milliseconds timeout{30000};  // for the answer to any one request
    bool direct_memory = true;                 // process_vm_* and /proc/PID/mem before the link
  };

  // Reads the Hello from a freshly accepted connection and checks it.
  static Result<RemoteProcess> open(Fd stream, Options options);
  static Result<RemoteProcess> open(Fd stream) { return open(std::move(stream), Options{}); }

  [[nodiscard]] const abi::LinkHello& hello() const { return hello_; }
  [[nodiscard]] RealPid pid() const { return RealPid{hello_.real_pid}; }
  // A thread that lives: the first one may have ended before the others, and then the kernel shows
  // nothing of the process by its pid, although most of it by any other thread's.
  [[nodiscard]] RealPid task() const { return task_; }
  // "/proc/PID/entry", or the same entry of that thread.
  [[nodiscard]] std::string proc_path(std::string_view entry) const;

  // --- system calls. A negative errno becomes an Error that names the call.
  template <class... Args>
  Result<std::uint64_t> syscall(long number, Args... args) {
    return syscall_on(0, number, args...);
  }
  // `thread`: 0 is the serving thread; see LinkSyscall::tid.
  template <class... Args>
  Result<std::uint64_t> syscall_on(std::int32_t thread, long number, Args... args) {
    return run_one(make_call(thread, number, args...));
  }
  // Runs them in order, whatever each one answers; fails only if the link does.
  Result<> syscalls(std::span<abi::LinkSyscall> calls);
  // As `syscalls`, and an error if any of them answered one. `tried` names what they were for.
  Result<> syscalls_all_ok(std::span<abi::LinkSyscall> calls, std::string_view tried);

  template <class... Args>
  static abi::LinkSyscall make_call(std::int32_t thread, long number, Args... args) {
    static_assert(sizeof...(Args) <= 6);
    return {thread, static_cast<std::uint32_t>(number), {as_argument(args)...}, 0};
  }

  // --- memory
  Result<> read(std::uint64_t address, std::span<std::byte> into);
  Result<> write(std::uint64_t address, std::span<const std::byte> from);
  struct MemoryPiece {
    std::uint64_t address;
    std::span<const std::byte> bytes;
  };
  // Many pieces in few system calls.
  Result<> write(std::span<const MemoryPiece> pieces);
  template <class T>
  Result<T> read_object(std::uint64_t address) {
    static_assert(std::is_trivially_copyable_v<T>);
    T object{};
    CAIRN_TRY(read(address, std::as_writable_bytes(std::span(&object, 1))));
    return object;
  }
  template <class T>
  Result<> write_object(std::uint64_t address, const T& object) {
    static_assert(std::is_trivially_copyable_v<T>);
    return write(address, std::as_bytes(std::span(&object, 1)));
  }

  Result<Scratch> scratch(std::uint64_t bytes);
  Result<Scratch> scratch_bytes(std::span<const std::byte> content);
  Result<Scratch> scratch_text(std::string_view text);  // with its NUL
  template <class T>
  Result<Scratch> scratch_object(const T& object) {
    static_assert(std::is_trivially_copyable_v<T>);
    return scratch_bytes(std::as_bytes(std::span(&object, 1)));
  }

  // --- descriptors
  Result<std::vector<abi::LinkFd>> list_fds();
  // Copies of the process' descriptors, in the same order.
  Result<std::vector<Fd>> take_fds(std::span<const int> numbers);
  struct Placement {
    int local;            // a descriptor of ours
    int number;           // what it becomes there; what was open under that number is closed
    std::uint32_t flags;  // FD_CLOEXEC or 0
  };
  Result<> place_fds(std::span<const Placement> placements);

  // --- threads and what the runtime remembers
  Result<std::vector<abi::ThreadState>> threads();
  Result<std::vector<std::byte>> xsave(std::int32_t tid);
  Result<> make_threads(std::span<const abi::ThreadState> threads);
  Result<> put_xsave(std::uint32_t thread_index, std::span<const std::byte> area);
  // `filters`: LinkFilters with what follows it.
  Result<> put_filters(std::span<const std::byte> filters);
  Result<std::unique_ptr<abi::RuntimeState>> runtime_state();
  Result<> set_runtime_state(const abi::RuntimeState& state);

  Result<> map(std::span<const abi::LinkMap> maps);

  // --- building a tree: a child as fresh as this process, which connects by itself
  Result<RealPid> fork(std::uint64_t flags);

  Result<> thaw();  // end of a capture
  // Ends the link, from any thread and whatever another one waits for on it: the process, which
  // loses it, runs on.
  void hang_up() const { ::shutdown(stream_.get(), SHUT_RDWR); }
  Result<> prepare();  // of a restore: all that may fail before go()
  Result<> stop_at_go(int signal);  // go() leads into a stop; after prepare()
  Result<> go();       // end of a restore

 private:
  using Clock = std::chrono::steady_clock;
  struct Reply {
    abi::LinkHeader header{};
    std::vector<std::byte> payload;
    std::vector<Fd> fds;
  };

  RemoteProcess(Fd stream, Options options) : stream_(std::move(stream)), options_(options) {}

  template <class T>
  static std::uint64_t as_argument(T value) {
    if constexpr (std::is_pointer_v<T>) {
      static_assert(std::is_same_v<T, std::nullptr_t>, "pass an address of the other process");
      return 0;
    } else {
      return static_cast<std::uint64_t>(value);  // signed values are extended, as the kernel wants
    }
  }

  Result<std::uint64_t> run_one(abi::LinkSyscall call);
  Result<Reply> request(abi::LinkType type, std::span<const std::byte> head,
                        std::span<const std::byte> body = {}, std::span<const int> fds = {},
                        std::span<std::byte> reply_into = {});
  Result<> send(const abi::LinkHeader& header, std::span<const std::byte> head,
                std::span<const std::byte> body, std::span<const int> fds, Clock::time_point until);
  Result<> receive(std::span<std::byte> into, std::vector<Fd>* fds, Clock::time_point until);
  Result<> wait_for(short events, Clock::time_point until);

  // Each returns how many bytes it moved before it could not go on.
  std::size_t vm_transfer(bool write, std::uint64_t address, std::span<std::byte> buffer) const;
  std::size_t mem_transfer(bool write, std::uint64_t address, std::span<std::byte> buffer) const;

  Fd stream_;
  Fd mem_;  // /proc/PID/mem
  Options options_;
  abi::LinkHello hello_{};
  RealPid task_{0};
  std::shared_ptr<Scratch::Pool> pool_ = std::make_shared<Scratch::Pool>();
  std::unique_ptr<std::mutex> exchange_ = std::make_unique<std::mutex>();  // one request at a time
};

}  // namespace cairn::resources
