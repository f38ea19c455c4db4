#include "resources/unread_events.h"

#include <limits.h>
#include <stdlib.h>
#include <sys/inotify.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cstring>
#include <utility>

namespace cairn::resources {
namespace {

constexpr std::uint32_t kHead = abi::kEventHead;
static_assert(sizeof(inotify_event) == kHead);

inotify_event head_at(const std::string& events, std::size_t at) {
  inotify_event event{};
  std::memcpy(&event, events.data() + at, kHead);
  return event;
}

Result<std::string> read_all(int inotify) {
  std::string events;
  int unread = 0;
  while (::ioctl(inotify, FIONREAD, &unread) == 0 && unread > 0) {
    std::string some(static_cast<std::size_t>(unread), '\0');
    const ssize_t got = ::read(inotify, some.data(), some.size());
    if (got < 0) return os_failure("read the events of an inotify");
    events.append(some, 0, static_cast<std::size_t>(got));
  }
  return events;
}

// A directory of ours that is gone afterwards.
class Workshop {
 public:
  static Result<Workshop> make() {
    std::string path = "/tmp/cairn-events-XXXXXX";
    if (::mkdtemp(path.data()) == nullptr) return os_failure("make the directory", path);
    return Workshop(std::move(path));
  }
  Workshop(Workshop&& other) noexcept : path_(std::exchange(other.path_, {})) {}
  Workshop& operator=(Workshop&&) = delete;
  ~Workshop() {
    if (!path_.empty()) ::rmdir(path_.c_str());
  }
  [[nodiscard]] const std::string& path() const { return path_; }

  // Whoever watches the directory is told that a file of that name was made.
  [[nodiscard]] Result<> tell(const char* name) const {
    const std::string file = path_ + "/" + name;
    if (::mknod(file.c_str(), S_IFREG | 0600, 0) != 0 || ::unlink(file.c_str()) != 0)
      return os_failure("put an event into an inotify:", file);
    return {};
  }

 private:
  explicit Workshop(std::string path) : path_(std::move(path)) {}
  std::string path_;
};

}  // namespace

Result<std::string> take_events(int inotify, const abi::Notices* notices) {
  CAIRN_ASSIGN(const std::string found, read_all(inotify));
  std::string events;
  int ended = -1;
  for (std::size_t at = 0; at + kHead <= found.size();) {
    const auto event = head_at(found, at);
    const char* name = found.data() + at + kHead;
    abi::StandIn what{};
    const bool stand_in = event.len != 0 && notices != nullptr && abi::read_stand_in(name, &what);
    if (stand_in) {
      inotify_event whole{};
      std::memcpy(&whole, &notices->unread[what.offset], kHead);
      events.append(&notices->unread[what.offset], kHead + whole.len);
      if (what.last) ended = event.wd;
    } else if (event.mask != IN_IGNORED || event.wd != ended) {
      events.append(found, at, kHead + event.len);
    }
    at += kHead + event.len;
  }
  return events;
}

Result<> put_events(int inotify, const std::string& events, abi::Notices& notices,
                    std::uint32_t& unread_used) {
  if (events.empty()) return {};
  if (events.size() > abi::kUnreadBytes - unread_used)
    return refusal("the job has too many events of files that nobody has read");
  CAIRN_ASSIGN(const auto workshop, Workshop::make());
  const int watch = ::inotify_add_watch(inotify, workshop.path().c_str(), IN_CREATE);
  if (watch < 0) return os_failure("watch the directory", workshop.path());
  for (std::size_t at = 0; at + kHead <= events.size();) {
    const auto event = head_at(events, at);
    const std::size_t bytes = kHead + event.len;
    std::memcpy(&notices.unread[unread_used], events.data() + at, bytes);
    const bool last = at + bytes >= events.size();
    char name[NAME_MAX + 1];
    const std::uint32_t longer = std::min<std::uint32_t>(event.len + 16, NAME_MAX + 1);
    abi::name_stand_in(name, longer - 1, {unread_used, last});
    notices.unread_left.fetch_add(1);
    CAIRN_TRY(workshop.tell(name));
    unread_used += static_cast<std::uint32_t>(bytes);
    at += bytes;
  }
  if (::inotify_rm_watch(inotify, watch) != 0) return os_failure("end a watch of ours");
  notices.note_number(watch);
  return {};
}

}  // namespace cairn::resources
