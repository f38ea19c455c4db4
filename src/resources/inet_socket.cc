// Both ends of a connection are made at once, through the saved listener of that port or through one
// that lives only for this: connect from the old port to the old port, accept. What was in flight is
// then sent again by the one end and lies in the other's queue. TCP_REPAIR would need CAP_NET_ADMIN.
#include "resources/inet_socket.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <linux/sockios.h>
#include <linux/tcp.h>
#include <netinet/in.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <chrono>
#include <cstring>
#include <thread>

#include "resources/socket_options.h"

namespace cairn::resources {
namespace {

using image::InetSocket;
using Clock = std::chrono::steady_clock;
constexpr auto kDrainTime = std::chrono::seconds(3);   // for data to get from one queue to the other
constexpr auto kPortTime = std::chrono::seconds(5);    // for a killed connection to leave TIME_WAIT
constexpr auto kPause = std::chrono::milliseconds(10);

// As in tcp_info; <netinet/tcp.h> names them, but lacks the newer fields of that struct.
enum TcpState { kEstablished = 1, kSynSent, kSynReceived, kFinWait1, kFinWait2, kTimeWait, kClosed,
                kCloseWait, kLastAck, kListen, kClosing };

bool matches(const OpenFile& file) {
  if (!S_ISSOCK(file.info.st_mode)) return false;
  const auto domain = socket_option(file.copy.get(), SOL_SOCKET, SO_DOMAIN);
  const auto protocol = socket_option(file.copy.get(), SOL_SOCKET, SO_PROTOCOL);
  return domain && protocol && (*domain == AF_INET || *domain == AF_INET6) &&
         (*protocol == IPPROTO_TCP || *protocol == IPPROTO_UDP);
}

bool is_tcp(const OpenFile& file) {
  const auto type = socket_option(file.copy.get(), SOL_SOCKET, SO_TYPE);
  return type && *type == SOCK_STREAM;
}

Result<tcp_info> info_of(int fd) {
  tcp_info info{};
  socklen_t bytes = sizeof info;
  if (::getsockopt(fd, IPPROTO_TCP, TCP_INFO, &info, &bytes) != 0) return os_failure("TCP_INFO");
  return info;
}

// An IPv4 address inside of IPv6 equals the IPv4 one: one end may be of each family.
struct Endpoint {
  std::array<unsigned char, 16> address{};
  in_port_t port = 0;
  bool operator==(const Endpoint&) const = default;
};

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

bool is_loopback(const std::string& raw) {
  const auto address = endpoint_of(raw).address;
  constexpr std::array<unsigned char, 16> kV6{0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1};
  return address == kV6 || (address[10] == 0xff && address[12] == 127);
}

const OpenFile* other_end(const CaptureContext& context, const OpenFile& file) {
  const auto local = local_address(file.copy.get());
  if (!local) return nullptr;
  const auto here = endpoint_of(*local);
  const auto there = endpoint_of(peer_address(file.copy.get()));
  for (const auto& other : context.job.files) {
    if (&other == &file || !matches(other) || !is_tcp(other)) continue;
    const auto address = local_address(other.copy.get());
    if (address && endpoint_of(*address) == there &&
        endpoint_of(peer_address(other.copy.get())) == here)
      return &other;
  }
  return nullptr;
}

const OpenFile* listener_at(const CaptureContext& context, const std::string& raw) {
  const auto wanted = endpoint_of(raw);
  for (const auto& other : context.job.files) {
    if (!matches(other) || !is_tcp(other)) continue;
    const auto listening = socket_option(other.copy.get(), SOL_SOCKET, SO_ACCEPTCONN);
    const auto address = local_address(other.copy.get());
    if (listening && *listening != 0 && address && endpoint_of(*address).port == wanted.port)
      return &other;
  }
  return nullptr;
}

// Copying is only possible from the receiver's queue: what the sender still holds must get there.
Result<> wait_until_sent(const OpenFile& sender, const OpenFile& receiver) {
  const auto until = Clock::now() + kDrainTime;
  const RoomyBuffers room(receiver.copy.get());
  for (;;) {
    int unsent = 0;
    if (::ioctl(sender.copy.get(), SIOCOUTQ, &unsent) != 0) return os_failure("SIOCOUTQ");
    if (unsent == 0) return {};
    if (Clock::now() > until)
      return cannot_save(sender, fmt::format("a TCP connection with {} bytes that its receiver has no "
                                             "room for", unsent));
    std::this_thread::sleep_for(kPause);
  }
}

Result<> capture_tcp(CaptureContext& context, OpenFile& file, InetSocket& record) {
  const int fd = file.copy.get();
  CAIRN_ASSIGN(const auto info, info_of(fd));
  record.set_state(InetSocket::UNCONNECTED);
  if (info.tcpi_state == kClosed) return {};
  if (info.tcpi_state == kListen) {
    record.set_state(InetSocket::LISTENING);
    record.set_backlog(static_cast<std::int32_t>(info.tcpi_sacked));
    const auto here = endpoint_of(record.local().raw());
    for (const auto& client : context.job.files) {
      if (!matches(client) || !is_tcp(client)) continue;
      const auto peer = peer_address(client.copy.get());
      if (!peer.empty() && endpoint_of(peer).port == here.port &&
          other_end(context, client) == nullptr) {
        CAIRN_ASSIGN(const auto theirs, info_of(client.copy.get()));
        if (theirs.tcpi_state == kEstablished) record.add_pending_object_ids(client.object_id);
      }
    }
    if (static_cast<std::uint32_t>(record.pending_object_ids_size()) != info.tcpi_unacked)
      return cannot_save(file, "a listening socket at which another process waits");
    return {};
  }
  if (info.tcpi_state == kSynSent || info.tcpi_state == kSynReceived)
    return cannot_save(file, "a TCP connection that is being made");
  record.set_write_shut(info.tcpi_state == kFinWait1 || info.tcpi_state == kFinWait2 ||
                        info.tcpi_state == kClosing || info.tcpi_state == kLastAck ||
                        info.tcpi_state == kTimeWait);
  if (const auto* peer = other_end(context, file); peer != nullptr) {
    record.set_state(InetSocket::CONNECTED);
    record.set_peer_object_id(peer->object_id);
    CAIRN_TRY(wait_until_sent(*peer, file));
  } else if (info.tcpi_state == kCloseWait && is_loopback(record.peer().raw())) {
    record.set_state(InetSocket::PEER_CLOSED);
  } else if (listener_at(context, record.peer().raw()) != nullptr &&
             is_loopback(record.peer().raw())) {
    if (info.tcpi_bytes_acked > 1 || info.tcpi_notsent_bytes > 0)
      return cannot_save(file, "a TCP connection with data that was not accepted yet");
    record.set_state(InetSocket::PENDING);
    return {};
  } else {
    return cannot_save(file, "a TCP connection to another process");
  }
  return copy_queue(context, fd, true, *record.mutable_queue());
}

Result<> capture_udp(CaptureContext& context, OpenFile& file, InetSocket& record) {
  record.set_state(record.peer().raw().empty() ? InetSocket::BOUND : InetSocket::CONNECTED);
  CAIRN_TRY(copy_queue(context, file.copy.get(), false, *record.mutable_queue()));
  for (const auto& message : record.queue())
    if (!is_loopback(message.from().raw()))
      return cannot_save(file, "a datagram from another host, that was not read yet,");
  return {};
}

Result<> capture(CaptureContext& context, OpenFile& file, image::KernelObject& object) {
  auto& record = *object.mutable_inet_socket();
  const int fd = file.copy.get();
  CAIRN_ASSIGN(const int domain, socket_option(fd, SOL_SOCKET, SO_DOMAIN));
  CAIRN_ASSIGN(const int type, socket_option(fd, SOL_SOCKET, SO_TYPE));
  CAIRN_ASSIGN(const int protocol, socket_option(fd, SOL_SOCKET, SO_PROTOCOL));
  record.set_domain(domain);
  record.set_type(type);
  record.set_protocol(protocol);
  CAIRN_ASSIGN(auto local, local_address(fd));
  record.mutable_local()->set_raw(std::move(local));
  record.mutable_peer()->set_raw(peer_address(fd));
  CAIRN_TRY(capture_options(fd, domain, type, *record.mutable_options()));
  return type == SOCK_STREAM ? capture_tcp(context, file, record)
                             : capture_udp(context, file, record);
}

// --- rebuild

const sockaddr* address_of(const std::string& raw) {
  return reinterpret_cast<const sockaddr*>(raw.data());
}
socklen_t length_of(const std::string& raw) { return static_cast<socklen_t>(raw.size()); }

// Options that only count before bind.
Result<Fd> new_socket(const InetSocket& record) {
  Fd fd(::socket(record.domain(), record.type() | SOCK_CLOEXEC, record.protocol()));
  if (!fd.valid()) return os_failure("make a socket");
  for (const auto& option : record.options())
    if ((option.level() == SOL_SOCKET && option.name() == SO_REUSEPORT) ||
        (option.level() == IPPROTO_IPV6 && option.name() == IPV6_V6ONLY))
      if (::setsockopt(fd.get(), option.level(), option.name(), option.value().data(),
                       length_of(option.value())) != 0)
        return os_failure("set a socket option");
  // What a killed process left in TIME_WAIT must not keep its port from us.
  const int yes = 1;
  if (record.type() == SOCK_STREAM)
    (void)::setsockopt(fd.get(), SOL_SOCKET, SO_REUSEADDR, &yes, sizeof yes);
  return fd;
}

std::string describe_address(const std::string& raw) {
  return fmt::format("port {}", ntohs(endpoint_of(raw).port));
}

Result<Fd> make_bound(const InetSocket& record) {
  CAIRN_ASSIGN(Fd fd, new_socket(record));
  const auto& raw = record.local().raw();
  if (endpoint_of(raw).port != 0 && ::bind(fd.get(), address_of(raw), length_of(raw)) != 0)
    return os_failure("bind a socket again to", describe_address(raw));
  if (record.state() == InetSocket::LISTENING && ::listen(fd.get(), record.backlog()) != 0)
    return os_failure("listen again at", describe_address(raw));
  return fd;
}

Result<int> listener_for(RebuildContext& context, const InetSocket& server, Fd& own) {
  const auto port = endpoint_of(server.local().raw()).port;
  for (const auto& object : context.job.objects) {
    if (!object.has_inet_socket() || object.inet_socket().state() != InetSocket::LISTENING ||
        endpoint_of(object.inet_socket().local().raw()).port != port)
      continue;
    if (!context.job.made.contains(object.id())) {
      CAIRN_ASSIGN(context.job.made[object.id()], make_bound(object.inet_socket()));
    }
    return context.job.made[object.id()].get();
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

Result<> connect_again(int fd, const std::string& to) {
  const auto until = Clock::now() + kPortTime;
  while (::connect(fd, address_of(to), length_of(to)) != 0) {
    if (errno != EADDRNOTAVAIL || Clock::now() > until)
      return os_failure("connect a socket again to", describe_address(to));
    std::this_thread::sleep_for(kPause);
  }
  return {};
}

Result<std::pair<Fd, Fd>> make_connection(RebuildContext& context, const InetSocket& server,
                                          const InetSocket& client) {
  Fd own;
  CAIRN_ASSIGN(const int listener, listener_for(context, server, own));
  CAIRN_ASSIGN(Fd client_fd, make_bound(client));
  CAIRN_TRY(connect_again(client_fd.get(), client.peer().raw()));
  Fd server_fd(::accept4(listener, nullptr, nullptr, SOCK_CLOEXEC));
  if (!server_fd.valid()) return os_failure("accept a connection again");
  return std::pair(std::move(server_fd), std::move(client_fd));
}

// The record of an end that is not there any more: the mirror of the one that is.
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

bool has_listener(const RebuildContext& context, const InetSocket& record) {
  return std::any_of(
      context.job.objects.begin(), context.job.objects.end(), [&](const auto& object) {
        return object.has_inet_socket() && object.inet_socket().state() == InetSocket::LISTENING &&
               endpoint_of(object.inet_socket().local().raw()).port ==
                   endpoint_of(record.local().raw()).port;
      });
}

Result<Fd> create(RebuildContext& context, const image::KernelObject& object) {
  const auto& record = object.inet_socket();
  const bool connected = record.state() == InetSocket::CONNECTED;
  if (record.type() != SOCK_STREAM || (!connected && record.state() != InetSocket::PEER_CLOSED))
    return make_bound(record);
  InetSocket peer = mirror(record);
  if (connected) {
    const auto* other = context.job.object(record.peer_object_id());
    if (other == nullptr || !other->has_inet_socket())
      return refusal("a connection whose other end is not in the image");
    peer = other->inet_socket();
  }
  const bool is_server = has_listener(context, record);
  Fd mine;
  Fd theirs;
  if (is_server) {
    CAIRN_ASSIGN(auto ends, make_connection(context, record, peer));
    mine = std::move(ends.first);
    theirs = std::move(ends.second);
  } else {
    CAIRN_ASSIGN(auto ends, make_connection(context, peer, record));
    theirs = std::move(ends.first);
    mine = std::move(ends.second);
  }
  if (connected)
    context.job.made[record.peer_object_id()] = std::move(theirs);
  else
    context.job.lost_peers[object.id()] = std::move(theirs);
  return mine;
}

Result<> fill_stream(RebuildContext& context, const image::KernelObject& object) {
  const auto& record = object.inet_socket();
  if (record.queue_size() == 0) return {};
  const auto lost = context.job.lost_peers.find(object.id());
  const int sender = lost != context.job.lost_peers.end()
                         ? lost->second.get()
                         : context.job.made.at(record.peer_object_id()).get();
  const int receiver = context.job.made.at(object.id()).get();
  const RoomyBuffers room_to_send(sender);
  const RoomyBuffers room_to_receive(receiver);
  int unread = 0;
  for (const auto& message : record.queue()) {
    CAIRN_TRY(send_message(context, sender, message, {}));
    unread += static_cast<int>(message.data().size());
  }
  const auto until = Clock::now() + kDrainTime;
  for (int there = 0; there < unread;) {
    if (::ioctl(receiver, FIONREAD, &there) != 0) return os_failure("FIONREAD");
    if (Clock::now() > until)
      return failure(ETIMEDOUT, "fill the queue of a TCP connection again");
    if (there < unread) std::this_thread::sleep_for(kPause);
  }
  return {};
}

Result<> fill_datagrams(RebuildContext& context, const image::KernelObject& object) {
  const auto& record = object.inet_socket();
  for (const auto& message : record.queue()) {
    const auto& from = message.from().raw();
    int sender = -1;
    for (const auto& other : context.job.objects)
      if (other.has_inet_socket() && other.inet_socket().type() == SOCK_DGRAM &&
          endpoint_of(other.inet_socket().local().raw()).port == endpoint_of(from).port &&
          context.job.made.contains(other.id()))
        sender = context.job.made.at(other.id()).get();
    Fd own;
    if (sender < 0) {
      own.reset(::socket(record.domain(), SOCK_DGRAM | SOCK_CLOEXEC, 0));
      sender = own.get();
      if (::bind(sender, address_of(from), length_of(from)) != 0)
        return os_failure("send again a datagram from", describe_address(from));
    }
    std::string to = record.local().raw();
    if (std::all_of(endpoint_of(to).address.begin(), endpoint_of(to).address.begin() + 10,
                    [](unsigned char byte) { return byte == 0; }) &&
        !is_loopback(to)) {  // bound to every address: by way of loopback
      const auto port = endpoint_of(to).port;
      if (record.domain() == AF_INET) {
        sockaddr_in loopback{};
        loopback.sin_family = AF_INET;
        loopback.sin_port = port;
        loopback.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
        to.assign(reinterpret_cast<const char*>(&loopback), sizeof loopback);
      } else {
        sockaddr_in6 loopback{};
        loopback.sin6_family = AF_INET6;
        loopback.sin6_port = port;
        loopback.sin6_addr = in6addr_loopback;
        to.assign(reinterpret_cast<const char*>(&loopback), sizeof loopback);
      }
    }
    CAIRN_TRY(send_message(context, sender, message, to));
  }
  return {};
}

Result<> connect(RebuildContext& context, const image::KernelObject& object) {
  const auto& record = object.inet_socket();
  const int fd = context.job.made.at(object.id()).get();
  const auto& peer = record.peer().raw();
  if (record.type() == SOCK_DGRAM) {
    CAIRN_TRY(fill_datagrams(context, object));
    if (!peer.empty() && ::connect(fd, address_of(peer), length_of(peer)) != 0)
      return os_failure("connect a socket again to", describe_address(peer));
  } else {
    CAIRN_TRY(fill_stream(context, object));
    if (record.state() == InetSocket::PENDING) CAIRN_TRY(connect_again(fd, peer));
  }
  return restore_options(fd, record.options());
}

}  // namespace

Result<bool> inet_leads_outside(CaptureContext& context, const OpenFile& file) {
  if (!matches(file) || !is_tcp(file) || peer_address(file.copy.get()).empty()) return false;
  return other_end(context, file) == nullptr && !is_loopback(peer_address(file.copy.get()));
}

Result<> shut_inet_sockets(RebuildJob& job) {
  for (const auto& object : job.objects) {
    const auto made = job.made.find(object.id());
    if (object.has_inet_socket() && made != job.made.end() && object.inet_socket().write_shut() &&
        ::shutdown(made->second.get(), SHUT_WR) != 0)
      return os_failure("shut down a connection again");
  }
  return {};
}

const Kind kInetSocketKind{"internet socket", image::KernelObject::kInetSocket, Maker::kAgent,
                           matches, capture, create, connect};

}  // namespace cairn::resources
