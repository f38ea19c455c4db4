#include "agent/settings.h"

namespace cairn::agent {

std::string mode_name(abi::DoorMode mode) {
  switch (mode) {
    case abi::DoorMode::kAuto:
      return "auto";
    case abi::DoorMode::kDispatch:
      return "dispatch";
    case abi::DoorMode::kSeccomp:
      return "seccomp";
    case abi::DoorMode::kPatchOnly:
      return "patch";
  }
  return "unknown";
}

}  // namespace cairn::agent
