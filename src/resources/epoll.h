#pragma once
// epoll sets. The entries are made inside the process, since each is keyed by its adder's number.

#include "resources/registry.h"

namespace cairn::resources {
extern const Kind kEpollKind;
}  // namespace cairn::resources
