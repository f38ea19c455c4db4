#include "resources/file_rewind.h"

#include <dirent.h>
#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cstring>
#include <mutex>

#include "resources/undo_directory.h"
#include "storage/hash.h"

namespace cairn::resources {
namespace {

constexpr std::uint64_t kPiece = 1U << 20;

UndoDirectory undo_of(const RebuildJob& job) {
  return UndoDirectory(job.options.undo_directory);
}

Result<> restore_mtime(int fd, const image::FileIdentity& identity) {
  const timespec times[2] = {{0, UTIME_OMIT},
                             {identity.mtime().seconds(), identity.mtime().nanoseconds()}};
  if (::futimens(fd, times) != 0) return os_failure("set the time of", identity.path());
  return {};
}

// What nobody has looked at (of a file that is only mapped) stays new.
Result<> give_attributes(int fd, const image::FileIdentity& identity) {
  struct stat now {};
  if (::fstat(fd, &now) != 0) return os_failure("fstat", identity.path());
  const uid_t uid = identity.has_uid() ? identity.uid() : now.st_uid;
  const gid_t gid = identity.has_gid() ? identity.gid() : now.st_gid;
  if ((uid != now.st_uid || gid != now.st_gid) && ::fchown(fd, uid, gid) != 0)
    return os_failure("give to its owner the file made for", identity.path());
  if (::fchmod(fd, identity.mode() & 07777) != 0)
    return os_failure("set the mode of the file made for", identity.path());
  return identity.has_mtime() ? restore_mtime(fd, identity) : Result<>();
}

Result<> cut_to_length(RebuildJob& job, int fd, const image::RegularFile& record) {
  const auto& path = record.file().path();
  struct stat info {};
  if (::fstat(fd, &info) != 0) return os_failure("fstat", path);
  const auto size = static_cast<std::uint64_t>(info.st_size);
  if (size < record.size_at_commit())
    return refusal(fmt::format("the file {} is shorter than at the checkpoint ({} of {} bytes)", path,
                               size, record.size_at_commit()));
  CAIRN_ASSIGN(const auto hash, tail_hash(fd, record.size_at_commit()));
  if (hash != record.tail_hash())
    return refusal("since the checkpoint, something else was written to the file", path);
  if (size == record.size_at_commit()) return {};
  CAIRN_TRY(undo_of(job).keep(fd, path, "tail", record.size_at_commit(), size));
  if (::ftruncate(fd, static_cast<off_t>(record.size_at_commit())) != 0)
    return os_failure("cut back the file", path);
  return restore_mtime(fd, record.file());
}

// Whether anything but zeros is in the range, which was a hole at the commit.
Result<bool> has_data(int fd, std::uint64_t from, std::uint64_t to) {
  while (from < to) {
    const off_t data = ::lseek(fd, static_cast<off_t>(from), SEEK_DATA);
    if (data < 0 && errno == ENXIO) return false;
    if (data < 0) return os_failure("look for the data of a file");
    from = std::max(from, static_cast<std::uint64_t>(data));
    if (from >= to) return false;
    CAIRN_ASSIGN(const auto bytes, read_range(fd, from, std::min(kPiece, to - from)));
    if (bytes.find_first_not_of('\0') != std::string::npos) return true;
    if (bytes.empty()) return false;
    from += bytes.size();
  }
  return false;
}

// Compares page by page, and not by the time: a store into a page that is mapped and dirty already
// does not change it, nor does a write within the same tick of the kernel's clock. A file that is
// as it was is not written, and its time stays.
Result<bool> differs(const RebuildJob& job, int fd, const image::RegularFile& record) {
  struct stat info {};
  if (::fstat(fd, &info) != 0) return os_failure("fstat", record.file().path());
  if (static_cast<std::uint64_t>(info.st_size) != record.size_at_commit()) return true;
  if (record.content().pages().empty()) return has_data(fd, 0, record.size_at_commit());
  CAIRN_ASSIGN(auto reader, job.options.open_content(record.content().pages()));
  std::mutex mutex;
  bool different = false;
  CAIRN_TRY(reader->for_each([&](const storage::PageSpan& span) -> Result<> {
    const auto bytes = std::min<std::uint64_t>(span.bytes.size(),
                                               record.size_at_commit() - span.address);
    CAIRN_ASSIGN(const auto now, read_range(fd, span.address, bytes));
    const std::lock_guard lock(mutex);
    if (now.size() != bytes || std::memcmp(now.data(), span.bytes.data(), bytes) != 0)
      different = true;
    return {};
  }));
  if (different) return true;
  std::uint64_t hole = 0;  // begins behind the last page that is stored
  CAIRN_ASSIGN(const auto pages, reader->pages());
  for (const auto& run : pages) {
    CAIRN_ASSIGN(const bool filled, has_data(fd, hole, run.address));
    if (filled) return true;
    hole = run.address + run.pages * storage::kPageBytes;
  }
  return has_data(fd, hole, record.size_at_commit());
}

Result<> bring_content_back(RebuildJob& job, int fd, const image::RegularFile& record) {
  CAIRN_ASSIGN(const bool different, differs(job, fd, record));
  if (!different) return {};
  struct stat info {};
  if (::fstat(fd, &info) != 0) return os_failure("fstat", record.file().path());
  CAIRN_TRY(undo_of(job).keep(fd, record.file().path(), "content", 0,
                                  static_cast<std::uint64_t>(info.st_size)));
  CAIRN_TRY(fill_file(job, fd, record.content()));
  return restore_mtime(fd, record.file());
}

// The name that the file had; what has that name now goes to the undo directory.
Result<> undo_rename(RebuildJob& job, const std::string& now, const std::string& then) {
  if (now == then) return {};
  Fd other(::open(then.c_str(), O_RDONLY | O_CLOEXEC));
  if (other.valid()) {
    struct stat info {};
    if (::fstat(other.get(), &info) != 0) return os_failure("fstat", then);
    CAIRN_TRY(undo_of(job).keep(other.get(), then, "replaced", 0,
                                    static_cast<std::uint64_t>(info.st_size)));
  }
  if (::rename(now.c_str(), then.c_str()) != 0) return os_failure("give back its name to", then);
  return {};
}

// For files found by number alone. Where the file system keeps no time of birth, nothing is found.
bool is_born_as(const std::string& path, const image::FileIdentity& identity) {
  struct statx times {};
  return identity.has_birth() && ::statx(AT_FDCWD, path.c_str(), 0, STATX_BTIME, &times) == 0 &&
         (times.stx_mask & STATX_BTIME) && times.stx_btime.tv_sec == identity.birth().seconds() &&
         times.stx_btime.tv_nsec == identity.birth().nanoseconds();
}

}  // namespace

Result<> fill_file(const RebuildJob& job, int fd, const image::Content& content) {
  if (::ftruncate(fd, 0) != 0 || ::ftruncate(fd, static_cast<off_t>(content.bytes())) != 0)
    return os_failure("set the length of a file");
  if (content.pages().empty()) return {};
  CAIRN_ASSIGN(auto reader, job.options.open_content(content.pages()));
  return reader->for_each([&](const storage::PageSpan& span) -> Result<> {
    std::uint64_t at = span.address;
    const std::uint64_t end = std::min(at + span.bytes.size(), content.bytes());
    while (at < end) {
      const ssize_t put = ::pwrite(fd, span.bytes.data() + (at - span.address), end - at,
                                   static_cast<off_t>(at));
      if (put <= 0) return os_failure("write the contents of a file");
      at += static_cast<std::uint64_t>(put);
    }
    return {};
  });
}

Result<std::string> tail_hash(int fd, std::uint64_t size) {
  const std::uint64_t bytes = std::min(size, storage::kPageBytes);
  CAIRN_ASSIGN(const auto data, read_range(fd, size - bytes, bytes));
  return storage::to_hex(storage::hash_text(data));
}

Result<std::string> present_path(const image::FileIdentity& identity) {
  const std::string& path = identity.path();
  struct stat info {};
  const bool there = ::stat(path.c_str(), &info) == 0;
  if (there && info.st_ino == identity.inode()) return path;
  const std::string directory = path.substr(0, std::max<std::size_t>(path.rfind('/'), 1));
  if (DIR* entries = ::opendir(directory.c_str())) {
    std::string renamed;
    while (const dirent* entry = ::readdir(entries)) {
      if (entry->d_ino != identity.inode()) continue;
      const auto candidate = directory + "/" + entry->d_name;
      if (::lstat(candidate.c_str(), &info) == 0 && S_ISREG(info.st_mode) &&
          info.st_ino == identity.inode() && is_born_as(candidate, identity))
        renamed = candidate;
    }
    ::closedir(entries);
    if (!renamed.empty()) return renamed;
  }
  return there ? path : std::string();
}

Result<> finish_unnamed_files(RebuildJob& job) {
  for (const auto& object : job.objects) {
    if (!object.has_regular_file() || !object.regular_file().unlinked()) continue;
    const auto made = job.made.find(object.id());
    if (made == job.made.end() || object.regular_file().same_file_as() != 0) continue;
    CAIRN_TRY(give_attributes(made->second.get(), object.regular_file().file()));
  }
  return {};
}

Result<> rewind_files(RebuildJob& job) {
  if (!job.options.restore_files) return {};
  for (const auto& object : job.objects) {
    if (!object.has_regular_file() || !job.made.contains(object.id())) continue;
    const auto& record = object.regular_file();
    const auto found = job.file_paths.find(object.id());
    if (record.same_file_as() != 0 || record.unlinked() || found == job.file_paths.end() ||
        record.rule() == image::FILE_RULE_NONE)
      continue;
    Fd fd(::open(found->second.c_str(), O_RDWR | O_CLOEXEC));
    if (!fd.valid()) return os_failure("open for its rewinding the file", found->second);
    if (record.rule() == image::FILE_RULE_LENGTH)
      CAIRN_TRY(cut_to_length(job, fd.get(), record));
    else if (record.rule() == image::FILE_RULE_CONTENT)
      CAIRN_TRY(bring_content_back(job, fd.get(), record));
    CAIRN_TRY(undo_rename(job, found->second, record.file().path()));
  }
  return {};
}

}  // namespace cairn::resources
