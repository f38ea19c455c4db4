#include "resources/socket_options.h"

#include <fmt/format.h>
#include <linux/filter.h>
#include <linux/in6.h>
#include <linux/tcp.h>
#include <netinet/in.h>
#include <netinet/udp.h>
#include <sys/syscall.h>

#include <algorithm>
#include <array>
#include <cstring>
#include <optional>
#include <vector>

namespace cairn::resources {
namespace {

// Options that the headers of older systems lack: include/uapi/asm-generic/socket.h, linux/in.h,
// in6.h, tcp.h and net/udplite.h.
constexpr int kPreferBusyPoll = 69, kReserveMemory = 73, kTxRehash = 74, kReceiveMark = 75,
              kPassPidfd = 76, kReceivePriority = 82, kPassRights = 83;
constexpr int kIpLocalPortRange = 51, kIpRecverrRfc4884 = 26;
constexpr int kIpv6RecverrRfc4884 = 31, kIpv6MulticastAll = 29;
constexpr int kTcpTxDelay = 37, kTcpRtoMax = 44;
constexpr int kSolRaw = 255, kIcmpFilter = 1;
constexpr int kUdpliteSendCoverage = 10, kUdpliteReceiveCoverage = 11;
constexpr int kBufLock = 72;  // SO_BUF_LOCK, Linux 5.14: whether a buffer's size was chosen
constexpr int kSendLocked = 1;
constexpr int kReceiveLocked = 2;

enum class Moment {
  kAnyTime,
  kBeforeBind,  // has no effect, or is refused, once the socket has its address
  kUnconnected  // read from a connected socket it tells what the connection has found, not what was
                // set
};

struct Option {
  int domain;  // 0: all
  int type;    // 0: all
  int level;
  int name;
  Moment moment = Moment::kAnyTime;
};

// What a kernel does not know, or a kind of socket does not have, is passed over when it is read.
constexpr std::array kOptions{
    Option{0, 0, SOL_SOCKET, SO_DEBUG},
    Option{0, 0, SOL_SOCKET, SO_RCVTIMEO},
    Option{0, 0, SOL_SOCKET, SO_SNDTIMEO},
    Option{0, 0, SOL_SOCKET, SO_RCVLOWAT},
    Option{0, 0, SOL_SOCKET, SO_LINGER},
    Option{0, 0, SOL_SOCKET, SO_REUSEADDR, Moment::kBeforeBind},
    Option{0, 0, SOL_SOCKET, SO_REUSEPORT, Moment::kBeforeBind},
    Option{0, 0, SOL_SOCKET, SO_KEEPALIVE},
    Option{0, 0, SOL_SOCKET, SO_BROADCAST},
    Option{0, 0, SOL_SOCKET, SO_OOBINLINE},
    Option{0, 0, SOL_SOCKET, SO_PRIORITY},
    Option{0, 0, SOL_SOCKET, SO_DONTROUTE},
    Option{0, 0, SOL_SOCKET, SO_TIMESTAMP},
    Option{0, 0, SOL_SOCKET, SO_TIMESTAMPNS},
    Option{0, 0, SOL_SOCKET, SO_TIMESTAMPING},
    Option{0, 0, SOL_SOCKET, SO_NO_CHECK},
    Option{0, 0, SOL_SOCKET, SO_MARK},
    Option{0, 0, SOL_SOCKET, SO_RXQ_OVFL},
    Option{0, 0, SOL_SOCKET, SO_WIFI_STATUS},
    Option{0, 0, SOL_SOCKET, SO_NOFCS},
    Option{0, 0, SOL_SOCKET, SO_SELECT_ERR_QUEUE},
    Option{0, 0, SOL_SOCKET, SO_BUSY_POLL},
    Option{0, 0, SOL_SOCKET, SO_MAX_PACING_RATE},
    Option{0, 0, SOL_SOCKET, SO_ZEROCOPY},
    Option{0, 0, SOL_SOCKET, SO_TXTIME},
    Option{0, 0, SOL_SOCKET, SO_PEEK_OFF},
    Option{0, 0, SOL_SOCKET, kPreferBusyPoll},
    Option{0, 0, SOL_SOCKET, kReserveMemory},
    Option{0, 0, SOL_SOCKET, kTxRehash},
    Option{0, 0, SOL_SOCKET, kReceiveMark},
    Option{0, 0, SOL_SOCKET, kReceivePriority},
    Option{0, 0, SOL_SOCKET, SO_BINDTODEVICE, Moment::kBeforeBind},
    Option{AF_UNIX, 0, SOL_SOCKET, SO_PASSCRED},
    Option{AF_UNIX, 0, SOL_SOCKET, SO_PASSSEC},
    Option{AF_UNIX, 0, SOL_SOCKET, kPassPidfd},
    Option{AF_UNIX, 0, SOL_SOCKET, kPassRights},
    Option{AF_INET, 0, IPPROTO_IP, IP_TOS},
    Option{AF_INET, 0, IPPROTO_IP, IP_TTL},
    Option{AF_INET, 0, IPPROTO_IP, IP_HDRINCL},
    Option{AF_INET, 0, IPPROTO_IP, IP_OPTIONS},
    Option{AF_INET, 0, IPPROTO_IP, IP_RECVOPTS},
    Option{AF_INET, 0, IPPROTO_IP, IP_RETOPTS},
    Option{AF_INET, 0, IPPROTO_IP, IP_PKTINFO},
    Option{AF_INET, 0, IPPROTO_IP, IP_MTU_DISCOVER},
    Option{AF_INET, 0, IPPROTO_IP, IP_RECVERR},
    Option{AF_INET, 0, IPPROTO_IP, IP_RECVTTL},
    Option{AF_INET, 0, IPPROTO_IP, IP_RECVTOS},
    Option{AF_INET, 0, IPPROTO_IP, IP_FREEBIND, Moment::kBeforeBind},
    Option{AF_INET, 0, IPPROTO_IP, IP_PASSSEC},
    Option{AF_INET, 0, IPPROTO_IP, IP_TRANSPARENT, Moment::kBeforeBind},
    Option{AF_INET, 0, IPPROTO_IP, IP_RECVORIGDSTADDR},
    Option{AF_INET, 0, IPPROTO_IP, IP_MINTTL},
    Option{AF_INET, 0, IPPROTO_IP, IP_NODEFRAG},
    Option{AF_INET, 0, IPPROTO_IP, IP_CHECKSUM},
    Option{AF_INET, 0, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, Moment::kBeforeBind},
    Option{AF_INET, 0, IPPROTO_IP, IP_RECVFRAGSIZE},
    Option{AF_INET, 0, IPPROTO_IP, kIpRecverrRfc4884},
    Option{AF_INET, 0, IPPROTO_IP, IP_UNICAST_IF},
    Option{AF_INET, 0, IPPROTO_IP, kIpLocalPortRange, Moment::kBeforeBind},
    Option{AF_INET, SOCK_DGRAM, IPPROTO_IP, IP_MULTICAST_IF},
    Option{AF_INET, SOCK_DGRAM, IPPROTO_IP, IP_MULTICAST_TTL},
    Option{AF_INET, SOCK_DGRAM, IPPROTO_IP, IP_MULTICAST_LOOP},
    Option{AF_INET, SOCK_DGRAM, IPPROTO_IP, IP_MULTICAST_ALL},
    Option{AF_INET6, 0, IPPROTO_IPV6, IPV6_V6ONLY, Moment::kBeforeBind},
    Option{AF_INET6, 0, IPPROTO_IPV6, IPV6_UNICAST_HOPS},
    Option{AF_INET6, SOCK_DGRAM, IPPROTO_IPV6, IPV6_MULTICAST_IF},
    Option{AF_INET6, SOCK_DGRAM, IPPROTO_IPV6, IPV6_MULTICAST_HOPS},
    Option{AF_INET6, SOCK_DGRAM, IPPROTO_IPV6, IPV6_MULTICAST_LOOP},
    Option{AF_INET6, 0, IPPROTO_IPV6, kIpv6MulticastAll},
    Option{AF_INET6, 0, IPPROTO_IPV6, IPV6_MTU_DISCOVER},
    Option{AF_INET6, 0, IPPROTO_IPV6, IPV6_RECVERR},
    Option{AF_INET6, 0, IPPROTO_IPV6, IPV6_RECVPKTINFO},
    Option{AF_INET6, 0, IPPROTO_IPV6, IPV6_RECVHOPLIMIT},
    Option{AF_INET6, 0, IPPROTO_IPV6, IPV6_RECVRTHDR},
    Option{AF_INET6, 0, IPPROTO_IPV6, IPV6_RECVHOPOPTS},
    Option{AF_INET6, 0, IPPROTO_IPV6, IPV6_RECVDSTOPTS},
    Option{AF_INET6, 0, IPPROTO_IPV6, IPV6_RECVTCLASS},
    Option{AF_INET6, 0, IPPROTO_IPV6, IPV6_RECVPATHMTU},
    Option{AF_INET6, 0, IPPROTO_IPV6, IPV6_TCLASS},
    Option{AF_INET6, 0, IPPROTO_IPV6, IPV6_DONTFRAG},
    Option{AF_INET6, 0, IPPROTO_IPV6, IPV6_AUTOFLOWLABEL},
    Option{AF_INET6, 0, IPPROTO_IPV6, IPV6_ADDR_PREFERENCES},
    Option{AF_INET6, 0, IPPROTO_IPV6, IPV6_MINHOPCOUNT},
    Option{AF_INET6, 0, IPPROTO_IPV6, IPV6_FLOWINFO},
    Option{AF_INET6, 0, IPPROTO_IPV6, IPV6_FLOWINFO_SEND},
    Option{AF_INET6, 0, IPPROTO_IPV6, IPV6_RECVORIGDSTADDR},
    Option{AF_INET6, 0, IPPROTO_IPV6, IPV6_TRANSPARENT, Moment::kBeforeBind},
    Option{AF_INET6, 0, IPPROTO_IPV6, IPV6_FREEBIND, Moment::kBeforeBind},
    Option{AF_INET6, 0, IPPROTO_IPV6, IPV6_UNICAST_IF},
    Option{AF_INET6, 0, IPPROTO_IPV6, IPV6_RECVFRAGSIZE},
    Option{AF_INET6, 0, IPPROTO_IPV6, kIpv6RecverrRfc4884},
    Option{AF_INET, SOCK_STREAM, IPPROTO_TCP, TCP_NODELAY},
    Option{AF_INET, SOCK_STREAM, IPPROTO_TCP, TCP_CORK},
    Option{AF_INET, SOCK_STREAM, IPPROTO_TCP, TCP_KEEPIDLE},
    Option{AF_INET, SOCK_STREAM, IPPROTO_TCP, TCP_KEEPINTVL},
    Option{AF_INET, SOCK_STREAM, IPPROTO_TCP, TCP_KEEPCNT},
    Option{AF_INET, SOCK_STREAM, IPPROTO_TCP, TCP_SYNCNT},
    Option{AF_INET, SOCK_STREAM, IPPROTO_TCP, TCP_LINGER2},
    Option{AF_INET, SOCK_STREAM, IPPROTO_TCP, TCP_DEFER_ACCEPT},
    Option{AF_INET, SOCK_STREAM, IPPROTO_TCP, TCP_MAXSEG, Moment::kUnconnected},
    Option{AF_INET, SOCK_STREAM, IPPROTO_TCP, TCP_WINDOW_CLAMP, Moment::kUnconnected},
    Option{AF_INET, SOCK_STREAM, IPPROTO_TCP, TCP_CONGESTION},
    Option{AF_INET, SOCK_STREAM, IPPROTO_TCP, TCP_THIN_LINEAR_TIMEOUTS},
    Option{AF_INET, SOCK_STREAM, IPPROTO_TCP, TCP_USER_TIMEOUT},
    Option{AF_INET, SOCK_STREAM, IPPROTO_TCP, TCP_FASTOPEN, Moment::kUnconnected},
    Option{AF_INET, SOCK_STREAM, IPPROTO_TCP, TCP_FASTOPEN_CONNECT, Moment::kUnconnected},
    Option{AF_INET, SOCK_STREAM, IPPROTO_TCP, TCP_FASTOPEN_NO_COOKIE, Moment::kUnconnected},
    Option{AF_INET, SOCK_STREAM, IPPROTO_TCP, TCP_NOTSENT_LOWAT},
    Option{AF_INET, SOCK_STREAM, IPPROTO_TCP, TCP_SAVE_SYN},
    Option{AF_INET, SOCK_STREAM, IPPROTO_TCP, TCP_INQ},
    Option{AF_INET, SOCK_STREAM, IPPROTO_TCP, kTcpTxDelay},
    Option{AF_INET, SOCK_STREAM, IPPROTO_TCP, kTcpRtoMax},
    Option{AF_INET, SOCK_DGRAM, IPPROTO_UDP, UDP_CORK},
    Option{AF_INET, SOCK_DGRAM, IPPROTO_UDP, UDP_ENCAP},
    Option{AF_INET, SOCK_DGRAM, IPPROTO_UDP, UDP_NO_CHECK6_TX},
    Option{AF_INET, SOCK_DGRAM, IPPROTO_UDP, UDP_NO_CHECK6_RX},
    Option{AF_INET, SOCK_DGRAM, IPPROTO_UDP, UDP_SEGMENT},
    Option{AF_INET, SOCK_DGRAM, IPPROTO_UDP, UDP_GRO},
    Option{AF_INET, SOCK_DGRAM, IPPROTO_UDPLITE, kUdpliteSendCoverage},
    Option{AF_INET, SOCK_DGRAM, IPPROTO_UDPLITE, kUdpliteReceiveCoverage},
    Option{AF_INET, SOCK_RAW, kSolRaw, kIcmpFilter},
};

bool applies(const Option& option, int domain, int type) {
  // Those of IPv4 and of what lies above it are also those of IPv6.
  const bool family = option.domain == 0 || option.domain == domain ||
                      (option.domain == AF_INET && domain == AF_INET6);
  return family && (option.type == 0 || option.type == type);
}

const Option* row_of(const image::SocketOption& option) {
  for (const auto& row : kOptions)
    if (row.level == option.level() && row.name == option.name()) return &row;
  return nullptr;
}

void add(SocketOptions& options, int level, int name, const void* value, socklen_t bytes) {
  auto& record = *options.Add();
  record.set_level(level);
  record.set_name(name);
  record.set_value(std::string(static_cast<const char*>(value), bytes));
}

std::string label(int level, int name) {
  return fmt::format("({}, {})", level, name);
}

// Without a value: the kernel or this kind of socket does not have it.
Result<std::optional<std::string>> value_of(int fd, int level, int name) {
  std::array<char, 64> value{};
  socklen_t bytes = value.size();
  if (::getsockopt(fd, level, name, value.data(), &bytes) == 0)
    return std::string(value.data(), std::min<std::size_t>(bytes, value.size()));
  if (errno == ENOPROTOOPT || errno == EOPNOTSUPP || errno == EINVAL || errno == ENOTCONN ||
      errno == ENOENT)
    return std::optional<std::string>();
  return os_failure("read a socket option", label(level, name));
}

Result<> capture_filter(int fd, SocketOptions& options) {
  socklen_t count = 0;  // of instructions: 0 asks how many there are
  if (::getsockopt(fd, SOL_SOCKET, SO_GET_FILTER, nullptr, &count) != 0) {
    if (errno == EACCES) return refusal("a socket with an eBPF filter cannot be saved");
    return os_failure("ask for a socket's filter");
  }
  if (count == 0) return {};
  std::vector<sock_filter> program(count);
  if (::getsockopt(fd, SOL_SOCKET, SO_GET_FILTER, program.data(), &count) != 0)
    return os_failure("read a socket's filter");
  add(options, SOL_SOCKET, SO_ATTACH_FILTER, program.data(),
      static_cast<socklen_t>(program.size() * sizeof(sock_filter)));
  CAIRN_ASSIGN(const int locked, socket_option(fd, SOL_SOCKET, SO_LOCK_FILTER));
  if (locked != 0) add(options, SOL_SOCKET, SO_LOCK_FILTER, &locked, sizeof locked);
  return {};
}

Result<> attach_filter(int fd, const std::string& value) {
  std::vector<sock_filter> program(value.size() / sizeof(sock_filter));
  std::memcpy(program.data(), value.data(), program.size() * sizeof(sock_filter));
  const sock_fprog filter{static_cast<unsigned short>(program.size()), program.data()};
  if (::setsockopt(fd, SOL_SOCKET, SO_ATTACH_FILTER, &filter, sizeof filter) != 0)
    return os_failure("attach a socket's filter");
  return {};
}

// net.core.rmem_max bounds a size that is set without the privilege which the program may have had.
Result<> set_buffer(int fd, int name, const std::string& value) {
  int wanted = 0;
  std::memcpy(&wanted, value.data(), std::min(value.size(), sizeof wanted));
  if (::setsockopt(fd, SOL_SOCKET, name, &wanted, sizeof wanted) != 0)
    return os_failure("set the size of a socket's buffer");
  CAIRN_ASSIGN(const int got, socket_option(fd, SOL_SOCKET, name));
  if (got / 2 < wanted)
    (void)::setsockopt(fd, SOL_SOCKET, name == SO_SNDBUF ? SO_SNDBUFFORCE : SO_RCVBUFFORCE, &wanted,
                       sizeof wanted);
  return {};
}

// Only what a fresh socket has otherwise is set: some values are refused to those who have no
// privilege even where they change nothing, and setting one may turn off another.
Result<> set_option(int fd, const image::SocketOption& option) {
  const int level = option.level(), name = option.name();
  const auto& value = option.value();
  if (level == SOL_SOCKET && name == SO_ATTACH_FILTER) return attach_filter(fd, value);
  if (level == SOL_SOCKET && (name == SO_SNDBUF || name == SO_RCVBUF))
    return set_buffer(fd, name, value);
  CAIRN_ASSIGN(const auto present, value_of(fd, level, name));
  if (present == value) return {};
  if (::setsockopt(fd, level, name, value.data(), static_cast<socklen_t>(value.size())) != 0)
    return os_failure("set a socket option", label(level, name));
  return {};
}

// A TCP connection that is there no more; a fresh socket has heard nothing.
bool has_ended(int fd) {
  tcp_info info{};
  socklen_t bytes = sizeof info;
  return ::getsockopt(fd, IPPROTO_TCP, TCP_INFO, &info, &bytes) == 0 && info.tcpi_segs_in != 0;
}

}  // namespace

Result<int> socket_option(int fd, int level, int name) {
  int value = 0;
  socklen_t bytes = sizeof value;
  if (::getsockopt(fd, level, name, &value, &bytes) != 0)
    return os_failure("read a socket option", label(level, name));
  return value;
}

Result<> capture_options(int fd, int domain, int type, SocketOptions& options) {
  const bool connected = !peer_address(fd).empty() || has_ended(fd);
  for (const auto& option : kOptions) {
    if (!applies(option, domain, type) || (connected && option.moment == Moment::kUnconnected))
      continue;
    CAIRN_ASSIGN(const auto value, value_of(fd, option.level, option.name));
    if (value)
      add(options, option.level, option.name, value->data(), static_cast<socklen_t>(value->size()));
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
  return capture_filter(fd, options);
}

Result<> restore_early_options(int fd, const SocketOptions& options) {
  for (const auto& option : options)
    if (const auto* row = row_of(option); row != nullptr && row->moment == Moment::kBeforeBind)
      CAIRN_TRY(set_option(fd, option));
  return {};
}

Result<> restore_options(int fd, const SocketOptions& options) {
  for (const auto& option : options) {
    const auto* row = row_of(option);
    const bool early = row != nullptr && row->moment == Moment::kBeforeBind;
    // These two of the early ones are other ones while we bind.
    const bool again = option.level() == SOL_SOCKET &&
                       (option.name() == SO_REUSEADDR || option.name() == SO_REUSEPORT);
    if (!early || again) CAIRN_TRY(set_option(fd, option));
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

std::string raw_address(const sockaddr_storage& address, socklen_t bytes) {
  if (bytes <= sizeof(sa_family_t)) return {};
  return {reinterpret_cast<const char*>(&address), bytes};
}

Result<Fd> fetch_and_close(RebuildContext& context, int number) {
  CAIRN_ASSIGN(auto copies, context.process.take_fds(std::span(&number, 1)));
  CAIRN_TRY(context.process.syscall(SYS_close, number));
  return std::move(copies.front());
}

}  // namespace cairn::resources
