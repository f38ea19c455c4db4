#pragma once
// Pseudo terminals with both ends in the process: modes, size, lock, packet mode, and what was
// written to the slave and not yet read from the master. It comes back under its number, since the
// guest may know the name /dev/pts/N.
//
// Refused by name: what was written to the master and not yet read from the slave, a slave that has
// been closed, a controlling terminal. Not seen, and so lost: a line at the slave that is not
// complete yet.

#include "resources/registry.h"

namespace cairn::resources {

extern const Kind kPtyKind;

}  // namespace cairn::resources
