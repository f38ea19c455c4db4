#include "base/unix_socket.h"

#include <poll.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>

namespace cairn {
namespace {

constexpr std::size_t kMaxLine = 1 << 20;

enum class Name { kPath, kAbstract };  // the latter begins with a zero byte

Result<sockaddr_un> unix_address(const std::filesystem::path& path, Name name = Name::kPath) {
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  const std::string& text = path.native();
  const std::size_t at = name == Name::kAbstract ? 1 : 0;
  if (at + text.size() >= sizeof address.sun_path)
    return failure(ENAMETOOLONG, "use the socket path", text);
  std::copy(text.begin(), text.end(), address.sun_path + at);
  return address;
}

Result<Fd> bound_socket(const sockaddr_un& address, const std::filesystem::path& path) {
  Fd fd(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  if (!fd.valid()) return os_failure("socket");
  if (::bind(fd.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0)
    return os_failure("bind", path);
  return fd;
}

Result<> wait_readable(int socket, const Deadline& deadline) {
  for (;;) {
    pollfd entry{.fd = socket, .events = POLLIN, .revents = 0};
    const int n = ::poll(&entry, 1, deadline.poll_timeout());
    if (n > 0) return {};
    if (n < 0 && errno != EINTR) return os_failure("poll");
    if (n == 0 && deadline.passed()) return failure(ETIMEDOUT, "wait for the peer");
  }
}

}  // namespace

Result<Fd> listen_unix(const std::filesystem::path& path) {
  CAIRN_ASSIGN(const sockaddr_un address, unix_address(path));
  CAIRN_ASSIGN(Fd fd, bound_socket(address, path));
  if (::chmod(path.c_str(), 0600) != 0) return os_failure("chmod", path);
  if (::listen(fd.get(), 128) != 0) return os_failure("listen", path);
  return fd;
}

Result<Fd> listen_abstract(const std::filesystem::path& path) {
  CAIRN_ASSIGN(const sockaddr_un address, unix_address(path, Name::kAbstract));
  CAIRN_ASSIGN(Fd fd, bound_socket(address, path));
  if (::listen(fd.get(), 128) != 0) return os_failure("listen", path);
  return fd;
}

Result<Fd> connect_unix(const std::filesystem::path& path) {
  CAIRN_ASSIGN(const sockaddr_un address, unix_address(path));
  Fd fd(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
  if (!fd.valid()) return os_failure("socket");
  if (::connect(fd.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0)
    return os_failure("connect to", path);
  return fd;
}

Result<Peer> accept_anybody(int listener) {
  Fd fd(::accept4(listener, nullptr, nullptr, SOCK_CLOEXEC));
  if (!fd.valid()) return os_failure("accept");
  ucred peer{};
  socklen_t size = sizeof peer;
  if (::getsockopt(fd.get(), SOL_SOCKET, SO_PEERCRED, &peer, &size) != 0)
    return os_failure("read the peer's credentials");
  return Peer{std::move(fd), peer.pid, peer.uid};
}

Result<Peer> accept_unix(int listener) {
  CAIRN_ASSIGN(auto peer, accept_anybody(listener));
  if (peer.uid != ::geteuid() && peer.uid != 0)
    return failure(EPERM, "serve a peer of user " + std::to_string(peer.uid));
  return peer;
}

Result<std::string> peek(int socket, std::size_t bytes, const Deadline& deadline) {
  std::string buffer(bytes, '\0');
  for (;;) {
    CAIRN_TRY(wait_readable(socket, deadline));
    const ssize_t n = ::recv(socket, buffer.data(), bytes, MSG_PEEK | MSG_DONTWAIT);
    if (n < 0 && (errno == EAGAIN || errno == EINTR)) continue;
    if (n < 0) return os_failure("recv");
    if (n == 0) return failure(ECONNRESET, "read from the peer");
    buffer.resize(static_cast<std::size_t>(n));
    return buffer;
  }
}

Result<> JsonLines::send(const Json& message) {
  // Names of files need not be UTF-8: replace, do not throw.
  const std::string line =
      message.dump(-1, ' ', false, Json::error_handler_t::replace) + "\n";
  std::string_view rest = line;
  while (!rest.empty()) {
    const ssize_t n = ::send(socket_.get(), rest.data(), rest.size(), MSG_NOSIGNAL);
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return os_failure("send");
    rest.remove_prefix(static_cast<std::size_t>(n));
  }
  return {};
}

Result<Json> JsonLines::receive(const Deadline& deadline) {
  for (;;) {
    if (const std::size_t end = buffer_.find('\n'); end != std::string::npos) {
      Json message = Json::parse(buffer_.substr(0, end), nullptr, false);
      buffer_.erase(0, end + 1);
      if (!message.is_object()) return failure(EPROTO, "understand the peer");
      return message;
    }
    if (buffer_.size() > kMaxLine) return failure(EMSGSIZE, "understand the peer");
    CAIRN_TRY(wait_readable(socket_.get(), deadline));
    char bytes[4096];
    const ssize_t n = ::recv(socket_.get(), bytes, sizeof bytes, MSG_DONTWAIT);
    if (n < 0 && (errno == EAGAIN || errno == EINTR)) continue;
    if (n < 0) return os_failure("recv");
    if (n == 0) return failure(ECONNRESET, "read from the peer");
    buffer_.append(bytes, static_cast<std::size_t>(n));
  }
}

}  // namespace cairn
