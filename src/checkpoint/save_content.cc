#include "checkpoint/save_content.h"

#include <sys/uio.h>

#include <algorithm>
#include <array>
#include <mutex>

#include "checkpoint/hide_secrets.h"

namespace cairn::checkpoint {
namespace {

using storage::kPageBytes;
using storage::PageRun;

std::uint64_t stored_bytes(const std::vector<PageRun>& runs) {
  std::uint64_t bytes = 0;
  for (const PageRun& run : runs)
    if (!run.zero) bytes += run.pages * kPageBytes;
  return bytes;
}

// All runs of private memory in as few calls as the kernel allows; false where any byte of them is
// out of reach this way (PROT_NONE, Yama, a process that is not dumpable).
bool read_at_once(RealPid pid, const std::vector<PageRun>& runs, std::byte* into) {
  constexpr std::size_t kMaxVectors = 1024;  // UIO_MAXIOV
  std::array<iovec, kMaxVectors> remote;
  std::size_t next = 0;
  while (next < runs.size()) {
    std::size_t count = 0;
    std::size_t bytes = 0;
    for (; next < runs.size() && count < kMaxVectors; ++next) {
      if (runs[next].zero) continue;
      remote[count] = {reinterpret_cast<void*>(runs[next].address), runs[next].pages * kPageBytes};
      bytes += remote[count].iov_len;
      ++count;
    }
    if (count == 0) break;
    const iovec local{into, bytes};
    const ssize_t n = ::process_vm_readv(pid.value, &local, 1, remote.data(), count, 0);
    if (n != static_cast<ssize_t>(bytes)) return false;
    into += bytes;
  }
  return true;
}

Result<> read_run_by_run(const resources::ContentPlan& content, const std::vector<PageRun>& runs,
                         std::byte* into) {
  for (const PageRun& run : runs) {
    if (run.zero) continue;
    const std::size_t bytes = run.pages * kPageBytes;
    CAIRN_TRY(resources::read_content(content, run.address, {into, bytes}));
    into += bytes;
  }
  return {};
}

}  // namespace

std::uint64_t content_bytes(const resources::ContentPlan& content) {
  return stored_bytes(content.runs);
}

Result<storage::PageDataRef> save_content(const resources::ContentPlan& content,
                                          const std::vector<std::string>& secrets,
                                          storage::GenerationWriter& writer,
                                          const ReadProgress& progress) {
  const auto memory = writer.memory();
  const bool is_private = content.object_id == 0;
  std::mutex progress_mutex;
  const ReadMemory read = [&](std::uint64_t position, std::span<std::byte> bytes) {
    return resources::read_content(content, position, bytes);
  };
  const auto fill = [&](const std::vector<PageRun>& batch, std::byte* into) -> Result<> {
    if (!is_private || !read_at_once(content.process->task(), batch, into))
      CAIRN_TRY(read_run_by_run(content, batch, into));
    if (!secrets.empty()) hide_secrets(secrets, batch, into, read);
    const std::lock_guard lock(progress_mutex);
    return progress(stored_bytes(batch));
  };
  CAIRN_TRY(memory->add_pages(storage::plan_batches(content.runs), fill));
  return memory->finish();
}

}  // namespace cairn::checkpoint
