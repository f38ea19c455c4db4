#include "support/fake_runtime.h"

#include <dirent.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <unistd.h>

#include <condition_variable>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <mutex>
#include <stdexcept>
#include <thread>

#include "abi/arena.h"

namespace cairn::testing {
namespace {

constexpr std::size_t kScratchBytes = 1 << 20;

long raw_call(const abi::LinkSyscall& call) {
  const long value = ::syscall(call.number, call.args[0], call.args[1], call.args[2], call.args[3],
                               call.args[4], call.args[5]);
  return value == -1 ? -errno : value;
}

// A parked thread: runs what it is given, until the process ends.
class Worker {
 public:
  Worker() : thread_([this] { loop(); }) {
    std::unique_lock lock(mutex_);
    changed_.wait(lock, [this] { return tid_ != 0; });
    thread_.detach();
  }
  [[nodiscard]] pid_t tid() const { return tid_; }
  long run(const abi::LinkSyscall& call) {
    std::unique_lock lock(mutex_);
    call_ = &call;
    changed_.notify_all();
    changed_.wait(lock, [this] { return call_ == nullptr; });
    return result_;
  }

 private:
  void loop() {
    std::unique_lock lock(mutex_);
    tid_ = gettid();
    changed_.notify_all();
    for (;;) {
      changed_.wait(lock, [this] { return call_ != nullptr; });
      result_ = raw_call(*call_);
      call_ = nullptr;
      changed_.notify_all();
    }
  }
  std::mutex mutex_;
  std::condition_variable changed_;
  pid_t tid_ = 0;
  const abi::LinkSyscall* call_ = nullptr;
  long result_ = 0;
  std::thread thread_;
};

class Server {
 public:
  Server(int link, const FakeOptions& options) : link_(link), options_(options) {
    void* scratch = ::mmap(reinterpret_cast<void*>(abi::kHostHeap), kScratchBytes,
                           PROT_READ | PROT_WRITE,
                           MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0);
    if (scratch == MAP_FAILED) fail("map the scratch memory");
    for (int i = 0; i < options.extra_threads; ++i) workers_.push_back(new Worker);
    state_.version = 1;
    state_.real_pid = state_.virtual_pid = getpid();
    abi::LinkHello hello{};
    hello.version = abi::kLinkVersion;
    hello.purpose = options.purpose;
    hello.real_pid = getpid();
    hello.link_fd = link_;
    hello.scratch = abi::kHostHeap;
    hello.scratch_bytes = kScratchBytes;
    const abi::LinkHeader header{abi::kLinkMagic, abi::LinkType::kHello, 0, 0, sizeof hello};
    send_all(&header, sizeof header);
    send_all(&hello, sizeof hello);
  }

  void serve() {
    for (;;) {
      abi::LinkHeader header{};
      std::vector<int> fds;
      receive_all(&header, sizeof header, &fds);
      std::vector<std::byte> payload(header.bytes);
      receive_all(payload.data(), payload.size(), &fds);
      if (handle(header, payload, fds)) return;
    }
  }

 private:
  [[noreturn]] static void fail(const char* what) {
    std::perror(what);
    ::_exit(125);
  }

  void send_all(const void* data, std::size_t bytes) {
    const auto* at = static_cast<const char*>(data);
    while (bytes > 0) {
      const ssize_t n = ::send(link_, at, bytes, MSG_NOSIGNAL);
      if (n <= 0) fail("fake runtime: send");
      at += n;
      bytes -= static_cast<std::size_t>(n);
    }
  }

  void receive_all(void* data, std::size_t bytes, std::vector<int>* fds) {
    auto* at = static_cast<char*>(data);
    while (bytes > 0) {
      alignas(cmsghdr) char control[CMSG_SPACE(sizeof(int) * 256)];
      iovec part{at, bytes};
      msghdr message{};
      message.msg_iov = &part;
      message.msg_iovlen = 1;
      message.msg_control = control;
      message.msg_controllen = sizeof control;
      const ssize_t n = ::recvmsg(link_, &message, MSG_CMSG_CLOEXEC);
      if (n == 0) ::_exit(0);  // the agent went away
      if (n < 0) fail("fake runtime: recvmsg");
      for (cmsghdr* c = CMSG_FIRSTHDR(&message); c != nullptr; c = CMSG_NXTHDR(&message, c))
        for (std::size_t o = 0; CMSG_LEN(o) + sizeof(int) <= c->cmsg_len; o += sizeof(int)) {
          int fd;
          std::memcpy(&fd, CMSG_DATA(c) + o, sizeof fd);
          fds->push_back(fd);
        }
      at += n;
      bytes -= static_cast<std::size_t>(n);
    }
  }

  void reply(abi::LinkType type, int status, const void* data = nullptr, std::size_t bytes = 0) {
    const abi::LinkHeader header{abi::kLinkMagic, type, status, 0, bytes};
    send_all(&header, sizeof header);
    send_all(data, bytes);
  }

