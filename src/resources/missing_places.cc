#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>

#include <algorithm>
#include <cstddef>
#include <cstring>

#include "resources/file_rewind.h"
#include "resources/pty.h"
#include "resources/rebuild.h"

namespace cairn::resources {
namespace {

std::string directory_of(const std::string& path) {
  return path.substr(0, std::max<std::size_t>(path.rfind('/'), 1));
}

class Missing {
 public:
  Missing(const std::vector<image::KernelObject>& objects,
          const std::function<bool(const std::string&)>& comes_back)
      : objects_(objects), comes_back_(comes_back) {}

  void look(const image::KernelObject& object) {
    if (object.has_regular_file()) return look(object.regular_file());
    if (object.has_directory() && !object.directory().unlinked())
      need("the open directory", object.directory().path());
    if (object.has_path_only() && !object.path_only().has_target() &&
        pty_named(objects_, object.path_only().file().path()) == nullptr)
      need("the open file", object.path_only().file().path());
    if (object.has_device()) need("the device", object.device().path());
    if (object.has_fifo() && !object.fifo().unlinked())
      need_directory("FIFO", object.fifo().path());
    for (const auto& watch : object.inotify().watches()) need("the watched", watch.path());
    if (object.has_unix_socket()) look(object.unix_socket());
  }
  void need(std::string_view what, const std::string& path) {
    if (!path.empty() && !exists(path)) add(std::string(what) + " " + path + " is missing");
  }
  std::vector<std::string> take() { return std::move(problems_); }

 private:
  void look(const image::RegularFile& record) {
    const std::string& path = record.file().path();
    if (record.same_file_as() != 0 || record.unlinked()) return;
    if (record.rule() == image::FILE_RULE_CONTENT) return need_directory("open file", path);
    const auto present = present_path(record.file());
    if ((!present || present->empty()) && !comes_back_(path))
      add("the open file " + path + " is missing");
  }

  void look(const image::UnixSocket& record) {
    constexpr std::size_t kHead = offsetof(sockaddr_un, sun_path);
    const std::string& raw = record.bound().raw();
    sa_family_t family = AF_UNSPEC;
    if (raw.size() > kHead) std::memcpy(&family, raw.data(), sizeof family);
    if (family == AF_UNIX && raw[kHead] == '/') need_directory("socket", raw.c_str() + kHead);
  }

  void need_directory(std::string_view of, const std::string& path) {
    if (!exists(directory_of(path)))
      add("the directory of the " + std::string(of) + " " + path + " is missing");
  }

  [[nodiscard]] bool exists(const std::string& path) const {
    struct stat info {};
    return ::lstat(path.c_str(), &info) == 0 || comes_back_(path);
  }
  void add(std::string problem) {
    if (std::find(problems_.begin(), problems_.end(), problem) == problems_.end())
      problems_.push_back(std::move(problem));
  }

  const std::vector<image::KernelObject>& objects_;
  const std::function<bool(const std::string&)>& comes_back_;
  std::vector<std::string> problems_;
};

}  // namespace

std::vector<std::string> missing_places(
    const std::vector<image::ProcessImage>& processes,
    const std::vector<image::KernelObject>& objects,
    const std::function<bool(const std::string& path)>& comes_back) {
  Missing missing(objects, comes_back);
  for (const auto& process : processes)
    if (!process.zombie() && !process.program().has_removed_directory())
      missing.need("the working directory", process.program().working_directory());
  for (const auto& object : objects) missing.look(object);
  return missing.take();
}

}  // namespace cairn::resources
