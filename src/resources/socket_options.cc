#include "resources/socket_options.h"

#include <fmt/format.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/syscall.h>
#include <sys/un.h>

#include <array>
#include <cstring>

namespace cairn::resources {
namespace {

constexpr int kBufLock = 72;   // SO_BUF_LOCK, Linux 5.14: whether a buffer's size was chosen
constexpr int kSendLocked = 1;
constexpr int kReceiveLocked = 2;
constexpr std::size_t kLargestMessage = 1U << 20;

struct Option {
  int domain;  // 0: all
  int type;    // 0: all
  int level;
  int name;
};
constexpr std::array kOptions{
    Option{0, 0, SOL_SOCKET, SO_RCVTIMEO},   Option{0, 0, SOL_SOCKET, SO_SNDTIMEO},
    Option{0, 0, SOL_SOCKET, SO_RCVLOWAT},   Option{0, 0, SOL_SOCKET, SO_LINGER},
    Option{0, 0, SOL_SOCKET, SO_REUSEADDR},  Option{0, 0, SOL_SOCKET, SO_REUSEPORT},
    Option{0, 0, SOL_SOCKET, SO_KEEPALIVE},  Option{0, 0, SOL_SOCKET, SO_BROADCAST},
    Option{0, 0, SOL_SOCKET, SO_OOBINLINE},  Option{0, 0, SOL_SOCKET, SO_PRIORITY},
    Option{0, 0, SOL_SOCKET, SO_DONTROUTE},  Option{0, 0, SOL_SOCKET, SO_TIMESTAMP},
    Option{0, 0, SOL_SOCKET, SO_TIMESTAMPNS},
    Option{AF_UNIX, 0, SOL_SOCKET, SO_PASSCRED}, Option{AF_UNIX, 0, SOL_SOCKET, SO_PASSSEC},
    Option{AF_INET, SOCK_STREAM, IPPROTO_TCP, TCP_NODELAY},
    Option{AF_INET, SOCK_STREAM, IPPROTO_TCP, TCP_CORK},
    Option{AF_INET, SOCK_STREAM, IPPROTO_TCP, TCP_KEEPIDLE},
    Option{AF_INET, SOCK_STREAM, IPPROTO_TCP, TCP_KEEPINTVL},
    Option{AF_INET, SOCK_STREAM, IPPROTO_TCP, TCP_KEEPCNT},
    Option{AF_INET, SOCK_STREAM, IPPROTO_TCP, TCP_USER_TIMEOUT},
    Option{AF_INET, SOCK_STREAM, IPPROTO_TCP, TCP_DEFER_ACCEPT},
    Option{AF_INET, 0, IPPROTO_IP, IP_TOS},      Option{AF_INET, 0, IPPROTO_IP, IP_TTL},
    Option{AF_INET, 0, IPPROTO_IP, IP_PKTINFO},  Option{AF_INET, 0, IPPROTO_IP, IP_RECVERR},
    Option{AF_INET, 0, IPPROTO_IP, IP_FREEBIND},
    Option{AF_INET, SOCK_DGRAM, IPPROTO_IP, IP_MULTICAST_TTL},
    Option{AF_INET, SOCK_DGRAM, IPPROTO_IP, IP_MULTICAST_LOOP},
    Option{AF_INET6, 0, IPPROTO_IPV6, IPV6_V6ONLY},
    Option{AF_INET6, 0, IPPROTO_IPV6, IPV6_UNICAST_HOPS},
    Option{AF_INET6, 0, IPPROTO_IPV6, IPV6_RECVPKTINFO},
};

bool applies(const Option& option, int domain, int type) {
  // TCP's own options are those of both families.
  const bool family = option.domain == 0 || option.domain == domain ||
                      (option.level == IPPROTO_TCP && domain == AF_INET6);
  return family && (option.type == 0 || option.type == type);
}

void add(SocketOptions& options, int level, int name, const void* value, socklen_t bytes) {
  auto& record = *options.Add();
  record.set_level(level);
  record.set_name(name);
  record.set_value(std::string(static_cast<const char*>(value), bytes));
}

std::string raw_address(const sockaddr_storage& address, socklen_t bytes) {
  // Only a family: an unnamed unix socket.
  if (bytes <= sizeof(sa_family_t)) return {};
  return {reinterpret_cast<const char*>(&address), bytes};
}

}  // namespace

Result<int> socket_option(int fd, int level, int name) {
  int value = 0;
  socklen_t bytes = sizeof value;
  if (::getsockopt(fd, level, name, &value, &bytes) != 0)
    return os_failure("read a socket option", fmt::format("({}, {})", level, name));
  return value;
}

Result<> capture_options(int fd, int domain, int type, SocketOptions& options) {
  for (const auto& option : kOptions) {
    if (!applies(option, domain, type)) continue;
    std::array<char, 64> value{};
    socklen_t bytes = value.size();
    if (::getsockopt(fd, option.level, option.name, value.data(), &bytes) != 0) {
      if (errno == ENOPROTOOPT || errno == EOPNOTSUPP) continue;
      return os_failure("read a socket option", fmt::format("({}, {})", option.level, option.name));
    }
    add(options, option.level, option.name, value.data(), bytes);
  }
  // Setting a size forbids the kernel to choose it, so only those are saved that were set.
  int lock = kSendLocked | kReceiveLocked;
  if (const auto known = socket_option(fd, SOL_SOCKET, kBufLock)) lock = *known;
  for (const auto& [bit, name] : {std::pair(kSendLocked, SO_SNDBUF), {kReceiveLocked, SO_RCVBUF}}) {
    if (!(lock & bit)) continue;
    CAIRN_ASSIGN(const int doubled, socket_option(fd, SOL_SOCKET, name));
    const int size = doubled / 2;  // the kernel doubles what it is told
    add(options, SOL_SOCKET, name, &size, sizeof size);
  }
  return {};
}

namespace {

// V6ONLY is set before bind, and refused after it. That of the two timestamps which is off would
// turn the other one off as well.
bool is_left_out(const image::SocketOption& option) {
  const bool timestamp = option.name() == SO_TIMESTAMP || option.name() == SO_TIMESTAMPNS;
  const bool off = option.value().find_first_not_of('\0') == std::string::npos;
  return (option.level() == IPPROTO_IPV6 && option.name() == IPV6_V6ONLY) ||
         (option.level() == SOL_SOCKET && timestamp && off);
}

}  // namespace

Result<> restore_options(int fd, const SocketOptions& options) {
  for (const auto& option : options)
    if (!is_left_out(option) &&
        ::setsockopt(fd, option.level(), option.name(), option.value().data(),
                     static_cast<socklen_t>(option.value().size())) != 0) {
      // SO_PRIORITY above 6 and the like need a privilege that the setter had.
      return os_failure("set a socket option", fmt::format("({}, {})", option.level(), option.name()));
    }
  return {};
}

Result<std::string> local_address(int fd) {
  sockaddr_storage address{};
  socklen_t bytes = sizeof address;
  if (::getsockname(fd, reinterpret_cast<sockaddr*>(&address), &bytes) != 0)
    return os_failure("read a socket's address");
  return raw_address(address, bytes);
}

std::string peer_address(int fd) {
  sockaddr_storage address{};
  socklen_t bytes = sizeof address;
  if (::getpeername(fd, reinterpret_cast<sockaddr*>(&address), &bytes) != 0) return {};
  return raw_address(address, bytes);
}

RoomyBuffers::RoomyBuffers(int fd) : fd_(fd) {
  if (const auto lock = socket_option(fd, SOL_SOCKET, kBufLock)) lock_ = *lock;
  int index = 0;
  for (const int name : {SO_SNDBUF, SO_RCVBUF}) {
    if (const auto size = socket_option(fd, SOL_SOCKET, name)) size_[index++] = *size / 2;
    // As far as it goes: net.core.wmem_max bounds it for those without CAP_NET_ADMIN.
    const int large = 64 << 20;
    if (::setsockopt(fd, SOL_SOCKET, name == SO_SNDBUF ? SO_SNDBUFFORCE : SO_RCVBUFFORCE, &large,
                     sizeof large) != 0)
      (void)::setsockopt(fd, SOL_SOCKET, name, &large, sizeof large);
  }
}

RoomyBuffers::~RoomyBuffers() {
  int index = 0;
  for (const int name : {SO_SNDBUF, SO_RCVBUF}) {
    const int size = size_[index++];
    if (size > 0) (void)::setsockopt(fd_, SOL_SOCKET, name, &size, sizeof size);
  }
  (void)::setsockopt(fd_, SOL_SOCKET, kBufLock, &lock_, sizeof lock_);
}

Result<> copy_queue(CaptureContext& context, int fd, bool stream,
                    google::protobuf::RepeatedPtrField<image::QueuedMessage>& queue) {
  int old_offset = -1;
  socklen_t bytes = sizeof old_offset;
  const bool has_offset = ::getsockopt(fd, SOL_SOCKET, SO_PEEK_OFF, &old_offset, &bytes) == 0;
  const int start = 0;
  if (!has_offset || ::setsockopt(fd, SOL_SOCKET, SO_PEEK_OFF, &start, sizeof start) != 0)
    return os_failure("look into a socket's queue (SO_PEEK_OFF)");
  std::string buffer(kLargestMessage, '\0');
  Result<> outcome;
  for (;;) {
    alignas(cmsghdr) std::array<char, CMSG_SPACE(sizeof(int) * 256)> control{};
    sockaddr_storage from{};
    iovec part{buffer.data(), buffer.size()};
    msghdr message{};
    message.msg_iov = &part;
    message.msg_iovlen = 1;
    message.msg_control = control.data();
    message.msg_controllen = control.size();
    message.msg_name = &from;
    message.msg_namelen = sizeof from;
    const ssize_t got = ::recvmsg(fd, &message, MSG_PEEK | MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
    if (got < 0) {
      if (errno != EAGAIN && errno != ENOTCONN && errno != EINVAL)
        outcome = os_failure("look into a socket's queue");
      break;
    }
    if (message.msg_flags & (MSG_TRUNC | MSG_CTRUNC)) {
      outcome = refusal("a message in a socket's queue is too large to be saved");
      break;
    }
    if (got == 0 && stream) break;  // the other side has shut it down
    auto& record = *queue.Add();
    record.set_data(buffer.substr(0, static_cast<std::size_t>(got)));
    if (!stream && message.msg_namelen > 0)
      record.mutable_from()->set_raw(raw_address(from, message.msg_namelen));
    for (cmsghdr* c = CMSG_FIRSTHDR(&message); c != nullptr; c = CMSG_NXTHDR(&message, c)) {
      if (c->cmsg_level != SOL_SOCKET || c->cmsg_type != SCM_RIGHTS) continue;
      for (std::size_t at = 0; CMSG_LEN(at) + sizeof(int) <= c->cmsg_len; at += sizeof(int)) {
        int number = -1;
        std::memcpy(&number, CMSG_DATA(c) + at, sizeof number);
        auto adopted = context.job.adopt(Fd(number), context.index);
        if (!adopted)
          outcome = Failure(std::move(adopted).error());
        else
          record.add_object_ids((*adopted)->object_id);
      }
    }
    if (!outcome) break;
  }
  if (::setsockopt(fd, SOL_SOCKET, SO_PEEK_OFF, &old_offset, sizeof old_offset) != 0 && outcome)
    outcome = os_failure("set a socket's peek offset back");
  return outcome;
}

Result<> send_message(RebuildContext& context, int from, const image::QueuedMessage& message,
                      const std::string& to) {
  alignas(cmsghdr) std::array<char, CMSG_SPACE(sizeof(int) * 256)> control{};
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
    if (put < 0) return os_failure("put data into a socket again",
                                   fmt::format("({} of {} bytes)", sent, message.data().size()));
    sent += static_cast<std::size_t>(put);
    part = {const_cast<char*>(message.data().data()) + sent, message.data().size() - sent};
    header.msg_control = nullptr;
    header.msg_controllen = 0;
  } while (sent < message.data().size());
  return {};
}

Result<Fd> fetch_and_close(RebuildContext& context, int number) {
  CAIRN_ASSIGN(auto copies, context.process.take_fds(std::span(&number, 1)));
  CAIRN_TRY(context.process.syscall(SYS_close, number));
  return std::move(copies.front());
}

}  // namespace cairn::resources
