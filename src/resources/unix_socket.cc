// How sockets come back, since most of it cannot be done in any order:
//
//   create    all sockets exist: pairs as pairs, listeners bound and listening, accepted
//   connections
//             connected through a listener of the same name (peer credentials are the process' own,
//             so every call that sets some is made inside)
//   connect   datagram sockets are connected to names; queues are filled, by the peer, in order;
//             then waiting connections, shutdowns, options, closed peers
//
// A relative name is what the program gave to bind and what getsockname says, and so it is bound
// again, by the process, from its working directory. The agent has another one, and goes by
// /proc/self/fd.
#include "resources/unix_socket.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <linux/sockios.h>
#include <netinet/in.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstring>

#include "resources/inet_socket.h"
#include "resources/open_files.h"
#include "resources/socket_diag.h"
#include "resources/socket_options.h"
#include "resources/socket_queue.h"

namespace cairn::resources {
namespace {

using image::UnixSocket;
constexpr std::uint32_t kListening = 10;  // TCP_LISTEN, which unix_diag uses too
constexpr std::uint32_t kShutBoth = 3;

bool matches(const OpenFile& file) {
  if (!S_ISSOCK(file.info.st_mode)) return false;
  const auto domain = socket_option(file.copy.get(), SOL_SOCKET, SO_DOMAIN);
  return domain && *domain == AF_UNIX;
}

bool connection_oriented(int type) { return type == SOCK_STREAM || type == SOCK_SEQPACKET; }

const OpenFile* socket_of_inode(const CaptureContext& context, std::uint32_t inode) {
  for (const auto& file : context.job.files)
    if (S_ISSOCK(file.info.st_mode) && static_cast<std::uint32_t>(file.info.st_ino) == inode)
      return &file;
  return nullptr;
}

// The listener of the process at which this client waits to be accepted.
Result<bool> waits_inside(const CaptureContext& context, const OpenFile& client) {
  const auto inode = static_cast<std::uint32_t>(client.info.st_ino);
  for (const auto& file : context.job.files) {
    if (!matches(file)) continue;
    const auto listening = socket_option(file.copy.get(), SOL_SOCKET, SO_ACCEPTCONN);
    if (!listening || *listening == 0) continue;
    CAIRN_ASSIGN(const auto diagnosis, diagnose_unix_socket(file.info.st_ino));
    if (std::find(diagnosis.waiting.begin(), diagnosis.waiting.end(), inode) !=
        diagnosis.waiting.end())
      return true;
  }
  return false;
}

constexpr std::size_t kPathStart = offsetof(sockaddr_un, sun_path);

std::string path_of(const std::string& raw) {
  if (raw.size() <= kPathStart || raw[kPathStart] == '\0') return {};  // unnamed or abstract
  return {raw.c_str() + kPathStart, ::strnlen(raw.c_str() + kPathStart, raw.size() - kPathStart)};
}

bool is_relative(const std::string& raw) {
  const auto path = path_of(raw);
  return !path.empty() && path.front() != '/';
}

// The file that the socket was bound to, if it still has that name.
Result<> capture_name(const CaptureContext& context, const OpenFile& file,
                      const UnixDiagnosis& diagnosis, UnixSocket& record) {
  const auto& raw = record.bound().raw();
  const bool relative = is_relative(raw);
  const auto path = relative ? context.process.proc_path("cwd") + "/" + path_of(raw) : path_of(raw);
  struct stat info {};
  const bool found = !path.empty() && ::lstat(path.c_str(), &info) == 0 &&
                     static_cast<std::uint32_t>(info.st_ino) == diagnosis.name_inode;
  if (found) record.set_bound_mode(info.st_mode);
  const bool reached_by_name = diagnosis.state == kListening || record.type() == SOCK_DGRAM;
  if (!found && relative && reached_by_name)
    return cannot_save(file, "a unix socket that is bound to the relative name " + path_of(raw) +
                                 ", which is not in the working directory,");
  return {};
}

Result<> capture_connection(CaptureContext& context, OpenFile& file, const UnixDiagnosis& diagnosis,
                            UnixSocket& record) {
  if (diagnosis.peer_inode != 0) {
    const auto* peer = socket_of_inode(context, diagnosis.peer_inode);
    const bool again_by_name =
        !connection_oriented(record.type()) && !record.peer_address().raw().empty();
    if (peer == nullptr && !again_by_name)
      return cannot_save(file, "a unix socket connected to another process");
    record.set_state(UnixSocket::CONNECTED);
    if (peer != nullptr) record.set_peer_object_id(peer->object_id);
    return {};
  }
  if (diagnosis.shutdown == kShutBoth) {
    record.set_state(UnixSocket::PEER_CLOSED);
    return {};
  }
  CAIRN_ASSIGN(const bool inside, waits_inside(context, file));
  if (!inside) return cannot_save(file, "a unix socket that waits to be accepted by another process");
  int unread = 0;
  if (::ioctl(file.copy.get(), SIOCOUTQ, &unread) != 0) return os_failure("SIOCOUTQ");
  if (unread != 0)
    return cannot_save_now(file, "a unix socket with data in a connection that was not accepted yet");
  record.set_state(UnixSocket::PENDING);
  return {};
}

// Also one without a name, and one that is gone.
bool has_peer(int fd) {
  sockaddr_un name{};
  socklen_t bytes = sizeof name;
  return ::getpeername(fd, reinterpret_cast<sockaddr*>(&name), &bytes) == 0;
}

Result<> capture_listener(CaptureContext& context, OpenFile& file, const UnixDiagnosis& diagnosis,
                          UnixSocket& record) {
  record.set_state(UnixSocket::LISTENING);
  record.set_backlog(static_cast<std::int32_t>(diagnosis.backlog));
  for (const auto inode : diagnosis.waiting) {
    const auto* client = socket_of_inode(context, inode);
    if (client == nullptr)
      return cannot_save_now(file, "a listening socket at which another process waits, or one that is gone,");
    record.add_pending_object_ids(client->object_id);
  }
  return {};
}

Result<> capture(CaptureContext& context, OpenFile& file, image::KernelObject& object) {
  auto& record = *object.mutable_unix_socket();
  const int fd = file.copy.get();
  CAIRN_ASSIGN(const int type, socket_option(fd, SOL_SOCKET, SO_TYPE));
  record.set_type(type);
  CAIRN_ASSIGN(auto bound, local_address(fd));
  record.mutable_bound()->set_raw(std::move(bound));
  record.mutable_peer_address()->set_raw(peer_address(fd));
  CAIRN_ASSIGN(const auto diagnosis, diagnose_unix_socket(file.info.st_ino));
  CAIRN_TRY(capture_name(context, file, diagnosis, record));
  CAIRN_TRY(capture_options(fd, AF_UNIX, type, *record.mutable_options()));
  if (diagnosis.state == kListening) return capture_listener(context, file, diagnosis, record);
  record.set_state(UnixSocket::UNCONNECTED);
  record.set_read_shut(diagnosis.shutdown & 1);
  record.set_write_shut(diagnosis.shutdown & 2);
  if (connection_oriented(type) && diagnosis.state == 1) {
    CAIRN_TRY(capture_connection(context, file, diagnosis, record));
  } else if (diagnosis.peer_inode != 0) {
    CAIRN_TRY(capture_connection(context, file, diagnosis, record));
  } else if (has_peer(fd)) {
    record.set_state(UnixSocket::PEER_CLOSED);
  }
  if (record.state() == UnixSocket::PENDING) return {};
  return copy_queue(context, fd, type, *record.mutable_queue());
}

// --- rebuild

std::string file_of(const RebuildContext& context, const std::string& raw) {
  return is_relative(raw) ? context.image.program().working_directory() + "/" + path_of(raw)
                          : path_of(raw);
}

// The same name as seen from here, for as long as this lives.
struct Reachable {
  std::string raw;
  Fd directory{};
};

Result<Reachable> reach(const RebuildContext& context, const std::string& raw) {
  if (!is_relative(raw)) return Reachable{raw};
  const auto& directory = context.image.program().working_directory();
  Reachable name{raw.substr(0, kPathStart), Fd(::open(directory.c_str(), O_PATH | O_CLOEXEC))};
  if (!name.directory.valid()) return os_failure("open the working directory", directory);
  name.raw += fmt::format("/proc/self/fd/{}/{}", name.directory.get(), path_of(raw)) + '\0';
  if (name.raw.size() > sizeof(sockaddr_un))
    return refusal("too long a name of a socket:", path_of(raw));
  return name;
}

const sockaddr* address_of(const std::string& raw) {
  return reinterpret_cast<const sockaddr*>(raw.data());
}
socklen_t length_of(const std::string& raw) {
  return static_cast<socklen_t>(raw.size());
}

// The process is where a relative name counts from.
Result<> go_where_it_counts(RebuildContext& context, const std::string& raw) {
  if (!is_relative(raw)) return {};
  CAIRN_ASSIGN(const auto directory,
               context.process.scratch_text(context.image.program().working_directory()));
  CAIRN_TRY(context.process.syscall(SYS_chdir, directory.address()));
  return {};
}

// A stale name in the file system makes room; a name that somebody serves does not.
Result<> clear_name(const RebuildContext& context, const std::string& raw, int type) {
  const auto path = file_of(context, raw);
  struct stat info {};
  if (path.empty() || ::lstat(path.c_str(), &info) != 0) return {};
  if (!S_ISSOCK(info.st_mode)) return refusal("in place of the socket is now another file:", path);
  const Fd probe(::socket(AF_UNIX, type | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  CAIRN_ASSIGN(const auto name, reach(context, raw));
  if (::connect(probe.get(), address_of(name.raw), length_of(name.raw)) == 0)
    return refusal("another program serves the socket", path);
  if (::unlink(path.c_str()) != 0) return os_failure("remove the old socket", path);
  return {};
}

Result<int> socket_inside(RebuildContext& context, int type) {
  CAIRN_ASSIGN(const auto number, context.process.syscall(SYS_socket, AF_UNIX, type, 0));
  return static_cast<int>(number);
}

Result<> bind_inside(RebuildContext& context, int number, const std::string& raw) {
  CAIRN_TRY(go_where_it_counts(context, raw));
  CAIRN_ASSIGN(const auto name, context.process.scratch_bytes(std::as_bytes(std::span(raw))));
  CAIRN_TRY(context.process.syscall(SYS_bind, number, name.address(), raw.size()));
  return {};
}

// A name in the file system that leads to the socket no more (removed, or another's by now): bound
// once more for its sake, while what is there stands aside. Returns a descriptor that still leads
// to it.
Result<Fd> bind_removed(RebuildContext& context, int number, const std::string& raw) {
  const auto path = file_of(context, raw);
  const auto aside = path + fmt::format(".cairn-aside-{}", ::getpid());
  const bool occupied = ::rename(path.c_str(), aside.c_str()) == 0;
  if (!occupied && errno != ENOENT) return os_failure("move aside", path);
  const auto bound = bind_inside(context, number, raw);
  Fd name(bound ? ::open(path.c_str(), O_PATH | O_CLOEXEC) : -1);
  if (bound && ::unlink(path.c_str()) != 0) return os_failure("remove a socket's old name", path);
  if (occupied && ::rename(aside.c_str(), path.c_str()) != 0) return os_failure("put back", path);
  CAIRN_TRY(bound);
  if (!name.valid()) return os_failure("open a socket's old name", path);
  return name;
}

bool lost_its_name(const UnixSocket& record) {
  return record.bound_mode() == 0 && !path_of(record.bound().raw()).empty();
}

Result<Fd> make_bound(RebuildContext& context, const UnixSocket& record, std::uint64_t id = 0) {
  CAIRN_ASSIGN(const int number, socket_inside(context, record.type()));
  const auto& raw = record.bound().raw();
  if (lost_its_name(record)) {
    CAIRN_ASSIGN(context.job.removed_names[id], bind_removed(context, number, raw));
  } else if (!raw.empty()) {
    CAIRN_TRY(clear_name(context, raw, record.type()));
    CAIRN_TRY(bind_inside(context, number, raw));
    if (record.bound_mode() != 0 &&
        ::chmod(file_of(context, raw).c_str(), record.bound_mode() & 07777) != 0)
      return os_failure("give a socket's file its mode", file_of(context, raw));
  }
  if (record.state() == UnixSocket::LISTENING)
    CAIRN_TRY(context.process.syscall(SYS_listen, number, record.backlog()));
  return fetch_and_close(context, number);
}

Result<std::pair<Fd, Fd>> make_pair(RebuildContext& context, int type) {
  CAIRN_ASSIGN(const auto place, context.process.scratch_object(std::array<int, 2>{-1, -1}));
  CAIRN_TRY(context.process.syscall(SYS_socketpair, AF_UNIX, type, 0, place.address()));
  CAIRN_ASSIGN(const auto numbers, (context.process.read_object<std::array<int, 2>>(place.address())));
  CAIRN_ASSIGN(Fd first, fetch_and_close(context, numbers[0]));
  CAIRN_ASSIGN(Fd second, fetch_and_close(context, numbers[1]));
  return std::pair(std::move(first), std::move(second));
}

const image::KernelObject* listener_named(const RebuildContext& context, const std::string& raw) {
  for (const auto& object : context.job.objects)
    if (object.has_unix_socket() && object.unix_socket().state() == UnixSocket::LISTENING &&
        object.unix_socket().bound().raw() == raw)
      return &object;
  return nullptr;
}

Result<> connect_inside(RebuildContext& context, int number, const std::string& raw,
                        std::uint64_t listener) {
  if (const auto removed = context.job.removed_names.find(listener);
      removed != context.job.removed_names.end())
    return lend(context, removed->second.get(), [&](int at) -> Result<> {
      auto name = raw.substr(0, kPathStart) + fmt::format("/proc/self/fd/{}", at) + '\0';
      CAIRN_ASSIGN(const auto place, context.process.scratch_bytes(std::as_bytes(std::span(name))));
      CAIRN_TRY(context.process.syscall(SYS_connect, number, place.address(), name.size()));
      return {};
    });
  CAIRN_TRY(go_where_it_counts(context, raw));
  CAIRN_ASSIGN(const auto name, context.process.scratch_bytes(std::as_bytes(std::span(raw))));
  CAIRN_TRY(context.process.syscall(SYS_connect, number, name.address(), raw.size()));
  return {};
}

// The accepted side has its listener's name, so it is accepted from a listener of that name: the
// saved one, or one that lives only for this (its name in the file system is then left as it was).
Result<std::pair<Fd, Fd>> make_accepted(RebuildContext& context, const UnixSocket& server,
                                        const UnixSocket& client) {
  const auto& raw = server.bound().raw();
  Fd own;
  int listener = -1;
  const auto* saved = listener_named(context, raw);
  if (saved != nullptr) {
    if (!context.job.made.contains(saved->id())) {
      CAIRN_ASSIGN(context.job.made[saved->id()],
                   make_bound(context, saved->unix_socket(), saved->id()));
    }
    listener = context.job.made[saved->id()].get();
  } else {
    UnixSocket record;
    record.set_type(server.type());
    record.set_state(UnixSocket::LISTENING);
    record.set_backlog(1);
    *record.mutable_bound() = server.bound();
    record.set_bound_mode(server.bound_mode());
    CAIRN_ASSIGN(own, make_bound(context, record));
    listener = own.get();
  }
  CAIRN_ASSIGN(const int number, socket_inside(context, client.type()));
  if (!client.bound().raw().empty()) {
    CAIRN_TRY(clear_name(context, client.bound().raw(), client.type()));
    CAIRN_TRY(bind_inside(context, number, client.bound().raw()));
  }
  CAIRN_TRY(connect_inside(context, number, raw, saved != nullptr ? saved->id() : 0));
  int accepted = -1;
  CAIRN_TRY(lend(context, listener, [&](int at) -> Result<> {
    CAIRN_ASSIGN(const auto got, context.process.syscall(SYS_accept4, at, 0, 0, SOCK_CLOEXEC));
    accepted = static_cast<int>(got);
    return {};
  }));
  CAIRN_ASSIGN(Fd client_fd, fetch_and_close(context, number));
  CAIRN_ASSIGN(Fd server_fd, fetch_and_close(context, accepted));
  return std::pair(std::move(server_fd), std::move(client_fd));
}

Result<Fd> create_connected(RebuildContext& context, const image::KernelObject& object) {
  const auto& record = object.unix_socket();
  if (record.peer_object_id() == 0) return make_bound(context, record, object.id());
  const auto* other = context.job.object(record.peer_object_id());
  if (other == nullptr || !other->has_unix_socket())
    return refusal("a socket whose peer is not in the image");
  const auto& peer = other->unix_socket();
  const bool mutual = peer.peer_object_id() == object.id();
  if (!connection_oriented(record.type()) &&
      (!mutual || !record.bound().raw().empty() || !peer.bound().raw().empty()))
    return make_bound(context, record, object.id());  // connected by name, later
  std::pair<Fd, Fd> ends;
  if (!connection_oriented(record.type()) ||
      (record.bound().raw().empty() && peer.bound().raw().empty())) {
    CAIRN_ASSIGN(ends, make_pair(context, record.type()));
  } else if (!record.bound().raw().empty() &&
             (peer.peer_address().raw() == record.bound().raw())) {
    CAIRN_ASSIGN(ends, make_accepted(context, record, peer));
  } else {
    CAIRN_ASSIGN(auto swapped, make_accepted(context, peer, record));
    ends = {std::move(swapped.second), std::move(swapped.first)};
  }
  context.job.made[other->id()] = std::move(ends.second);
  return std::move(ends.first);
}

// The other end is kept by us until the queue is filled, and closed then.
Result<Fd> create_peer_closed(RebuildContext& context, const image::KernelObject& object) {
  const auto& record = object.unix_socket();
  std::pair<Fd, Fd> ends;
  if (connection_oriented(record.type()) && !record.bound().raw().empty()) {
    UnixSocket client;
    client.set_type(record.type());
    CAIRN_ASSIGN(ends, make_accepted(context, record, client));
  } else {
    CAIRN_ASSIGN(ends, make_pair(context, record.type()));
  }
  context.job.lost_peers[object.id()] = std::move(ends.second);
  return std::move(ends.first);
}

Result<Fd> create(RebuildContext& context, const image::KernelObject& object) {
  switch (object.unix_socket().state()) {
    case UnixSocket::CONNECTED: return create_connected(context, object);
    case UnixSocket::PEER_CLOSED: return create_peer_closed(context, object);
    default:
      return make_bound(context, object.unix_socket(), object.id());
  }
}

RebuildContext* author_of(RebuildContext& context, const image::QueuedMessage& message) {
  ucred credentials{};
  if (message.control().size() != sizeof credentials) return nullptr;
  std::memcpy(&credentials, message.control().data(), sizeof credentials);
  return context.job.member(credentials.pid);
}

bool is_abstract(const std::string& raw) {
  return raw.size() > kPathStart && raw[kPathStart] == '\0';
}

// Stands for a sender that is gone, by the name that it had. Of one with a path only the path is
// left, and that cannot be had a second time: its messages lose their sender.
Fd gone_sender(const UnixSocket& record, const std::string& name) {
  Fd fd;
  if (!is_abstract(name)) return fd;
  fd.reset(::socket(AF_UNIX, record.type() | SOCK_CLOEXEC, 0));
  if (fd.valid() && ::bind(fd.get(), address_of(name), length_of(name)) != 0) fd.reset();
  return fd;
}

// The socket of a sender's name, if it is there; else -1.
int sender_named(const RebuildContext& context, const std::string& name) {
  if (name.empty()) return -1;
  for (const auto& other : context.job.objects)
    if (other.has_unix_socket() && other.unix_socket().bound().raw() == name)
      if (const auto made = context.job.made.find(other.id()); made != context.job.made.end())
        return made->second.get();
  return -1;
}

// Who sends what is in a queue: the peer; for datagrams the socket of the sender's name, or anybody.
Result<> fill_queue(RebuildContext& context, const image::KernelObject& object) {
  const auto& record = object.unix_socket();
  if (record.queue_size() == 0) return {};
  int sender = -1;
  if (const auto lost = context.job.lost_peers.find(object.id());
      lost != context.job.lost_peers.end())
    sender = lost->second.get();
  else if (const auto peer = context.job.made.find(record.peer_object_id());
           peer != context.job.made.end())
    sender = peer->second.get();
  // Credentials are noted when a message is sent, if somebody asks for them.
  const int on = 1;
  if (std::any_of(record.queue().begin(), record.queue().end(),
                  [](const auto& message) { return !message.control().empty(); }) &&
      ::setsockopt(context.job.made[object.id()].get(), SOL_SOCKET, SO_PASSCRED, &on, sizeof on) !=
          0)
    return os_failure("ask for the credentials of senders");
  const bool by_name = !connection_oriented(record.type()) && !record.bound().raw().empty();
  Fd anybody;
  if (sender < 0) {
    anybody.reset(::socket(AF_UNIX, record.type() | SOCK_CLOEXEC, 0));
    sender = anybody.get();
  }
  for (const auto& message : record.queue()) {
    int from = sender;
    Fd gone;
    if (by_name) {
      if (const int named = sender_named(context, message.from().raw()); named >= 0)
        from = named;
      else if (gone = gone_sender(record, message.from().raw()); gone.valid())
        from = gone.get();
    }
    const RoomyBuffers room(from);
    Reachable name;
    if (by_name) {
      CAIRN_ASSIGN(name, reach(context, record.bound().raw()));
    }
    if (message.control().empty()) {
      CAIRN_TRY(send_message(context, from, message, name.raw));
      continue;
    }
    const auto& to = by_name ? record.bound().raw() : std::string();
    auto* author = author_of(context, message);
    if (author == nullptr) return refusal("a message whose author is not in the image");
    CAIRN_TRY(go_where_it_counts(*author, to));
    CAIRN_TRY(lend(*author, from,
                   [&](int number) { return send_message_inside(*author, number, message, to); }));
  }
  return {};
}

Result<> connect(RebuildContext& context, const image::KernelObject& object) {
  const auto& record = object.unix_socket();
  const int fd = context.job.made[object.id()].get();
  const auto& peer = record.peer_address().raw();
  if (record.state() == UnixSocket::CONNECTED && !connection_oriented(record.type()) &&
      peer_address(fd).empty() && !peer.empty()) {
    CAIRN_ASSIGN(const auto name, reach(context, peer));
    const bool outside = record.peer_object_id() == 0;  // and nobody need be there any more
    if (::connect(fd, address_of(name.raw), length_of(name.raw)) != 0 && !outside)
      return os_failure("connect a datagram socket again");
  }
  CAIRN_TRY(fill_queue(context, object));
  for (const auto client : record.pending_object_ids())
    CAIRN_TRY(lend(context, context.job.made[client].get(), [&](int number) {
      return connect_inside(context, number, record.bound().raw(), object.id());
    }));
  return restore_options(fd, record.options());
}

}  // namespace

// After every queue is filled: a shut or closed socket takes nothing any more.
Result<> shut_unix_sockets(RebuildJob& job) {
  for (const auto& object : job.objects) {
    const auto made = job.made.find(object.id());
    if (!object.has_unix_socket() || made == job.made.end()) continue;
    const auto& record = object.unix_socket();
    if (record.state() == UnixSocket::PEER_CLOSED && connection_oriented(record.type())) continue;
    if (record.read_shut()) (void)::shutdown(made->second.get(), SHUT_RD);
    if (record.write_shut()) (void)::shutdown(made->second.get(), SHUT_WR);
  }
  return {};
}

Result<bool> socket_leads_outside(CaptureContext& context, const OpenFile& file) {
  const int fd = file.copy.get();
  CAIRN_ASSIGN(const int domain, socket_option(fd, SOL_SOCKET, SO_DOMAIN));
  if (domain == AF_INET || domain == AF_INET6) return inet_leads_outside(context, file);
  if (domain != AF_UNIX) return false;
  CAIRN_ASSIGN(const auto diagnosis, diagnose_unix_socket(file.info.st_ino));
  if (diagnosis.state != kListening && diagnosis.peer_inode != 0)
    return socket_of_inode(context, diagnosis.peer_inode) == nullptr;
  return false;
}

const Kind kUnixSocketKind{"unix socket", image::KernelObject::kUnixSocket,
                           Maker::kAgentThenInside, matches, capture, create, connect};

}  // namespace cairn::resources