  template <class T>
  static std::span<T> as(std::vector<std::byte>& payload) {
    return {reinterpret_cast<T*>(payload.data()), payload.size() / sizeof(T)};
  }

  // True: the process runs on.
  bool handle(const abi::LinkHeader& header, std::vector<std::byte>& payload,
              std::vector<int>& fds) {
    using abi::LinkType;
    switch (header.type) {
      case LinkType::kSyscalls:
        for (auto& call : as<abi::LinkSyscall>(payload)) call.result = run(call);
        reply(header.type, 0, payload.data(), payload.size());
        return false;
      case LinkType::kRead:
      case LinkType::kWrite: return memory(header.type, payload);
      case LinkType::kSendFds: return send_fds(as<int>(payload));
      case LinkType::kReceiveFds: return place_fds(as<abi::LinkPlaceFd>(payload), fds);
      case LinkType::kListFds: return list_fds();
      case LinkType::kThreads: return list_threads();
      case LinkType::kMakeThreads:
        threads_.assign(as<abi::ThreadState>(payload).begin(), as<abi::ThreadState>(payload).end());
        while (workers_.size() + 1 < threads_.size()) workers_.push_back(new Worker);
        reply(header.type, 0);
        return false;
      case LinkType::kGetRuntime: reply(header.type, 0, &state_, sizeof state_); return false;
      case LinkType::kSetRuntime:
        std::memcpy(&state_, payload.data(), sizeof state_);
        reply(header.type, 0);
        return false;
      case LinkType::kReadXsave: {
        std::vector<std::byte> area(832, std::byte(0x5a));
        reply(header.type, 0, area.data(), area.size());
        return false;
      }
      case LinkType::kPutXsave:
      case LinkType::kPrepare: reply(header.type, 0); return false;
      case LinkType::kMap: return map(as<abi::LinkMap>(payload));
      case LinkType::kThaw:
      case LinkType::kGo: reply(header.type, 0); return true;
      default: reply(header.type, -ENOSYS); return false;
    }
  }

  long run(const abi::LinkSyscall& call) {
    if (call.tid == 0) return raw_call(call);
    if (options_.purpose == abi::LinkPurpose::kRestore) {
      const auto index = static_cast<std::size_t>(call.tid - 1);
      return index < workers_.size() ? workers_[index]->run(call) : -ESRCH;
    }
    if (call.tid == gettid()) return raw_call(call);
    for (auto* worker : workers_)
      if (worker->tid() == call.tid) return worker->run(call);
    return -ESRCH;
  }

  // Through a pipe-free route that reports a bad address instead of dying of it.
  bool memory(abi::LinkType type, std::vector<std::byte>& payload) {
    const auto range = as<abi::LinkRange>(payload)[0];
    iovec remote{reinterpret_cast<void*>(range.address), range.bytes};
    if (type == abi::LinkType::kWrite) {
      iovec local{payload.data() + sizeof range, range.bytes};
      const ssize_t n = ::process_vm_writev(getpid(), &local, 1, &remote, 1, 0);
      reply(type, n == static_cast<ssize_t>(range.bytes) ? 0 : -EFAULT);
      return false;
    }
    std::vector<std::byte> bytes(range.bytes);
    iovec local{bytes.data(), bytes.size()};
    const ssize_t n = ::process_vm_readv(getpid(), &local, 1, &remote, 1, 0);
    if (n == static_cast<ssize_t>(range.bytes))
      reply(type, 0, bytes.data(), bytes.size());
    else
      reply(type, -EFAULT);
    return false;
  }

  bool send_fds(std::span<int> numbers) {
    for (int fd : numbers)
      if (fd == link_ || ::fcntl(fd, F_GETFD) < 0) {
        reply(abi::LinkType::kSendFds, -EBADF);
        return false;
      }
    abi::LinkHeader header{abi::kLinkMagic, abi::LinkType::kSendFds, 0, 0, 0};
    alignas(cmsghdr) char control[CMSG_SPACE(sizeof(int) * abi::kFdsPerMessage)]{};
    iovec part{&header, sizeof header};
    msghdr message{};
    message.msg_iov = &part;
    message.msg_iovlen = 1;
    if (!numbers.empty()) {
      message.msg_control = control;
      message.msg_controllen = CMSG_SPACE(numbers.size_bytes());
      cmsghdr* c = CMSG_FIRSTHDR(&message);
      c->cmsg_level = SOL_SOCKET;
      c->cmsg_type = SCM_RIGHTS;
      c->cmsg_len = CMSG_LEN(numbers.size_bytes());
      std::memcpy(CMSG_DATA(c), numbers.data(), numbers.size_bytes());
    }
    if (::sendmsg(link_, &message, MSG_NOSIGNAL) != sizeof header) fail("fake runtime: sendmsg");
    return false;
  }

