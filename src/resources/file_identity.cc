#include "resources/file_identity.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cstring>
#include <vector>

#include "resources/regular_file.h"
#include "storage/hash.h"
#include "storage/page.h"

namespace cairn::resources {
namespace {

constexpr std::uint64_t kSamples = 64;
constexpr std::uint64_t kPage = storage::kPageBytes;

// The first and the last page and some between them; of a small file all.
Result<std::string> sample(int fd, std::uint64_t size) {
  const std::uint64_t pages = (size + kPage - 1) / kPage;
  const std::uint64_t samples = std::min(pages, kSamples);
  std::vector<std::byte> bytes(samples * kPage);
  std::size_t filled = 0;
  for (std::uint64_t i = 0; i < samples; ++i) {
    const std::uint64_t page = samples == 1 ? 0 : i * (pages - 1) / (samples - 1);
    const ssize_t got = ::pread(fd, bytes.data() + filled, kPage, static_cast<off_t>(page * kPage));
    if (got < 0) return os_failure("read samples of a file");
    filled += static_cast<std::size_t>(got);
  }
  return storage::to_hex(storage::hash_bytes(std::span(bytes).first(filled)));
}

}  // namespace

Result<KnownFile> look_at_file(const std::string& path, ino_t inode) {
  KnownFile known;
  const Fd fd(::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK));
  struct stat info {};
  if (!fd.valid() || ::fstat(fd.get(), &info) != 0 || !S_ISREG(info.st_mode) ||
      info.st_ino != inode)
    return known;
  known.present = true;
  char magic[4] = {};
  known.is_elf = ::pread(fd.get(), magic, sizeof magic, 0) == sizeof magic &&
                 std::memcmp(magic, "\177ELF", sizeof magic) == 0;
  identify(info, path, known.identity);
  if (!known.is_elf) {
    CAIRN_ASSIGN(auto hash, sample(fd.get(), known.identity.size()));
    known.identity.set_sampled_hash(hash);
  }
  return known;
}

std::string what_changed(const image::FileIdentity& identity) {
  const Fd fd(::open(identity.path().c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK));
  struct stat info {};
  if (!fd.valid() || ::fstat(fd.get(), &info) != 0)
    return "the mapped file " + identity.path() + " is missing";
  if (static_cast<std::uint64_t>(info.st_size) != identity.size())
    return "the mapped file " + identity.path() + " has another size than at the checkpoint";
  // A file that was sampled as a whole may have another time: it was copied here.
  const bool whole = identity.size() <= kSamples * kPage;
  const bool same_time = info.st_mtim.tv_sec == identity.mtime().seconds() &&
                         info.st_mtim.tv_nsec == identity.mtime().nanoseconds();
  const auto hash = sample(fd.get(), identity.size());
  if (!hash || *hash != identity.sampled_hash() || (!whole && !same_time))
    return "the mapped file " + identity.path() + " has changed since the checkpoint";
  return {};
}

}  // namespace cairn::resources
