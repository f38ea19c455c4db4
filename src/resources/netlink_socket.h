#pragma once
#include "resources/registry.h"

namespace cairn::resources {

extern const Kind kNetlinkSocketKind;

// Any other family of sockets: refused by its name.
extern const Kind kOtherSocketKind;

}  // namespace cairn::resources
