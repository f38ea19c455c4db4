#include "resources/regular_file.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <filesystem>

#include "resources/file_locks.h"
#include "resources/file_rewind.h"
#include "resources/page_scan.h"
#include "resources/passing_name.h"

namespace cairn::resources {
namespace {

constexpr std::uint32_t kOnlyForOpening = O_CREAT | O_EXCL | O_TRUNC;
constexpr std::string_view kOwnDescriptors = "/proc/self/fd/";
constexpr std::uint64_t kRunPages = 1U << 20;  // longest run; PageRun::pages has 32 bits

bool matches(const OpenFile& file) {
  return S_ISREG(file.info.st_mode) && !file.link.starts_with("/memfd:");
}

// Something to read from, where the process' own descriptor may be for writing only.
Result<Fd> readable_copy(const OpenFile& file) {
  if (has_write_lease(file.copy.get())) {
    if (!file.readable())
      return cannot_save(file, file.link + ", opened for writing only and with a lease,");
    Fd same(::fcntl(file.copy.get(), F_DUPFD_CLOEXEC, 0));
    if (!same.valid()) return os_failure("duplicate " + file.name());
    return same;
  }
  Fd fd(::open(fmt::format("/proc/self/fd/{}", file.copy.get()).c_str(), O_RDONLY | O_CLOEXEC));
  if (!fd.valid()) return os_failure("read " + file.name(), file.link);
  return fd;
}

Result<> plan_content(CaptureContext& context, const OpenFile& file, std::uint64_t object_id) {
  ContentPlan plan;
  plan.object_id = object_id;
  plan.bytes = static_cast<std::uint64_t>(file.info.st_size);
  if (plan.bytes > context.job.options.file_content_limit)
    return cannot_save(file, fmt::format("{}, written to and larger than the limit of {} bytes,",
                                         file.link, context.job.options.file_content_limit));
  CAIRN_ASSIGN(plan.file, readable_copy(file));
  // The search for holes moves the offset, which is the process' own if nothing was opened anew.
  const off_t offset = ::lseek(file.copy.get(), 0, SEEK_CUR);
  CAIRN_ASSIGN(plan.runs, pages_of_file(plan.file.get(), plan.bytes));
  if (offset < 0 || ::lseek(file.copy.get(), offset, SEEK_SET) != offset)
    return os_failure("go back to the offset in", file.link);
  context.job.result.contents.push_back(std::move(plan));
  return {};
}

std::string directory_of(const std::string& path) {
  return path.substr(0, std::max<std::size_t>(path.rfind('/'), 1));
}

bool leads_to(const std::string& path, const struct stat& info) {
  struct stat named {};
  return ::lstat(path.c_str(), &named) == 0 && named.st_ino == info.st_ino &&
         named.st_dev == info.st_dev;
}

// A name of the file, empty if it has none. One that lost its name but not all names is looked for in
// the directory where it was; where else it might be, nobody tells, and so it is refused.
Result<std::string> name_of(const OpenFile& file) {
  if (file.info.st_nlink == 0) return std::string();
  if (leads_to(file.link, file.info)) return file.link;
  const auto directory = directory_of(file.link);
  std::error_code error;
  for (const auto& entry : std::filesystem::directory_iterator(directory, error))
    if (leads_to(entry.path(), file.info)) return entry.path().string();
  return cannot_save(file, "the file " + file.link + ", which has lost this name but not all names,");
}

image::FileRule rule_for(const CaptureContext& context, const OpenFile& file) {
  if (context.job.options.files == FilePolicy::kNone) return image::FILE_RULE_NONE;
  if (!file.writable())
    return context.job.options.files == FilePolicy::kSave ? image::FILE_RULE_CONTENT
                                                          : image::FILE_RULE_NONE;
  return file.flags & O_APPEND ? image::FILE_RULE_LENGTH : image::FILE_RULE_CONTENT;
}

int strength(image::FileRule rule) {
  return rule == image::FILE_RULE_CONTENT ? 2 : rule == image::FILE_RULE_LENGTH ? 1 : 0;
}

// The strongest rule that any open file of the inode asks for is that of the first of them.
image::FileRule rule_of_inode(const CaptureContext& context, const OpenFile& file) {
  auto rule = rule_for(context, file);
  for (const auto& other : context.job.files)
    if (other.info.st_ino == file.info.st_ino && other.info.st_dev == file.info.st_dev &&
        strength(rule_for(context, other)) > strength(rule))
      rule = rule_for(context, other);
  return rule;
}

Result<> capture(CaptureContext& context, OpenFile& file, image::KernelObject& object) {
  auto& record = *object.mutable_regular_file();
  const off_t offset = ::lseek(file.copy.get(), 0, SEEK_CUR);
  if (offset < 0) return cannot_save(file, "the file " + file.link + ", which has no offset,");
  record.set_offset(offset);
  record.set_open_flags(file.flags & ~kOnlyForOpening);
  CAIRN_ASSIGN(const auto name, name_of(file));
  const bool named = !name.empty();
  if (named && name != file.link) record.set_lost_name(file.link);
  const auto key = std::pair(file.info.st_dev, file.info.st_ino);
  const auto [first, is_first] = context.job.shared.emplace(key, file.object_id);
  if (!is_first) {
    record.set_same_file_as(first->second);
    return {};
  }
  identify(file.info, named ? name : file.link, *record.mutable_file());
  record.set_link_count(static_cast<std::uint32_t>(file.info.st_nlink));
  record.set_size_at_commit(static_cast<std::uint64_t>(file.info.st_size));
  record.set_unlinked(!named);
  record.set_rule(named ? rule_of_inode(context, file) : image::FILE_RULE_CONTENT);
  if (record.rule() == image::FILE_RULE_CONTENT) return plan_content(context, file, object.id());
  if (record.rule() == image::FILE_RULE_LENGTH) {
    CAIRN_ASSIGN(const Fd readable, readable_copy(file));
    CAIRN_ASSIGN(auto hash, tail_hash(readable.get(), record.size_at_commit()));
    record.set_tail_hash(hash);
  }
  return {};
}

// A file without a name, in the directory where it was if that takes such files.
Result<Fd> make_unnamed(const image::RegularFile& record) {
  const std::string& path = record.file().path();
  const std::string directory = directory_of(path);
  const auto mode = record.file().mode() & 07777;
  for (const auto& place : {directory, std::string("/tmp")}) {
    Fd fd(::open(place.c_str(), O_TMPFILE | O_RDWR | O_CLOEXEC, mode));
    if (fd.valid()) return fd;
    std::string name = place + "/.cairn-XXXXXX";  // a file system without O_TMPFILE
    Fd made(::mkostemp(name.data(), O_CLOEXEC));
    if (!made.valid()) continue;
    ::unlink(name.c_str());
    ::fchmod(made.get(), mode);
    return made;
  }
  return os_failure("make a file without a name in place of", path);
}

// The inode itself: under its name, under another one in the same directory, or made anew.
Result<std::string> find_or_make(RebuildContext& context, const image::KernelObject& object) {
  const auto& record = object.regular_file();
  if (record.unlinked()) {
    CAIRN_ASSIGN(Fd fd, make_unnamed(record));
    CAIRN_TRY(fill_file(context.job, fd.get(), record.content()));
    auto path = fmt::format("{}{}", kOwnDescriptors, fd.get());
    context.job.held.push_back(std::move(fd));
    return path;
  }
  CAIRN_ASSIGN(auto present, present_path(record.file()));
  if (!present.empty()) return present;
  const std::string& path = record.file().path();
  if (record.rule() != image::FILE_RULE_CONTENT) return failure(ENOENT, "open the file", path);
  Fd fd(::open(path.c_str(), O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, record.file().mode() & 07777));
  if (!fd.valid() || ::fchmod(fd.get(), record.file().mode() & 07777) != 0)
    return os_failure("make the missing file", path);
  CAIRN_TRY(fill_file(context.job, fd.get(), record.content()));
  return path;
}

// Under the name that it had, so that links of /proc show that one: for what has lost it but not all names,
// and for what has none but was opened with O_NOFOLLOW (as shm_open does, and F_GETFL shows), with which no
// link of /proc leads to it. Where no link may be made, by way of what is left and without the flag.
Result<Fd> open_under_former_name(const std::string& path, const std::string& former, int flags) {
  const auto name = passing_name(former, [&](const std::string& candidate) {
    return ::linkat(AT_FDCWD, path.c_str(), AT_FDCWD, candidate.c_str(), AT_SYMLINK_FOLLOW);
  });
  if (!name) return Fd(::open(path.c_str(), flags & ~O_NOFOLLOW));
  Fd fd(::open(name->c_str(), flags));
  ::unlink(name->c_str());
  return fd;
}

// The open file that made its file with O_TMPFILE, which F_GETFL shows; none where that is not
// possible any more.
Result<Fd> make_temporary(const RebuildContext& context, const image::RegularFile& file,
                          int flags) {
  Fd fd(::open(directory_of(file.file().path()).c_str(), flags, file.file().mode() & 07777));
  if (!fd.valid()) return fd;
  const Fd writable(
      ::open(fmt::format("{}{}", kOwnDescriptors, fd.get()).c_str(), O_RDWR | O_CLOEXEC));
  if (!writable.valid()) return os_failure("open anew the file", file.file().path());
  CAIRN_TRY(fill_file(context.job, writable.get(), file.content()));
  return fd;
}

Result<Fd> open_named(const image::RegularFile& file, const std::string& path, int flags) {
  if (!(flags & O_NOFOLLOW) || !path.starts_with(kOwnDescriptors))
    return Fd(::open(path.c_str(), flags));
  return open_under_former_name(path, file.file().path(), flags);
}

Result<Fd> create(RebuildContext& context, const image::KernelObject& object) {
  const auto& record = object.regular_file();
  const auto* first =
      record.same_file_as() == 0 ? &object : context.job.object(record.same_file_as());
  if (first == nullptr || !first->has_regular_file())
    return refusal("an open file whose first record is not in the image");
  const int flags = static_cast<int>(record.open_flags()) | O_CLOEXEC;
  auto found = context.job.file_paths.find(first->id());
  Fd fd;
  if (found == context.job.file_paths.end() && (flags & O_TMPFILE) == O_TMPFILE &&
      first->regular_file().unlinked()) {
    CAIRN_ASSIGN(fd, make_temporary(context, first->regular_file(), flags));
    if (fd.valid()) {
      auto path = fmt::format("{}{}", kOwnDescriptors, fd.get());
      found = context.job.file_paths.emplace(first->id(), std::move(path)).first;
    }
  }
  if (found == context.job.file_paths.end()) {
    CAIRN_ASSIGN(auto path, find_or_make(context, *first));
    found = context.job.file_paths.emplace(first->id(), std::move(path)).first;
  }
  if (!fd.valid() && record.has_lost_name()) {
    CAIRN_ASSIGN(fd, open_under_former_name(found->second, record.lost_name(), flags));
  } else if (!fd.valid()) {
    CAIRN_ASSIGN(fd, open_named(first->regular_file(), found->second, flags & ~O_TMPFILE));
  }
  if (!fd.valid()) return os_failure("open the file", first->regular_file().file().path());
  struct stat info {};
  if (::fstat(fd.get(), &info) != 0 || !S_ISREG(info.st_mode))
    return refusal("this is no regular file any more:", first->regular_file().file().path());
  if (::lseek(fd.get(), record.offset(), SEEK_SET) != record.offset())
    return os_failure("go to the saved offset in", first->regular_file().file().path());
  return fd;
}

}  // namespace

void identify(const struct stat& info, const std::string& path, image::FileIdentity& identity) {
  identity.set_path(path);
  identity.set_size(static_cast<std::uint64_t>(info.st_size));
  identity.mutable_mtime()->set_seconds(info.st_mtim.tv_sec);
  identity.mutable_mtime()->set_nanoseconds(info.st_mtim.tv_nsec);
  identity.set_inode(info.st_ino);
  identity.set_device(info.st_dev);
  identity.set_mode(info.st_mode);
  identity.set_uid(info.st_uid);
  identity.set_gid(info.st_gid);
  // An inode's number is used again, its time of birth is not.
  struct statx times {};
  if (::statx(AT_FDCWD, path.c_str(), 0, STATX_BTIME, &times) == 0 &&
      (times.stx_mask & STATX_BTIME) && times.stx_ino == info.st_ino) {
    identity.mutable_birth()->set_seconds(times.stx_btime.tv_sec);
    identity.mutable_birth()->set_nanoseconds(times.stx_btime.tv_nsec);
  }
}

Result<std::vector<storage::PageRun>> pages_of_file(int fd, std::uint64_t bytes) {
  std::vector<storage::PageRun> runs;
  std::uint64_t covered = 0;  // end of what is in `runs`
  auto add = [&](std::uint64_t start, std::uint64_t end) {
    start = std::max(start / storage::kPageBytes * storage::kPageBytes, covered);
    while (start < end) {
      const std::uint64_t pages =
          std::min((end - start + storage::kPageBytes - 1) / storage::kPageBytes, kRunPages);
      runs.push_back({start, static_cast<std::uint32_t>(pages), false});
      start += pages * storage::kPageBytes;
    }
    covered = std::max(covered, start);
  };
  off_t at = 0;
  while (static_cast<std::uint64_t>(at) < bytes) {
    const off_t data = ::lseek(fd, at, SEEK_DATA);
    if (data < 0 && errno == ENXIO) break;  // only a hole is left
    if (data < 0) return os_failure("look for the data of a file");
    const off_t hole = ::lseek(fd, data, SEEK_HOLE);
    if (hole < 0) return os_failure("look for the holes of a file");
    add(static_cast<std::uint64_t>(data), std::min(static_cast<std::uint64_t>(hole), bytes));
    at = hole;
  }
  return runs;
}

namespace {

// Removed, and no descriptor is left: what is mapped of it is all that anybody can ever see of it.
Result<std::uint64_t> capture_nameless(CaptureContext& context, const MappedFile& mapped) {
  const auto key = std::pair(mapped.device, mapped.inode);
  auto found = context.job.shared.find(key);
  if (found == context.job.shared.end()) {
    image::KernelObject object;
    object.set_id(context.job.new_id());
    object.set_memory_of(1);
    object.set_status_flags(O_RDWR);
    auto& record = *object.mutable_regular_file();
    record.mutable_file()->set_path(mapped.path);
    record.mutable_file()->set_mode(S_IFREG | 0600);
    record.set_open_flags(O_RDWR);
    record.set_unlinked(true);
    record.set_rule(image::FILE_RULE_CONTENT);
    found = context.job.shared.emplace(key, object.id()).first;
    ContentPlan plan;
    plan.object_id = object.id();
    context.job.result.contents.push_back(std::move(plan));
    context.job.result.objects.push_back(std::move(object));
  }
  const auto& view = mapped.view;
  CAIRN_ASSIGN(const auto bytes, readable_bytes(*view.process, view.address, view.bytes));
  for (auto& plan : context.job.result.contents)
    if (plan.object_id == found->second && bytes != 0) {
      plan.views.push_back({view.offset, bytes, view.address, view.process});
      plan.bytes = std::max(plan.bytes, view.offset + bytes);
      add_run(plan.runs, view.offset, view.offset + bytes);
    }
  return found->second;
}

}  // namespace

// What is mapped is told by its inode alone: on btrfs and overlayfs the device in /proc/PID/maps is not
// the one that stat() says.
std::uint64_t open_file_of_inode(const CaptureJob& job, const std::string& path, ino_t inode) {
  for (const auto& file : job.files)
    if (file.info.st_ino == inode && file.link == path && S_ISREG(file.info.st_mode))
      return job.shared.at({file.info.st_dev, inode});
  return 0;
}

Result<std::uint64_t> capture_mapped_file(CaptureContext& context, const MappedFile& mapped) {
  const auto& [path, device, inode, writable, view] = mapped;
  const bool by_content = writable && context.job.options.files != FilePolicy::kNone;
  for (auto& file : context.job.files) {
    if (file.info.st_ino != inode || file.link != path) continue;
    const auto id = context.job.shared.at({file.info.st_dev, inode});
    for (auto& object : context.job.result.objects)
      if (object.id() == id && by_content &&
          object.regular_file().rule() != image::FILE_RULE_CONTENT) {
        object.mutable_regular_file()->set_rule(image::FILE_RULE_CONTENT);
        CAIRN_TRY(plan_content(context, file, id));
      }
    return id;
  }
  OpenFile file;
  file.copy.reset(::open(path.c_str(), (writable ? O_RDWR : O_RDONLY) | O_CLOEXEC));
  if (!file.copy.valid() || ::fstat(file.copy.get(), &file.info) != 0 ||
      file.info.st_ino != inode) {
    if (path.ends_with(" (deleted)")) return capture_nameless(context, mapped);
    return refusal(
        fmt::format("the mapped file {}, which cannot be opened, cannot be saved", path));
  }
  if (const auto known = context.job.shared.find({file.info.st_dev, inode});
      known != context.job.shared.end())
    return known->second;
  file.link = path;
  file.object_id = context.job.new_id();
  file.flags = writable ? O_RDWR : O_RDONLY;
  image::KernelObject object;
  object.set_id(file.object_id);
  object.set_status_flags(file.flags);
  object.set_memory_of(1);
  CAIRN_TRY(capture(context, file, object));
  const auto id = object.id();
  context.job.result.objects.push_back(std::move(object));
  file.captured = true;
  context.job.files.push_back(std::move(file));  // found by whoever maps it next
  return id;
}

const Kind kRegularFileKind{"regular file", image::KernelObject::kRegularFile, Maker::kAgent,
                            matches, capture, create, nullptr};

}  // namespace cairn::resources
