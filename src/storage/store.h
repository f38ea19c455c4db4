#pragma once
// A directory with the generations of one job. docs/image-format.md describes what is in it.
//
//   open -> take_ownership -> { begin_generation -> memory(), add_record() ... -> finish -> commit
//   }*
//
// Readers (GenerationReader, generations()) need no ownership.

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/error.h"
#include "storage/codec.h"
#include "storage/generation_reader.h"
#include "storage/generation_writer.h"
#include "storage/manifest.h"
#include "storage/owner.h"

namespace cairn::storage {

struct StoreOptions {
  bool create = false;            // make the directory (mode 0700) and its parents if missing
  unsigned workers = 0;           // 0: as many as this process may use CPUs
  std::uint64_t index_bytes = 0;  // bound of the page index in memory; 0: 1/32 of the RAM
};

class Store {
 public:
  static Result<std::unique_ptr<Store>> open(const std::string& directory, StoreOptions options);
  ~Store();

  // The newest owner, if the store ever had one.
  [[nodiscard]] Result<std::optional<OwnerRecord>> owner() const;

  // Makes `wanted` the owner with the next higher incarnation and removes what earlier owners left
  // uncommitted. Returns the record as written.
  Result<OwnerRecord> take_ownership(OwnerRecord wanted, Takeover takeover);

  // The same in two steps, of which a program's start waits for the first alone: claim_store()
  // (owner.h) has returned `owner`, and settle() makes it durable and clears up. begin_generation()
  // settles what is not settled.
  void continue_ownership(const OwnerRecord& owner);
  Result<> settle();

  // Another node's agent of the same incarnation writes under the owner's fence.
  void join_ownership(const OwnerRecord& owner);

  // Committed generations, ascending. A manifest that cannot be read is listed as damaged.
  [[nodiscard]] Result<std::vector<GenerationInfo>> generations() const;

  // The coordinator begins; the agents of further nodes join the number it was given.
  Result<std::unique_ptr<GenerationWriter>> begin_generation(const WriteOptions& options);
  Result<std::unique_ptr<GenerationWriter>> join_generation(std::uint64_t number,
                                                            const WriteOptions& options);

  // Writes the manifest, syncs, reads the owner again, renames. `nodes` holds what finish() of each
  // node's writer returned; `info` is a JSON object of the caller's, shown by ls and inspect.
  // `last_moment` is asked directly before the rename: its failure is that of the commit.
  Result<GenerationInfo> commit(std::uint64_t number, const std::vector<NodeSummary>& nodes,
                                const std::string& info,
                                const std::function<Result<>()>& last_moment = {});

  // On the nodes that joined: the coordinator has committed.
  void committed(std::uint64_t number);

  // Removes what was written for an uncommitted generation. Its writers must be gone.
  Result<> abort(std::uint64_t number);

  [[nodiscard]] Result<std::unique_ptr<GenerationReader>> read_generation(std::uint64_t number,
                                                                          VerifyLevel level) const;

  // Keeps the newest `keep` generations (at least one), removes the others and every pack that no
  // kept generation needs, and compacts packs of which more than half is dead.
  Result<RetentionReport> retain(unsigned keep);

  [[nodiscard]] const std::string& directory() const { return directory_; }

  class Shared;  // what the writers use: buffers, workers, the page index

 private:
  Store(std::string directory, StoreOptions options);
  Result<> check_still_owner() const;

  std::string directory_;
  std::unique_ptr<Shared> shared_;
  std::optional<OwnerRecord> mine_;
  bool settled_ = true;  // of a joined ownership somebody else takes care
};

}  // namespace cairn::storage
