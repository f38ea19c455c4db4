#pragma once
// The files behind owner.h.
//
// Incarnation N is claimed by link(2) of the finished record to owner.N, which fails if anybody
// else did so; the highest claim is the owner. `owner` is the same file under a name for people and
// other programs. Reading the highest claim, not `owner`, leaves no moment in which an older owner
// could put its own record back.

#include <optional>
#include <string>

#include "base/error.h"
#include "storage/owner.h"

namespace cairn::storage {

Result<std::optional<OwnerRecord>> read_owner(const std::string& store);
Result<OwnerRecord> claim_ownership(const std::string& store, OwnerRecord wanted,
                                    Takeover takeover);

// Removes what others than the present owner left behind. What an older owner is still writing is
// renamed first: from then on that owner's commit has nothing left to rename.
Result<> remove_leftovers(const std::string& store, const OwnerRecord& owner);

}  // namespace cairn::storage
