#include "resources/inotify.h"

#include <dirent.h>
#include <fcntl.h>
#include <fmt/format.h>
#include <sys/inotify.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <optional>
#include <sstream>
#include <unordered_map>

#include "base/files.h"
#include "resources/registry.h"
#include "resources/unread_events.h"

namespace cairn::resources {
namespace {

constexpr std::uint32_t kReaders = IN_OPEN | IN_ACCESS | IN_CLOSE_NOWRITE;
constexpr std::uint32_t kHiddenFlags = IN_EXCL_UNLINK | IN_ONESHOT;  // shown since Linux 5.19
constexpr std::uint32_t kKept = IN_ALL_EVENTS | kHiddenFlags;
constexpr std::uint32_t kNothing = IN_UNMOUNT;  // a watch must be for something

// A line of fdinfo.
struct Mark {
  std::int32_t number;
  unsigned long inode;
  unsigned device;
  std::uint32_t mask;
};

std::vector<Mark> marks_in(const std::string& fdinfo) {
  std::vector<Mark> marks;
  std::istringstream lines(fdinfo);
  for (std::string line; std::getline(lines, line);) {
    Mark mark{};
    unsigned number = 0;
    if (std::sscanf(line.c_str(), "inotify wd:%x ino:%lx sdev:%x mask:%x", &number, &mark.inode,
                    &mark.device, &mark.mask) != 4)
      continue;
    mark.number = static_cast<std::int32_t>(number);
    marks.push_back(mark);
  }
  std::sort(marks.begin(), marks.end(),
            [](const Mark& a, const Mark& b) { return a.number < b.number; });
  return marks;
}

bool same_inode(const Mark& a, const Mark& b) {
  return a.inode == b.inode && a.device == b.device;
}

// How an inotify of our own shows what is at a path: on overlayfs stat() answers otherwise.
class Probe {
 public:
  static Result<Probe> make() {
    Fd fd(::inotify_init1(IN_CLOEXEC | IN_NONBLOCK));
    if (!fd.valid()) return os_failure("make an inotify to compare with");
    return Probe(std::move(fd));
  }
  std::optional<Mark> look(const std::string& path, std::uint32_t follow = IN_DONT_FOLLOW) const {
    const int number = ::inotify_add_watch(fd_.get(), path.c_str(), IN_DELETE_SELF | follow);
    if (number < 0) return std::nullopt;
    const auto fdinfo = fdinfo_of(fd_.get());
    ::inotify_rm_watch(fd_.get(), number);
    const auto marks = fdinfo ? marks_in(*fdinfo) : std::vector<Mark>();
    if (marks.empty()) return std::nullopt;
    return marks.front();
  }

 private:
  explicit Probe(Fd fd) : fd_(std::move(fd)) {}
  Fd fd_;
};

struct Found {
  std::string path;
  std::uint64_t object_id = 0;  // no path leads to it: an open file that does
  std::uint32_t flags = 0;
};

class Finder {
 public:
  Finder(const CaptureContext& context, const Probe& probe)
      : job_(context.job), notices_(context.job.options.notices), probe_(probe) {
    if (notices_ == nullptr) return;
    for (const auto& entry : notices_->paths)
      if (entry.hash.load() != 0 && entry.text.load() != 0)
        by_inode_.emplace(entry.inode.load(), &entry);
  }

  std::optional<Found> find(const Mark& mark) const {
    const auto [first, last] = by_inode_.equal_range(mark.inode);
    for (auto at = first; at != last; ++at)
      if (auto found = noted(mark, *at->second)) return found;
    if (auto found = open_file(mark)) return found;
    for (auto at = first; at != last; ++at)
      if (auto found = renamed(mark, *at->second)) return found;
    for (const auto& [inode, entry] : by_inode_)  // another number than stat() says
      if (auto found = noted(mark, *entry)) return found;
    return std::nullopt;
  }

 private:
  [[nodiscard]] std::string text(const abi::WatchedPath& entry) const {
    return &notices_->text[entry.text.load() - 1];
  }

  std::optional<Found> noted(const Mark& mark, const abi::WatchedPath& entry) const {
    const std::string path = text(entry);
    const auto here = probe_.look(path);
    if (!here || !same_inode(*here, mark)) return std::nullopt;
    return Found{path, 0, entry.flags.load()};
  }

