#include "runtime/link/server.h"

#include "abi/segment.h"
#include "runtime/handlers/seccomp.h"
#include "runtime/host/job.h"
#include "runtime/host/journal.h"
#include "runtime/host/support.h"
#include "runtime/host/unix_socket.h"
#include "runtime/intercept/entry.h"
#include "runtime/link/descriptors.h"
#include "runtime/link/thread_state.h"
#include "runtime/restorer/make_threads.h"
#include "runtime/restorer/stop_again.h"
#include "sys/syscall.h"

namespace cairn::runtime {
namespace {

constexpr std::uint64_t kScratchBytes = 4 << 20;
constexpr std::uint64_t kMapFixedNoreplace = 0x100000;

std::int64_t run_one(const abi::LinkSyscall& call) {
  return sys::call(call.number, call.args[0], call.args[1], call.args[2], call.args[3],
                   call.args[4], call.args[5])
      .raw;
}

// A payload in host memory, for the time of one request.
class Payload {
 public:
  explicit Payload(std::uint64_t bytes) : bytes_(bytes) {
    auto at = map_host(bytes + 64);
    address_ = at.ok() ? at.value() : 0;
  }
  ~Payload() {
    if (address_ != 0) unmap_host(address_, bytes_ + 64);
  }
  Payload(const Payload&) = delete;
  Payload& operator=(const Payload&) = delete;
  [[nodiscard]] bool ok() const { return address_ != 0; }
  template <class T>
  [[nodiscard]] T* as() const {
    return reinterpret_cast<T*>(address_);
  }

