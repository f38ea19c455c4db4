#include "patch/plan_cache.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cstdlib>

#include "base/fd.h"

namespace cairn::patch {
namespace {

// Parents as the umask has them, the last one for the user alone: a plan decides which bytes of a
// program are overwritten.
Result<> make_directory(const std::string& path) {
  for (std::size_t slash = path.find('/', 1); slash != std::string::npos;
       slash = path.find('/', slash + 1)) {
    const std::string parent = path.substr(0, slash);
    if (::mkdir(parent.c_str(), 0755) != 0 && errno != EEXIST)
      return os_failure("create directory", parent);
  }
  if (::mkdir(path.c_str(), 0700) != 0 && errno != EEXIST)
    return os_failure("create directory", path);
  return {};
}

Result<> write_all(int fd, const std::vector<std::uint8_t>& bytes, const std::string& path) {
  for (std::size_t done = 0; done < bytes.size();) {
    const ssize_t n = ::write(fd, bytes.data() + done, bytes.size() - done);
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return os_failure("write", path);
    done += static_cast<std::size_t>(n);
  }
  return {};
}

}  // namespace

Result<std::string> PlanCache::default_directory() {
  const auto variable = [](const char* name) -> std::string {
    const char* value = std::getenv(name);
    return value != nullptr ? value : "";
  };
  if (auto cache = variable("CAIRN_PLAN_CACHE"); !cache.empty()) return cache;
  if (auto xdg = variable("XDG_CACHE_HOME"); !xdg.empty()) return xdg + "/cairn/plans";
  if (auto home = variable("HOME"); !home.empty()) return home + "/.cache/cairn/plans";
  return refusal("no plan cache: none of CAIRN_PLAN_CACHE, XDG_CACHE_HOME and HOME is set");
}

std::string PlanCache::path_for(const ElfFile& file) const {
  char name[abi::kPlanNameBytes];
  const auto id = file.build_id();
  const FileIdentity& f = file.identity();
  if (!id.empty()) {
    abi::plan_name(name, id.data(), static_cast<std::uint32_t>(id.size()));
  } else {
    abi::plan_name(name, f.device, f.inode, f.size, f.mtime_seconds, f.mtime_nanoseconds);
  }
  return directory_ + "/" + name;
}

bool PlanCache::holds(const ElfFile& file) const {
  const Fd fd(::open(path_for(file).c_str(), O_RDONLY | O_CLOEXEC));
  // As the runtime does: one that somebody else could have written is made anew.
  struct stat info {};
  if (!fd.valid() || ::fstat(fd.get(), &info) != 0 || (info.st_mode & 022) != 0 ||
      (info.st_uid != 0 && info.st_uid != ::geteuid()))
    return false;
  abi::PlanHeader header;
  if (::read(fd.get(), &header, sizeof header) != sizeof header) return false;
  if (header.magic != abi::kPlanMagic || header.version != abi::kPlanVersion ||
      header.file_size != file.identity().size)
    return false;
  std::vector<std::uint64_t> body(abi::plan_body_bytes(header) / sizeof(std::uint64_t));
  const std::size_t bytes = body.size() * sizeof(std::uint64_t);
  return ::read(fd.get(), body.data(), bytes) == static_cast<ssize_t>(bytes) &&
         abi::plan_checksum(body.data(), bytes) == header.checksum;
}

Result<> PlanCache::store(const ElfFile& file, const Plan& plan) const {
  CAIRN_TRY(make_directory(directory_));
  const std::string path = path_for(file);
  std::string temporary = path + ".XXXXXX";
  Fd fd(::mkostemp(temporary.data(), O_CLOEXEC));
  if (!fd.valid()) return os_failure("create", temporary);
  // No fsync: a plan cut short by a crash of the machine fails its checksum and is made again.
  auto written = write_all(fd.get(), plan.serialize(), temporary);
  if (written && ::fchmod(fd.get(), 0644) != 0)
    written = os_failure("change the mode of", temporary);
  if (written && ::rename(temporary.c_str(), path.c_str()) != 0)
    written = os_failure("rename to", path);
  if (!written) ::unlink(temporary.c_str());
  return written;
}

Result<> PlanCache::ensure(const std::string& path) const {
  CAIRN_ASSIGN(const ElfFile file, ElfFile::open(path));
  if (holds(file)) return {};
  return store(file, make_plan(file));
}

}  // namespace cairn::patch