  std::optional<Found> open_file(const Mark& mark) const {
    for (const auto& file : job_.files) {
      if (!S_ISREG(file.info.st_mode) && !S_ISDIR(file.info.st_mode)) continue;
      const auto here = probe_.look(fmt::format("/proc/self/fd/{}", file.copy.get()), 0);
      if (!here || !same_inode(*here, mark)) continue;
      if (const auto named = probe_.look(file.link); named && same_inode(*named, mark))
        return Found{file.link, 0, 0};
      return Found{{}, file.object_id, 0};
    }
    return std::nullopt;
  }

  // In the directory where it was, under another name.
  std::optional<Found> renamed(const Mark& mark, const abi::WatchedPath& entry) const {
    const std::string path = text(entry);
    const std::string directory = path.substr(0, std::max<std::size_t>(path.rfind('/'), 1));
    const std::unique_ptr<DIR, int (*)(DIR*)> listing(::opendir(directory.c_str()), ::closedir);
    if (listing == nullptr) return std::nullopt;
    while (const dirent* other = ::readdir(listing.get())) {
      if (other->d_ino != mark.inode) continue;
      const std::string name = directory + "/" + other->d_name;
      if (const auto here = probe_.look(name); here && same_inode(*here, mark))
        return Found{name, 0, entry.flags.load()};
    }
    return std::nullopt;
  }

  std::unordered_multimap<std::uint64_t, const abi::WatchedPath*> by_inode_;
  const CaptureJob& job_;
  const abi::Notices* notices_;
  const Probe& probe_;
};

bool matches(const OpenFile& file) {
  return file.link == "anon_inode:inotify";
}

Result<> capture(CaptureContext& context, OpenFile& file, image::KernelObject& object) {
  CAIRN_ASSIGN(const auto fdinfo, fdinfo_of(file.copy.get()));
  auto& record = *object.mutable_inotify();
  const abi::Notices* notices = context.job.options.notices;
  CAIRN_ASSIGN(const Probe probe, Probe::make());
  const Finder finder(context, probe);
  std::int32_t highest = notices == nullptr ? 0 : notices->highest_watch.load();
  for (const Mark& mark : marks_in(fdinfo)) {
    const auto found = finder.find(mark);
    if (!found)
      return cannot_save(file, fmt::format("watch {} of an inotify, on a file that no path leads "
                                           "to (inode {}),",
                                           mark.number, mark.inode));
    auto& watch = *record.add_watches();
    watch.set_number(mark.number);
    watch.set_path(found->path);
    if (found->object_id != 0) watch.set_object_id(found->object_id);
    watch.set_mask((mark.mask & kKept) | found->flags);
    highest = std::max(highest, mark.number);
    if ((mark.mask & kReaders) == 0) continue;
    std::string path = found->path;
    for (const auto& other : context.job.files)
      if (path.empty() && other.object_id == found->object_id)
        path = fmt::format("/proc/self/fd/{}", other.copy.get());
    CAIRN_TRY(context.job.result.deaf.add(file.copy.get(), path, mark.number, watch.mask()));
  }
  record.set_highest(highest);
  return {};
}

Result<Fd> create(RebuildContext&, const image::KernelObject&) {
  Fd fd(::inotify_init1(IN_CLOEXEC));
  if (!fd.valid()) return os_failure("make an inotify");
  return fd;
}

std::uint32_t as_given(std::uint32_t mask) {
  return (mask & IN_ALL_EVENTS) == 0 ? mask | kNothing : mask;
}

std::uint32_t follow_flag(const std::string& path) {
  return path.starts_with("/proc/self/fd/") ? 0 : IN_DONT_FOLLOW;
}

Result<> drain(int inotify) {
  alignas(inotify_event) char events[65536];
  int unread = 0;
  while (::ioctl(inotify, FIONREAD, &unread) == 0 && unread > 0)
    if (::read(inotify, events, sizeof events) < 0)
      return os_failure("read what a new inotify tells of itself");
  return {};
}

// Numbers are given one after another: those in between are given to a file of ours.
class Numbering {
 public:
  explicit Numbering(int inotify)
      : inotify_(inotify),
        own_(::memfd_create("cairn-watch", MFD_CLOEXEC)),
        path_(fmt::format("/proc/self/fd/{}", own_.get())) {}

  Result<> skip_to(std::int32_t number) {
    for (; next_ < number; ++next_) {
      const int given = ::inotify_add_watch(inotify_, path_.c_str(), IN_UNMOUNT);
      if (given < 0 || ::inotify_rm_watch(inotify_, given) != 0)
        return os_failure("reach the number of a watch");
      next_ = given;
    }
    return drain(inotify_);
  }
  void given() { ++next_; }

