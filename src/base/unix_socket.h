#pragma once
// Unix stream sockets between the processes of one user, and lines of JSON over them.

#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include <nlohmann/json.hpp>

#include "base/deadline.h"
#include "base/error.h"
#include "base/fd.h"

namespace cairn {

using Json = nlohmann::json;

[[nodiscard]] Result<Fd> listen_unix(const std::filesystem::path& path);
// At the abstract name that is the path's text: it needs no permission, so whoever connects must be known.
[[nodiscard]] Result<Fd> listen_abstract(const std::filesystem::path& path);
[[nodiscard]] Result<Fd> connect_unix(const std::filesystem::path& path);

struct Peer {
  Fd socket;
  pid_t pid = 0;
  uid_t uid = 0;
};

// Accepts one connection; a peer of another user is refused (SO_PEERCRED; root may be anybody's).
[[nodiscard]] Result<Peer> accept_unix(int listener);

// The same for a peer of any user: it is the caller who knows it by its pid.
[[nodiscard]] Result<Peer> accept_anybody(int listener);

// The first `bytes` that the peer has sent, left in the socket.
[[nodiscard]] Result<std::string> peek(int socket, std::size_t bytes, const Deadline& deadline);

// One JSON document a line. Not for sockets that carry anything else.
class JsonLines {
 public:
  explicit JsonLines(Fd socket) : socket_(std::move(socket)) {}

  [[nodiscard]] Result<> send(const Json& message);
  // ECONNRESET at the end of the stream, ETIMEDOUT at the deadline.
  [[nodiscard]] Result<Json> receive(const Deadline& deadline);
  [[nodiscard]] int fd() const { return socket_.get(); }

 private:
  Fd socket_;
  std::string buffer_;
};

}  // namespace cairn
