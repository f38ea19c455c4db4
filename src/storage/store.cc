#include "storage/store.h"

#include <time.h>
#include <unistd.h>

#include <algorithm>

#include "storage/file.h"
#include "storage/generation_files.h"
#include "storage/generation_writer_impl.h"
#include "storage/ownership.h"
#include "storage/retention.h"

namespace cairn::storage {
namespace {

std::uint64_t default_index_bytes() {
  const auto pages = static_cast<std::uint64_t>(::sysconf(_SC_PHYS_PAGES));
  return pages * static_cast<std::uint64_t>(::sysconf(_SC_PAGESIZE)) / 32;
}

Result<GenerationInfo> read_manifest(const std::string& store, std::uint64_t number) {
  const std::string path = generation_path(store, number) + "/" + kManifestName;
  CAIRN_ASSIGN(const std::string text, read_whole_file(path));
  CAIRN_ASSIGN(auto info, manifest_from_text(text, path));
  if (info.number != number)
    return refusal("read manifest: it is that of another generation", path);
  return info;
}

std::int64_t now_ns() {
  timespec now;
  ::clock_gettime(CLOCK_REALTIME, &now);
  return std::int64_t{now.tv_sec} * 1'000'000'000 + now.tv_nsec;
}

}  // namespace

class Store::Shared {
 public:
  Shared(const std::string& directory, unsigned workers, std::uint64_t index_bytes)
      : resources(directory, workers, index_bytes) {}