 private:
  std::uint64_t address_ = 0;
  std::uint64_t bytes_;
};

}  // namespace

bool LinkServer::connect(abi::LinkPurpose purpose, std::int32_t slot, std::uint32_t freeze_word) {
  if (!job_attached()) return false;
  purpose_ = purpose;
  auto fd = unix_socket();
  if (!fd.ok()) return false;
  fd_ = static_cast<int>(fd.value());
  const char* path = abi::job_segment()->agent_socket;
  auto connected = connect_unix(fd.value(), path, SocketName::kPath);
  // Of another user by now: root's agent has the name without a file, too.
  if (connected.raw == -kEACCES) connected = connect_unix(fd.value(), path, SocketName::kAbstract);
  auto scratch = map_host(kScratchBytes);
  if (!connected.ok() || !scratch.ok()) return false;
  scratch_ = scratch.value();
  auto pid = static_cast<std::int32_t>(sys::call(__NR_getpid).raw);
  abi::LinkHello hello{abi::kLinkVersion, purpose,  pid,          slot, fd_,
                       freeze_word,       scratch_, kScratchBytes};
  return reply(abi::LinkType::kHello, 0, &hello, sizeof(hello));
}

void LinkServer::close() {
  if (fd_ >= 0) (void)sys::call(__NR_close, static_cast<std::uint64_t>(fd_));
  if (scratch_ != 0) unmap_host(scratch_, kScratchBytes);
  fd_ = -1;
  scratch_ = 0;
}

bool LinkServer::read_all(void* to, std::uint64_t bytes) {
  auto at = sys::address(to);
  while (bytes > 0) {
    auto got = receive_with_fds(fd_, at, bytes, received_, &received_count_);
    if (got <= 0) return false;
    at += static_cast<std::uint64_t>(got);
    bytes -= static_cast<std::uint64_t>(got);
  }
  return true;
}

bool LinkServer::write_all(const void* from, std::uint64_t bytes) {
  auto at = sys::address(from);
  while (bytes > 0) {
    auto put =
        sys::call(__NR_sendto, static_cast<std::uint64_t>(fd_), at, bytes, 0x4000 /* NOSIGNAL */);
    if (!put.ok()) return false;
    at += put.value();
    bytes -= put.value();
  }
  return true;
}

bool LinkServer::reply(abi::LinkType type, std::int32_t status, const void* payload,
                       std::uint64_t bytes) {
  abi::LinkHeader header{abi::kLinkMagic, type, status, 0, bytes};
  return write_all(&header, sizeof(header)) && (bytes == 0 || write_all(payload, bytes));
}

bool LinkServer::receive_header(abi::LinkHeader* header) {
  return read_all(header, sizeof(*header)) && header->magic == abi::kLinkMagic;
}

bool LinkServer::serve(ThreadBlock* t) {
  abi::LinkHeader header;
  for (;;) {
    received_count_ = 0;
    if (!receive_header(&header)) return false;
    if (header.type == abi::LinkType::kThaw && purpose_ == abi::LinkPurpose::kCapture) {
      adopt_journal(t->process);
      return reply(header.type, 0, nullptr, 0);
    }
    if (header.type == abi::LinkType::kGo && prepared_) return reply(header.type, 0, nullptr, 0);
    if (!handle(t, header)) return false;
  }
}

bool LinkServer::handle(ThreadBlock* t, const abi::LinkHeader& header) {
  bool restoring = purpose_ == abi::LinkPurpose::kRestore;
  switch (header.type) {
    case abi::LinkType::kSyscalls:
      return syscalls(t, header);
    case abi::LinkType::kRead:
      return read_memory(header);
    case abi::LinkType::kWrite:
      return write_memory(header);
    case abi::LinkType::kSendFds:
      return send_fds(header);
    case abi::LinkType::kReceiveFds:
      return receive_fds(header);
    case abi::LinkType::kListFds:
      return list_fds(header);
    case abi::LinkType::kThreads:
      return threads(t, header);
    case abi::LinkType::kGetRuntime:
    case abi::LinkType::kSetRuntime:
      return runtime_state(header);
    case abi::LinkType::kReadXsave:
      return read_xsave(header);
    case abi::LinkType::kMap:
      return map(header);
    case abi::LinkType::kFork:
      return restoring && fork_process(t, header);
    case abi::LinkType::kPrepare: {
      std::int32_t ready = restoring ? prepare_to_go(t) : -kEINVAL;
      prepared_ = ready == 0;
      if (prepared_) adopt_journal(t->process);
      return reply(header.type, ready, nullptr, 0);
    }
    case abi::LinkType::kStop: {
      std::int32_t signal = 0;
      if (!restoring || header.bytes != sizeof(signal) || !read_all(&signal, sizeof(signal)))
        return false;
      return reply(header.type, keep_stop_signal(signal), nullptr, 0);
    }
    case abi::LinkType::kPutFilters: {
      Payload in(header.bytes);
      if (!restoring || header.bytes < sizeof(abi::LinkFilters) || !in.ok() ||
          !read_all(in.as<void>(), header.bytes))
        return false;
      const auto* what = in.as<abi::LinkFilters>();
      ThreadBlock* thread = made_thread(what->index);
      std::int32_t status =
          thread == nullptr ? -kESRCH
                            : put_filters(thread, what->strict != 0, in.as<char>() + sizeof(*what),
                                          header.bytes - sizeof(*what));
      return reply(header.type, status, nullptr, 0);
    }
    case abi::LinkType::kMakeThreads:
    case abi::LinkType::kPutXsave: {
      Payload in(header.bytes);
      if (!restoring || !in.ok() || !read_all(in.as<void>(), header.bytes)) return false;
      std::int32_t status =
          header.type == abi::LinkType::kMakeThreads
              ? make_threads(t, in.as<abi::ThreadState>(), header.bytes / sizeof(abi::ThreadState))
              : put_xsave(*in.as<std::int32_t>(), in.as<char>() + 4, header.bytes - 4);
      return reply(header.type, status, nullptr, 0);
    }
    default:
      return false;
  }
}

bool LinkServer::syscalls(ThreadBlock* t, const abi::LinkHeader& header) {
  Payload in(header.bytes);
  if (!in.ok() || !read_all(in.as<void>(), header.bytes)) return false;
  auto* calls = in.as<abi::LinkSyscall>();
  std::uint64_t count = header.bytes / sizeof(abi::LinkSyscall);
  const auto is_own = [&](std::int32_t tid) {
    return tid == 0 || linked_thread(purpose_, tid) == t;
  };
  for (std::uint64_t i = 0; i < count; ++i) {
    if (is_own(calls[i].tid)) {
      calls[i].result = run_one(calls[i]);
      continue;
    }
    std::uint64_t end = i + 1;
    while (end < count && !is_own(calls[end].tid)) ++end;
    run_on_others(t, purpose_, calls + i, end - i);
    i = end - 1;
  }
  return reply(header.type, 0, calls, header.bytes);
}

bool LinkServer::read_memory(const abi::LinkHeader& header) {
  abi::LinkRange range;
  if (header.bytes != sizeof(range) || !read_all(&range, sizeof(range))) return false;
  Payload out(range.bytes);
  if (!out.ok()) return reply(header.type, -kENOMEM, nullptr, 0);
  if (cairn_copy(out.as<void>(), reinterpret_cast<const void*>(range.address), range.bytes) != 0)
    return reply(header.type, -kEFAULT, nullptr, 0);
  return reply(header.type, 0, out.as<void>(), range.bytes);
}

bool LinkServer::write_memory(const abi::LinkHeader& header) {
  abi::LinkRange range;
  if (header.bytes < sizeof(range) || !read_all(&range, sizeof(range))) return false;
  if (range.bytes != header.bytes - sizeof(range)) return false;
  Payload in(range.bytes);
  if (!in.ok() || !read_all(in.as<void>(), range.bytes)) return false;
  auto failed = cairn_copy(reinterpret_cast<void*>(range.address), in.as<void>(), range.bytes);
  return reply(header.type, static_cast<std::int32_t>(failed), nullptr, 0);
}

bool LinkServer::send_fds(const abi::LinkHeader& header) {
  int fds[abi::kFdsPerMessage];
  if (header.bytes > sizeof(fds) || !read_all(fds, header.bytes)) return false;
  abi::LinkHeader answer{abi::kLinkMagic, header.type, 0, 0, 0};
  auto sent = send_with_fds(fd_, &answer, sizeof(answer), fds,
                            static_cast<int>(header.bytes / sizeof(int)));
  if (sent == static_cast<std::int64_t>(sizeof(answer))) return true;
  return sent < 0 && reply(header.type, static_cast<std::int32_t>(sent), nullptr, 0);
}

bool LinkServer::receive_fds(const abi::LinkHeader& header) {
  abi::LinkPlaceFd places[abi::kFdsPerMessage];
  if (header.bytes > sizeof(places) || !read_all(places, header.bytes)) return false;
  int count = static_cast<int>(header.bytes / sizeof(places[0]));
  std::int32_t status =
      count == received_count_ ? place_fds(&fd_, received_, places, count) : -kEBADF;
  return reply(header.type, status, nullptr, 0);
}

bool LinkServer::list_fds(const abi::LinkHeader& header) {
  constexpr std::uint64_t kRoom = 16 << 20;
  Payload out(kRoom);
  if (!out.ok()) return reply(header.type, -kENOMEM, nullptr, 0);
  std::int64_t count = list_descriptors(fd_, out.as<abi::LinkFd>(), kRoom / sizeof(abi::LinkFd));
  if (count < 0) return reply(header.type, static_cast<std::int32_t>(count), nullptr, 0);
  return reply(header.type, 0, out.as<void>(),
               static_cast<std::uint64_t>(count) * sizeof(abi::LinkFd));
}

bool LinkServer::threads(ThreadBlock* t, const abi::LinkHeader& header) {
  std::uint64_t room = (block_count() + 1ULL) * sizeof(abi::ThreadState);
  Payload out(room);
  if (!out.ok()) return reply(header.type, -kENOMEM, nullptr, 0);
  std::uint64_t count = list_threads(t, out.as<abi::ThreadState>());
  return reply(header.type, 0, out.as<void>(), count * sizeof(abi::ThreadState));
}

bool LinkServer::runtime_state(const abi::LinkHeader& header) {
  Payload both(sizeof(abi::RuntimeState));
  if (!both.ok()) return false;
  auto* state = both.as<abi::RuntimeState>();
  if (header.type == abi::LinkType::kGetRuntime) {
    get_runtime_state(state);
    return reply(header.type, 0, state, sizeof(*state));
  }
  if (header.bytes != sizeof(*state) || !read_all(state, sizeof(*state))) return false;
  return reply(header.type, set_runtime_state(*state), nullptr, 0);
}

bool LinkServer::read_xsave(const abi::LinkHeader& header) {
  std::int32_t tid = 0;
  if (header.bytes != sizeof(tid) || !read_all(&tid, sizeof(tid))) return false;
  ThreadBlock* thread = linked_thread(purpose_, tid);
  if (thread == nullptr) return reply(header.type, -kESRCH, nullptr, 0);
  std::uint64_t at = thread->parked_context->mcontext.fpstate;
  return reply(header.type, 0, reinterpret_cast<const void*>(at), fpstate_bytes(at));
}

bool LinkServer::map(const abi::LinkHeader& header) {
  Payload in(header.bytes);
  if (!in.ok() || !read_all(in.as<void>(), header.bytes)) return false;
  std::uint64_t count = header.bytes / sizeof(abi::LinkMap);
  Payload out(count * 8);
  if (!out.ok()) return reply(header.type, -kENOMEM, nullptr, 0);
  for (std::uint64_t i = 0; i < count; ++i) {
    const abi::LinkMap& m = in.as<abi::LinkMap>()[i];
    out.as<std::int64_t>()[i] =
        sys::call(__NR_mmap, m.address, m.bytes, m.prot, m.flags | kMapFixedNoreplace,
                  static_cast<std::uint64_t>(static_cast<std::int64_t>(m.fd)), m.offset)
            .raw;
  }
  return reply(header.type, 0, out.as<void>(), count * 8);
}

// Nothing of a guest is here yet: the child is as fresh as its parent was.
void LinkServer::begin_as_child(ThreadBlock* t) {
  close();
  t->real_tid = static_cast<std::int32_t>(sys::call(__NR_gettid).raw);
  t->virtual_tid = g_process.real_pid = g_process.virtual_pid = t->real_tid;
  if (!connect(abi::LinkPurpose::kRestore, -1, 0)) die("cannot reach the agent of this restart");
}

bool LinkServer::fork_process(ThreadBlock* t, const abi::LinkHeader& header) {
  abi::LinkFork wanted;
  if (header.bytes != sizeof(wanted) || !read_all(&wanted, sizeof(wanted))) return false;
  if (made_thread(0) != nullptr) return reply(header.type, -kEINVAL, nullptr, 0);
  auto child = sys::call(__NR_clone, wanted.flags, 0, 0, 0, 0);
  if (child.raw == 0) {
    begin_as_child(t);
    return true;
  }
  if (!child.ok()) return reply(header.type, static_cast<std::int32_t>(child.raw), nullptr, 0);
  auto pid = static_cast<std::int32_t>(child.value());
  return reply(header.type, 0, &pid, sizeof(pid));
}

void serve_capture(ThreadBlock* t, abi::ProcessSlot* slot, std::uint32_t freeze_word) {
  (void)slot;
  LinkServer server;
  if (server.connect(abi::LinkPurpose::kCapture, t->process->slot, freeze_word))
    (void)server.serve(t);
  server.close();
  adopt_journal(t->process);  // also where the agent has died: its last commit counts
}

}  // namespace cairn::runtime
