#include "resources/remote_process.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/uio.h>

#include <algorithm>
#include <array>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <iterator>

#include "base/files.h"
#include "resources/syscall_names.h"

namespace cairn::resources {
namespace {

constexpr std::uint64_t kLargestReply = 256ULL << 20;
constexpr std::size_t kPiece = 4ULL << 20;          // memory over the link goes in pieces of this
constexpr std::size_t kCallsPerMessage = 4096;
constexpr std::uint64_t kScratchAlignment = 64;     // an xsave area wants it

template <class T>
std::span<const std::byte> bytes_of(std::span<const T> items) {
  return std::as_bytes(items);
}

template <class T>
Result<std::vector<T>> items_of(std::span<const std::byte> payload, const char* what) {
  if (payload.size() % sizeof(T) != 0) return failure(EPROTO, "read the runtime's answer", what);
  std::vector<T> items(payload.size() / sizeof(T));
  if (!items.empty()) std::memcpy(items.data(), payload.data(), payload.size());
  return items;
}

bool has_ended(const std::string& directory) {
  const auto status = read_text_file(directory + "/status");
  const char state = status ? state_in_status(*status) : '\0';
  return state == '\0' || state == 'Z' || state == 'X';
}

RealPid live_task(RealPid pid) {
  const auto directory = fmt::format("/proc/{}", pid.value);
  if (!has_ended(directory)) return pid;
  std::error_code error;
  for (const auto& entry : std::filesystem::directory_iterator(directory + "/task", error))
    if (!has_ended(entry.path())) return RealPid{std::atoi(entry.path().filename().c_str())};
  return pid;  // whatever is asked for will fail, and say so
}

}  // namespace

Scratch::~Scratch() {
  if (pool_) pool_->erase(address_);
}

Result<RemoteProcess> RemoteProcess::open(Fd stream, Options options) {
  RemoteProcess process(std::move(stream), options);
  const auto until = Clock::now() + options.timeout;
  abi::LinkHeader header{};
  CAIRN_TRY(process.receive(std::as_writable_bytes(std::span(&header, 1)), nullptr, until));
  if (header.magic != abi::kLinkMagic || header.type != abi::LinkType::kHello ||
      header.bytes != sizeof(abi::LinkHello))
    return failure(EPROTO, "read a process' first message");
  CAIRN_TRY(process.receive(std::as_writable_bytes(std::span(&process.hello_, 1)), nullptr, until));
  if (process.hello_.version != abi::kLinkVersion)
    return refusal(fmt::format("the runtime speaks version {} of the link, this agent version {}",
                               process.hello_.version, abi::kLinkVersion));
  process.task_ = live_task(process.pid());
  if (options.direct_memory)
    process.mem_.reset(::open(process.proc_path("mem").c_str(), O_RDWR | O_CLOEXEC));
  return process;
}

std::string RemoteProcess::proc_path(std::string_view entry) const {
  const bool of_process = task_ == pid() || entry.starts_with("task/") || entry == "timers" ||
                          entry == "coredump_filter";
  if (of_process) return fmt::format("/proc/{}/{}", hello_.real_pid, entry);
  return fmt::format("/proc/{}/task/{}/{}", hello_.real_pid, task_.value, entry);
}

// --- messages -------------------------------------------------------------------------------------

Result<> RemoteProcess::wait_for(short events, Clock::time_point until) {
  for (;;) {
    const auto left = std::chrono::ceil<std::chrono::milliseconds>(until - Clock::now());
    pollfd entry{stream_.get(), events, 0};
    const int ready = ::poll(&entry, 1, static_cast<int>(std::max<std::int64_t>(left.count(), 0)));
    if (ready > 0) return {};
    if (ready == 0)
      return failure(ETIMEDOUT, "wait for the frozen process", fmt::format("pid {}", hello_.real_pid));
    if (errno != EINTR) return os_failure("poll the link");
  }
}

Result<> RemoteProcess::send(const abi::LinkHeader& header, std::span<const std::byte> head,
                             std::span<const std::byte> body, std::span<const int> fds,
                             Clock::time_point until) {
  std::array<iovec, 3> parts{
      iovec{const_cast<abi::LinkHeader*>(&header), sizeof header},
      iovec{const_cast<std::byte*>(head.data()), head.size()},
      iovec{const_cast<std::byte*>(body.data()), body.size()},
  };
  alignas(cmsghdr) std::array<char, CMSG_SPACE(sizeof(int) * abi::kFdsPerMessage)> control{};
  msghdr message{};
  message.msg_iov = parts.data();
  message.msg_iovlen = parts.size();
  if (!fds.empty()) {
    message.msg_control = control.data();
    message.msg_controllen = CMSG_SPACE(fds.size_bytes());
    cmsghdr* rights = CMSG_FIRSTHDR(&message);
    rights->cmsg_level = SOL_SOCKET;
    rights->cmsg_type = SCM_RIGHTS;
    rights->cmsg_len = CMSG_LEN(fds.size_bytes());
    std::memcpy(CMSG_DATA(rights), fds.data(), fds.size_bytes());
  }
  while (message.msg_iovlen > 0) {
    const ssize_t sent = ::sendmsg(stream_.get(), &message, MSG_NOSIGNAL | MSG_DONTWAIT);
    if (sent < 0) {
      if (errno == EINTR) continue;
      if (errno != EAGAIN) return os_failure("send to the frozen process");
      CAIRN_TRY(wait_for(POLLOUT, until));
      continue;
    }
    message.msg_control = nullptr;  // went with the first byte
    message.msg_controllen = 0;
    auto left = static_cast<std::size_t>(sent);
    while (message.msg_iovlen > 0 && left >= message.msg_iov->iov_len) {
      left -= message.msg_iov->iov_len;
      ++message.msg_iov;
      --message.msg_iovlen;
    }
    if (message.msg_iovlen > 0) {
      message.msg_iov->iov_base = static_cast<char*>(message.msg_iov->iov_base) + left;
      message.msg_iov->iov_len -= left;
    }
  }
  return {};
}

Result<> RemoteProcess::receive(std::span<std::byte> into, std::vector<Fd>* fds,
                                Clock::time_point until) {
  while (!into.empty()) {
    alignas(cmsghdr) std::array<char, CMSG_SPACE(sizeof(int) * 256)> control{};
    iovec part{into.data(), into.size()};
    msghdr message{};
    message.msg_iov = &part;
    message.msg_iovlen = 1;
    message.msg_control = control.data();
    message.msg_controllen = control.size();
    const ssize_t got = ::recvmsg(stream_.get(), &message, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
    if (got < 0) {
      if (errno == EINTR) continue;
      if (errno != EAGAIN) return os_failure("hear from the frozen process");
      CAIRN_TRY(wait_for(POLLIN, until));
      continue;
    }
    std::vector<Fd> arrived;
    for (cmsghdr* part_of = CMSG_FIRSTHDR(&message); part_of != nullptr;
         part_of = CMSG_NXTHDR(&message, part_of)) {
      if (part_of->cmsg_level != SOL_SOCKET || part_of->cmsg_type != SCM_RIGHTS) continue;
      for (std::size_t at = 0; CMSG_LEN(at) + sizeof(int) <= part_of->cmsg_len; at += sizeof(int)) {
        int fd = -1;
        std::memcpy(&fd, CMSG_DATA(part_of) + at, sizeof fd);
        arrived.emplace_back(fd);
      }
    }
    if (message.msg_flags & MSG_CTRUNC)
      return failure(EMFILE, "receive the process' descriptors (raise this agent's open file limit)");
    if (!arrived.empty() && fds == nullptr) return failure(EPROTO, "receive an unasked descriptor");
    if (fds != nullptr) std::move(arrived.begin(), arrived.end(), std::back_inserter(*fds));
    if (got == 0)
      return failure(ECONNRESET, "hear from the frozen process", fmt::format("pid {}", hello_.real_pid));
    into = into.subspan(static_cast<std::size_t>(got));
  }
  return {};
}

// The answer's payload goes to `reply_into` where that is given and has exactly its size.
Result<RemoteProcess::Reply> RemoteProcess::request(abi::LinkType type,
                                                    std::span<const std::byte> head,
                                                    std::span<const std::byte> body,
                                                    std::span<const int> fds,
                                                    std::span<std::byte> reply_into) {
  const std::lock_guard lock(*exchange_);
  const auto until = Clock::now() + options_.timeout;
  const abi::LinkHeader header{abi::kLinkMagic, type, 0, 0, head.size() + body.size()};
  CAIRN_TRY(send(header, head, body, fds, until));
  Reply reply;
  CAIRN_TRY(receive(std::as_writable_bytes(std::span(&reply.header, 1)), &reply.fds, until));
  if (reply.header.magic != abi::kLinkMagic || reply.header.type != type ||
      reply.header.bytes > kLargestReply)
    return failure(EPROTO, "read the runtime's answer", fmt::format("to request {}", int(type)));
  if (!reply_into.empty() && reply.header.bytes == reply_into.size()) {
    CAIRN_TRY(receive(reply_into, &reply.fds, until));
  } else {
    reply.payload.resize(reply.header.bytes);
    CAIRN_TRY(receive(reply.payload, &reply.fds, until));
    if (!reply_into.empty() && reply.header.status == 0)
      return failure(EPROTO, "read the runtime's answer", "its size is wrong");
  }
  return reply;
}

namespace {

template <class Reply>
Result<> check(const Reply& reply, const char* tried, std::string where = {}) {
  if (reply.header.status < 0) return failure(-reply.header.status, tried, std::move(where));
  return {};
}

}  // namespace

// --- system calls ---------------------------------------------------------------------------------

Result<> RemoteProcess::syscalls(std::span<abi::LinkSyscall> calls) {
  while (!calls.empty()) {
    const auto batch = calls.first(std::min(calls.size(), kCallsPerMessage));
    CAIRN_ASSIGN(auto reply, request(abi::LinkType::kSyscalls, std::as_bytes(batch), {}, {},
                                     std::as_writable_bytes(batch)));
    CAIRN_TRY(check(reply, "run system calls in the frozen process"));
    calls = calls.subspan(batch.size());
  }
  return {};
}

Result<std::uint64_t> RemoteProcess::run_one(abi::LinkSyscall call) {
  CAIRN_TRY(syscalls(std::span(&call, 1)));
  if (call.result < 0 && call.result >= -4095)
    return failure(static_cast<int>(-call.result), syscall_name(call.number),
                   fmt::format("in process {}", hello_.real_pid));
  return static_cast<std::uint64_t>(call.result);
}

Result<> RemoteProcess::syscalls_all_ok(std::span<abi::LinkSyscall> calls, std::string_view tried) {
  CAIRN_TRY(syscalls(calls));
  for (const auto& call : calls)
    if (call.result < 0 && call.result >= -4095)
      return failure(static_cast<int>(-call.result), std::string(tried),
                     fmt::format("({}, {:#x})", syscall_name(call.number), call.args[0]));
  return {};
}

// --- memory ---------------------------------------------------------------------------------------

std::size_t RemoteProcess::vm_transfer(bool write, std::uint64_t address,
                                       std::span<std::byte> buffer) const {
  std::size_t done = 0;
  while (done < buffer.size()) {
    iovec local{buffer.data() + done, std::min<std::size_t>(buffer.size() - done, 1ULL << 30)};
    iovec remote{reinterpret_cast<void*>(address + done), local.iov_len};
    const ssize_t moved = write ? ::process_vm_writev(task_.value, &local, 1, &remote, 1, 0)
                                : ::process_vm_readv(task_.value, &local, 1, &remote, 1, 0);
    if (moved <= 0) break;
    done += static_cast<std::size_t>(moved);
  }
  return done;
}

std::size_t RemoteProcess::mem_transfer(bool write, std::uint64_t address,
                                        std::span<std::byte> buffer) const {
  std::size_t done = 0;
  while (mem_.valid() && done < buffer.size()) {
    const auto at = static_cast<off_t>(address + done);
    const ssize_t moved =
        write ? ::pwrite(mem_.get(), buffer.data() + done, buffer.size() - done, at)
              : ::pread(mem_.get(), buffer.data() + done, buffer.size() - done, at);
    if (moved <= 0) break;
    done += static_cast<std::size_t>(moved);
  }
  return done;
}

// process_vm_readv stops at a page without read permission, /proc/PID/mem does not; a process that is
// not dumpable refuses both, and then the runtime hands the bytes over.
Result<> RemoteProcess::read(std::uint64_t address, std::span<std::byte> into) {
  std::size_t done = 0;
  if (options_.direct_memory) {
    done = vm_transfer(false, address, into);
    if (done < into.size()) done += mem_transfer(false, address + done, into.subspan(done));
  }
  while (done < into.size()) {
    const auto piece = into.subspan(done, std::min(into.size() - done, kPiece));
    const abi::LinkRange range{address + done, piece.size()};
    CAIRN_ASSIGN(auto reply, request(abi::LinkType::kRead, std::as_bytes(std::span(&range, 1)), {},
                                     {}, piece));
    CAIRN_TRY(check(reply, "read memory at", fmt::format("{:#x}+{:#x}", range.address, range.bytes)));
    done += piece.size();
  }
  return {};
}

Result<> RemoteProcess::write(std::uint64_t address, std::span<const std::byte> from) {
  std::size_t done = 0;
  if (options_.direct_memory) {
    const std::span<std::byte> buffer(const_cast<std::byte*>(from.data()), from.size());
    done = vm_transfer(true, address, buffer);
    if (done < from.size()) done += mem_transfer(true, address + done, buffer.subspan(done));
  }
  while (done < from.size()) {
    const auto piece = from.subspan(done, std::min(from.size() - done, kPiece));
    const abi::LinkRange range{address + done, piece.size()};
    CAIRN_ASSIGN(auto reply,
                 request(abi::LinkType::kWrite, std::as_bytes(std::span(&range, 1)), piece));
    CAIRN_TRY(
        check(reply, "write memory at", fmt::format("{:#x}+{:#x}", range.address, range.bytes)));
    done += piece.size();
  }
  return {};
}

Result<> RemoteProcess::write(std::span<const MemoryPiece> pieces) {
  constexpr std::size_t kMaxVectors = 1024;  // UIO_MAXIOV
  while (!pieces.empty()) {
    const auto batch = pieces.first(std::min(pieces.size(), kMaxVectors));
    std::array<iovec, kMaxVectors> local;
    std::array<iovec, kMaxVectors> remote;
    std::size_t bytes = 0;
    for (std::size_t i = 0; i < batch.size(); ++i) {
      local[i] = {const_cast<std::byte*>(batch[i].bytes.data()), batch[i].bytes.size()};
      remote[i] = {reinterpret_cast<void*>(batch[i].address), batch[i].bytes.size()};
      bytes += batch[i].bytes.size();
    }
    const bool at_once = options_.direct_memory && batch.size() > 1 &&
                         ::process_vm_writev(hello_.real_pid, local.data(), batch.size(),
                                             remote.data(), batch.size(), 0) ==
                             static_cast<ssize_t>(bytes);
    // One by one where any of it is out of reach this way.
    if (!at_once)
      for (const MemoryPiece& piece : batch) CAIRN_TRY(write(piece.address, piece.bytes));
    pieces = pieces.subspan(batch.size());
  }
  return {};
}

Result<Scratch> RemoteProcess::scratch(std::uint64_t bytes) {
  const std::uint64_t wanted = (bytes + kScratchAlignment - 1) / kScratchAlignment * kScratchAlignment;
  std::uint64_t start = hello_.scratch;
  for (const auto& [used_start, used_end] : *pool_) {
    if (used_start - start >= wanted) break;
    start = used_end;
  }
  if (wanted > hello_.scratch_bytes || start + wanted > hello_.scratch + hello_.scratch_bytes)
    return failure(ENOMEM, "get scratch memory in the frozen process",
                   fmt::format("({} bytes)", bytes));
  const std::uint64_t taken = std::max(wanted, kScratchAlignment);
  pool_->emplace(start, start + taken);
  return Scratch(pool_, start, bytes);
}

Result<Scratch> RemoteProcess::scratch_bytes(std::span<const std::byte> content) {
  CAIRN_ASSIGN(auto piece, scratch(content.size()));
  CAIRN_TRY(write(piece.address(), content));
  return piece;
}

Result<Scratch> RemoteProcess::scratch_text(std::string_view text) {
  const std::string terminated(text);
  return scratch_bytes(std::as_bytes(std::span(terminated.c_str(), terminated.size() + 1)));
}

// --- descriptors ----------------------------------------------------------------------------------

Result<std::vector<abi::LinkFd>> RemoteProcess::list_fds() {
  CAIRN_ASSIGN(auto reply, request(abi::LinkType::kListFds, {}));
  CAIRN_TRY(check(reply, "list the process' descriptors"));
  return items_of<abi::LinkFd>(reply.payload, "descriptors");
}

Result<std::vector<Fd>> RemoteProcess::take_fds(std::span<const int> numbers) {
  std::vector<Fd> taken;
  while (!numbers.empty()) {
    const auto batch = numbers.first(std::min<std::size_t>(numbers.size(), abi::kFdsPerMessage));
    CAIRN_ASSIGN(auto reply, request(abi::LinkType::kSendFds, bytes_of(batch)));
    CAIRN_TRY(check(reply, "take the process' descriptors"));
    if (reply.fds.size() != batch.size())
      return failure(EPROTO, "take the process' descriptors",
                     fmt::format("({} of {} came)", reply.fds.size(), batch.size()));
    std::move(reply.fds.begin(), reply.fds.end(), std::back_inserter(taken));
    numbers = numbers.subspan(batch.size());
  }
  return taken;
}

Result<> RemoteProcess::place_fds(std::span<const Placement> placements) {
  while (!placements.empty()) {
    const auto batch =
        placements.first(std::min<std::size_t>(placements.size(), abi::kFdsPerMessage));
    std::vector<abi::LinkPlaceFd> numbers;
    std::vector<int> local;
    for (const auto& placement : batch) {
      numbers.push_back({placement.number, placement.flags});
      local.push_back(placement.local);
    }
    CAIRN_ASSIGN(auto reply, request(abi::LinkType::kReceiveFds,
                                     std::as_bytes(std::span(numbers)), {}, local));
    CAIRN_TRY(check(reply, "put descriptors into the process"));
    placements = placements.subspan(batch.size());
  }
  return {};
}

// --- threads and what the runtime remembers --------------------------------------------------------

Result<std::vector<abi::ThreadState>> RemoteProcess::threads() {
  CAIRN_ASSIGN(auto reply, request(abi::LinkType::kThreads, {}));
  CAIRN_TRY(check(reply, "read the threads' states"));
  return items_of<abi::ThreadState>(reply.payload, "threads");
}

Result<std::vector<std::byte>> RemoteProcess::xsave(std::int32_t tid) {
  CAIRN_ASSIGN(auto reply,
               request(abi::LinkType::kReadXsave, std::as_bytes(std::span(&tid, 1))));
  CAIRN_TRY(check(reply, "read a thread's extended state", fmt::format("tid {}", tid)));
  return std::move(reply.payload);
}

Result<> RemoteProcess::make_threads(std::span<const abi::ThreadState> threads) {
  CAIRN_ASSIGN(auto reply, request(abi::LinkType::kMakeThreads, bytes_of(threads)));
  return check(reply, "make the threads");
}

Result<> RemoteProcess::put_xsave(std::uint32_t thread_index, std::span<const std::byte> area) {
  CAIRN_ASSIGN(auto reply, request(abi::LinkType::kPutXsave,
                                   std::as_bytes(std::span(&thread_index, 1)), area));
  return check(reply, "set a thread's extended state", fmt::format("(thread {})", thread_index));
}

Result<> RemoteProcess::put_filters(std::span<const std::byte> filters) {
  CAIRN_ASSIGN(auto reply, request(abi::LinkType::kPutFilters, filters));
  return check(reply, "hold a thread to its seccomp filters");
}

Result<std::unique_ptr<abi::RuntimeState>> RemoteProcess::runtime_state() {
  auto state = std::make_unique<abi::RuntimeState>();
  CAIRN_ASSIGN(auto reply, request(abi::LinkType::kGetRuntime, {}, {}, {},
                                   std::as_writable_bytes(std::span(state.get(), 1))));
  CAIRN_TRY(check(reply, "read the runtime's state"));
  return state;
}

Result<> RemoteProcess::set_runtime_state(const abi::RuntimeState& state) {
  CAIRN_ASSIGN(auto reply,
               request(abi::LinkType::kSetRuntime, std::as_bytes(std::span(&state, 1))));
  return check(reply, "set the runtime's state");
}

Result<> RemoteProcess::map(std::span<const abi::LinkMap> maps) {
  if (maps.empty()) return {};
  CAIRN_ASSIGN(auto reply, request(abi::LinkType::kMap, bytes_of(maps)));
  CAIRN_TRY(check(reply, "map memory"));
  CAIRN_ASSIGN(const auto results, items_of<std::int64_t>(reply.payload, "mappings"));
  if (results.size() != maps.size()) return failure(EPROTO, "read the runtime's answer", "mappings");
  for (std::size_t i = 0; i < maps.size(); ++i)
    if (results[i] != static_cast<std::int64_t>(maps[i].address))
      return failure(results[i] < 0 ? static_cast<int>(-results[i]) : EEXIST, "map memory at",
                     fmt::format("{:#x}+{:#x}", maps[i].address, maps[i].bytes));
  return {};
}

Result<RealPid> RemoteProcess::fork(std::uint64_t flags) {
  const abi::LinkFork wanted{flags};
  CAIRN_ASSIGN(auto reply, request(abi::LinkType::kFork, std::as_bytes(std::span(&wanted, 1))));
  CAIRN_TRY(check(reply, "make a child of process", std::to_string(hello_.real_pid)));
  CAIRN_ASSIGN(const auto pid, items_of<std::int32_t>(reply.payload, "the child's pid"));
  if (pid.size() != 1) return failure(EPROTO, "read the runtime's answer", "the child's pid");
  return RealPid{pid.front()};
}

Result<> RemoteProcess::thaw() {
  CAIRN_ASSIGN(auto reply, request(abi::LinkType::kThaw, {}));
  return check(reply, "thaw the process");
}

Result<> RemoteProcess::prepare() {
  CAIRN_ASSIGN(auto reply, request(abi::LinkType::kPrepare, {}));
  return check(reply, "make the process ready to go");
}

Result<> RemoteProcess::stop_at_go(int signal) {
  const std::int32_t number = signal;
  CAIRN_ASSIGN(auto reply,
               request(abi::LinkType::kStop, std::as_bytes(std::span(&number, 1))));
  return check(reply, "have the process stop");
}

Result<> RemoteProcess::go() {
  CAIRN_ASSIGN(auto reply, request(abi::LinkType::kGo, {}));
  return check(reply, "set the process going");
}

}  // namespace cairn::resources
