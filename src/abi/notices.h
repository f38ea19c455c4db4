#pragma once
// What the job's processes have asked the kernel to tell them of and the kernel does not show: the
// paths that they watch (fdinfo of an inotify shows inodes), and how they want to hear of a message
// in an empty queue (mq_notify). Written at the door, in memory that they share; read by the agent.
//
// Nothing is ever taken out: a path stands here once however often it is watched, and is compared
// with what the kernel shows before it is used.

#include <atomic>
#include <cstdint>

namespace cairn::abi {

inline constexpr std::uint32_t kWatchedPaths = 1U << 15;
inline constexpr std::uint64_t kWatchedText = 8ULL << 20;
inline constexpr std::uint32_t kMessageNotices = 1U << 12;
inline constexpr std::uint32_t kUnreadBytes = 8U << 20;

struct WatchedPath {
  std::atomic<std::uint64_t> hash;   // of the text; 0: free
  std::atomic<std::uint32_t> text;   // its offset plus one; 0: not there yet
  std::atomic<std::uint32_t> flags;  // IN_EXCL_UNLINK and IN_ONESHOT, shown since Linux 5.19 only
  std::atomic<std::uint64_t> inode;
};

struct MessageNotice {
  std::atomic<std::uint64_t> queue;  // inode; 0: free
  std::uint64_t event[8];            // struct sigevent
};

// Events of an inotify that nobody had read at a checkpoint had to be taken out of it. In its queue
// each has a stand-in now: the event that a file was made whose name says where the true one lies.
// It is 16 bytes longer than the true one, or as long if that is the longest. The door exchanges
// them when they are read. Behind the last one stands the event that their watch has gone, which
// nobody is told.
inline constexpr char kStandInPrefix[] = "\001cairn";
inline constexpr std::uint32_t kStandInDigits = 7;  // hexadecimal
inline constexpr std::uint32_t kEventHead = 16;     // struct inotify_event without its name

struct StandIn {
  std::uint32_t offset;  // in Notices::unread
  bool last;
};

// `name` gets kStandInPrefix, the digits, 'l' or 'm', then 'x' up to `length` and its NUL.
inline void name_stand_in(char* name, std::uint32_t length, StandIn what) {
  std::uint32_t at = 0;
  for (; kStandInPrefix[at] != 0; ++at) name[at] = kStandInPrefix[at];
  for (std::uint32_t i = 0; i < kStandInDigits; ++i)
    name[at++] = "0123456789abcdef"[what.offset >> (4 * (kStandInDigits - 1 - i)) & 15];
  name[at++] = what.last ? 'l' : 'm';
  while (at < length) name[at++] = 'x';
  name[at] = 0;
}

inline bool read_stand_in(const char* name, StandIn* what) {
  for (const char* prefix = kStandInPrefix; *prefix != 0; ++prefix, ++name)
    if (*name != *prefix) return false;
  what->offset = 0;
  for (std::uint32_t i = 0; i < kStandInDigits; ++i, ++name) {
    const bool digit = *name >= '0' && *name <= '9';
    if (!digit && (*name < 'a' || *name > 'f')) return false;
    what->offset =
        what->offset << 4 | static_cast<std::uint32_t>(digit ? *name - '0' : *name - 'a' + 10);
  }
  what->last = *name == 'l';
  return what->offset < kUnreadBytes;
}

struct Notices {
  std::atomic<std::int32_t> highest_watch;  // the largest number that any watch was given
  std::atomic<std::uint32_t> overflow;      // 1: more paths were watched than there is room for
  std::atomic<std::uint32_t> text_used;
  std::atomic<std::uint32_t> unread_left;  // stand-ins that nobody has read yet
  WatchedPath paths[kWatchedPaths];
  MessageNotice messages[kMessageNotices];
  char text[kWatchedText];
  char unread[kUnreadBytes];  // true events, each with its name

  static std::uint64_t hash_of(const char* path) {
    std::uint64_t hash = 0xcbf29ce484222325ULL;  // FNV-1a
    for (; *path != 0; ++path) hash = (hash ^ static_cast<unsigned char>(*path)) * 0x100000001b3ULL;
    return hash != 0 ? hash : 1;
  }

  void note_watch(const char* path, std::uint32_t bytes, std::uint64_t inode, std::uint32_t flags) {
    const std::uint64_t hash = hash_of(path);
    auto at = static_cast<std::uint32_t>(hash % kWatchedPaths);
    for (std::uint32_t i = 0; i < kWatchedPaths; ++i, at = (at + 1) % kWatchedPaths) {
      WatchedPath& entry = paths[at];
      std::uint64_t there = 0;
      if (entry.hash.compare_exchange_strong(there, hash)) {
        const std::uint32_t begin = text_used.fetch_add(bytes + 1);
        if (begin + bytes + 1 > kWatchedText) break;
        for (std::uint32_t k = 0; k < bytes; ++k) text[begin + k] = path[k];
        entry.text.store(begin + 1);
      } else if (there != hash) {
        continue;
      }
      entry.inode.store(inode);
      entry.flags.store(flags);
      return;
    }
    overflow.store(1);
  }

  void note_number(std::int32_t number) {
    std::int32_t before = highest_watch.load();
    while (before < number && !highest_watch.compare_exchange_weak(before, number)) {
    }
  }

  // `event`: null ends it.
  void note_messages(std::uint64_t queue, const std::uint64_t* event) {
    auto at = static_cast<std::uint32_t>(queue % kMessageNotices);
    for (std::uint32_t i = 0; i < kMessageNotices; ++i, at = (at + 1) % kMessageNotices) {
      std::uint64_t there = 0;
      if (!messages[at].queue.compare_exchange_strong(there, queue) && there != queue) continue;
      for (int k = 0; k < 8; ++k) messages[at].event[k] = event != nullptr ? event[k] : 0;
      return;
    }
  }
  [[nodiscard]] const MessageNotice* messages_of(std::uint64_t queue) const {
    auto at = static_cast<std::uint32_t>(queue % kMessageNotices);
    for (std::uint32_t i = 0; i < kMessageNotices; ++i, at = (at + 1) % kMessageNotices) {
      const std::uint64_t there = messages[at].queue.load();
      if (there == queue) return &messages[at];
      if (there == 0) return nullptr;
    }
    return nullptr;
  }
};

}  // namespace cairn::abi
