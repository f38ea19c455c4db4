#include "resources/journal_undo.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <linux/fs.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include <algorithm>
#include <filesystem>
#include <iterator>
#include <map>
#include <set>

#include "resources/undo_directory.h"

namespace cairn::resources {
namespace {

using abi::JournalKind;
using abi::JournalRecord;
using abi::JournalState;
using abi::Keep;

constexpr std::uint64_t kPiece = 1U << 20;
constexpr std::uint32_t kMinorBits = 20;

struct Entry {
  JournalRecord* record;
  std::string directory;  // of its journal
  const UndoRequest* request;

  [[nodiscard]] std::string path() const { return request->moved(record->path); }
  [[nodiscard]] std::string text() const {
    return reinterpret_cast<const char*>(record) + record->second;
  }
  [[nodiscard]] std::string second() const { return request->moved(text()); }
  [[nodiscard]] std::string kept() const { return fmt::format("{}/{}", directory, record->kept); }
  [[nodiscard]] bool done() const { return record->state.load() == JournalState::kDone; }
};

bool exists(const std::string& path, struct stat& info) {
  return ::lstat(path.c_str(), &info) == 0;
}

timespec mtime_of(const JournalRecord& record) {
  return {record.mtime_seconds, record.mtime_nanoseconds};
}

bool same_time(const struct stat& info, const JournalRecord& record) {
  return info.st_mtim.tv_sec == record.mtime_seconds &&
         info.st_mtim.tv_nsec == record.mtime_nanoseconds;
}

class Undo {
 public:
  explicit Undo(const UndoRequest& request) : undo_(request.undo_directory) {}

  Result<> check(const Entry& entry);
  Result<> apply(const Entry& entry);

 private:
  // A removed file that was made anew is another inode than the one in earlier records.
  [[nodiscard]] bool is_file_of(const struct stat& info, const JournalRecord& record) const {
    return (info.st_mode & S_IFMT) == (record.mode & S_IFMT) &&
           (info.st_ino == record.inode || made_anew_.contains({record.inode, info.st_ino}));
  }
  Result<> made(const Entry& entry) const;
  Result<> removed(const Entry& entry);
  Result<> renamed(const Entry& entry) const;
  Result<> exchanged(const Entry& entry) const;
  Result<> content(const Entry& entry) const;
  Result<> length(const Entry& entry) const;
  Result<> have_again(const Entry& entry) const;
  [[nodiscard]] bool link_again(const Entry& entry) const;
  Result<> make_again(const Entry& entry) const;
  Result<> give_attributes(const Entry& entry, const std::string& path) const;
  [[nodiscard]] Result<> fill(const Entry& entry, int fd) const;