  bool place_fds(std::span<abi::LinkPlaceFd> places, std::vector<int>& fds) {
    int status = fds.size() == places.size() ? 0 : -EBADMSG;
    // What came has taken low numbers that may be wanted: first everything out of the way.
    for (int& fd : fds) {
      const int high = ::fcntl(fd, F_DUPFD_CLOEXEC, 4096);
      if (high < 0) fail("fake runtime: too many descriptors");
      ::close(fd);
      fd = high;
    }
    for (std::size_t i = 0; i < places.size() && status == 0; ++i) {
      if (places[i].fd == link_) link_ = ::fcntl(link_, F_DUPFD_CLOEXEC, 3000);
      if (::dup3(fds[i], places[i].fd, places[i].flags & FD_CLOEXEC ? O_CLOEXEC : 0) < 0)
        status = -errno;
    }
    for (int fd : fds) ::close(fd);
    reply(abi::LinkType::kReceiveFds, status);
    return false;
  }

  bool list_fds() {
    std::vector<abi::LinkFd> all;
    DIR* dir = ::opendir("/proc/self/fd");
    while (const dirent* entry = ::readdir(dir)) {
      const int fd = std::atoi(entry->d_name);
      if (entry->d_name[0] == '.' || fd == ::dirfd(dir) || fd == link_) continue;
      all.push_back({fd, static_cast<std::uint32_t>(::fcntl(fd, F_GETFD))});
    }
    ::closedir(dir);
    reply(abi::LinkType::kListFds, 0, all.data(), all.size() * sizeof all[0]);
    return false;
  }

  bool list_threads() {
    std::vector<abi::ThreadState> all;
    auto add = [&](pid_t tid) {
      abi::ThreadState state{};
      state.real_tid = state.virtual_tid = tid;
      state.regs[abi::kRip] = 0x1000 + all.size();
      state.xsave_bytes = 832;
      all.push_back(state);
    };
    add(gettid());
    for (auto* worker : workers_) add(worker->tid());
    reply(abi::LinkType::kThreads, 0, all.data(), all.size() * sizeof all[0]);
    return false;
  }

  bool map(std::span<abi::LinkMap> maps) {
    std::vector<std::int64_t> results;
    for (const auto& m : maps) {
      void* at = ::mmap(reinterpret_cast<void*>(m.address), m.bytes, static_cast<int>(m.prot),
                        static_cast<int>(m.flags | MAP_FIXED_NOREPLACE), m.fd,
                        static_cast<off_t>(m.offset));
      results.push_back(at == MAP_FAILED ? -errno : static_cast<std::int64_t>(
                                                        reinterpret_cast<std::uint64_t>(at)));
    }
    reply(abi::LinkType::kMap, 0, results.data(), results.size() * sizeof results[0]);
    return false;
  }

  int link_;
  FakeOptions options_;
  std::vector<Worker*> workers_;
  std::vector<abi::ThreadState> threads_;
  abi::RuntimeState state_{};
};

}  // namespace

FakeProcess::FakeProcess(std::function<void()> setup, std::function<int()> afterwards,
                         FakeOptions options) {
  int ends[2];
  if (::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) != 0)
    throw std::runtime_error("socketpair");
  pid_ = ::fork();
  if (pid_ < 0) throw std::runtime_error("fork");
  if (pid_ == 0) {
    ::prctl(PR_SET_PDEATHSIG, SIGKILL);
    // Nothing of the test program but the standard streams: what follows is what the test makes.
    const int link = ::fcntl(ends[1], F_DUPFD_CLOEXEC, 200);
    ::close_range(3, static_cast<unsigned>(link) - 1, 0);
    ::close_range(static_cast<unsigned>(link) + 1, ~0U, 0);
    if (setup) setup();
    Server(link, options).serve();
    const int code = afterwards ? afterwards() : 0;
    std::fflush(nullptr);
    ::_exit(code);
  }
  ::close(ends[1]);
  auto remote = resources::RemoteProcess::open(
      Fd(ends[0]), {.timeout = std::chrono::seconds(20), .direct_memory = options.direct_memory});
  if (!remote) throw std::runtime_error(remote.error().message());
  remote_ = std::make_unique<resources::RemoteProcess>(std::move(*remote));
}

int FakeProcess::wait() {
  if (waited_) return status_;
  const int pidfd = static_cast<int>(::syscall(SYS_pidfd_open, pid_, 0));
  pollfd entry{pidfd, POLLIN, 0};
  if (::poll(&entry, 1, 60000) != 1) ::kill(pid_, SIGKILL);
  ::close(pidfd);
  int status = 0;
  ::waitpid(pid_, &status, 0);
  waited_ = true;
  status_ = WIFEXITED(status) ? WEXITSTATUS(status) : 256 + WTERMSIG(status);
  return status_;
}

FakeProcess::~FakeProcess() {
  remote_.reset();
  if (pid_ > 0 && !waited_) {
    ::kill(pid_, SIGKILL);
    ::waitpid(pid_, nullptr, 0);
  }
}

}  // namespace cairn::testing
