#include "runtime/handlers/proc_name.h"

#include "runtime/host/support.h"
#include "runtime/restorer/ids.h"
#include "sys/syscall.h"

namespace cairn::runtime {
namespace {

constexpr std::uint64_t kAtFdcwd = static_cast<std::uint64_t>(-100) & 0xffffffff;

bool is_digit(char c) {
  return c >= '0' && c <= '9';
}

// A component of a path: [begin, end).
struct Piece {
  const char* begin;
  const char* end;
  [[nodiscard]] bool is(const char* text) const {
    const char* at = begin;
    while (at != end && *text != 0 && *at == *text) ++at, ++text;
    return at == end && *text == 0;
  }
  // 0: not a plain decimal number.
  [[nodiscard]] std::int32_t number() const {
    if (begin == end || end - begin > 9 || *begin == '0') return 0;
    std::int32_t value = 0;
    for (const char* at = begin; at != end; ++at) {
      if (!is_digit(*at)) return 0;
      value = value * 10 + (*at - '0');
    }
    return value;
  }
};

// Goes through the components behind "/proc" one by one:
//
//   0 --id, self--> 1 --task--> 2 --id--> 3          an entry of 1 or 3 ends the walk
//   0 --thread-self-----------------------> 3
class Walk {
 public:
  explicit Walk(const ThreadBlock* t) : thread_(t) {}

  // The id to stand in this component's place, or 0: as it is. `translated`: it is the kernel's.
  std::int32_t step(const Piece& piece, bool translated) {
    std::int32_t number = piece.number();
    if (number != 0 && !translated && (at_ == 0 || at_ == 2)) number = to_real(number);
    if (at_ == 0) {
      if (piece.is("self") || piece.is("thread-self")) {
        name.process = thread_->process->real_pid;
        if (piece.is("thread-self")) name.task = thread_->real_tid;
        at_ = name.task != 0 ? 3 : 1;
        return 0;
      }
      name.process = number;
      at_ = number != 0 ? 1 : kOut;
      return number;
    }
    if (at_ == 1 && piece.is("task")) {
      at_ = 2;
      return 0;
    }
    if (at_ == 2 && number != 0) {
      name.task = number;
      at_ = 3;
      return number;
    }
    if (at_ == 2) name.process = 0;  // nothing that there is
    at_ = kOut;
    return 0;
  }

  [[nodiscard]] bool out() const { return at_ == kOut; }
  ProcName name{0, 0, ""};