  UndoDirectory undo_;
  std::set<std::pair<ino_t, ino_t>> made_anew_;
  std::map<ino_t, std::string> again_at_;  // by the inode that the file had
};

// What was lost and has changed since cannot be undone.
Result<> Undo::check(const Entry& entry) {
  if (entry.record->keep != Keep::kLost) return {};
  struct stat info {};
  const bool there = exists(entry.path(), info);
  if (there && info.st_ino == entry.record->inode && same_time(info, *entry.record)) return {};
  if (entry.record->kind == JournalKind::kRemoved && !entry.done() && there) return {};
  return refusal(fmt::format(
      "the file {} was {} after the checkpoint and could not be kept ({} bytes); --files=none "
      "leaves all files as they are",
      entry.path(), entry.record->kind == JournalKind::kRemoved ? "removed" : "overwritten",
      entry.record->size));
}

Result<> Undo::apply(const Entry& entry) {
  switch (entry.record->kind) {
    case JournalKind::kMade:
    case JournalKind::kOpened:
      return made(entry);
    case JournalKind::kRemoved:
      return removed(entry);
    case JournalKind::kRenamed:
      return renamed(entry);
    case JournalKind::kExchanged:
      return exchanged(entry);
    case JournalKind::kContent:
      return content(entry);
    case JournalKind::kLength:
      return length(entry);
  }
  return refusal("a record of an unknown kind in the journal", entry.directory);
}

// By open through a symbolic link that led nowhere: what was made is where the link leads.
Result<> Undo::made(const Entry& entry) const {
  std::string path = entry.path();
  if (entry.record->kind == JournalKind::kOpened) {
    std::error_code error;
    const auto real = std::filesystem::canonical(path, error);
    if (error) return {};
    path = real;
  }
  struct stat info {};
  if (!exists(path, info)) return {};
  if (entry.done() && !is_file_of(info, *entry.record)) return {};
  return undo_.take(path);
}

Result<> Undo::removed(const Entry& entry) {
  struct stat info {};
  const std::string path = entry.path();
  if (exists(path, info)) {
    if (!entry.done() || info.st_ino == entry.record->inode) return {};
    CAIRN_TRY(undo_.take(path));
  }
  CAIRN_TRY(have_again(entry));
  if (exists(path, info)) {
    made_anew_.emplace(entry.record->inode, info.st_ino);
    again_at_[entry.record->inode] = path;
  }
  return {};
}

// One more name of what has been brought back, or of what another name beside it still leads to.
bool Undo::link_again(const Entry& entry) const {
  const std::string path = entry.path();
  struct stat info {};
  const auto links = [&](const std::string& other) {
    return exists(other, info) && is_file_of(info, *entry.record) &&
           ::link(other.c_str(), path.c_str()) == 0;
  };
  const auto again = again_at_.find(entry.record->inode);
  bool linked = again != again_at_.end() && links(again->second);
  std::error_code error;
  const auto parent = std::filesystem::path(path).parent_path();
  for (std::filesystem::directory_iterator at(parent, error), end; !error && !linked && at != end;
       at.increment(error))
    linked = links(at->path());
  if (linked) ::unlink(entry.kept().c_str());
  return linked;
}

Result<> Undo::have_again(const Entry& entry) const {
  const auto keep = entry.record->keep;
  if (keep == Keep::kOneOfMany && link_again(entry)) return {};
  const bool copied = keep == Keep::kFile || keep == Keep::kOneOfMany;
  if (!copied && keep != Keep::kLink) return make_again(entry);
  const std::string path = entry.path();
  if (copied) {
    if (::chmod(entry.kept().c_str(), 0600) != 0) return os_failure("use the kept", entry.kept());
    CAIRN_TRY(give_attributes(entry, entry.kept()));
  }
  if (::rename(entry.kept().c_str(), path.c_str()) == 0) return {};
  if (errno != EXDEV || keep == Keep::kLink) return os_failure("bring back the file", path);
  const Fd fd(::open(path.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600));
  if (!fd.valid()) return os_failure("bring back the file", path);
  CAIRN_TRY(fill(entry, fd.get()));
  return give_attributes(entry, path);
}

Result<> Undo::make_again(const Entry& entry) const {
  const std::string path = entry.path();
  const auto mode = entry.record->mode;
  const bool device = S_ISCHR(mode) || S_ISBLK(mode);
  int made = -1;
  if (S_ISDIR(mode)) {
    made = ::mkdir(path.c_str(), 0700);
  } else if (S_ISLNK(mode)) {
    made = ::symlink(entry.text().c_str(), path.c_str());
  } else {
    made = ::mknod(
        path.c_str(), (mode & S_IFMT) | 0600,
        device ? ::makedev(static_cast<unsigned>(entry.record->size >> kMinorBits),
                           static_cast<unsigned>(entry.record->size & ((1U << kMinorBits) - 1)))
               : 0);
  }
  if (made != 0) return os_failure("bring back", path);
  return give_attributes(entry, path);
}

// The owner as far as we may: an ordinary user's files are the user's.
Result<> Undo::give_attributes(const Entry& entry, const std::string& path) const {
  const auto& record = *entry.record;
  const timespec times[2] = {{0, UTIME_OMIT}, mtime_of(record)};
  struct stat info {};
  if (!exists(path, info)) return os_failure("look at", path);
  const bool other = info.st_uid != record.uid || info.st_gid != record.gid;
  if (other && ::lchown(path.c_str(), record.uid, record.gid) != 0 && errno != EPERM)
    return os_failure("set the owner of", path);
  if (!S_ISLNK(record.mode) && ::chmod(path.c_str(), record.mode & 07777) != 0)
    return os_failure("set the mode of", path);
  if (::utimensat(AT_FDCWD, path.c_str(), times, AT_SYMLINK_NOFOLLOW) != 0)
    return os_failure("set the time of", path);
  return {};
}

Result<> Undo::renamed(const Entry& entry) const {
  struct stat info {};
  const std::string then = entry.path();
  const std::string now = entry.second();
  if (!exists(now, info) || !is_file_of(info, *entry.record)) return {};
  if (exists(then, info)) {
    if (!entry.done() || is_file_of(info, *entry.record)) return {};
    CAIRN_TRY(undo_.take(then));
  }
  if (::rename(now.c_str(), then.c_str()) != 0) return os_failure("give back its name to", then);
  return {};
}

Result<> Undo::exchanged(const Entry& entry) const {
  struct stat info {};
  if (!exists(entry.second(), info) || !is_file_of(info, *entry.record)) return {};
  if (!exists(entry.path(), info)) return {};
  if (::renameat2(AT_FDCWD, entry.path().c_str(), AT_FDCWD, entry.second().c_str(),
                  RENAME_EXCHANGE) != 0)
    return os_failure("exchange again with another file", entry.path());
  return {};
}

Result<> Undo::fill(const Entry& entry, int fd) const {
  const Fd from(::open(entry.kept().c_str(), O_RDONLY | O_CLOEXEC));
  if (!from.valid()) return os_failure("read the kept file", entry.kept());
  const std::uint64_t size = entry.record->size;
  if (::ftruncate(fd, 0) != 0 || ::ftruncate(fd, static_cast<off_t>(size)) != 0)
    return os_failure("set the length of", entry.path());
  return copy_data(from.get(), 0, size, fd);
}

Result<bool> same_bytes(int a, int b, std::uint64_t size) {
  const auto next = [&](std::uint64_t at) {
    return std::min(next_data(a, at, size), next_data(b, at, size));
  };
  for (std::uint64_t at = next(0); at < size; at = next(at + kPiece)) {
    CAIRN_ASSIGN(const auto one, read_range(a, at, std::min(kPiece, size - at)));
    CAIRN_ASSIGN(const auto other, read_range(b, at, std::min(kPiece, size - at)));
    if (one != other) return false;
  }
  return true;
}

Result<> Undo::content(const Entry& entry) const {
  if (entry.record->keep == Keep::kLost) return {};  // it has not changed: check()
  const Fd fd(::open(entry.path().c_str(), O_RDWR | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK));
  struct stat info {};
  if (!fd.valid() || ::fstat(fd.get(), &info) != 0)
    return errno == ENOENT || errno == ELOOP
               ? Result<>{}
               : Result<>(os_failure("open for its undoing", entry.path()));
  if (!is_file_of(info, *entry.record)) return {};
  const auto size = static_cast<std::uint64_t>(info.st_size);
  const bool kept = entry.record->keep == Keep::kFile;
  if (size == entry.record->size) {
    const Fd then(kept ? ::open(entry.kept().c_str(), O_RDONLY | O_CLOEXEC) : -1);
    if (kept && !then.valid()) return os_failure("read the kept file", entry.kept());
    CAIRN_ASSIGN(const bool same,
                 kept ? same_bytes(fd.get(), then.get(), size) : Result<bool>(true));
    if (same) return {};
  }
  CAIRN_TRY(undo_.keep(fd.get(), entry.path(), "content", 0, size));
  if (kept) CAIRN_TRY(fill(entry, fd.get()));
  if (!kept && ::ftruncate(fd.get(), 0) != 0) return os_failure("empty again", entry.path());
  const timespec times[2] = {{0, UTIME_OMIT}, mtime_of(*entry.record)};
  if (::futimens(fd.get(), times) != 0) return os_failure("set the time of", entry.path());
  return {};
}

Result<> Undo::length(const Entry& entry) const {
  const Fd fd(::open(entry.path().c_str(), O_RDWR | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK));
  struct stat info {};
  if (!fd.valid() || ::fstat(fd.get(), &info) != 0)
    return errno == ENOENT || errno == ELOOP
               ? Result<>{}
               : Result<>(os_failure("open for its undoing", entry.path()));
  const auto size = static_cast<std::uint64_t>(info.st_size);
  const auto then = entry.record->size;
  if (!is_file_of(info, *entry.record) || size <= then) return {};
  CAIRN_TRY(undo_.keep(fd.get(), entry.path(), "tail", then, size));
  if (::ftruncate(fd.get(), static_cast<off_t>(then)) != 0)
    return os_failure("cut back the file", entry.path());
  const timespec times[2] = {{0, UTIME_OMIT}, mtime_of(*entry.record)};
  if (::futimens(fd.get(), times) != 0) return os_failure("set the time of", entry.path());
  return {};
}

struct Written {
  std::vector<MappedJournal> journals;
  std::vector<Entry> entries;  // in the order of writing
};

// All that happened since the commit and is not undone yet.
Result<Written> read_journals(const UndoRequest& request) {
  Written written;
  if (request.positions.empty()) return written;
  const std::uint64_t first = request.positions.rbegin()->first;
  CAIRN_ASSIGN(const auto numbers, journals_in(request.directory));
  for (const std::uint64_t number : numbers) {
    if (number < first || number == request.without) continue;
    const auto place = fmt::format("{}/{}", request.directory, number);
    CAIRN_ASSIGN(auto journal, MappedJournal::open(place + "/log"));
    if (journal.header().incomplete != 0)
      return refusal(
          "not all that was done to files after the checkpoint could be written down; "
          "--files=none leaves them as they are");
    const auto position = request.positions.find(number);
    for (auto* record :
         journal.records(position == request.positions.end() ? 0 : position->second)) {
      const auto state = record->state.load();
      if (state == JournalState::kIntent || state == JournalState::kDone)
        written.entries.push_back({record, place, &request});
    }
    written.journals.push_back(std::move(journal));
  }
  return written;
}

}  // namespace

Result<std::set<std::string>> names_in_journals(const UndoRequest& request) {
  std::set<std::string> names;
  CAIRN_ASSIGN(const Written written, read_journals(request));
  for (const Entry& entry : written.entries) {
    names.insert(entry.path());
    if (entry.record->second != 0) names.insert(entry.second());
  }
  return names;
}

Result<> undo_journals(const UndoRequest& request) {
  CAIRN_ASSIGN(const Written written, read_journals(request));
  Undo undo(request);
  for (const Entry& entry : written.entries) CAIRN_TRY(undo.check(entry));
  for (auto entry = written.entries.rbegin(); entry != written.entries.rend(); ++entry) {
    CAIRN_TRY(undo.apply(*entry));
    entry->record->state = JournalState::kUndone;
  }
  return {};
}

}  // namespace cairn::resources
