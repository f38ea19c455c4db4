#include "resources/file_locks.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/file.h>
#include <sys/syscall.h>

#include <cstdio>
#include <cstdlib>
#include <sstream>
#include <string>

#include "base/files.h"

namespace cairn::resources {
namespace {

// "lock:\t1: POSIX  ADVISORY  WRITE 1234 fe:00:4711 0 EOF"
Result<> parse_lock(const OpenFile& file, const std::string& line, image::FileLock& lock) {
  std::istringstream words(line);
  std::string label, number, kind, manner, type, holder, inode, start, end;
  words >> label >> number >> kind >> manner >> type >> holder >> inode >> start >> end;
  lock.set_holder(std::atoi(holder.c_str()));
  lock.set_start(std::strtoll(start.c_str(), nullptr, 10));
  lock.set_length(end == "EOF" ? 0 : std::strtoll(end.c_str(), nullptr, 10) - lock.start() + 1);
  const bool write = type == "WRITE";
  if (kind == "FLOCK") {
    lock.set_kind(image::FileLock::FLOCK);
    lock.set_type(write ? LOCK_EX : LOCK_SH);
  } else if (kind == "POSIX" || kind == "OFDLCK") {
    lock.set_kind(kind == "POSIX" ? image::FileLock::POSIX : image::FileLock::OPEN_FILE);
    lock.set_type(write ? F_WRLCK : F_RDLCK);
  } else if (kind == "LEASE" && manner == "ACTIVE") {
    lock.set_kind(image::FileLock::LEASE);
    lock.set_type(write ? F_WRLCK : F_RDLCK);
  } else {
    return cannot_save(file, fmt::format("{} with a {} {} lock", file.link, manner, kind));
  }
  return {};
}

}  // namespace

// POSIX locks are shown only in the holder's own fdinfo. Once per file and not per descriptor: all of
// them show the same ones, and taking them twice would do no harm but cost time.
Result<> capture_locks(CaptureContext& context, const OpenFile& file, image::KernelObject& object) {
  if (!S_ISREG(file.info.st_mode) || file.numbers.empty()) return {};
  auto fdinfo = read_text_file(
      context.process.proc_path(fmt::format("fdinfo/{}", file.numbers.front().fd)));
  if (!fdinfo) fdinfo = fdinfo_of(file.copy.get());
  if (!fdinfo) return Failure(std::move(fdinfo).error());
  std::istringstream lines(*fdinfo);
  for (std::string line; std::getline(lines, line);)
    if (line.starts_with("lock:")) CAIRN_TRY(parse_lock(file, line, *object.add_locks()));
  return {};
}

Result<> restore_locks(RebuildContext& context, const image::KernelObject& object) {
  const int copy = context.made.at(object.id()).get();
  const int number = context.number_of(object.id());
  for (const auto& lock : object.locks()) {
    if (lock.kind() == image::FileLock::LEASE) continue;  // later, see restore_leases
    const auto where = fmt::format("descriptor {}", number);
    if (lock.kind() == image::FileLock::FLOCK) {
      if (::flock(copy, lock.type() | LOCK_NB) != 0) return os_failure("flock again", where);
      continue;
    }
    struct flock range {};
    range.l_type = static_cast<short>(lock.type());
    range.l_whence = SEEK_SET;
    range.l_start = lock.start();
    range.l_len = lock.length();
    if (lock.kind() == image::FileLock::OPEN_FILE) {
      if (::fcntl(copy, F_OFD_SETLK, &range) != 0) return os_failure("lock again", where);
      continue;
    }
    CAIRN_ASSIGN(const auto place, context.process.scratch_object(range));
    CAIRN_TRY(context.process.syscall(SYS_fcntl, number, F_SETLK, place.address()));
  }
  return {};
}

bool has_write_lease(int fd) {
  return ::fcntl(fd, F_GETLEASE) == F_WRLCK;
}

// Inside, since a broken lease signals whoever has taken it; and when nobody opens the file any
// more, which would break it at once.
Result<> restore_leases(RebuildContext& context) {
  for (const auto& object : context.objects)
    for (const auto& lock : object.locks()) {
      if (lock.kind() != image::FileLock::LEASE || !context.made.contains(object.id())) continue;
      const int number = context.number_of(object.id());
      if (!context.process.syscall(SYS_fcntl, number, F_SETLEASE, lock.type()))
        return refusal(
            fmt::format("descriptor {}: its lease is not to be had, since somebody else has "
                        "the file open",
                        number));
    }
  return {};
}

}  // namespace cairn::resources