  WriterResources resources;
  std::uint64_t writing = 0;  // the generation that is neither committed nor aborted; 0: none
  std::uint64_t slot = 0;     // of its pack
};

Store::Store(std::string directory, StoreOptions options)
    : directory_(std::move(directory)),
      shared_(std::make_unique<Shared>(
          directory_, options.workers == 0 ? usable_cpus() : options.workers,
          options.index_bytes == 0 ? default_index_bytes() : options.index_bytes)) {}

Store::~Store() = default;

Result<std::unique_ptr<Store>> Store::open(const std::string& directory, StoreOptions options) {
  std::string path = directory;
  while (path.size() > 1 && path.back() == '/') path.pop_back();
  if (options.create) CAIRN_TRY(make_path(path));
  CAIRN_TRY(list_directory(path));  // it is there and may be read
  return std::unique_ptr<Store>(new Store(path, options));
}

Result<std::optional<OwnerRecord>> Store::owner() const {
  return read_owner(directory_);
}

Result<OwnerRecord> Store::take_ownership(OwnerRecord wanted, Takeover takeover) {
  CAIRN_ASSIGN(const OwnerRecord owner, claim_store(directory_, std::move(wanted), takeover));
  continue_ownership(owner);
  CAIRN_TRY(settle());
  return owner;
}

void Store::continue_ownership(const OwnerRecord& owner) {
  mine_ = owner;
  settled_ = false;
}

Result<> Store::settle() {
  if (settled_) return {};
  CAIRN_TRY(settle_ownership(directory_, *mine_));
  settled_ = true;
  return {};
}

void Store::join_ownership(const OwnerRecord& owner) {
  mine_ = owner;
}

Result<> Store::check_still_owner() const {
  if (!mine_) return failure(EPERM, "write: the store's ownership was not taken", directory_);
  if (const int injected = fault_here(FaultPoint::kOwnerCheck); injected > 0)
    return failure(injected, "read owner", directory_);
  CAIRN_ASSIGN(const auto owner, read_owner(directory_));
  if (owner && owner->incarnation == mine_->incarnation && owner->job_id == mine_->job_id)
    return {};
  return failure(
      kSuperseded,
      "incarnation " + std::to_string(mine_->incarnation) + " of job " + mine_->job_id +
          " was superseded by " +
          (owner ? "incarnation " + std::to_string(owner->incarnation) + " of job " + owner->job_id
                 : std::string("nobody: the owner file is gone")),
      directory_);
}

Result<std::vector<GenerationInfo>> Store::generations() const {
  CAIRN_ASSIGN(const auto names, list_directory(directory_));
  std::vector<GenerationInfo> list;
  for (const std::string& name : names) {
    const std::uint64_t number = parse_number(name);
    if (number == 0) continue;
    auto info = read_manifest(directory_, number);
    if (info) {
      list.push_back(std::move(*info));
    } else if (info.error().code != ENOENT) {  // without one it is only packs that others need
      GenerationInfo damaged;
      damaged.number = number;
      damaged.damaged = true;
      damaged.problem = info.error().message();
      list.push_back(std::move(damaged));
    }
  }
  std::sort(list.begin(), list.end(),
            [](const auto& a, const auto& b) { return a.number < b.number; });
  return list;
}

Result<std::unique_ptr<GenerationWriter>> Store::begin_generation(const WriteOptions& options) {
  CAIRN_TRY(check_still_owner());
  CAIRN_TRY(settle());
  CAIRN_ASSIGN(const auto names, list_directory(directory_));
  std::uint64_t last = 0;
  for (const std::string& name : names)
    last = std::max(last, parse_number(std::string_view(name).substr(0, name.find('.'))));
  const std::uint64_t number = last + 1;
  CAIRN_TRY(make_directory(work_path(directory_, number, mine_->incarnation)));
  auto writer = join_generation(number, options);
  if (!writer) CAIRN_TRY(abort(number));
  return writer;
}

Result<std::unique_ptr<GenerationWriter>> Store::join_generation(std::uint64_t number,
                                                                 const WriteOptions& options) {
  if (shared_->writing != 0)
    return failure(EBUSY, "begin generation: another one is being written", directory_);
  if (!mine_) return failure(EPERM, "begin generation: no ownership", directory_);
  CAIRN_ASSIGN(const auto committed, generations());
  CAIRN_TRY(shared_->resources.known.refresh(committed, options.node));
  CAIRN_ASSIGN(auto writer, FileGenerationWriter::create(
                                directory_, work_path(directory_, number, mine_->incarnation),
                                number, options, shared_->resources));
  shared_->writing = number;
  shared_->slot = writer->slot();
  return std::unique_ptr<GenerationWriter>(std::move(writer));
}

Result<GenerationInfo> Store::commit(std::uint64_t number, const std::vector<NodeSummary>& nodes,
                                     const std::string& info,
                                     const std::function<Result<>()>& last_moment) {
  CAIRN_TRY(check_still_owner());
  GenerationInfo generation;
  generation.number = number;
  generation.incarnation = mine_->incarnation;
  generation.job_id = mine_->job_id;
  generation.committed_ns = now_ns();
  generation.nodes = nodes;
  generation.info = info;
  const std::string work = work_path(directory_, number, mine_->incarnation);
  CAIRN_TRY(write_new_file(work + "/" + kManifestName, manifest_to_text(generation),
                           FaultPoint::kManifestWrite, FaultPoint::kManifestSync));
  CAIRN_TRY(sync_directory(work, FaultPoint::kWorkDirectorySync));
  // As late as can be. Between this look and the rename a new owner may come: it renames `work`
  // away before it does anything else, so that ours then fails.
  CAIRN_TRY(check_still_owner());
  if (last_moment) CAIRN_TRY(last_moment());
  CAIRN_TRY(rename_file(work, generation_path(directory_, number), FaultPoint::kRenameCommit));
  if (Result<> synced = sync_directory(directory_, FaultPoint::kStoreSync); !synced) {
    // It exists, but nobody knows for how long: back to where abort() removes it.
    CAIRN_TRY(rename_file(generation_path(directory_, number), work, FaultPoint::kNone));
    return Failure(std::move(synced).error());
  }
  committed(number);
  return generation;
}

void Store::committed(std::uint64_t number) {
  if (shared_->writing == number) shared_->writing = 0;
}

Result<> Store::abort(std::uint64_t number) {
  if (shared_->writing == number) {
    shared_->resources.known.forget(shared_->slot);
    shared_->writing = 0;
  }
  if (!mine_) return {};
  const std::string work = work_path(directory_, number, mine_->incarnation);
  Result<> removed = remove_directory_with_files(work);
  if (!removed && removed.error().code == ENOENT) return {};  // a new owner removed it
  return removed;
}

Result<std::unique_ptr<GenerationReader>> Store::read_generation(std::uint64_t number,
                                                                 VerifyLevel level) const {
  return open_generation(generation_path(directory_, number), level);
}

Result<RetentionReport> Store::retain(unsigned keep) {
  CAIRN_TRY(check_still_owner());
  if (shared_->writing != 0)
    return failure(EBUSY, "retain: a generation is being written", directory_);
  CAIRN_ASSIGN(const auto committed, generations());
  CAIRN_ASSIGN(RetentionReport report,
               apply_retention(directory_, committed, keep, shared_->resources.blocks));
  shared_->resources.known.forget_all();
  return report;
}

}  // namespace cairn::storage
