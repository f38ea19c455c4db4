#include "resources/inet_backlog.h"

#include <fcntl.h>
#include <linux/tcp.h>
#include <poll.h>
#include <sys/socket.h>

#include <algorithm>
#include <vector>

#include "resources/inet_make.h"
#include "resources/inet_queue.h"
#include "resources/inet_socket.h"
#include "resources/socket_diag.h"
#include "resources/socket_options.h"
#include "resources/socket_queue.h"

namespace cairn::resources {
namespace {

using image::InetSocket;
constexpr int kEstablished = 1, kSynReceived = 3, kFinWait1 = 4, kFinWait2 = 5, kCloseWait = 8;
// What is taken must find room again, whatever the limits of an ordinary user's buffers are.
constexpr int kMostBytes = 128 << 10;

struct Waiting {
  TcpDiagnosis end;                  // the listener's
  const OpenFile* client = nullptr;  // null: not the job's
  bool outside = false;              // somebody else's; else its client is gone
};

// One that was accepted to look into it.
struct Taken {
  Fd end;
  const OpenFile* client = nullptr;
  image::PendingConnection* record = nullptr;
};

bool is_listener(const OpenFile& file) {
  const auto listening = socket_option(file.copy.get(), SOL_SOCKET, SO_ACCEPTCONN);
  return is_tcp(file) && listening && *listening != 0;
}

const OpenFile* client_of(const CaptureContext& context, const std::string& local,
                          const std::string& remote) {
  const auto there = endpoint_of(local);
  const auto here = endpoint_of(remote);
  for (const auto& file : context.job.files) {
    if (!is_tcp(file) || endpoint_of(peer_address(file.copy.get())) != there) continue;
    const auto name = local_address(file.copy.get());
    if (name && endpoint_of(*name) == here) return &file;
  }
  return nullptr;
}

Result<std::vector<Waiting>> waiting_at(const CaptureContext& context, const InetSocket& record) {
  std::vector<Waiting> waiting;
  std::vector<TcpDiagnosis> all;
  for (const int family : {AF_INET, AF_INET6}) {
    CAIRN_ASSIGN(auto some, diagnose_tcp(family));
    all.insert(all.end(), some.begin(), some.end());
  }
  for (const auto& end : all) {
    if (end.inode != 0 || !listens_at(record.local().raw(), end.local) ||
        (end.state != kEstablished && end.state != kCloseWait && end.state != kSynReceived))
      continue;
    Waiting one{end, client_of(context, end.local, end.remote)};
    const auto here = endpoint_of(end.remote);
    const auto there = endpoint_of(end.local);
    if (one.client == nullptr) {
      const bool this_machine = is_loopback(end.remote) || here.address == there.address;
      one.outside = !this_machine || std::any_of(all.begin(), all.end(), [&](const auto& other) {
        return other.inode != 0 && endpoint_of(other.local) == here &&
               endpoint_of(other.remote) == there;
      });
    }
    waiting.push_back(std::move(one));
  }
  return waiting;
}

Result<bool> has_sent(const Waiting& one) {
  if (one.client == nullptr) return !one.outside;  // whatever it was, it has ended
  CAIRN_ASSIGN(const auto info, tcp_info_of(one.client->copy.get()));
  return info.tcpi_state != kEstablished || info.tcpi_bytes_acked > 1 || info.tcpi_unacked > 0 ||
         info.tcpi_notsent_bytes > 0 || one.end.unread > 0;
}

// Of several that share a port each would find all that wait there.
bool is_first_at_its_port(const CaptureContext& context, const OpenFile& listener,
                          const InetSocket& record) {
  for (const auto& file : context.job.files) {
    if (&file == &listener) return true;
    const auto name = local_address(file.copy.get());
    if (!is_listener(file) || !name || *name != record.local().raw()) continue;
    const auto info = tcp_info_of(file.copy.get());
    if (info && info->tcpi_unacked > 0) return false;
  }
  return true;
}

Result<Taken> take(const CaptureContext& context, const OpenFile& listener, InetSocket& record) {
  Taken one{Fd(::accept4(listener.copy.get(), nullptr, nullptr, SOCK_CLOEXEC))};
  if (!one.end.valid()) return os_failure("accept a connection to look into it");
  one.record = record.add_pending();
  auto& end = *one.record->mutable_accepted();
  end.set_domain(record.domain());
  end.set_type(record.type());
  end.set_protocol(record.protocol());
  CAIRN_ASSIGN(auto local, local_address(one.end.get()));
  end.mutable_local()->set_raw(std::move(local));
  end.mutable_peer()->set_raw(peer_address(one.end.get()));
  one.client = client_of(context, end.local().raw(), end.peer().raw());
  if (one.client != nullptr) one.record->set_client_object_id(one.client->object_id);
  return one;
}

Result<> look_into(const OpenFile& listener, Taken& one) {
  const int fd = one.end.get();
  const RoomyBuffers room(fd);
  if (one.client != nullptr) CAIRN_TRY(wait_until_sent(*one.client, fd));
  return copy_tcp_queue(listener, fd, *one.record->mutable_accepted());
}

// The client's socket, not connected and at its old port.
Result<> disconnect(Taken& one) {
  const int fd = one.client->copy.get();
  const sockaddr none{AF_UNSPEC, {}};
  if (::connect(fd, &none, sizeof none) != 0) return os_failure("disconnect a TCP connection");
  one.end.reset();
  CAIRN_TRY(socket_option(fd, SOL_SOCKET, SO_ERROR));  // takes the error that this left
  // EINVAL: it has kept the port, since the program had chosen it.
  if (!bind_as_client(fd, one.record->accepted().peer().raw()) && errno != EINVAL)
    return os_failure("bind a client's socket again");
  return {};
}

Result<> put_back(Taken& one) {
  const auto& end = one.record->accepted();
  const linger at_once{1, 0};
  (void)::setsockopt(one.end.get(), SOL_SOCKET, SO_LINGER, &at_once, sizeof at_once);
  if (one.client == nullptr) {
    one.end.reset();
    return make_gone(end);
  }
  const int fd = one.client->copy.get();
  CAIRN_ASSIGN(const auto info, tcp_info_of(fd));
  pollfd shut{fd, POLLRDHUP, 0};
  const bool read_shut = ::poll(&shut, 1, 0) == 1 && (shut.revents & POLLRDHUP) != 0;
  InetSocket options;
  CAIRN_ASSIGN(const int domain, socket_option(fd, SOL_SOCKET, SO_DOMAIN));
  CAIRN_TRY(capture_options(fd, domain, SOCK_STREAM, *options.mutable_options()));
  CAIRN_TRY(disconnect(one));
  CAIRN_TRY(connect_again(fd, end.local().raw()));
  choose_ports_as_saved(fd, options);
  {
    const RoomyBuffers room(fd);
    CAIRN_TRY(send_tcp_queue(fd, end));
  }
  CAIRN_TRY(restore_options(fd, options.options()));
  if (read_shut) (void)::shutdown(fd, SHUT_RD);
  if (info.tcpi_state == kFinWait1 || info.tcpi_state == kFinWait2) (void)::shutdown(fd, SHUT_WR);
  return {};
}

// Whatever fails: all that were taken are put back.
Result<> look_into_all(const CaptureContext& context, const OpenFile& listener,
                       InetSocket& record) {
  std::vector<Taken> taken;
  Result<> looked;
  for (pollfd ready{listener.copy.get(), POLLIN, 0}; looked && ::poll(&ready, 1, 0) == 1;) {
    auto one = take(context, listener, record);
    if (!one) {
      looked = tl::unexpected(one.error());
    } else {
      looked = look_into(listener, *one);
      taken.push_back(std::move(*one));
    }
  }
  for (auto& one : taken)
    if (const auto put = put_back(one); !put && looked) looked = put;
  return looked;
}

}  // namespace

Result<> capture_backlog(CaptureContext& context, OpenFile& listener, InetSocket& record) {
  CAIRN_ASSIGN(const auto info, tcp_info_of(listener.copy.get()));
  if (info.tcpi_unacked == 0) return {};
  CAIRN_ASSIGN(const auto waiting, waiting_at(context, record));
  bool any_sent = false;
  bool any_outside = false;
  for (const auto& one : waiting) {
    CAIRN_ASSIGN(const bool sent, has_sent(one));
    if (sent && one.end.state == kSynReceived && one.client != nullptr)
      return cannot_save_now(*one.client,
                         "a TCP connection with data that its listener has no room for");
    if (one.end.unread > kMostBytes)
      return cannot_save_now(listener,
                         "a listening socket with much data in a connection that was not "
                         "accepted yet");
    any_sent = any_sent || (sent && one.end.state != kSynReceived);
    any_outside = any_outside || one.outside;
  }
  if (any_sent && any_outside)
    return cannot_save_now(listener,
                       "a listening socket at which processes of the job wait with data, and "
                       "others too,");
  if (any_sent) return look_into_all(context, listener, record);
  if (!is_first_at_its_port(context, listener, record)) return {};
  for (const auto& one : waiting)  // those from outside of the job are reset with it
    if (one.client != nullptr && one.end.state != kSynReceived)
      record.add_pending()->set_client_object_id(one.client->object_id);
  return {};
}

bool waits_at_listener(const CaptureContext& context, const InetSocket& client) {
  const auto& peer = client.peer().raw();
  if (!is_loopback(peer) && endpoint_of(peer).address != endpoint_of(client.local().raw()).address)
    return false;
  return std::any_of(context.job.files.begin(), context.job.files.end(), [&](const auto& file) {
    const auto name = is_listener(file) ? local_address(file.copy.get()) : std::string();
    return name && !name->empty() && listens_at(*name, peer);
  });
}

Result<> fill_backlog(RebuildJob& job, const InetSocket& listener) {
  for (const auto& pending : listener.pending()) {
    const auto& end = pending.accepted();
    if (pending.client_object_id() == 0) {
      CAIRN_TRY(make_gone(end));
      continue;
    }
    const auto* client = job.object(pending.client_object_id());
    if (client == nullptr || !client->has_inet_socket())
      return refusal("a connection that waits at a listening socket is not in the image");
    const int fd = job.made.at(client->id()).get();
    CAIRN_TRY(connect_again(fd, client->inet_socket().peer().raw()));
    choose_ports_as_saved(fd, client->inet_socket());
    const RoomyBuffers room(fd);
    CAIRN_TRY(send_tcp_queue(fd, end));
  }
  return {};
}

}  // namespace cairn::resources
