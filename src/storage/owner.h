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

}  // namespace cairn::storage
