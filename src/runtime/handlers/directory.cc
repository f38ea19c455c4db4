// Directories of /proc name processes and threads, /dev/pts names terminals: armed by a restart.

#include "runtime/handlers/dispatch.h"
#include "runtime/handlers/proc_name.h"
#include "runtime/handlers/pty_name.h"
#include "runtime/host/support.h"
#include "runtime/restorer/ids.h"
#include "sys/syscall.h"

namespace cairn::runtime {
namespace {

struct EntryHead {
  std::uint64_t inode;
  std::int64_t offset;
  std::uint16_t bytes;
} __attribute__((packed));

// getdents64 has the type in front of the name, getdents in the entry's last byte.
struct Layout {
  std::uint64_t name;
  bool type_at_end;
};
constexpr Layout kNew{19, false}, kOld{18, true};

enum class Names : std::uint64_t { kOther, kIds, kTerminals };

Names names_in(std::uint64_t fd) {
  char link[48], target[64];
  append_decimal(append(link, "/proc/thread-self/fd/"), static_cast<std::int32_t>(fd));
  auto length =
      sys::call(__NR_readlink, sys::address(link), sys::address(target), sizeof(target) - 1);
  if (!length.ok()) return Names::kOther;
  target[length.value()] = 0;
  if (ptys_shifted() && string_equal(target, "/dev/pts")) return Names::kTerminals;
  if (!starts_with(target, "/proc")) return Names::kOther;
  bool ids = length.value() == 5 || string_equal(target + length.value() - 5, "/task");
  return ids ? Names::kIds : Names::kOther;
}

// -1: none.
std::int32_t number_of(const char* name) {
  std::int32_t value = *name == 0 ? -1 : 0;
  for (; *name >= '0' && *name <= '9' && value < 100'000'000; ++name)
    value = value * 10 + (*name - '0');
  return *name == 0 ? value : -1;
}

// Writes the entries anew, each with the guest's number; what only has that number is left out.
std::uint64_t rewrite(const char* in, std::uint64_t bytes, char* out, std::uint64_t room,
                      const Layout& layout, Names names) {
  std::uint64_t used = 0;
  bool terminals = names == Names::kTerminals;
  for (std::uint64_t at = 0; at < bytes;) {
    EntryHead head;
    memcpy(&head, in + at, sizeof(head));
    const char* name = in + at + layout.name;
    std::int32_t id = number_of(name);
    char text[16];
    if (id >= 0) append_decimal(text, terminals ? to_virtual_pty(id) : to_virtual(id));
    std::uint64_t name_bytes = string_length(id >= 0 ? text : name) + 1;
    std::uint64_t whole = (layout.name + name_bytes + (layout.type_at_end ? 1 : 0) + 7) & ~7ULL;
    char type = layout.type_at_end ? in[at + head.bytes - 1] : in[at + layout.name - 1];
    bool hidden = id >= 0 && !terminals && hidden_by_ours(id);
    if (!hidden && used + whole <= room) {
      memset(out + used, 0, whole);
      EntryHead changed = head;
      changed.bytes = static_cast<std::uint16_t>(whole);
      memcpy(out + used, &changed, sizeof(changed));
      memcpy(out + used + layout.name, id >= 0 ? text : name, name_bytes);
      out[used + (layout.type_at_end ? whole - 1 : layout.name - 1)] = type;
      used += whole;
    }
    at += head.bytes;
  }
  return used;
}

std::int64_t after_entries(ThreadBlock* t, std::int64_t result, const Layout& layout) {
  if (result <= 0) return result;
  auto bytes = static_cast<std::uint64_t>(result);
  std::uint64_t room = t->rdx & 0xffffffff;
  auto at = map_host(bytes + room);
  if (!at.ok()) return -kENOMEM;
  auto* in = reinterpret_cast<char*>(at.value());
  if (copy_from_guest(in, t->rsi, bytes) == 0) {
    std::uint64_t used = rewrite(in, bytes, in + bytes, room, layout,
                                 static_cast<Names>(t->id_argument[0]));
    // Nothing left of this part is not the directory's end: what was there stays.
    if (used != 0 && copy_to_guest(t->rsi, in + bytes, used) == 0)
      result = static_cast<std::int64_t>(used);
  }
  unmap_host(at.value(), bytes + room);
  return result;
}

std::int64_t after_getdents64(ThreadBlock* t, std::int64_t result) {
  return after_entries(t, result, kNew);
}
std::int64_t after_getdents(ThreadBlock* t, std::int64_t result) {
  return after_entries(t, result, kOld);
}

// The guest's numbers may be longer: the kernel is given less room, since an entry grows by at most
// 8 of its 24 bytes.
Action entries(ThreadBlock* t, PostHandler post) {
  Action action = lower(t);
  std::uint64_t room = t->tail.args[2] & 0xffffffff;
  if (action != Action::kTail || room < 128) return action;
  Names names = names_in(t->rdi);
  if (names == Names::kOther) return action;
  t->id_argument[0] = static_cast<std::uint64_t>(names);
  t->tail.args[2] = room / 4 * 3;
  then(t, post);
  return action;
}

Action getdents64(ThreadBlock* t) {
  return entries(t, after_getdents64);
}
Action getdents(ThreadBlock* t) {
  return entries(t, after_getdents);
}

std::int64_t after_getcwd(ThreadBlock* t, std::int64_t result) {
  char path[256], translated[280];
  if (result < 7 || result > static_cast<std::int64_t>(sizeof(path))) return result;
  auto bytes = static_cast<std::uint64_t>(result);
  if (copy_from_guest(path, t->rdi, bytes) != 0) return result;
  std::int64_t length = with_virtual_ids(path, bytes - 1, translated, sizeof(translated));
  if (length < 0) return result;
  if (static_cast<std::uint64_t>(length) + 1 > t->rsi) return -kERANGE;
  return copy_to_guest(t->rdi, translated, static_cast<std::uint64_t>(length) + 1) != 0
             ? -kEFAULT
             : length + 1;
}

Action getcwd(ThreadBlock* t) {
  Action action = lower(t);
  if (action == Action::kTail) then(t, after_getcwd);
  return action;
}

}  // namespace

const HandlerRow kShiftedPathHandlers[] = {
    {__NR_getdents64, getdents64}, {__NR_getdents, getdents}, {__NR_getcwd, getcwd}, {0, nullptr}};

}  // namespace cairn::runtime
