#pragma once
// Who may commit to a store: one incarnation of a job at a time (fencing).

#include <sys/types.h>

#include <cstdint>
#include <optional>
#include <string>

#include "base/error.h"

namespace cairn::storage {

struct OwnerRecord {
  std::string job_id;
  std::uint64_t incarnation = 0;  // given by take_ownership(); every taking makes a higher one
  std::string coordinator_address;
  std::string public_key;
  // The agent that holds it. fill_in_self() sets these.
  std::string host;
  std::string boot_id;
  pid_t pid = 0;
  std::uint64_t start_time = 0;  // field 22 of /proc/PID/stat: tells a reused pid from the holder

  void fill_in_self();
};

enum class OwnerLife { kDead, kAlive, kUnknown };  // kUnknown: it ran on another host

// What this host can say about the owner.
OwnerLife owner_life(const OwnerRecord& owner);

// Error::code of a commit (or begin) by an incarnation that is not the owner any more.
inline constexpr int kSuperseded = ECANCELED;

// Error::code of take_ownership(kIfNotAlive) while the owner's agent runs on this host.
inline constexpr int kOwned = EBUSY;

enum class Takeover {
  kIfNotAlive,  // refuse (kOwned) if the present owner is known to run
  kAlways,
};

// The newest owner, if the store ever had one.
Result<std::optional<OwnerRecord>> read_owner(const std::string& store);

// Makes the store's directory if it is missing and `wanted` its owner, with the next higher
// incarnation: from now on no older one can commit. Returns the record as written, which is not yet
// sure to outlive a power failure; Store::settle() sees to that.
Result<OwnerRecord> claim_store(const std::string& directory, OwnerRecord wanted,
                                Takeover takeover);

}  // namespace cairn::storage
