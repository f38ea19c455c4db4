#include "resources/socket_queue.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <linux/sockios.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cstring>
#include <optional>
#include <vector>

#include "resources/open_files.h"
#include "resources/socket_options.h"

namespace cairn::resources {
namespace {

constexpr int kBufLock = 72;  // SO_BUF_LOCK, Linux 5.14
constexpr std::size_t kFirstBuffer = 1U << 20;
constexpr std::size_t kLargestMessage = 1U << 30;
constexpr std::size_t kMostRights = 253;  // SCM_MAX_FD
constexpr std::size_t kControlSpace = 4096;
constexpr std::size_t kStreamPiece = 256U << 10;  // has room in the scratch memory

struct Peeked {
  std::size_t bytes = 0;
  bool nothing = false;  // no message is there
  std::string from;
  std::vector<Fd> rights;
  std::optional<ucred> credentials;
};

Result<> set_peek_offset(int fd, int offset) {
  if (::setsockopt(fd, SOL_SOCKET, SO_PEEK_OFF, &offset, sizeof offset) != 0)
    return os_failure("look into a socket's queue (SO_PEEK_OFF)");
  return {};
}

void read_control(msghdr& message, Peeked& peeked) {
  for (cmsghdr* c = CMSG_FIRSTHDR(&message); c != nullptr; c = CMSG_NXTHDR(&message, c)) {
    if (c->cmsg_level != SOL_SOCKET) continue;
    if (c->cmsg_type == SCM_CREDENTIALS) {
      ucred credentials{};
      std::memcpy(&credentials, CMSG_DATA(c), sizeof credentials);
      peeked.credentials = credentials;
    }
    if (c->cmsg_type != SCM_RIGHTS) continue;
    for (std::size_t at = 0; CMSG_LEN(at) + sizeof(int) <= c->cmsg_len; at += sizeof(int)) {
      int number = -1;
      std::memcpy(&number, CMSG_DATA(c) + at, sizeof number);
      peeked.rights.emplace_back(number);
    }
  }
}

// What is next behind the peek offset, which the kernel moves on by what was seen. A message larger
// than the buffer makes it grow, and is looked at again from `offset`.
Result<Peeked> peek(int fd, std::string& buffer, std::size_t limit, int offset) {
  for (;;) {
    alignas(cmsghdr) std::array<char, CMSG_SPACE(sizeof(int) * kMostRights) + kControlSpace>
        control{};
    sockaddr_storage from{};
    iovec part{buffer.data(), std::min(limit, buffer.size())};
    msghdr message{};
    message.msg_iov = &part;
    message.msg_iovlen = 1;
    message.msg_control = control.data();
    message.msg_controllen = control.size();
    message.msg_name = &from;
    message.msg_namelen = sizeof from;
    const ssize_t got = ::recvmsg(fd, &message, MSG_PEEK | MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
    Peeked peeked;
    if (got < 0) {
      if (errno != EAGAIN && errno != ENOTCONN && errno != EINVAL)
        return os_failure("look into a socket's queue");
      peeked.nothing = true;
      return peeked;
    }
    read_control(message, peeked);
    if (message.msg_flags & MSG_CTRUNC)
      return refusal("what comes with a message in a socket's queue is too much to be saved");
    if (message.msg_flags & MSG_TRUNC) {
      if (buffer.size() >= kLargestMessage)
        return refusal("a message in a socket's queue is too large to be saved");
      buffer.resize(buffer.size() * 2);
      limit = buffer.size();
      CAIRN_TRY(set_peek_offset(fd, offset));
      continue;
    }
    peeked.bytes = static_cast<std::size_t>(got);
    peeked.from = raw_address(from, message.msg_namelen);
    return peeked;
  }
}

Result<> add_message(CaptureContext& context, const std::string& buffer, Peeked peeked,
                     bool with_sender, SocketQueue& queue) {
  auto& record = *queue.Add();
  record.set_data(buffer.substr(0, peeked.bytes));
  if (with_sender && !peeked.from.empty()) record.mutable_from()->set_raw(peeked.from);
  for (auto& fd : peeked.rights) {
    CAIRN_ASSIGN(const auto* file, context.job.adopt(std::move(fd), context.index));
    record.add_object_ids(file->object_id);
  }
  if (!peeked.credentials) return {};
  peeked.credentials->pid = context.job.virtual_id(peeked.credentials->pid);
  if (peeked.credentials->pid == 0)
    return refusal(
        "a message with the credentials of another process, that was not read yet, "
        "cannot be saved");
  record.set_control(
      std::string(reinterpret_cast<const char*>(&*peeked.credentials), sizeof(ucred)));
  return {};
}

// A look that ends with a piece which carries descriptors may begin with pieces before it: it is
// taken apart where they come, since a receiver that reads up to there does not get them. Nothing
// tells where that is, but that the kernel copies piece by piece: a look that faults at its last
// byte has seen all pieces before the last one, and says so.
Result<std::size_t> bytes_before_rights(int fd, int offset, std::size_t bytes) {
  const auto page = static_cast<std::size_t>(::sysconf(_SC_PAGESIZE));
  const std::size_t room = (bytes + page - 1) / page * page;
  void* start = ::mmap(nullptr, room + page, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (start == MAP_FAILED) return os_failure("get memory to look into a socket's queue");
  ssize_t before = -1;
  Result<> looked = set_peek_offset(fd, offset);
  if (::mprotect(start, room, PROT_READ | PROT_WRITE) != 0)
    looked = os_failure("get memory to look into a socket's queue");
  else
    before =
        ::recv(fd, static_cast<char*>(start) + room - (bytes - 1), bytes, MSG_PEEK | MSG_DONTWAIT);
  if (before < 0 && errno != EFAULT) looked = os_failure("look into a socket's queue");
  ::munmap(start, room + page);
  CAIRN_TRY(looked);
  return before < 0 ? 0 : static_cast<std::size_t>(before);
}

Result<> copy_stream(CaptureContext& context, int fd, SocketQueue& queue) {
  std::string buffer(kStreamPiece, '\0');
  for (int offset = 0;;) {
    CAIRN_TRY(set_peek_offset(fd, offset));
    CAIRN_ASSIGN(auto peeked, peek(fd, buffer, buffer.size(), offset));
    if (peeked.nothing || peeked.bytes == 0) return {};  // 0: the other side has shut it down
    if (!peeked.rights.empty()) {
      CAIRN_ASSIGN(const auto before, bytes_before_rights(fd, offset, peeked.bytes));
      CAIRN_TRY(set_peek_offset(fd, offset));
      CAIRN_ASSIGN(peeked, peek(fd, buffer, before == 0 ? peeked.bytes : before, offset));
      if (before != 0) peeked.rights.clear();  // those of the piece behind, where the look ends
    }
    offset += static_cast<int>(peeked.bytes);
    CAIRN_TRY(add_message(context, buffer, std::move(peeked), false, queue));
  }
}

// A packet socket whose other side has shut it down gives empty messages for ever: its end has come
// with the last byte. (Empty messages before the end are no different from it.)
Result<bool> ends_after(int fd, int type, std::size_t seen) {
  pollfd state{fd, POLLRDHUP, 0};
  if (type != SOCK_SEQPACKET || ::poll(&state, 1, 0) != 1) return false;
  int bytes = 0;
  if (::ioctl(fd, SIOCINQ, &bytes) != 0) return os_failure("ask how much a socket holds");
  return seen >= static_cast<std::size_t>(bytes);
}

Result<> copy_messages(CaptureContext& context, int fd, int type, SocketQueue& queue) {
  std::string buffer(kFirstBuffer, '\0');
  CAIRN_TRY(set_peek_offset(fd, 0));
  for (std::size_t seen = 0;;) {
    CAIRN_ASSIGN(const bool ended, ends_after(fd, type, seen));
    if (ended) return {};
    CAIRN_ASSIGN(auto peeked, peek(fd, buffer, buffer.size(), static_cast<int>(seen)));
    if (peeked.nothing) return {};
    seen += peeked.bytes;
    CAIRN_TRY(add_message(context, buffer, std::move(peeked), true, queue));
  }
}

}  // namespace

// A TCP socket whose buffer grows by itself may have up to net.ipv4.tcp_rmem for what it is said to
// wait for (tcp_set_rcvlowat), where net.core.rmem_max would allow less.
bool RoomyBuffers::wait_for_much() {
  constexpr int kReceiveLocked = 2;  // SOCK_RCVBUF_LOCK
  const auto protocol = socket_option(fd_, SOL_SOCKET, SO_PROTOCOL);
  const auto low = socket_option(fd_, SOL_SOCKET, SO_RCVLOWAT);
  if (!protocol || *protocol != IPPROTO_TCP || !low || (lock_ & kReceiveLocked) != 0) return false;
  const int much = 1 << 30;
  if (::setsockopt(fd_, SOL_SOCKET, SO_RCVLOWAT, &much, sizeof much) != 0) return false;
  low_ = *low;
  return true;
}

RoomyBuffers::RoomyBuffers(int fd) : fd_(fd) {
  if (const auto lock = socket_option(fd, SOL_SOCKET, kBufLock)) lock_ = *lock;
  int index = 0;
  for (const int name : {SO_SNDBUF, SO_RCVBUF}) {
    if (const auto size = socket_option(fd, SOL_SOCKET, name)) size_[index++] = *size / 2;
    // As far as it goes: net.core.wmem_max bounds it for those without CAP_NET_ADMIN.
    const int large = 64 << 20;
    if (::setsockopt(fd, SOL_SOCKET, name == SO_SNDBUF ? SO_SNDBUFFORCE : SO_RCVBUFFORCE, &large,
                     sizeof large) == 0)
      continue;
    if (name == SO_RCVBUF && wait_for_much()) continue;
    (void)::setsockopt(fd, SOL_SOCKET, name, &large, sizeof large);
  }
}

RoomyBuffers::~RoomyBuffers() {
  if (low_ > 0) (void)::setsockopt(fd_, SOL_SOCKET, SO_RCVLOWAT, &low_, sizeof low_);
  int index = 0;
  for (const int name : {SO_SNDBUF, SO_RCVBUF}) {
    const int size = size_[index++];
    if (size > 0) (void)::setsockopt(fd_, SOL_SOCKET, name, &size, sizeof size);
  }
  (void)::setsockopt(fd_, SOL_SOCKET, kBufLock, &lock_, sizeof lock_);
}

Result<> copy_queue(CaptureContext& context, int fd, int type, SocketQueue& queue) {
  CAIRN_ASSIGN(const int own_offset, socket_option(fd, SOL_SOCKET, SO_PEEK_OFF));
  auto copied = type == SOCK_STREAM ? copy_stream(context, fd, queue)
                                    : copy_messages(context, fd, type, queue);
  const auto put_back = set_peek_offset(fd, own_offset);
  return copied ? put_back : copied;
}

Result<> send_message(RebuildContext& context, int from, const image::QueuedMessage& message,
                      const std::string& to) {
  alignas(cmsghdr) std::array<char, CMSG_SPACE(sizeof(int) * kMostRights)> control{};
  iovec part{const_cast<char*>(message.data().data()), message.data().size()};
  msghdr header{};
  header.msg_iov = &part;
  header.msg_iovlen = 1;
  if (!to.empty()) {
    header.msg_name = const_cast<char*>(to.data());
    header.msg_namelen = static_cast<socklen_t>(to.size());
  }
  if (message.object_ids_size() > 0) {
    std::vector<int> fds;
    for (const auto id : message.object_ids()) {
      const auto made = context.job.made.find(id);
      if (made == context.job.made.end())
        return refusal("a descriptor in flight is not in the image");
      fds.push_back(made->second.get());
    }
    const std::size_t bytes = fds.size() * sizeof(int);
    header.msg_control = control.data();
    header.msg_controllen = CMSG_SPACE(bytes);
    cmsghdr* rights = CMSG_FIRSTHDR(&header);
    rights->cmsg_level = SOL_SOCKET;
    rights->cmsg_type = SCM_RIGHTS;
    rights->cmsg_len = CMSG_LEN(bytes);
    std::memcpy(CMSG_DATA(rights), fds.data(), bytes);
  }
  std::size_t sent = 0;
  do {
    const ssize_t put = ::sendmsg(from, &header, MSG_NOSIGNAL | MSG_DONTWAIT);
    if (put < 0)
      return os_failure("put data into a socket again",
                        fmt::format("({} of {} bytes)", sent, message.data().size()));
    sent += static_cast<std::size_t>(put);
    part = {const_cast<char*>(message.data().data()) + sent, message.data().size() - sent};
    header.msg_control = nullptr;
    header.msg_controllen = 0;
  } while (sent < message.data().size());
  return {};
}

Result<> send_message_inside(RebuildContext& context, int inside,
                             const image::QueuedMessage& message, const std::string& to) {
  auto& process = context.process;
  std::vector<std::byte> control;
  std::vector<int> lent;
  if (message.object_ids_size() > 0) {
    for (const auto id : message.object_ids()) {
      const auto made = context.job.made.find(id);
      if (made == context.job.made.end())
        return refusal("a descriptor in flight is not in the image");
      CAIRN_ASSIGN(const int number, free_number(context));
      const RemoteProcess::Placement placement{made->second.get(), number, FD_CLOEXEC};
      CAIRN_TRY(process.place_fds(std::span(&placement, 1)));
      lent.push_back(number);
    }
    control.resize(CMSG_SPACE(lent.size() * sizeof(int)));
    cmsghdr rights{CMSG_LEN(lent.size() * sizeof(int)), SOL_SOCKET, SCM_RIGHTS};
    std::memcpy(control.data(), &rights, sizeof rights);
    std::memcpy(control.data() + sizeof rights, lent.data(), lent.size() * sizeof(int));
  }
  CAIRN_ASSIGN(const auto name, process.scratch_bytes(std::as_bytes(std::span(to))));
  CAIRN_ASSIGN(const auto rights, process.scratch_bytes(control));
  const auto bytes = std::as_bytes(std::span(message.data()));
  for (std::size_t sent = 0; sent < bytes.size() || (bytes.empty() && sent == 0);) {
    const auto rest = bytes.subspan(sent);
    CAIRN_ASSIGN(const auto data, process.scratch_bytes(rest));
    CAIRN_ASSIGN(const auto part, process.scratch_object(std::array{data.address(), data.bytes()}));
    msghdr header{};
    CAIRN_ASSIGN(const auto place, process.scratch_object(header));
    header.msg_iov = reinterpret_cast<iovec*>(part.address());
    header.msg_iovlen = 1;
    if (!to.empty()) header.msg_name = reinterpret_cast<void*>(name.address());
    header.msg_namelen = static_cast<socklen_t>(to.size());
    if (sent == 0 && !control.empty())
      header.msg_control = reinterpret_cast<void*>(rights.address());
    header.msg_controllen = header.msg_control != nullptr ? control.size() : 0;
    CAIRN_TRY(process.write_object(place.address(), header));
    CAIRN_ASSIGN(const auto put, process.syscall(SYS_sendmsg, inside, place.address(),
                                                 MSG_NOSIGNAL | MSG_DONTWAIT));
    if (bytes.empty()) break;
    sent += put;
  }
  for (const int number : lent) CAIRN_TRY(process.syscall(SYS_close, number));
  return {};
}

}  // namespace cairn::resources
