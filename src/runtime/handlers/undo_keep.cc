// Keeping a file costs as little as its fate allows:
//
//   made since the commit             nothing: at the commit there was none
//   its content is in the image       nothing but mode and owner
//   small, about to lose a name       a copy: whoever has it open, or looks at another name of it,
//                                     sees one name less
//   large                             one more name (a hard link) in the journal's directory
//   about to be written               a copy; by reference where the file system can (FICLONE)
//   larger than kLargestCopy, where neither is possible: lost, and the restart says so

#include "runtime/handlers/undo_keep.h"

#include "runtime/host/journal.h"
#include "runtime/host/support.h"
#include "sys/syscall.h"

namespace cairn::runtime {
namespace {

using abi::JournalKind;
using abi::JournalRecord;
using abi::JournalState;
using abi::Keep;
using abi::Known;

constexpr std::uint32_t kTypeMask = 0170000, kRegular = 0100000, kDirectory = 0040000,
                        kSymlink = 0120000, kCharacter = 0020000, kBlock = 0060000;
constexpr std::uint64_t kSmall = 1 << 20;
constexpr std::uint64_t kLargestCopy = 1 << 30;  // of what is allocated
constexpr std::uint64_t kBlock512 = 512;
constexpr std::uint64_t kOpenToRead = 0x80800;  // O_RDONLY|O_CLOEXEC|O_NONBLOCK
constexpr std::uint64_t kONofollow = 0x20000;
constexpr std::uint64_t kFiclone = 0x40049409;
constexpr std::uint64_t kSeekData = 3, kSeekHole = 4;

std::uint32_t type_of(const struct statx& file) {
  return file.stx_mode & kTypeMask;
}

// Between file systems and on old kernels copy_file_range refuses; sendfile goes by the page cache.
bool copy_range(std::uint64_t from, std::uint64_t to, std::int64_t offset, std::int64_t end) {
  while (offset < end) {
    std::int64_t in = offset, out = offset;
    auto bytes = static_cast<std::uint64_t>(end - offset);
    auto done =
        sys::call(__NR_copy_file_range, from, sys::address(&in), to, sys::address(&out), bytes, 0);
    if (!done.ok() || done.value() == 0) {
      in = offset;
      if (!sys::call(__NR_lseek, to, static_cast<std::uint64_t>(offset), 0).ok()) return false;
      done = sys::call(__NR_sendfile, to, from, sys::address(&in), bytes);
    }
    if (!done.ok()) return false;
    if (done.value() == 0) return true;  // shorter by now
    offset += done.raw;
  }
  return true;
}

// Holes stay holes.
bool copy_whole(std::uint64_t from, std::uint64_t to, std::uint64_t size) {
  if (sys::call(__NR_ioctl, to, kFiclone, from).ok()) return true;
  struct statx file;
  if (!look_at_descriptor(from, &file).ok() || file.stx_blocks * kBlock512 > kLargestCopy)
    return false;
  if (!sys::call(__NR_ftruncate, to, size).ok()) return false;
  auto end = static_cast<std::int64_t>(size);
  for (std::int64_t at = 0; at < end;) {
    auto data = sys::call(__NR_lseek, from, static_cast<std::uint64_t>(at), kSeekData);
    if (!data.ok() && data.error() == kENXIO) break;
    auto hole = data.ok() ? sys::call(__NR_lseek, from, data.value(), kSeekHole) : data;
    std::int64_t start = data.ok() ? data.raw : at, stop = hole.ok() ? hole.raw : end;
    if (stop > end) stop = end;
    if (!copy_range(from, to, start, stop)) return false;
    at = stop;
  }
  return true;
}

std::uint32_t keep_copy(std::uint64_t from, std::uint64_t size) {
  std::uint32_t number = 0;
  std::int64_t to = make_kept_file(&number);
  if (to < 0) return 0;
  bool whole = copy_whole(from, static_cast<std::uint64_t>(to), size);
  (void)sys::call(__NR_close, static_cast<std::uint64_t>(to));
  if (whole) return number;
  drop_kept_file(number);
  return 0;
}

sys::SysResult open_to_read(const Place& place, std::uint64_t flags) {
  return sys::call(__NR_openat, place.directory, place.path, kOpenToRead | flags);
}

bool link_into_journal(ThreadBlock* t, const Place& place, JournalRecord* record) {
  std::uint32_t number = next_kept_path(t->journal_path[1], kPathRoom);
  if (number == 0 || !sys::call(__NR_linkat, place.directory, place.path, kWorkingDirectory,
                                sys::address(t->journal_path[1]), 0)
                          .ok())
    return false;
  record->keep = Keep::kLink;
  record->kept = number;
  return true;
}

bool copy_into_journal(const Place& place, std::uint64_t size, JournalRecord* record) {
  auto from = open_to_read(place, kONofollow);
  if (!from.ok()) return false;
  record->kept = keep_copy(from.value(), size);
  (void)sys::call(__NR_close, from.value());
  if (record->kept != 0) record->keep = Keep::kFile;
  return record->kept != 0;
}

void keep_regular(ThreadBlock* t, const Place& place, const struct statx& file,
                  JournalRecord* record) {
  bool only_name = file.stx_nlink == 1;
  if (only_name && known(key_of(file)) == Known::kContent) {
    record->keep = Keep::kContentElsewhere;
    return;
  }
  if (only_name && file.stx_size == 0) return;
  bool small = file.stx_size <= kSmall;
  if (!(small && copy_into_journal(place, file.stx_size, record)) &&
      !link_into_journal(t, place, record) &&
      !(!small && copy_into_journal(place, file.stx_size, record)))
    record->keep = Keep::kLost;
  if (record->keep == Keep::kFile && !only_name) record->keep = Keep::kOneOfMany;
}

// Files that are views of the kernel: what is written to them is a command.
bool is_view(std::uint64_t fd) {
  constexpr std::uint32_t kViews[] = {
      0x9fa0 /* proc */,         0x62656572 /* sysfs */,    0x27e0eb /* cgroup */,
      0x63677270 /* cgroup2 */,  0x64626720 /* debugfs */,  0x74726163 /* tracefs */,
      0x73636673 /* security */, 0x62656570 /* configfs */, 0x19800202 /* mqueue */,
      0xf97cff8c /* selinux */,  0xcafe4a11 /* bpf */,      0xde5e81e4 /* efivars */};
  std::uint64_t system[32] = {};  // struct statfs begins with the type
  if (!sys::call(__NR_fstatfs, fd, sys::address(system)).ok()) return false;
  for (std::uint32_t view : kViews)
    if (static_cast<std::uint32_t>(system[0]) == view) return true;
  return false;
}

// The path by which the kernel knows an open file, into the thread's first buffer.
bool path_of_descriptor(ThreadBlock* t, std::uint64_t fd) {
  char link[48];
  append_decimal(append(link, "/proc/thread-self/fd/"), static_cast<std::int32_t>(fd));
  auto length =
      sys::call(__NR_readlink, sys::address(link), sys::address(t->journal_path[0]), kPathRoom - 1);
  if (!length.ok()) return false;
  t->journal_path[0][length.value()] = 0;
  return true;
}

// A name that is there was made by this call.
void learn_identity(JournalRecord* record, std::int64_t result) {
  struct statx made;
  auto found = record->kind == JournalKind::kOpened
                   ? look_at_descriptor(static_cast<std::uint64_t>(result), &made)
                   : look({kWorkingDirectory, sys::address(record->path)}, kNoFollow, &made);
  if (!found.ok()) return;
  describe(record, made);
  if (made.stx_nlink <= 1 || type_of(made) == kDirectory) set_known(key_of(made), Known::kMade);
}

void note_content(ThreadBlock* t, std::uint64_t from, bool readable, const struct statx& file,
                  bool appended) {
  if (!path_of_descriptor(t, from)) return note_missing();
  JournalRecord* record =
      note(appended ? JournalKind::kLength : JournalKind::kContent, t->journal_path[0]);
  if (record == nullptr) return;
  describe(record, file);
  if (!appended && file.stx_size != 0) {
    record->kept = readable ? keep_copy(from, file.stx_size) : 0;
    record->keep = record->kept != 0 ? Keep::kFile : Keep::kLost;
  }
  record->state.store(JournalState::kDone);
  set_known(key_of(file), appended ? Known::kLength : Known::kContent);
}

}  // namespace

sys::SysResult look(const Place& place, std::uint32_t follow, struct statx* out) {
  constexpr std::uint32_t kNoAutomount = 0x800;
  return sys::call(__NR_statx, place.directory, place.path, follow | kNoAutomount,
                   STATX_BASIC_STATS, sys::address(out));
}

sys::SysResult look_at_descriptor(std::uint64_t fd, struct statx* out) {
  return sys::call(__NR_statx, fd, sys::address(""), kItself, STATX_BASIC_STATS, sys::address(out));
}

std::uint64_t key_of(const struct statx& file) {
  return abi::known_key(file.stx_dev_major, file.stx_dev_minor, file.stx_ino);
}

bool absolute_path(const Place& place, char* out, std::uint64_t room) {
  char first = 0;
  if (copy_from_guest(&first, place.path, 1) != 0 || first == 0) return false;
  if (first == '/') return string_from_guest(out, room, place.path) >= 0;
  std::uint64_t length = 0;
  if (static_cast<std::int32_t>(place.directory) == -100) {
    auto got = sys::call(__NR_getcwd, sys::address(out), room);
    if (!got.ok()) return false;
    length = got.value() - 1;
  } else {
    char link[48];
    append_decimal(append(link, "/proc/thread-self/fd/"),
                   static_cast<std::int32_t>(place.directory));
    auto got = sys::call(__NR_readlink, sys::address(link), sys::address(out), room);
    if (!got.ok()) return false;
    length = got.value();
  }
  if (length + 2 > room) return false;
  out[length] = '/';
  return string_from_guest(out + length + 1, room - length - 1, place.path) >= 0;
}

void describe(JournalRecord* record, const struct statx& file) {
  constexpr std::uint32_t kMinorBits = 20;
  bool device = type_of(file) == kCharacter || type_of(file) == kBlock;
  record->mode = file.stx_mode;
  record->inode = file.stx_ino;
  record->size = device ? (std::uint64_t{file.stx_rdev_major} << kMinorBits | file.stx_rdev_minor)
                        : file.stx_size;
  record->mtime_seconds = file.stx_mtime.tv_sec;
  record->mtime_nanoseconds = file.stx_mtime.tv_nsec;
  record->uid = file.stx_uid;
  record->gid = file.stx_gid;
}

JournalRecord* note_removal(ThreadBlock* t, const Place& place, const struct statx& file) {
  if (known(key_of(file)) == Known::kMade) return nullptr;
  if (!absolute_path(place, t->journal_path[0], kPathRoom)) return nullptr;
  const char* target = nullptr;
  if (type_of(file) == kSymlink) {
    auto length = sys::call(__NR_readlinkat, place.directory, place.path,
                            sys::address(t->journal_path[1]), kPathRoom - 1);
    if (!length.ok()) return nullptr;  // gone by now
    t->journal_path[1][length.value()] = 0;
    target = t->journal_path[1];
  }
  JournalRecord* record = note(JournalKind::kRemoved, t->journal_path[0], target);
  if (record == nullptr) return nullptr;
  describe(record, file);
  if (target != nullptr) record->keep = Keep::kTarget;
  if (type_of(file) == kRegular) keep_regular(t, place, file, record);
  return record;
}

void keep_content(ThreadBlock* t, const Place& place, const struct statx& file, bool appended) {
  if (type_of(file) != kRegular || file.stx_nlink == 0) return;
  Known before = known(key_of(file));
  if (before == Known::kMade || before == Known::kContent || (appended && before == Known::kLength))
    return;
  // By a descriptor: the record gets the path that the kernel knows, whatever links led here.
  auto from = open_to_read(place, 0);
  bool readable = from.ok();
  if (!readable) {
    constexpr std::uint64_t kOPath = 0x280000;  // O_PATH|O_CLOEXEC: not to be read by this process
    from = sys::call(__NR_openat, place.directory, place.path, kOPath);
  }
  if (!from.ok()) return;  // then the guest cannot open it either
  if (!is_view(from.value())) note_content(t, from.value(), readable, file, appended);
  (void)sys::call(__NR_close, from.value());
}

void begin_notes(ThreadBlock* t) {
  t->noted[0] = t->noted[1] = nullptr;
}

std::int64_t settle(ThreadBlock* t, std::int64_t result) {
  for (JournalRecord* record : t->noted) {
    if (record == nullptr) continue;
    bool made = record->kind == JournalKind::kMade || record->kind == JournalKind::kOpened;
    if (result >= 0 && made) learn_identity(record, result);
    if (result < 0 && record->kept != 0) drop_kept_file(record->kept);
    record->state.store(result < 0 ? JournalState::kFailed : JournalState::kDone);
  }
  begin_notes(t);
  return result;
}

}  // namespace cairn::runtime
