#pragma once
// inotify: fdinfo shows the inodes that are watched, the door noted the paths (abi/notices.h). A
// watch keeps its number.
//
// What this program does itself to watched files is not told to the guest: during a capture the
// watches are deaf to readers, and a restart makes them when all files are as they should be.
//
// Events that nobody has read yet: unread_events.h.

#include "resources/registry.h"

namespace cairn::resources {

extern const Kind kInotifyKind;

// All of the job, before any other open file.
Result<> capture_inotifies(CaptureJob& job, Result<> (*capture_one)(CaptureJob&, OpenFile&));

// Restart, as the last step: all watches of all inotifies, whose copies are taken out of job.made.
class WatchRebuild {
 public:
  explicit WatchRebuild(RebuildJob& job);
  Result<> make();  // when all other copies are closed

 private:
  struct Watched {
    const image::InotifyWatch* record;
    Fd file;  // if no path leads to it
  };
  struct Set {
    const image::KernelObject* object;
    Fd inotify;
    std::vector<Watched> watches;
  };
  Result<> make(const Set& set);

  abi::Notices* notices_;
  std::vector<Set> sets_;
};

}  // namespace cairn::resources
