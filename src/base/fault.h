#pragma once
// Named places where a test makes an operation fail, so that every step of a commit is tried
// broken.
//
// CAIRN_FAULT=pack_write:ENOSPC       the first time that point is passed, it fails so
// CAIRN_FAULT=rename_commit:kill:2    the second time
//
// Actions: kill (SIGKILL to oneself: nothing is flushed), EIO, ENOSPC, short (a write that takes
// half of its bytes and says so), hang (until killed). Without the variable a point is one load.
//
// CAIRN_FAULT_REPORT=FILE             gets the point's name when it has failed: a test that
// believes to
//                                     inject a fault and does not would pass for the wrong reason

#include <fcntl.h>
#include <signal.h>
#include <unistd.h>

#include <array>
#include <atomic>
#include <cerrno>
#include <cstdint>
#include <cstdlib>
#include <string>
#include <string_view>
#include <utility>

#include "base/error.h"

namespace cairn {

enum class FaultPoint : std::uint32_t {
  kNone,
  kOwnerWrite,
  kOwnerLink,
  kOwnerPublish,
  kOwnerSync,
  kWorkDirectory,
  kPackWrite,
  kPackIndexWrite,
  kPackSync,
  kRecordWrite,
  kRecordSync,
  kManifestWrite,
  kManifestSync,
  kWorkDirectorySync,
  kOwnerCheck,
  kRenameCommit,
  kStoreSync,
  kPruneManifest,
  kPrunePack,
  kCompactRename,
  kPackRead,
  kJournalMake,
  kUndoWrite,
  // The steps of the two paths, each passed before its work.
  kStepFreeze,
  kStepConnect,
  kStepCapture,
  kStepMemory,
  kStepRecords,
  kStepSync,
  kStepCommit,
  kStepThaw,
  kRestartRead,
  kRestartTree,
  kRestartNames,
  kRestartObjects,
  kRestartMemory,
  kRestartThreads,
  kRestartState,
  kRestartFiles,
  kRestartGo,
};

enum class FaultAction : std::uint32_t { kNone, kKill, kEio, kEnospc, kShort, kHang };

namespace fault {

inline constexpr std::array kNames = {
    std::pair{std::string_view("none"), FaultPoint::kNone},
    std::pair{std::string_view("owner_write"), FaultPoint::kOwnerWrite},
    std::pair{std::string_view("owner_link"), FaultPoint::kOwnerLink},
    std::pair{std::string_view("owner_publish"), FaultPoint::kOwnerPublish},
    std::pair{std::string_view("owner_sync"), FaultPoint::kOwnerSync},
    std::pair{std::string_view("work_directory"), FaultPoint::kWorkDirectory},
    std::pair{std::string_view("pack_write"), FaultPoint::kPackWrite},
    std::pair{std::string_view("pack_index_write"), FaultPoint::kPackIndexWrite},
    std::pair{std::string_view("pack_sync"), FaultPoint::kPackSync},
    std::pair{std::string_view("record_write"), FaultPoint::kRecordWrite},
    std::pair{std::string_view("record_sync"), FaultPoint::kRecordSync},
    std::pair{std::string_view("manifest_write"), FaultPoint::kManifestWrite},
    std::pair{std::string_view("manifest_sync"), FaultPoint::kManifestSync},
    std::pair{std::string_view("work_directory_sync"), FaultPoint::kWorkDirectorySync},
    std::pair{std::string_view("owner_check"), FaultPoint::kOwnerCheck},
    std::pair{std::string_view("rename_commit"), FaultPoint::kRenameCommit},
    std::pair{std::string_view("store_sync"), FaultPoint::kStoreSync},
    std::pair{std::string_view("prune_manifest"), FaultPoint::kPruneManifest},
    std::pair{std::string_view("prune_pack"), FaultPoint::kPrunePack},
    std::pair{std::string_view("compact_rename"), FaultPoint::kCompactRename},
    std::pair{std::string_view("pack_read"), FaultPoint::kPackRead},
    std::pair{std::string_view("journal_make"), FaultPoint::kJournalMake},
    std::pair{std::string_view("undo_write"), FaultPoint::kUndoWrite},
    std::pair{std::string_view("step_freeze"), FaultPoint::kStepFreeze},
    std::pair{std::string_view("step_connect"), FaultPoint::kStepConnect},
    std::pair{std::string_view("step_capture"), FaultPoint::kStepCapture},
    std::pair{std::string_view("step_memory"), FaultPoint::kStepMemory},
    std::pair{std::string_view("step_records"), FaultPoint::kStepRecords},
    std::pair{std::string_view("step_sync"), FaultPoint::kStepSync},
    std::pair{std::string_view("step_commit"), FaultPoint::kStepCommit},
    std::pair{std::string_view("step_thaw"), FaultPoint::kStepThaw},
    std::pair{std::string_view("restart_read"), FaultPoint::kRestartRead},
    std::pair{std::string_view("restart_tree"), FaultPoint::kRestartTree},
    std::pair{std::string_view("restart_names"), FaultPoint::kRestartNames},
    std::pair{std::string_view("restart_objects"), FaultPoint::kRestartObjects},
    std::pair{std::string_view("restart_memory"), FaultPoint::kRestartMemory},
    std::pair{std::string_view("restart_threads"), FaultPoint::kRestartThreads},
    std::pair{std::string_view("restart_state"), FaultPoint::kRestartState},
    std::pair{std::string_view("restart_files"), FaultPoint::kRestartFiles},
    std::pair{std::string_view("restart_go"), FaultPoint::kRestartGo},
};

struct Armed {
  std::atomic<FaultPoint> point{FaultPoint::kNone};
  std::atomic<FaultAction> action{FaultAction::kNone};
  std::atomic<int> countdown{0};  // fires when this reaches 0
};

// Arms one fault; FaultPoint::kNone disarms.
inline void arm(Armed& armed, FaultPoint point, FaultAction action, int nth = 1) {
  armed.action = action;
  armed.countdown = nth;
  armed.point = point;
}

// "name:action[:nth]"; a text that names nothing known ends the program.
inline void arm_from_text(Armed& armed, std::string_view text) {
  const auto part = [&text] {
    const std::size_t colon = text.find(':');
    std::string_view first = text.substr(0, colon);
    text.remove_prefix(colon == std::string_view::npos ? text.size() : colon + 1);
    return first;
  };
  const std::string_view name = part();
  const std::string_view action = part();
  const int nth = text.empty() ? 1 : std::atoi(text.data());
  FaultAction what = FaultAction::kNone;
  if (action == "kill") what = FaultAction::kKill;
  if (action == "EIO") what = FaultAction::kEio;
  if (action == "ENOSPC") what = FaultAction::kEnospc;
  if (action == "short") what = FaultAction::kShort;
  if (action == "hang") what = FaultAction::kHang;
  for (const auto& [known, point] : kNames)
    if (known == name && what != FaultAction::kNone && nth > 0) return arm(armed, point, what, nth);
  std::abort();
}

inline Armed& armed() {
  static Armed instance;
  static const bool read = [] {
    if (const char* text = std::getenv("CAIRN_FAULT")) arm_from_text(instance, text);
    return true;
  }();
  (void)read;
  return instance;
}

inline void report(FaultPoint fired) {
  const char* path = std::getenv("CAIRN_FAULT_REPORT");
  const int fd =
      path == nullptr ? -1 : ::open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
  if (fd < 0) return;
  for (const auto& [name, point] : kNames)
    if (point == fired && ::write(fd, (std::string(name) + "\n").c_str(), name.size() + 1) < 0)
      std::abort();
  ::close(fd);
}

inline void arm(FaultPoint point, FaultAction action, int nth = 1) {
  arm(armed(), point, action, nth);
}
inline void disarm() {
  arm(armed(), FaultPoint::kNone, FaultAction::kNone);
}

}  // namespace fault

// The check. Returns the errno the caller must fail with, or 0; kShort is returned as -1 and only
// means something to a write.
inline int fault_here(FaultPoint point) {
  fault::Armed& armed = fault::armed();
  if (armed.point.load(std::memory_order_relaxed) != point) [[likely]]
    return 0;
  if (armed.countdown.fetch_sub(1) != 1) return 0;
  fault::report(point);
  switch (armed.action.load()) {
    case FaultAction::kNone:
      return 0;
    case FaultAction::kKill:
      ::kill(::getpid(), SIGKILL);
      for (;;) ::pause();
    case FaultAction::kEio:
      return EIO;
    case FaultAction::kEnospc:
      return ENOSPC;
    case FaultAction::kShort:
      return -1;
    case FaultAction::kHang:
      for (;;) ::pause();
  }
  return 0;
}

// The same where a step begins that is no single write: a short one means nothing to it.
inline Result<> fault_step(FaultPoint point, const char* step) {
  if (const int injected = fault_here(point); injected > 0) return failure(injected, step);
  return {};
}

}  // namespace cairn
