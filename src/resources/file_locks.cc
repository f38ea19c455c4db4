#include "resources/file_locks.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/file.h>
#include <sys/syscall.h>

#include <algorithm>
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

// POSIX locks are shown only in the holder's own fdinfo. Once per file and not per descriptor: all
// of them show the same ones, and taking them twice would do no harm but cost time.
//
// What belongs to the open file is shown to everybody who has it, and noted with the first of them.
Result<> capture_locks(CaptureJob& job, const OpenFile& file, image::KernelObject& object) {
  if (!S_ISREG(file.info.st_mode)) return {};
  const Number* last = nullptr;
  for (const auto& number : file.numbers) {
    if (last != nullptr && last->process == number.process) continue;
    const auto& context = job.members[number.process];
    auto fdinfo = read_text_file(context.process.proc_path(fmt::format("fdinfo/{}", number.fd)));
    if (!fdinfo) fdinfo = fdinfo_of(file.copy.get());
    if (!fdinfo) return Failure(std::move(fdinfo).error());
    std::istringstream lines(*fdinfo);
    for (std::string line; std::getline(lines, line);) {
      if (!line.starts_with("lock:")) continue;
      image::FileLock lock;
      CAIRN_TRY(parse_lock(file, line, lock));
      const bool of_process = lock.kind() == image::FileLock::POSIX;
      if (of_process)
        lock.set_holder(context.runtime->virtual_pid);
      else
        lock.set_holder(job.virtual_id(lock.holder()));
      if (of_process || last == nullptr) *object.add_locks() = std::move(lock);
    }
    last = &number;
  }
  return {};
}

namespace {

// Whoever has taken the lock, if it still has the file: fdinfo shows its pid.
RebuildContext& taker(RebuildJob& job, const image::KernelObject& object,
                      const image::FileLock& lock) {
  RebuildContext* holder = job.member(lock.holder());
  const auto& numbers = job.numbers_of(object.id());
  const bool has_it =
      holder != nullptr && std::any_of(numbers.begin(), numbers.end(), [&](const auto& number) {
        return number.process == holder->index;
      });
  return has_it ? *holder : job.holder(object.id());
}

Result<> restore_posix_lock(RebuildJob& job, const image::KernelObject& object,
                            const image::FileLock& lock, const struct flock& range) {
  RebuildContext& context = taker(job, object, lock);
  CAIRN_ASSIGN(const auto place, context.process.scratch_object(range));
  CAIRN_TRY(
      context.process.syscall(SYS_fcntl, context.number_of(object.id()), F_SETLK, place.address()));
  return {};
}

}  // namespace

Result<> restore_locks(RebuildJob& job, const image::KernelObject& object) {
  const int copy = job.made.at(object.id()).get();
  for (const auto& lock : object.locks()) {
    if (lock.kind() == image::FileLock::LEASE) continue;  // later, see restore_leases
    const auto where = fmt::format("(object {})", object.id());
    if (lock.kind() == image::FileLock::FLOCK) {
      RebuildContext& context = taker(job, object, lock);
      CAIRN_TRY(context.process.syscall(SYS_flock, context.number_of(object.id()),
                                        lock.type() | LOCK_NB));
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
    CAIRN_TRY(restore_posix_lock(job, object, lock, range));
  }
  return {};
}

bool has_write_lease(int fd) {
  return ::fcntl(fd, F_GETLEASE) == F_WRLCK;
}

// Inside, since a broken lease signals whoever has taken it; and when nobody opens the file any
// more, which would break it at once.
Result<> restore_leases(RebuildJob& job) {
  for (const auto& object : job.objects)
    for (const auto& lock : object.locks()) {
      if (lock.kind() != image::FileLock::LEASE || !job.made.contains(object.id())) continue;
      RebuildContext& context = job.holder(object.id());
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
