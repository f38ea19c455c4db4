#pragma once
// Descriptors over the link.

#include <cstdint>

#include "abi/link.h"

namespace cairn::runtime {

// Gives each received descriptor its number; whatever stands in the way that is ours (the link, the
// other received ones) moves aside. 0 or a negative errno.
std::int32_t place_fds(int* link, int* received, const abi::LinkPlaceFd* places, int count);

// All open descriptors but `link`; their number or a negative errno.
std::int64_t list_descriptors(int link, abi::LinkFd* out, std::uint64_t room);

}  // namespace cairn::runtime
