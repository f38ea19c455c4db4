#pragma once
// Events of an inotify that nobody has read yet: taken out of its queue, with stand-ins put in
// their place (abi/notices.h), at a checkpoint as at a restart.

#include <string>

#include "abi/notices.h"
#include "base/error.h"

namespace cairn::resources {

// All of them, stand-ins as what they stand for.
Result<std::string> take_events(int inotify, const abi::Notices* notices);

// `unread_used`: how much of Notices::unread is taken.
Result<> put_events(int inotify, const std::string& events, abi::Notices& notices,
                    std::uint32_t& unread_used);

}  // namespace cairn::resources
