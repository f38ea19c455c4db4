// Both ends of a connection are made at once, through the saved listener of that port or through one
// that lives only for this: connect from the old port to the old port, accept. What was in flight is
// then sent again by the one end and lies in the other's queue. TCP_REPAIR would need CAP_NET_ADMIN.
#include "resources/inet_socket.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <linux/sockios.h>
#include <linux/tcp.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <chrono>
#include <cstring>
#include <thread>

#include "resources/inet_backlog.h"
#include "resources/inet_make.h"
#include "resources/inet_queue.h"
#include "resources/socket_diag.h"
#include "resources/socket_options.h"
#include "resources/socket_queue.h"

namespace cairn::resources {
namespace {

using image::InetSocket;
using Clock = std::chrono::steady_clock;

// As in tcp_info; <netinet/tcp.h> names them, but lacks the newer fields of that struct.
enum TcpState { kEstablished = 1, kSynSent, kSynReceived, kFinWait1, kFinWait2, kTimeWait, kClosed,
                kCloseWait, kLastAck, kListen, kClosing };

bool matches(const OpenFile& file) {
  if (!S_ISSOCK(file.info.st_mode)) return false;
  const auto domain = socket_option(file.copy.get(), SOL_SOCKET, SO_DOMAIN);
  const auto protocol = socket_option(file.copy.get(), SOL_SOCKET, SO_PROTOCOL);
  return domain && protocol && (*domain == AF_INET || *domain == AF_INET6) &&
         (*protocol == IPPROTO_TCP || *protocol == IPPROTO_UDP || *protocol == IPPROTO_UDPLITE);
}

const OpenFile* other_end(const CaptureContext& context, const OpenFile& file) {
  const auto local = local_address(file.copy.get());
  if (!local) return nullptr;
  const auto here = endpoint_of(*local);
  const auto there = endpoint_of(peer_address(file.copy.get()));
  for (const auto& other : context.job.files) {
    if (&other == &file || !is_tcp(other)) continue;
    const auto address = local_address(other.copy.get());
    if (address && endpoint_of(*address) == there &&
        endpoint_of(peer_address(other.copy.get())) == here)
      return &other;
  }
  return nullptr;
}

bool is_readable_to_its_end(int fd, short* all = nullptr) {
  pollfd state{fd, POLLIN | POLLRDHUP, 0};
  ::poll(&state, 1, 0);
  if (all != nullptr) *all = state.revents;
  return (state.revents & POLLRDHUP) != 0;
}

// Reset, refused or ended on both sides, or never anything.
Result<> capture_closed(const OpenFile& file, const tcp_info& info, InetSocket& record) {
  constexpr int kAgreedUpon = TCPI_OPT_TIMESTAMPS | TCPI_OPT_SACK | TCPI_OPT_WSCALE;
  short events = 0;
  if (!is_readable_to_its_end(file.copy.get(), &events)) return {};
  record.set_state(InetSocket::CLOSED);
  record.set_refused((info.tcpi_options & kAgreedUpon) == 0 && info.tcpi_bytes_received == 0);
  if (events & POLLERR) record.set_pending_error(record.refused() ? ECONNREFUSED : ECONNRESET);
  return copy_tcp_queue(file, file.copy.get(), record);
}

// The kernel tells the address only when it is connected, except here.
Result<> capture_connecting(const OpenFile& file, InetSocket& record) {
  CAIRN_ASSIGN(const auto all, diagnose_tcp(record.domain()));
  for (const auto& one : all)
    if (one.inode == file.info.st_ino) {
      record.set_state(InetSocket::CONNECTING);
      record.mutable_peer()->set_raw(one.remote);
      return {};
    }
  return cannot_save_now(file, "a TCP connection that is being made");
}

// Its last data and its end went to its peer while that was copied: as far as anybody can see, the
// connection is still there.
Result<> capture_ended_by_drain(const CaptureContext& context, const OpenFile& file,
                                std::uint64_t peer_id, InetSocket& record) {
  record.set_state(InetSocket::CONNECTED);
  record.set_peer_object_id(peer_id);
  record.set_write_shut(true);
  for (const auto& other : context.job.files) {
    if (other.object_id != peer_id) continue;
    if (const auto address = local_address(other.copy.get())) record.mutable_peer()->set_raw(*address);
  }
  return copy_tcp_queue(file, file.copy.get(), record);
}

Result<> capture_tcp(CaptureContext& context, OpenFile& file, InetSocket& record) {
  const int fd = file.copy.get();
  CAIRN_ASSIGN(const auto info, tcp_info_of(fd));
  record.set_state(InetSocket::UNCONNECTED);
  if (const auto ended = context.job.ended_by_drain.find(file.object_id);
      ended != context.job.ended_by_drain.end())
    return capture_ended_by_drain(context, file, ended->second, record);
  if (info.tcpi_state == kClosed) return capture_closed(file, info, record);
  if (info.tcpi_state == kListen) {
    record.set_state(InetSocket::LISTENING);
    record.set_backlog(static_cast<std::int32_t>(info.tcpi_sacked));
    return capture_backlog(context, file, record);
  }
  if (info.tcpi_state == kSynSent) return capture_connecting(file, record);
  if (info.tcpi_state == kSynReceived)
    return cannot_save_now(file, "a TCP connection that is being made");
  record.set_write_shut(info.tcpi_state == kFinWait1 || info.tcpi_state == kFinWait2 ||
                        info.tcpi_state == kClosing || info.tcpi_state == kLastAck ||
                        info.tcpi_state == kTimeWait);
  record.set_read_shut(is_readable_to_its_end(fd) &&
                       (info.tcpi_state == kEstablished || info.tcpi_state == kFinWait1 ||
                        info.tcpi_state == kFinWait2));
  if (const auto* peer = other_end(context, file); peer != nullptr) {
    record.set_state(InetSocket::CONNECTED);
    record.set_peer_object_id(peer->object_id);
    CAIRN_TRY(wait_until_sent(*peer, fd));
    CAIRN_ASSIGN(const auto theirs, tcp_info_of(peer->copy.get()));
    if (theirs.tcpi_state == kClosed) context.job.ended_by_drain[peer->object_id] = file.object_id;
  } else if (info.tcpi_state == kCloseWait && is_loopback(record.peer().raw())) {
    record.set_state(InetSocket::PEER_CLOSED);
  } else if (waits_at_listener(context, record)) {
    record.set_state(InetSocket::PENDING);  // what it has sent is its listener's
    return {};
  } else {  // to the outside: there it ends with this process
    record.set_state(InetSocket::CLOSED);
    record.set_pending_error(ECONNRESET);
  }
  return copy_tcp_queue(file, file.copy.get(), record);
}

Result<> capture_udp(CaptureContext& context, OpenFile& file, InetSocket& record) {
  record.set_state(record.peer().raw().empty() ? InetSocket::BOUND : InetSocket::CONNECTED);
  short events = 0;
  record.set_read_shut(is_readable_to_its_end(file.copy.get(), &events));
  record.set_write_shut((events & POLLHUP) != 0);
  if ((events & POLLERR) == 0)
    return copy_queue(context, file.copy.get(), SOCK_DGRAM, *record.mutable_queue());
  // A look at the queue would take the error.
  if (events & POLLIN)
    return cannot_save_now(file, "a UDP socket with an error and data that were not read");
  record.set_pending_error(ECONNREFUSED);
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

bool is_first(const RebuildJob& job, const image::KernelObject& object) {
  const auto first = std::find_if(job.objects.begin(), job.objects.end(),
                                  [](const auto& each) { return each.has_inet_socket(); });
  return &*first == &object;
}

Result<Fd> create(RebuildContext& context, const image::KernelObject& object) {
  const auto& record = object.inet_socket();
  if (is_first(context.job, object)) free_ports(context.job);
  const bool connected = record.state() == InetSocket::CONNECTED;
  if (record.state() == InetSocket::CLOSED) return make_ended(context.job, record);
  if (record.state() == InetSocket::PENDING) return make_client(record);
  if (record.type() != SOCK_STREAM || (!connected && record.state() != InetSocket::PEER_CLOSED))
    return make_bound(record);
  InetSocket peer = mirror(record);
  if (connected) {
    const auto* other = context.job.object(record.peer_object_id());
    if (other == nullptr || !other->has_inet_socket())
      return refusal("a connection whose other end is not in the image");
    peer = other->inet_socket();
  }
  const bool is_server = has_listener(context.job, record);
  Fd mine;
  Fd theirs;
  if (is_server) {
    CAIRN_ASSIGN(auto ends, make_connection(context.job, record, peer));
    mine = std::move(ends.first);
    theirs = std::move(ends.second);
  } else {
    CAIRN_ASSIGN(auto ends, make_connection(context.job, peer, record));
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
  return send_tcp_queue(sender, receiver, record);
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
      own.reset(::socket(record.domain(), SOCK_DGRAM | SOCK_CLOEXEC, record.protocol()));
      sender = own.get();
      const bool bound = ::bind(sender, address_of(from), length_of(from)) == 0;
      if (!bound && errno == EADDRNOTAVAIL)
        continue;  // from another host: lost, as datagrams may be
      if (!bound) return os_failure("send again a datagram from", describe_address(from));
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

// A datagram to a port that takes none but its own sender's is answered by an error.
Result<> be_refused(int fd, const InetSocket& record) {
  const Fd other(::socket(record.domain(), SOCK_DGRAM | SOCK_CLOEXEC, record.protocol()));
  const auto any = loopback_address(record.domain());
  if (::bind(other.get(), address_of(any), length_of(any)) != 0)
    return os_failure("bind a socket for a moment");
  CAIRN_ASSIGN(const auto name, local_address(other.get()));
  if (::connect(other.get(), address_of(name), length_of(name)) != 0 ||
      ::connect(fd, address_of(name), length_of(name)) != 0 || ::send(fd, "", 0, MSG_DONTWAIT) != 0)
    return os_failure("be refused by a port again");
  pollfd refused{fd, POLLERR, 0};
  if (::poll(&refused, 1, std::chrono::milliseconds(kDrainTime).count()) != 1)
    return failure(ETIMEDOUT, "be refused by a port again");
  return {};
}

Result<> begin_to_connect(int fd, const std::string& to) {
  const int flags = ::fcntl(fd, F_GETFL);
  if (::fcntl(fd, F_SETFL, flags | O_NONBLOCK) != 0) return os_failure("F_SETFL");
  if (::connect(fd, address_of(to), length_of(to)) != 0 && errno != EINPROGRESS)
    return os_failure("begin to connect again to", describe_address(to));
  if (::fcntl(fd, F_SETFL, flags) != 0) return os_failure("F_SETFL");
  return {};
}

Result<> connect(RebuildContext& context, const image::KernelObject& object) {
  const auto& record = object.inet_socket();
  const int fd = context.job.made.at(object.id()).get();
  const auto& peer = record.peer().raw();
  if (record.type() == SOCK_DGRAM) {
    CAIRN_TRY(fill_datagrams(context, object));
    if (record.pending_error() != 0) CAIRN_TRY(be_refused(fd, record));
    if (!peer.empty() && ::connect(fd, address_of(peer), length_of(peer)) != 0)
      return os_failure("connect a socket again to", describe_address(peer));
  } else {
    if (record.state() != InetSocket::CLOSED) CAIRN_TRY(fill_stream(context, object));
    if (record.state() == InetSocket::CONNECTING) CAIRN_TRY(begin_to_connect(fd, peer));
  }
  CAIRN_TRY(restore_options(fd, record.options()));
  if (record.state() == InetSocket::LISTENING) return fill_backlog(context.job, record);
  return {};
}

}  // namespace

bool is_tcp(const OpenFile& file) {
  const auto type = matches(file) ? socket_option(file.copy.get(), SOL_SOCKET, SO_TYPE) : 0;
  return type && *type == SOCK_STREAM;
}

Result<tcp_info> tcp_info_of(int fd) {
  tcp_info info{};
  socklen_t bytes = sizeof info;
  if (::getsockopt(fd, IPPROTO_TCP, TCP_INFO, &info, &bytes) != 0) return os_failure("TCP_INFO");
  return info;
}

Result<bool> inet_leads_outside(CaptureContext& context, const OpenFile& file) {
  if (!is_tcp(file) || peer_address(file.copy.get()).empty()) return false;
  return other_end(context, file) == nullptr && !is_loopback(peer_address(file.copy.get()));
}

Result<> shut_inet_sockets(RebuildJob& job) {
  for (const auto& object : job.objects) {
    const auto made = job.made.find(object.id());
    if (!object.has_inet_socket() || made == job.made.end()) continue;
    const auto& record = object.inet_socket();
    // Those whose listener had no room for them come after all others.
    if (record.state() == InetSocket::PENDING && peer_address(made->second.get()).empty())
      CAIRN_TRY(begin_to_connect(made->second.get(), record.peer().raw()));
    // One that is not connected says so, and is shut all the same.
    for (const auto& [shut, how] :
         {std::pair(record.write_shut(), SHUT_WR), {record.read_shut(), SHUT_RD}})
      if (shut && ::shutdown(made->second.get(), how) != 0 && errno != ENOTCONN)
        return os_failure("shut down a connection again");
  }
  return {};
}

const Kind kInetSocketKind{"internet socket", image::KernelObject::kInetSocket, Maker::kAgent,
                           matches, capture, create, connect};

}  // namespace cairn::resources
