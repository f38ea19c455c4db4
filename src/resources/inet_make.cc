#include "resources/inet_make.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <fmt/format.h>
#include <poll.h>
#include <sys/ioctl.h>

#include <algorithm>
#include <cstring>
#include <set>
#include <thread>

#include "resources/inet_queue.h"
#include "resources/socket_diag.h"
#include "resources/socket_options.h"
#include "resources/socket_queue.h"

namespace cairn::resources {
namespace {

using image::InetSocket;
using Clock = std::chrono::steady_clock;
constexpr int kIpLocalPortRange = 51;  // IP_LOCAL_PORT_RANGE
constexpr auto kFreeTime = std::chrono::milliseconds(500);
constexpr auto kPortTime = std::chrono::seconds(5);  // for ended connections to leave TIME_WAIT

Result<Fd> new_socket(const InetSocket& record) {
  Fd fd(::socket(record.domain(), record.type() | SOCK_CLOEXEC, record.protocol()));
  if (!fd.valid()) return os_failure("make a socket");
  CAIRN_TRY(restore_early_options(fd.get(), record.options()));
  // What a killed process left in TIME_WAIT must not keep its port from us.
  const int yes = 1;
  if (record.type() == SOCK_STREAM)
    (void)::setsockopt(fd.get(), SOL_SOCKET, SO_REUSEADDR, &yes, sizeof yes);
  return fd;
}

// Speaks up once more as the other end of an ended connection, which is answered by a state of long
// ago and resets it (RFC 1337 calls this an assassination).
void end_time_wait(int family, const TcpDiagnosis& ended) {
  const Fd other(::socket(family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  const int yes = 1;
  (void)::setsockopt(other.get(), SOL_SOCKET, SO_REUSEADDR, &yes, sizeof yes);
  if (!bind_as_client(other.get(), ended.remote)) return;
  (void)::connect(other.get(), address_of(ended.local), length_of(ended.local));
  pollfd answer{other.get(), POLLOUT, 0};
  (void)::poll(&answer, 1, static_cast<int>(kPause.count()));
}

// An ended connection keeps its port for a minute if its socket was not set to share it. Whether
// any was found; without tcp_diag none is, and nothing can be hastened.
bool end_time_waits(const std::set<in_port_t>& ports) {
  bool found = false;
  for (const int family : {AF_INET, AF_INET6}) {
    const auto all = diagnose_tcp(family);
    if (!all) continue;
    for (const auto& one : *all) {
      if (one.state != kTcpTimeWait || !ports.contains(endpoint_of(one.local).port)) continue;
      found = true;
      end_time_wait(family, one);
    }
  }
  return found;
}

// Between two of the ports: a process that was killed a moment ago may still be about to close
// them.
bool has_connections(const std::set<in_port_t>& ports) {
  for (const int family : {AF_INET, AF_INET6})
    if (const auto all = diagnose_tcp(family); all)
      for (const auto& one : *all)
        if (ports.contains(endpoint_of(one.local).port) &&
            ports.contains(endpoint_of(one.remote).port))
          return true;
  return false;
}

// Who has the port now, for a message.
std::string holders_of(in_port_t port) {
  const int error = errno;
  std::string text;
  for (const int family : {AF_INET, AF_INET6})
    if (const auto all = diagnose_tcp(family); all)
      for (const auto& one : *all)
        if (endpoint_of(one.local).port == port)
          text += fmt::format(" (a TCP socket in state {} with {})", one.state,
                              describe_address(one.remote));
  errno = error;
  return text;
}

// Tries until nothing that has ended stands in the way any more.
template <class Try>
bool once_ports_are_free(const std::set<in_port_t>& ports, Try attempt) {
  const auto until = Clock::now() + kPortTime;
  while (!attempt()) {
    const int error = errno;
    const bool waiting = (error == EADDRINUSE || error == EADDRNOTAVAIL) && end_time_waits(ports);
    errno = error;
    if (!waiting || Clock::now() > until) return false;
    std::this_thread::sleep_for(kPause);
  }
  return true;
}

bool is_any(const Endpoint& endpoint) {
  const auto& address = endpoint.address;
  return std::all_of(address.begin(), address.begin() + 10, [](auto byte) { return byte == 0; }) &&
         std::all_of(address.begin() + 12, address.end(), [](auto byte) { return byte == 0; });
}

bool is_listener_of(const image::KernelObject& object, const InetSocket& server) {
  return object.has_inet_socket() && object.inet_socket().state() == InetSocket::LISTENING &&
         listens_at(object.inet_socket().local().raw(), server.local().raw());
}

Result<int> listener_for(RebuildJob& job, const InetSocket& server, Fd& own) {
  for (const auto& object : job.objects) {
    if (!is_listener_of(object, server)) continue;
    if (!job.made.contains(object.id())) {
      CAIRN_ASSIGN(job.made[object.id()], make_bound(object.inet_socket()));
    }
    return job.made[object.id()].get();
  }
  InetSocket record;
  record.set_domain(server.domain());
  record.set_type(server.type());
  record.set_protocol(server.protocol());
  record.set_state(InetSocket::LISTENING);
  record.set_backlog(1);
  *record.mutable_local() = server.local();
  CAIRN_ASSIGN(own, make_bound(record));
  return own.get();
}

std::string without_port(std::string raw) {
  sockaddr_storage address{};
  std::memcpy(&address, raw.data(), std::min(raw.size(), sizeof address));
  (address.ss_family == AF_INET6 ? reinterpret_cast<sockaddr_in6*>(&address)->sin6_port
                                 : reinterpret_cast<sockaddr_in*>(&address)->sin_port) = 0;
  return {reinterpret_cast<const char*>(&address), raw.size()};
}

Result<> wait_for_event(int fd, short event, const char* what) {
  pollfd entry{fd, event, 0};
  if (::poll(&entry, 1, std::chrono::milliseconds(kDrainTime).count()) != 1)
    return failure(ETIMEDOUT, what);
  return {};
}

// Nobody listens where it connects to: the port is held for the time of the attempt.
Result<Fd> make_refused(const InetSocket& record) {
  InetSocket nobody;
  nobody.set_domain(record.domain());
  nobody.set_type(SOCK_STREAM);
  nobody.mutable_local()->set_raw(loopback_address(record.domain()));
  CAIRN_ASSIGN(const Fd held, new_socket(nobody));
  const auto& loopback = nobody.local().raw();
  if (::bind(held.get(), address_of(loopback), length_of(loopback)) != 0)
    return os_failure("bind a socket for a moment");
  CAIRN_ASSIGN(const auto there, local_address(held.get()));
  CAIRN_ASSIGN(Fd fd, new_socket(record));
  if (::fcntl(fd.get(), F_SETFL, O_NONBLOCK) != 0) return os_failure("F_SETFL");
  (void)::connect(fd.get(), address_of(there), length_of(there));
  CAIRN_TRY(wait_for_event(fd.get(), POLLERR, "be refused by a port again"));
  return fd;
}

// The end that is left, and the one that is going to end it.
Result<std::pair<Fd, Fd>> make_for_ending(RebuildJob& job, const InetSocket& record) {
  InetSocket other;
  other.set_domain(record.domain());
  other.set_type(SOCK_STREAM);
  if (has_listener(job, record)) {
    *other.mutable_peer() = record.local();
    return make_connection(job, record, other);
  }
  // By way of its own address, if this machine has it; its name is all that is lost otherwise.
  auto raw = record.local().raw();
  const auto any = without_port(raw);
  InetSocket listener;
  listener.set_domain(record.domain());
  listener.set_type(SOCK_STREAM);
  CAIRN_ASSIGN(const Fd listening, new_socket(listener));
  if (::bind(listening.get(), address_of(any), length_of(any)) != 0) {
    raw.clear();
    const auto loopback = loopback_address(record.domain());
    if (::bind(listening.get(), address_of(loopback), length_of(loopback)) != 0)
      return os_failure("bind a socket for a moment");
  }
  if (::listen(listening.get(), 1) != 0) return os_failure("listen for a moment");
  CAIRN_ASSIGN(const auto there, local_address(listening.get()));
  CAIRN_ASSIGN(Fd mine, new_socket(record));
  if (!raw.empty()) (void)::bind(mine.get(), address_of(raw), length_of(raw));
  CAIRN_TRY(connect_again(mine.get(), there));
  Fd theirs(::accept4(listening.get(), nullptr, nullptr, SOCK_CLOEXEC));
  if (!theirs.valid()) return os_failure("accept a connection again");
  return std::pair(std::move(mine), std::move(theirs));
}

}  // namespace

Endpoint endpoint_of(const std::string& raw) {
  Endpoint endpoint;
  if (raw.size() >= sizeof(sockaddr_in6) && raw[0] == AF_INET6) {
    sockaddr_in6 v6{};
    std::memcpy(&v6, raw.data(), sizeof v6);
    std::memcpy(endpoint.address.data(), &v6.sin6_addr, 16);
    endpoint.port = v6.sin6_port;
  } else if (raw.size() >= sizeof(sockaddr_in)) {
    sockaddr_in v4{};
    std::memcpy(&v4, raw.data(), sizeof v4);
    endpoint.address[10] = endpoint.address[11] = 0xff;
    std::memcpy(endpoint.address.data() + 12, &v4.sin_addr, 4);
    endpoint.port = v4.sin_port;
  }
  return endpoint;
}

bool listens_at(const std::string& listener, const std::string& raw) {
  const auto here = endpoint_of(listener);
  const auto wanted = endpoint_of(raw);
  return here.port == wanted.port && (is_any(here) || here.address == wanted.address);
}

bool is_loopback(const std::string& raw) {
  const auto address = endpoint_of(raw).address;
  constexpr std::array<unsigned char, 16> kV6{0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1};
  return address == kV6 || (address[10] == 0xff && address[12] == 127);
}

std::string loopback_address(int domain) {
  sockaddr_in v4{};
  v4.sin_family = AF_INET;
  v4.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  sockaddr_in6 v6{};
  v6.sin6_family = AF_INET6;
  v6.sin6_addr = in6addr_loopback;
  return domain == AF_INET ? std::string(reinterpret_cast<const char*>(&v4), sizeof v4)
                           : std::string(reinterpret_cast<const char*>(&v6), sizeof v6);
}

std::string describe_address(const std::string& raw) {
  return fmt::format("port {}", ntohs(endpoint_of(raw).port));
}

void free_ports(const RebuildJob& job) {
  std::set<in_port_t> ports;
  for (const auto& object : job.objects)
    if (object.has_inet_socket() && object.inet_socket().type() == SOCK_STREAM)
      for (const auto& address : {object.inet_socket().local(), object.inet_socket().peer()})
        ports.insert(endpoint_of(address.raw()).port);
  ports.erase(0);
  const auto until = Clock::now() + kFreeTime;
  while (has_connections(ports) && Clock::now() < until) {
    (void)end_time_waits(ports);
    std::this_thread::sleep_for(kPause);
  }
}

Result<Fd> make_bound(const InetSocket& record) {
  CAIRN_ASSIGN(Fd fd, new_socket(record));
  const auto& raw = record.local().raw();
  const auto port = endpoint_of(raw).port;
  if (port != 0 && !once_ports_are_free({port}, [&] {
        return ::bind(fd.get(), address_of(raw), length_of(raw)) == 0;
      }))
    return failure(errno, "bind a socket again to", describe_address(raw) + holders_of(port));
  if (record.state() == InetSocket::LISTENING && ::listen(fd.get(), record.backlog()) != 0)
    return os_failure("listen again at", describe_address(raw));
  return fd;
}

// Waits for it, whether the socket is one that waits or not; a listener that has no room answers late.
Result<> connect_again(int fd, const std::string& to) {
  const auto until = Clock::now() + kPortTime;
  const int flags = ::fcntl(fd, F_GETFL);
  if (::fcntl(fd, F_SETFL, flags | O_NONBLOCK) != 0) return os_failure("F_SETFL");
  while (::connect(fd, address_of(to), length_of(to)) != 0 && errno != EISCONN) {
    const bool under_way = errno == EINPROGRESS || errno == EALREADY;
    if ((!under_way && errno != EADDRNOTAVAIL) || Clock::now() > until)
      return os_failure("connect a socket again to", describe_address(to));
    pollfd connected{fd, POLLOUT, 0};
    if (under_way)
      (void)::poll(&connected, 1, static_cast<int>(kPause.count()));
    else
      std::this_thread::sleep_for(kPause);
  }
  if (::fcntl(fd, F_SETFL, flags) != 0) return os_failure("F_SETFL");
  return {};
}

bool bind_as_client(int fd, const std::string& raw) {
  const auto port = ntohs(endpoint_of(raw).port);
  if (port == 0 || ::bind(fd, address_of(raw), length_of(raw)) == 0) return true;
  const std::uint32_t range = static_cast<std::uint32_t>(port) << 16 | port;
  const int yes = 1;
  const auto address = without_port(raw);
  return errno == EADDRINUSE &&
         ::setsockopt(fd, IPPROTO_IP, kIpLocalPortRange, &range, sizeof range) == 0 &&
         ::setsockopt(fd, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, &yes, sizeof yes) == 0 &&
         ::bind(fd, address_of(address), length_of(address)) == 0;
}

Result<Fd> make_client(const InetSocket& record) {
  CAIRN_ASSIGN(Fd fd, new_socket(record));
  if (bind_as_client(fd.get(), record.local().raw())) return fd;
  return make_bound(record);
}

// Older kernels do not know these.
void choose_ports_as_saved(int fd, const InetSocket& record) {
  for (const int name : {kIpLocalPortRange, IP_BIND_ADDRESS_NO_PORT}) {
    std::string value(sizeof(int), '\0');
    for (const auto& option : record.options())
      if (option.level() == IPPROTO_IP && option.name() == name) value = option.value();
    (void)::setsockopt(fd, IPPROTO_IP, name, value.data(), length_of(value));
  }
}

InetSocket mirror(const InetSocket& record) {
  InetSocket other;
  other.set_domain(record.domain());
  other.set_type(record.type());
  other.set_protocol(record.protocol());
  other.set_state(InetSocket::CONNECTED);
  *other.mutable_local() = record.peer();
  *other.mutable_peer() = record.local();
  return other;
}

Result<> make_gone(const InetSocket& end) {
  CAIRN_ASSIGN(const Fd client, make_client(mirror(end)));
  CAIRN_TRY(connect_again(client.get(), end.local().raw()));
  const RoomyBuffers room(client.get());
  return send_tcp_queue(client.get(), end);
}

bool has_listener(const RebuildJob& job, const InetSocket& record) {
  return std::any_of(job.objects.begin(), job.objects.end(),
                     [&](const auto& object) { return is_listener_of(object, record); });
}

Result<std::pair<Fd, Fd>> make_connection(RebuildJob& job, const InetSocket& server,
                                          const InetSocket& client) {
  Fd own;
  CAIRN_ASSIGN(const int listener, listener_for(job, server, own));
  CAIRN_ASSIGN(Fd client_fd, make_client(client));
  CAIRN_TRY(connect_again(client_fd.get(), client.peer().raw()));
  choose_ports_as_saved(client_fd.get(), client);
  Fd server_fd(::accept4(listener, nullptr, nullptr, SOCK_CLOEXEC));
  if (!server_fd.valid()) return os_failure("accept a connection again");
  return std::pair(std::move(server_fd), std::move(client_fd));
}

Result<> wait_for_bytes(int receiver, int bytes) {
  const auto until = Clock::now() + kDrainTime;
  for (int there = 0; there < bytes;) {
    if (::ioctl(receiver, FIONREAD, &there) != 0) return os_failure("FIONREAD");
    if (Clock::now() > until) return failure(ETIMEDOUT, "fill the queue of a TCP connection again");
    if (there < bytes) std::this_thread::sleep_for(kPause);
  }
  return {};
}

Result<Fd> make_ended(RebuildJob& job, const InetSocket& record) {
  Fd fd;
  if (record.pending_error() == ECONNREFUSED || record.refused()) {
    CAIRN_ASSIGN(fd, make_refused(record));
  } else {
    CAIRN_ASSIGN(auto ends, make_for_ending(job, record));
    if (record.queue_size() > 0)
      CAIRN_TRY(send_tcp_queue(ends.second.get(), ends.first.get(), record));
    const linger reset{1, 0};
    if (::setsockopt(ends.second.get(), SOL_SOCKET, SO_LINGER, &reset, sizeof reset) != 0)
      return os_failure("SO_LINGER");
    ends.second.reset();
    CAIRN_TRY(wait_for_event(ends.first.get(), POLLERR, "reset a connection again"));
    fd = std::move(ends.first);
  }
  if (record.pending_error() == 0) CAIRN_TRY(socket_option(fd.get(), SOL_SOCKET, SO_ERROR));
  return fd;
}

}  // namespace cairn::resources