 private:
  static constexpr int kOut = 4;
  const ThreadBlock* thread_;
  int at_ = 0;
};

// Walks a path whose first component is behind "/proc"; out: null, or where to write it with the
// kernel's ids. False if it did not fit.
bool walk_path(Walk* walk, const char* path, bool translated, char* out, const char* out_end) {
  const char* at = path;
  for (;;) {
    while (*at == '/') {
      if (out != nullptr) *out++ = '/';
      ++at;
    }
    Piece piece{at, at};
    while (*piece.end != 0 && *piece.end != '/') ++piece.end;
    bool last = piece.begin == piece.end;
    std::int32_t id = last || walk->out() ? 0 : walk->step(piece, translated);
    if (out != nullptr && out_end - out < (piece.end - piece.begin) + 16) return false;
    if (walk->out() && walk->name.entry[0] == 0) walk->name.entry = piece.begin;
    if (out != nullptr && id != 0) {
      out = append_decimal(out, id);
    } else if (out != nullptr) {
      memcpy(out, piece.begin, static_cast<std::size_t>(piece.end - piece.begin));
      out += piece.end - piece.begin;
    }
    at = piece.end;
    if (last) break;
    if (walk->out()) {  // the rest is as it is
      if (out == nullptr) break;
      std::size_t rest = string_length(at);
      if (static_cast<std::size_t>(out_end - out) < rest + 1) return false;
      memcpy(out, at, rest);
      out += rest;
      break;
    }
  }
  if (out != nullptr) *out = 0;
  return true;
}

// Behind "/proc"; nullptr if the path does not lead there.
const char* behind_proc(const char* path) {
  if (!starts_with(path, "/proc")) return nullptr;
  return path[5] == 0 || path[5] == '/' ? path + 5 : nullptr;
}

// Cheap, since every relative path of a program comes here.
bool may_be_proc_entry(const char* text) {
  if (starts_with(text, "self/") || starts_with(text, "thread-self/")) return true;
  if (string_equal(text, "stat") || string_equal(text, "status")) return true;
  if (text[0] == 'e') return string_equal(text, "exe");
  if (!ids_shifted()) return false;
  if (is_digit(text[0])) {
    const char* at = text;
    while (is_digit(*at)) ++at;
    return *at == 0 || *at == '/';
  }
  return starts_with(text, "task/") || string_equal(text, "children") ||
         string_equal(text, "timers") || string_equal(text, "sched");
}

// The directory that relative paths start from, if it lies under /proc.
bool read_base(std::uint64_t dirfd, char* base, std::uint64_t room) {
  char link[48];
  if ((dirfd & 0xffffffff) == kAtFdcwd)
    append(link, "/proc/thread-self/cwd");
  else
    append_decimal(append(link, "/proc/thread-self/fd/"), static_cast<std::int32_t>(dirfd));
  auto length = sys::call(__NR_readlink, sys::address(link), sys::address(base), room - 1);
  if (!length.ok()) return false;
  base[length.value()] = 0;
  return behind_proc(base) != nullptr;
}

}  // namespace

bool parse_proc_name(ThreadBlock* t, const char* path, char* rewritten, ProcName* name) {
  const char* rest = behind_proc(path);
  if (rest == nullptr) return false;
  Walk walk(t);
  char* out = append(rewritten, "/proc");
  if (!walk_path(&walk, rest, false, out, rewritten + kPathRoom)) return false;
  *name = walk.name;
  return walk.name.process != 0;
}

bool read_proc_name(ThreadBlock* t, std::uint64_t dirfd, std::uint64_t from, char* rewritten,
                    ProcName* name) {
  char head[8];
  if (from == 0 || copy_from_guest(head, from, 1) != 0 || head[0] == 0) return false;
  bool absolute = head[0] == '/';
  if (absolute && (copy_from_guest(head, from, 6) != 0 || memcmp(head, "/proc/", 6) != 0))
    return false;
  char* path = t->path_text;
  if (!absolute) {
    char start[24];
    std::int64_t length = string_from_guest(start, sizeof(start), from);
    if (length == -kEFAULT) return false;
    start[sizeof(start) - 1] = 0;
    if (!may_be_proc_entry(start)) return false;
  }
  if (string_from_guest(path, 4096, from) < 0) return false;
  if (absolute) return parse_proc_name(t, path, rewritten, name);
  char base[256];
  if (!read_base(dirfd, base, sizeof(base))) return false;
  Walk walk(t);
  if (!walk_path(&walk, behind_proc(base), true, nullptr, nullptr) || walk.out()) return false;
  if (!walk_path(&walk, path, false, rewritten, rewritten + kPathRoom)) return false;
  *name = walk.name;
  return walk.name.process != 0;
}

bool names_own_process(const ThreadBlock* t, const ProcName& name) {
  if (name.process == t->process->real_pid) return true;
  for (std::uint32_t i = 0; i < block_count(); ++i) {
    const ThreadBlock* other = block_at(i);
    if (other->in_use != 0 && other->process == t->process && other->real_tid == name.process)
      return true;
  }
  return false;
}

ThreadBlock* named_thread(const ThreadBlock* t, const ProcName& name) {
  std::int32_t wanted = name.task != 0 ? name.task : name.process;
  for (std::uint32_t i = 0; i < block_count(); ++i) {
    ThreadBlock* other = block_at(i);
    if (other->in_use != 0 && other->process == t->process && other->real_tid == wanted)
      return other;
  }
  return nullptr;
}

std::int64_t with_virtual_ids(const char* path, std::uint64_t length, char* out,
                              std::uint64_t room) {
  if (length < 7 || memcmp(path, "/proc/", 6) != 0) return -1;
  const char* end = path + length;
  const char* at = path + 6;
  char* to = append(out, "/proc/");
  bool changed = false;
  for (int depth = 0; depth < 2; ++depth) {
    Piece piece{at, at};
    while (piece.end != end && *piece.end != '/') ++piece.end;
    std::int32_t id = piece.number();
    if (id == 0) break;
    changed = changed || to_virtual(id) != id;
    to = append_decimal(to, to_virtual(id));
    at = piece.end;
    if (depth != 0 || end - at < 6 || memcmp(at, "/task/", 6) != 0) break;
    to = append(to, "/task/");
    at += 6;
  }
  auto rest = static_cast<std::uint64_t>(end - at);
  if (!changed || static_cast<std::uint64_t>(to - out) + rest + 1 > room) return -1;
  memcpy(to, at, rest);
  to[rest] = 0;
  return static_cast<std::int64_t>(to + rest - out);
}

}  // namespace cairn::runtime
