#pragma once
// The files behind owner.h.
//
// Incarnation N is claimed by link(2) of the finished record to owner.N, which fails if anybody
// else did so; the highest claim is the owner. `owner` is the same file under a name for people and
// other programs. Reading the highest claim, not `owner`, leaves no moment in which an older owner
// could put its own record back.

#include <string>

#include "base/error.h"
#include "storage/owner.h"

namespace cairn::storage {

// Makes the claim durable and removes what others than the present owner left behind. That is not
// needed for fencing: the claim of an owner that a power failure has ended need not be found again,
// and nothing is committed before.
Result<> settle_ownership(const std::string& store, const OwnerRecord& owner);

}  // namespace cairn::storage