 private:
  int inotify_;
  Fd own_;
  std::string path_;
  std::int32_t next_ = 1;
};

}  // namespace

// Their events are taken from all of them before the first gets stand-ins: those that are left of
// the last checkpoint say where in the job's memory theirs are. They are put back whatever happens.
Result<> capture_inotifies(CaptureJob& job, Result<> (*capture_one)(CaptureJob&, OpenFile&)) {
  abi::Notices* notices = job.options.notices;
  std::vector<std::pair<OpenFile*, std::string>> taken;
  Result<> outcome;
  for (auto& file : job.files) {
    if (!matches(file)) continue;
    auto events = take_events(file.copy.get(), notices);
    if (!events) {
      outcome = Failure(events.error());
      break;
    }
    taken.emplace_back(&file, std::move(*events));
  }
  if (notices != nullptr) notices->unread_left.store(0);
  std::uint32_t used = 0;
  for (const auto& [file, events] : taken) {
    if (events.empty()) continue;
    auto put = notices != nullptr ? put_events(file->copy.get(), events, *notices, used)
                                  : Result<>(cannot_save_now(*file, "an inotify with unread events"));
    if (outcome && !put) outcome = put;
  }
  if (!outcome) return outcome;
  for (auto& [file, events] : taken) {
    CAIRN_TRY(capture_one(job, *file));
    job.result.objects.back().mutable_inotify()->set_queued(std::move(events));
  }
  return {};
}

DeafWatches::~DeafWatches() {
  hear_again();
}

Result<> DeafWatches::add(int inotify, const std::string& path, std::int32_t number,
                          std::uint32_t mask) {
  Watch watch{Fd(::fcntl(inotify, F_DUPFD_CLOEXEC, 0)), path, mask};
  const int given =
      ::inotify_add_watch(inotify, path.c_str(), as_given(mask & ~kReaders) | follow_flag(path));
  if (given != number) return failure(errno, "make a watch deaf for our own reading:", path);
  watches_.push_back(std::move(watch));
  return {};
}

void DeafWatches::hear_again() {
  for (const auto& watch : watches_)
    (void)::inotify_add_watch(watch.inotify.get(), watch.path.c_str(),
                              as_given(watch.mask) | follow_flag(watch.path));
  watches_.clear();
}

WatchRebuild::WatchRebuild(RebuildJob& job) : notices_(job.options.notices) {
  for (const auto& object : job.objects) {
    const auto made = job.made.find(object.id());
    if (!object.has_inotify() || made == job.made.end()) continue;
    Set set{&object, std::move(made->second), {}};
    for (const auto& watch : object.inotify().watches()) {
      auto& watched = set.watches.emplace_back(Watched{&watch, {}});
      const auto file = job.made.find(watch.object_id());
      if (watch.path().empty() && file != job.made.end())
        watched.file.reset(::fcntl(file->second.get(), F_DUPFD_CLOEXEC, 0));
    }
    job.made.erase(made);
    sets_.push_back(std::move(set));
  }
}

Result<> WatchRebuild::make() {
  std::uint32_t used = 0;
  for (const auto& set : sets_) {
    CAIRN_TRY(make(set));
    const auto& events = set.object->inotify().queued();
    if (notices_ != nullptr) CAIRN_TRY(put_events(set.inotify.get(), events, *notices_, used));
  }
  sets_.clear();
  return {};
}

Result<> WatchRebuild::make(const Set& set) {
  Numbering numbering(set.inotify.get());
  for (const auto& watched : set.watches) {
    const auto& record = *watched.record;
    CAIRN_TRY(numbering.skip_to(record.number()));
    const std::string path =
        record.path().empty() ? fmt::format("/proc/self/fd/{}", watched.file.get()) : record.path();
    const int given = ::inotify_add_watch(set.inotify.get(), path.c_str(),
                                          as_given(record.mask()) | follow_flag(path));
    if (given < 0) return os_failure("watch again", path);
    if (given != record.number())
      return refusal(fmt::format("watch {}: {} is the same file as that of watch {}",
                                 record.number(), path, given));
    numbering.given();
    struct stat info {};
    if (notices_ != nullptr && !record.path().empty() && ::lstat(path.c_str(), &info) == 0)
      notices_->note_watch(path.c_str(), static_cast<std::uint32_t>(path.size()), info.st_ino,
                           record.mask() & kHiddenFlags);
  }
  const auto highest = set.object->inotify().highest();
  CAIRN_TRY(numbering.skip_to(highest + 1));
  if (notices_ != nullptr) notices_->note_number(highest);
  return {};
}

const Kind kInotifyKind{
    "inotify", image::KernelObject::kInotify, Maker::kAgent, matches, capture, create, nullptr};

}  // namespace cairn::resources
